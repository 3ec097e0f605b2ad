"""What a provider, or something that stands in its place, may answer, and what becomes of it."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from loopback_llm import LoopbackLLM, Reply
from support import (
    KEY,
    RESULT,
    WorkerProcess,
    edit,
    keep,
    start_report,
    status_when,
    waiting,
)
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from activities import llm_call
from beyond.llm import complete
from beyond.llm.errors import make_application_error
from beyond.llm.writing import Writing
from models import LLMCallInput, Phase

LIMIT = timedelta(minutes=1)
NO_ANSWER = (
    "openai/gpt-4o: the response is not a model's answer; "
    "check whether a proxy or a sign-in page is in the way"
)


async def refused(llm: LoopbackLLM, reply: Reply, retry_unusable: bool = True) -> ApplicationError:
    """The error of a call that gets this reply."""
    llm.replies.append(reply)
    with pytest.raises(ApplicationError) as error:
        await complete(LLMCallInput("bees"), LIMIT, Writing(), last_try=not retry_unusable)
    return error.value


def error_body(message: str, **more: str) -> str:
    return json.dumps({"error": {"message": message, **more}})


def answer(message: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


# Answers that are none.


@pytest.mark.parametrize("text", [" \n\t ", "\u200b", "\u3000\ufeff", "\u2060 \u00ad"], ids=ascii)
async def test_nothing_to_read_is_an_empty_answer(llm: LoopbackLLM, text: str) -> None:
    llm.default = Reply(text)
    error = await refused(llm, Reply(text))
    assert (error.type, error.non_retryable) == ("EmptyAnswer", True)


async def test_one_character_is_a_draft(llm: LoopbackLLM) -> None:
    llm.replies.append(Reply("\u200b7\n"))
    result = await llm_call(LLMCallInput("seven"))
    assert result["choices"][0]["message"]["content"] == "\u200b7\n"


UNUSABLE = {
    "no choices": "{}",
    "choices null": '{"choices": null}',
    "choices a word": '{"choices": "none"}',
    "no message": '{"choices": [{"index": 0}]}',
    "cut off": '{"choices": [{"ind',
    "empty": "",
    "null": "null",
    "a list": "[]",
    "content a number": answer({"role": "assistant", "content": 5}),
    "too deep": "[" * 100_000,
    "captive portal": "<!DOCTYPE html><html><title>Sign in to the hotel</title></html>",
}


@pytest.mark.filterwarnings("ignore:Pydantic serializer")  # they are errors in pytest only
@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("retry_unusable", [True, False])
async def test_what_is_no_completion_is_asked_for_again_if_it_may(
    llm: LoopbackLLM, body: str, retry_unusable: bool
) -> None:
    error = await refused(llm, Reply(body=body), retry_unusable)
    assert (error.type, error.message) == ("UnusableAnswer", NO_ANSWER)
    assert error.non_retryable != retry_unusable
    assert len(llm.calls) == 1


async def test_an_answer_that_is_wrongly_compressed_is_no_matter_of_settings(
    llm: LoopbackLLM,
) -> None:
    reply = Reply(body="no gzip", headers={"content-encoding": "gzip"})
    error = await refused(llm, reply, retry_unusable=True)
    assert (error.type, error.message) == ("UnusableAnswer", NO_ANSWER)


async def test_a_captive_portal_ends_in_a_question_for_the_person(
    client: Client, llm: LoopbackLLM, task_queue: str
) -> None:
    llm.replies.extend([Reply(body=UNUSABLE["captive portal"])] * 3)
    report = await start_report(client, "bees", task_queue)
    status = await status_when(report, lambda s: s.phase == Phase.WAITING)
    assert status.error == f"Draft 1 failed: {NO_ANSWER}."
    assert len(llm.calls) == 3
    await edit(report)
    await waiting(report, draft=1)


# The size of an answer.


@pytest.mark.parametrize(
    ("text", "size"), [("x" * 3_000_000, "3.0"), ("x" * 5_000_000, "5.0"), ("蜂" * 400_000, "2.4")]
)
async def test_an_answer_too_large_for_temporal_is_paid_once_and_told(
    client: Client, llm: LoopbackLLM, task_queue: str, text: str, size: str
) -> None:
    """JSON carries each Chinese character in six bytes."""
    llm.replies.append(Reply(text))
    report = await start_report(client, "bees", task_queue)
    status = await status_when(report, lambda s: s.phase == Phase.WAITING)
    assert status.error == (
        f"Draft 1 failed: the answer has {size} MB, and a report holds at most 1.9;"
        " ask for a shorter one."
    )
    assert len(llm.calls) == 1
    await edit(report, "shorter")
    await waiting(report, draft=1)


async def test_an_answer_just_small_enough_is_a_draft(llm: LoopbackLLM) -> None:
    llm.replies.append(Reply("x" * 1_890_000))
    await llm_call(LLMCallInput("bees"))


# Errors.


async def test_a_used_up_quota_is_permanent_with_the_cure(llm: LoopbackLLM) -> None:
    """The status is that of a rate limit, which passes; this does not."""
    body = error_body(
        "You exceeded your current quota.", type="insufficient_quota", code="insufficient_quota"
    )
    error = await refused(llm, Reply(status=429, body=body, headers={"Retry-After": "17"}))
    assert (error.non_retryable, error.next_retry_delay) == (True, None)
    assert error.message == (
        "openai/gpt-4o: You exceeded your current quota; "
        "top up the account, or set another key in LLM_API_KEY and start again"
    )


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (
            Reply(status=400, body=error_body("Rejected.", code="content_policy_violation")),
            "Rejected",
        ),
        (
            Reply(status=400, body=error_body("Too long.", code="context_length_exceeded")),
            "Too long",
        ),
        (
            Reply(status=502, body="<html><head><title>502 Bad\nGateway</title></head></html>"),
            "a web page came in place of an answer: 502 Bad Gateway",
        ),
        (
            Reply(status=503, body="<HTML><body>down</body></HTML>"),
            "a web page came in place of an answer",
        ),
        (Reply(status=400, body="x" * 10_000), "x" * 400),
    ],
    ids=["policy", "context", "web page", "web page without title", "long"],
)
async def test_an_error_is_told_once_without_class_names_or_markup(
    llm: LoopbackLLM, reply: Reply, sentence: str
) -> None:
    assert (await refused(llm, reply)).message == f"openai/gpt-4o: {sentence}"


def test_an_error_whose_answer_was_not_read_speaks_for_itself() -> None:
    request = httpx.Request("POST", "http://127.0.0.1/v1")
    unread = httpx.Response(500, request=request, stream=httpx.ByteStream(b"more"))
    error = httpx.HTTPStatusError("down for an hour", request=request, response=unread)
    assert make_application_error(error, last_try=False).message == (
        "openai/gpt-4o: down for an hour"
    )


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (
            'litellm.AuthenticationError: AnthropicException - {"type":"error","error":'
            '{"type":"authentication_error","message":"invalid \\"x-api-key\\""}}',
            'invalid "x-api-key"',
        ),
        (
            "litellm.BadRequestError: litellm.ContentPolicyViolationError: "
            "ContentPolicyViolationError: OpenAIException - No. Ask otherwise.",
            "No. Ask otherwise",
        ),
        ("litellm.Timeout: APITimeoutError - Request timed out.", "Request timed out"),
        ("Error: 12 monkeys", "Error: 12 monkeys"),
    ],
)
def test_the_providers_own_words_are_found_in_litellms(raw: str, told: str) -> None:
    error = make_application_error(Exception(raw), last_try=False)
    assert error.message == f"openai/gpt-4o: {told}"


def test_an_error_without_a_status_is_permanent() -> None:
    """It is a defect of the program, and the same defect would be met every minute."""
    assert make_application_error(ValueError("a defect"), last_try=False).non_retryable


# Keys.


@pytest.mark.parametrize("name", ["LLM_API_KEY", "MY_TOKEN", "AWS_SECRET", "OTHER_KEY"])
async def test_no_secret_of_the_environment_is_told(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "0123456789abcdef")
    error = await refused(llm, Reply("got 0123456789abcdef,", status=400))
    assert "0123" not in error.message
    assert "got [key]," in error.message


@pytest.mark.parametrize("key", ["tab\there-and-more", "two  blanks-and-more", 'quo"te-and-\\more'])
async def test_a_key_is_found_before_white_space_is_folded(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OTHER_KEY", key)
    for body in (error_body(f"got {key}"), f"not JSON: {key}"):
        error = await refused(llm, Reply(status=400, body=body))
        assert "[key]" in error.message
        assert "more" not in error.message


async def test_a_key_is_found_before_the_text_is_cut(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "0123456789" * 3)
    error = await refused(llm, Reply(status=400, body=error_body("x" * 385 + "0123456789" * 3)))
    assert "01" not in error.message


@pytest.mark.parametrize("around", ["{} ", "\t{}\r\n", '"{}"', "'{}'", ' "{}" '])
async def test_what_was_copied_along_with_the_key_is_not_sent(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, around: str
) -> None:
    monkeypatch.setenv("LLM_API_KEY", around.format(KEY))
    await llm_call(LLMCallInput("bees"))
    assert llm.calls[0].key == f"Bearer {KEY}"


@pytest.mark.usefixtures("worker")
async def test_a_report_outlives_errors_of_both_kinds_and_shows_no_secret(
    client: Client, llm: LoopbackLLM, shared_worker: WorkerProcess
) -> None:
    """Key and prompt must be in no log line, the key in no Event: providers quote it."""
    so_far = len(shared_worker.log)
    llm.replies.extend([Reply(status=500), Reply(cut=True), Reply(status=401)])
    report = await start_report(client, "the topic of bees")
    status = await status_when(report, lambda s: s.phase == Phase.WAITING)
    assert status.error.startswith("Draft 1 failed: openai/gpt-4o: ")
    assert len(llm.calls) == 3
    await edit(report)
    await waiting(report, draft=1)
    llm.replies.append(Reply("too long", status=400))
    await edit(report, "a secret instruction")
    await status_when(report, lambda s: "was taken back" in s.error)
    await report.signal("user_decision_signal", "a malformed decision")
    await waiting(report, draft=1)  # or both Signals are in one Workflow Task, and one line
    broken = RawValue(Payload(metadata={"encoding": b"binary/encrypted"}))
    await report.signal("user_decision_signal", args=["a malformed decision", broken])
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert llm.most_in_flight == 1
    history = b"".join(e.SerializeToString() for e in (await report.fetch_history()).events)
    assert b"the topic of bees" in history  # so that the search is known to find things
    assert KEY.encode() not in history
    log = shared_worker.log[so_far:]
    assert log.count("Ignored a Signal") == 2
    assert log.count("Completing activity as failed") == 4
    assert "Traceback" not in log
    assert "dropping the signal" not in log
    for secret in (KEY, "the topic of bees", "a secret instruction", "a malformed decision"):
        assert secret not in log

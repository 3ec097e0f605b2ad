"""Which failed calls are made again, and when."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from asking import ANSWERS, refuse, told
from loopback_llm import LoopbackLLM, Reply, answer
from support import PATIENCE, edit, eventually, start_report, status_when, waiting
from temporalio.client import Client

import activities
from beyond import heartbeats
from beyond.llm.errors import make_application_error
from models import Phase

# pytest turns these warnings into errors. LiteLLM serializes fields that providers should not send.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer")


NO_ANSWER = (
    "openai/gpt-4o: the response is not a model's answer; "
    "check whether a proxy or a sign-in page is in the way"
)


UNUSABLE = {
    "no choices": "{}",
    "choices null": '{"choices": null}',
    "choices a word": '{"choices": "none"}',
    "no message": '{"choices": [{"index": 0}]}',
    "cut off": '{"choices": [{"ind',
    "empty": "",
    "null": "null",
    "a list": "[]",
    "content a number": json.dumps(answer(5)),
    "too deep": "[" * 100_000,
    "captive portal": "<!DOCTYPE html><html><title>Sign in to the hotel</title></html>",
}


ASKED_AGAIN = {
    "an upstream error in the middle": "openai/gpt-4o: the upstream went away",
    "an error in an error": "openai/gpt-4o: this small model is busy; bring a key of your own",
}


# Answers that are none.


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("is_last_attempt", [True, False])
async def test_a_response_that_is_not_a_completion_is_retried_until_the_last_try(
    llm: LoopbackLLM, body: str, is_last_attempt: bool
) -> None:
    error = await refuse(llm, Reply(body=body), is_last_attempt=is_last_attempt)
    assert (error.type, error.message) == ("UnusableAnswer", NO_ANSWER)
    assert error.non_retryable == is_last_attempt
    assert len(llm.calls) == 1


async def test_a_wrongly_compressed_answer_is_an_unusable_answer(
    llm: LoopbackLLM,
) -> None:
    reply = Reply(body="no gzip", headers={"content-encoding": "gzip"})
    error = await refuse(llm, reply)
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


# Errors.


@pytest.mark.parametrize("name", ASKED_AGAIN)
async def test_a_passing_error_is_retryable_and_names_the_innermost_cause(
    llm: LoopbackLLM, name: str
) -> None:
    error = await refuse(llm, ANSWERS[name]["body"], ANSWERS[name]["status"])
    assert (error.message, error.non_retryable) == (ASKED_AGAIN[name], False)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 501, 502, 503, 504, 529])
async def test_a_transient_status_costs_one_request_and_temporal_retries_it(
    llm: LoopbackLLM, status: int
) -> None:
    """Unless told otherwise, LiteLLM and the provider's client send three requests on a 500."""
    error = await refuse(llm, Reply(status=status))
    assert not error.non_retryable
    assert error.next_retry_delay is None
    assert len(llm.calls) == 1


@pytest.mark.parametrize("status", [302, 400, 401, 402, 403, 404, 405, 413, 415, 422, 451])
async def test_any_other_status_is_permanent(llm: LoopbackLLM, status: int) -> None:
    """403 and 413 both arrive as a plain APIError: LiteLLM's classes do not tell them apart."""
    error = await refuse(llm, Reply(status=status))
    assert error.non_retryable
    assert len(llm.calls) == 1


@pytest.mark.parametrize(
    "message",
    [
        "Rate limit reached on requests per min. Try again in 20s, or add a payment method.",
        "You exceeded your current quota, check your plan and billing. Please retry in 12.3s.",
        "The engine is currently overloaded, please try again later",
        "Too many requests",
    ],
)
async def test_a_rate_limit_is_retried(llm: LoopbackLLM, message: str) -> None:
    error = await refuse(llm, told(message, status="RESOURCE_EXHAUSTED"), 429)
    assert not error.non_retryable


def test_an_error_without_a_status_is_permanent() -> None:
    """It is a defect of the program, and a retry would meet the same defect."""
    assert make_application_error(ValueError("a defect"), is_last_attempt=False).non_retryable


async def test_a_cut_connection_is_transient_and_costs_one_request(llm: LoopbackLLM) -> None:
    assert not (await refuse(llm, Reply(cut=True))).non_retryable
    assert len(llm.calls) == 1


@pytest.mark.parametrize("is_last_attempt", [False, True])
async def test_a_call_beyond_our_limit_names_it_and_is_closed(
    llm: LoopbackLLM, is_last_attempt: bool
) -> None:
    error = await refuse(llm, Reply(delay=PATIENCE), is_last_attempt=is_last_attempt, limit=0.5)
    assert error.message == (
        "openai/gpt-4o: the model did not finish within 0.5 s, the limit of this app"
    )
    assert error.non_retryable == is_last_attempt
    await eventually(lambda: llm.calls[0].abandoned)
    assert len(llm.calls) == 1


def test_a_call_gives_up_before_temporal_and_heartbeats_survive_a_loss() -> None:
    assert timedelta(hours=1) <= activities.LLM_TIME_LIMIT < activities.LLM_START_TO_CLOSE_TIMEOUT
    assert 3 * heartbeats.HEARTBEAT_INTERVAL < heartbeats.HEARTBEAT_TIMEOUT
    assert timedelta(seconds=20) >= heartbeats.HEARTBEAT_TIMEOUT


# The delay that a provider asks for.


def in_seconds(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("17", 17),
        (120, 120),
        ("86400", 600),
        ("9" * 400, 600),
        (86400, 600),
    ],
    ids=["seconds", "date", "capped", "capped huge", "capped date"],
)
async def test_retry_after_becomes_the_next_delay(
    llm: LoopbackLLM, status: int, value: str | int, expected: int
) -> None:
    """A number is that many seconds from now, as a date."""
    header = in_seconds(value) if isinstance(value, int) else value
    error = await refuse(llm, Reply(status=status, headers={"Retry-After": header}))
    slack = 0 if isinstance(value, str) else 60
    assert error.next_retry_delay
    assert error.next_retry_delay.total_seconds() == pytest.approx(expected, abs=slack)


@pytest.mark.parametrize(
    "value",
    ["0", "-5", "1.5", "soon", "", -60, "Wed, 21 Oct 2015 07:28:00 -0000"],
    ids=["zero", "negative", "fraction", "word", "empty", "a minute ago", "years ago"],
)
async def test_a_useless_retry_after_leaves_the_delay_to_temporal(
    llm: LoopbackLLM, value: str | int
) -> None:
    """A number is that many seconds from now, as a date."""
    header = in_seconds(value) if isinstance(value, int) else value
    error = await refuse(llm, Reply(status=429, headers={"Retry-After": header}))
    assert (error.next_retry_delay, error.non_retryable) == (None, False)

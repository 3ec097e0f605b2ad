"""The Activities against a model on loopback and a real disk."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from loopback_llm import LoopbackLLM, Reply
from pypdf import PdfReader
from support import (
    KEY,
    PATIENCE,
    RESULT,
    edit,
    eventually,
    keep,
    start_report,
    status_when,
    waiting,
)
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

import activities
from activities import create_pdf, llm_call
from beyond import heartbeats
from models import LLMCallInput, PDFGenerationInput, Phase
from workflow import GenerateReportWorkflow

NAME = "research_pdf.pdf"


def content_of(answer: dict[str, Any]) -> str:
    content: str = answer["choices"][0]["message"]["content"]
    return content


async def refused(llm: LoopbackLLM, reply: Reply | None = None) -> ApplicationError:
    """The error of a call that gets this reply."""
    if reply:
        llm.replies.append(reply)
    with pytest.raises(ApplicationError) as error:
        await llm_call(LLMCallInput("bees"))
    return error.value


def in_workflow(workflow_id: str) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=workflow_id)
    return environment


# llm_call: what it asks and answers.


async def test_a_call_outside_a_worker_answers_in_the_openai_shape(llm: LoopbackLLM) -> None:
    assert content_of(await llm_call(LLMCallInput("bees"))) == "# Draft\n\nbees"
    assert [call.messages for call in llm.calls] == [[{"role": "user", "content": "bees"}]]
    assert llm.calls[0].key == f"Bearer {KEY}"


async def test_a_revision_sends_the_draft_that_was_read(llm: LoopbackLLM) -> None:
    await llm_call(LLMCallInput("bees, as a poem", draft="All about bees", draft_prompt="bees"))
    assert llm.calls[0].messages == [
        {"role": "user", "content": "bees"},
        {"role": "assistant", "content": "All about bees"},
        {"role": "user", "content": "bees, as a poem"},
    ]


async def test_half_a_character_is_sent_as_a_question_mark(llm: LoopbackLLM) -> None:
    """The HTTP client cannot encode it, and the call used to be tried again for ever."""
    await llm_call(LLMCallInput("bees \udcfc", draft="\ud83d", draft_prompt="bees"))
    assert [message["content"] for message in llm.calls[0].messages] == ["bees", "?", "bees ?"]


async def test_an_answer_that_is_cut_off_is_delivered_and_marked_in_the_status(
    client: Client, llm: LoopbackLLM, task_queue: str
) -> None:
    llm.replies.append(Reply("All about b", finish_reason="length"))
    report = await start_report(client, "bees", task_queue)
    status = await waiting(report, draft=1)
    assert status.error == "Draft 1 is cut off: the model reached its token limit."
    assert await report.query(GenerateReportWorkflow.get_research_result) == "All about b"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(""),
        Reply("", finish_reason="length"),
        Reply(body='{"choices": []}'),
        Reply(
            body='{"choices": [{"index": 0, "message": {"role": "assistant", "content": null}}]}'
        ),
    ],
    ids=["empty", "cut off", "no choices", "null"],
)
async def test_an_empty_or_missing_answer_is_an_error_of_its_own(
    llm: LoopbackLLM, reply: Reply
) -> None:
    llm.default = reply
    error = await refused(llm, reply)
    assert (error.type, error.non_retryable) == ("EmptyAnswer", True)
    assert error.message == "openai/gpt-4o answered without any text"


async def test_the_demo_model_repeats_topic_and_instructions_without_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    prompt = "bees\n\nAdditional instructions: shorter\n\nAdditional instructions: in verse"
    draft = content_of(await llm_call(LLMCallInput(prompt)))
    assert "Offline demo" in draft
    assert "# bees\n" in draft
    assert "1. shorter\n2. in verse\n" in draft


# llm_call: errors.


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 501, 502, 503, 504, 529])
async def test_a_transient_status_is_one_request_and_left_to_temporal(
    llm: LoopbackLLM, status: int
) -> None:
    """LiteLLM and the provider's client send three requests on a 500 if they may."""
    error = await refused(llm, Reply(status=status))
    assert not error.non_retryable
    assert error.next_retry_delay is None
    assert len(llm.calls) == 1


@pytest.mark.parametrize("status", [302, 400, 401, 402, 403, 404, 405, 413, 415, 422, 451])
async def test_any_other_status_is_permanent(llm: LoopbackLLM, status: int) -> None:
    """403 and 413 arrive as a plain APIError: LiteLLM's classes do not tell."""
    error = await refused(llm, Reply(status=status))
    assert error.non_retryable
    assert len(llm.calls) == 1


@pytest.mark.parametrize(
    ("status", "name", "cure"),
    [
        (400, "BadRequestError", ""),
        (401, "AuthenticationError", "; check LLM_API_KEY and start again"),
        (403, "APIError", "; check what this key may use"),
        (404, "NotFoundError", "; check LLM_MODEL and start again"),
        (429, "RateLimitError", ""),
        (503, "ServiceUnavailableError", ""),
    ],
)
async def test_an_error_has_litellms_type_and_a_sentence_with_the_cure(
    llm: LoopbackLLM, status: int, name: str, cure: str
) -> None:
    error = await refused(llm, Reply("Not this time.", status=status))
    assert (error.type, error.message) == (
        name,
        f"openai/gpt-4o: Not this time. Bearer [key]{cure}",
    )


@pytest.mark.parametrize("variable", ["LLM_API_KEY", "OPENAI_API_KEY"])
@pytest.mark.parametrize("key", [KEY, "0123456789abcdef"])
async def test_no_error_quotes_the_key(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch, variable: str, key: str
) -> None:
    monkeypatch.delenv("LLM_API_KEY")
    monkeypatch.setenv(variable, key)
    error = await refused(llm, Reply(status=401))
    assert key in llm.calls[0].key
    assert key not in error.message
    assert error.__cause__ is None
    assert error.__suppress_context__  # the Event History has no LiteLLM error behind this one


async def test_no_error_quotes_a_masked_key(llm: LoopbackLLM) -> None:
    error = await refused(llm, Reply("Incorrect API key: sk-loop******cret.", status=401))
    assert "loop" not in error.message
    assert "cret" not in error.message


@pytest.mark.parametrize(
    "reply",
    [
        Reply("Two\nlines", status=400),
        Reply(status=502, body="<html>\n<h1>502 Bad gateway</h1>\n</html>"),
        Reply(status=400, body="x" * 10_000),
        Reply(body="<html>busy</html>"),
        Reply(body=""),
        Reply(body="null"),
        Reply(body='{"choices": [{"index": 0}]}'),  # LiteLLM answers with a stack trace
    ],
    ids=lambda reply: repr(reply.body or reply.text)[:30],
)
async def test_an_error_is_one_short_line_without_stack_or_advertisement(
    llm: LoopbackLLM, reply: Reply, capfd: pytest.CaptureFixture[str]
) -> None:
    message = (await refused(llm, reply)).message
    assert "\n" not in message
    assert len(message) < 500
    printed = "".join(capfd.readouterr())
    for unwanted in ("Traceback", 'File "', "github.com", "Give Feedback", "docs.litellm.ai"):
        assert unwanted not in message
        assert unwanted not in printed


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
    error = await refused(llm, Reply(status=status, headers={"Retry-After": header}))
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
    error = await refused(llm, Reply(status=429, headers={"Retry-After": header}))
    assert (error.next_retry_delay, error.non_retryable) == (None, False)


async def test_retry_after_does_not_make_a_permanent_error_transient(llm: LoopbackLLM) -> None:
    error = await refused(llm, Reply(status=400, headers={"Retry-After": "17"}))
    assert (error.next_retry_delay, error.non_retryable) == (None, True)


async def test_a_refused_connection_is_transient(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert not (await refused(llm)).non_retryable


async def test_a_cut_connection_is_transient_and_one_request(llm: LoopbackLLM) -> None:
    assert not (await refused(llm, Reply(cut=True))).non_retryable
    assert len(llm.calls) == 1


async def test_a_call_beyond_the_http_timeout_is_transient_and_closed(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activities, "LLM_TIME_LIMIT", timedelta(seconds=0.5))
    error = await refused(llm, Reply(delay=PATIENCE))
    assert (error.type, error.non_retryable) == ("ConnectionError", False)
    assert error.message.endswith("did not answer in time")
    await eventually(lambda: llm.calls[0].abandoned)
    assert len(llm.calls) == 1


def test_the_http_client_gives_up_before_temporal_and_heartbeats_survive_a_loss() -> None:
    assert timedelta(minutes=2) < activities.LLM_TIME_LIMIT
    assert activities.LLM_TIME_LIMIT < activities.LLM_START_TO_CLOSE_TIMEOUT
    assert 3 * heartbeats.HEARTBEAT_INTERVAL < heartbeats.HEARTBEAT_TIMEOUT
    assert timedelta(seconds=20) >= heartbeats.HEARTBEAT_TIMEOUT


async def test_a_call_heartbeats_while_the_model_thinks_and_not_after(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "HEARTBEAT_INTERVAL", timedelta(seconds=0.01))
    environment = ActivityEnvironment()
    beats: list[object] = []
    environment.on_heartbeat = lambda *details: beats.append(details)
    llm.go_on.clear()
    call = asyncio.create_task(environment.run(llm_call, LLMCallInput("bees")))
    await eventually(lambda: llm.in_flight == 1)
    so_far = len(beats)
    await eventually(lambda: len(beats) > so_far + 3)
    llm.go_on.set()
    await call
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    assert not [name for name in names if name.endswith("_beat")]


async def test_an_attempt_that_temporal_has_given_up_pays_for_no_call(llm: LoopbackLLM) -> None:
    """As on a Worker that was paused before the call began."""
    environment = ActivityEnvironment()
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    environment.info = replace(environment.info, started_time=long_ago)
    call = asyncio.create_task(environment.run(llm_call, LLMCallInput("bees")))
    await asyncio.sleep(0.1)
    environment.cancel()  # as the answer to the first heartbeat does
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not llm.calls


async def test_a_cancelled_call_closes_its_connection(llm: LoopbackLLM) -> None:
    llm.go_on.clear()
    environment = ActivityEnvironment()
    call = asyncio.create_task(environment.run(llm_call, LLMCallInput("bees")))
    await eventually(lambda: llm.in_flight == 1)
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await eventually(lambda: llm.calls[0].abandoned)


# create_pdf.


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "reports"
    monkeypatch.setenv("REPORTS_DIR", str(folder))
    return folder


def test_an_approved_text_becomes_a_file(reports: Path) -> None:
    assert create_pdf(PDFGenerationInput("# Bees")) == NAME
    assert "Bees" in PdfReader(reports / NAME).pages[0].extract_text()


def test_a_retry_finds_the_file_of_the_attempt_before(reports: Path) -> None:
    environment = in_workflow("report-1")
    report = PDFGenerationInput("# Bees", topic="bees")
    assert environment.run(create_pdf, report) == NAME
    assert environment.run(create_pdf, report) == NAME
    assert files_in(reports) == {NAME}


def test_the_same_text_of_another_report_gets_its_own_file(reports: Path) -> None:
    report = PDFGenerationInput("# Bees")
    names = {in_workflow(f"report-{n}").run(create_pdf, report) for n in range(2)}
    assert names == files_in(reports)
    assert len(names) == 2


async def test_a_report_shows_why_the_disk_refuses_and_finishes_when_it_no_longer_does(
    client: Client,
    llm: LoopbackLLM,
    task_queue: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("REPORTS_DIR", str(in_the_way))
    report = await start_report(client, "bees", task_queue)
    await waiting(report, draft=1)
    await keep(report)
    status = await status_when(report, lambda s: bool(s.error))
    assert status.phase == Phase.CREATING_PDF
    assert status.error == (
        f"The PDF was not created: the report cannot be written to {in_the_way}: File exists."
    )
    await edit(report, "shorter")
    too_late = "The EDIT did not count: draft 1 was already approved."
    await status_when(report, lambda s: s.error == f"{status.error} {too_late}")
    in_the_way.unlink()
    assert await report.result() == RESULT
    assert files_in(in_the_way) == {NAME}
    assert (await report.query(GenerateReportWorkflow.get_report_status)).error == too_late
    assert len(llm.calls) == 1

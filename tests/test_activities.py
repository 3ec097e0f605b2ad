"""The Activities against a model on loopback and a real disk."""

import asyncio
import os
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
    monkeypatch.setattr(activities, "LLM_HTTP_TIMEOUT", timedelta(seconds=0.5))
    error = await refused(llm, Reply(delay=PATIENCE))
    assert (error.type, error.non_retryable) == ("ConnectionError", False)
    assert error.message.endswith("did not answer in time")
    await eventually(lambda: llm.calls[0].abandoned)
    assert len(llm.calls) == 1


def test_the_http_client_gives_up_before_temporal_and_heartbeats_survive_a_loss() -> None:
    assert timedelta(minutes=2) < activities.LLM_HTTP_TIMEOUT
    assert activities.LLM_HTTP_TIMEOUT < activities.LLM_START_TO_CLOSE_TIMEOUT
    assert 2 * activities.HEARTBEAT_INTERVAL < activities.HEARTBEAT_TIMEOUT
    assert timedelta(seconds=15) >= activities.HEARTBEAT_TIMEOUT


async def test_a_call_heartbeats_while_the_model_thinks_and_not_after(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activities, "HEARTBEAT_INTERVAL", timedelta(seconds=0.01))
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
    assert not [name for name in names if name.endswith(".beat")]


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


def test_outside_a_worker_each_call_writes_a_file_of_its_own(reports: Path) -> None:
    report = PDFGenerationInput("# Bees")
    names = [create_pdf(report) for _ in range(3)]
    assert names == [NAME, "research_pdf-1.pdf", "research_pdf-2.pdf"]
    assert files_in(reports) == set(names)
    assert "Bees" in PdfReader(reports / NAME).pages[0].extract_text()


def test_a_retry_finds_the_file_of_the_attempt_before(reports: Path) -> None:
    environment = in_workflow("report-1")
    report = PDFGenerationInput("# Bees", topic="bees")
    assert environment.run(create_pdf, report) == NAME
    assert environment.run(create_pdf, report) == NAME
    assert files_in(reports) == {NAME}


def test_a_retry_searches_the_folder_and_the_first_attempt_of_a_report_does_not(
    reports: Path,
) -> None:
    report = PDFGenerationInput("# Bees", is_first=True)
    environment = in_workflow("report-1")
    assert environment.run(create_pdf, report) == NAME
    (reports / NAME).rename(reports / "research_pdf-7.pdf")
    assert environment.run(create_pdf, report) == NAME
    (reports / NAME).unlink()
    environment.info = replace(environment.info, attempt=2)
    assert environment.run(create_pdf, report) == "research_pdf-7.pdf"


def test_the_same_text_of_another_report_gets_its_own_file(reports: Path) -> None:
    report = PDFGenerationInput("# Bees", topic="bees")
    assert in_workflow("report-1").run(create_pdf, report) == NAME
    assert in_workflow("report-2").run(create_pdf, report) == "research_pdf-1.pdf"
    assert in_workflow("report-1").run(create_pdf, report) == NAME
    assert in_workflow("report-2").run(create_pdf, report) == "research_pdf-1.pdf"


def test_no_file_is_overwritten(reports: Path) -> None:
    reports.mkdir()
    (reports / NAME).write_text("mine")
    (reports / "research_pdf-1.pdf").symlink_to(reports / "nowhere")
    assert in_workflow("report-1").run(create_pdf, PDFGenerationInput("# Bees")) == (
        "research_pdf-2.pdf"
    )
    assert (reports / NAME).read_text() == "mine"


def test_what_a_killed_attempt_left_is_removed_by_the_next(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        [temporary] = reports.iterdir()
        temporary.with_name(temporary.name.replace(".tmp", "0.tmp")).write_bytes(b"%PDF half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "link", killed)
        in_workflow("report-1").run(create_pdf, PDFGenerationInput("# Bees"))
    assert len(files_in(reports)) == 1
    in_workflow("report-1").run(create_pdf, PDFGenerationInput("# Bees"))
    assert files_in(reports) == {NAME}


def test_a_file_appears_under_its_name_only_when_it_is_whole(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(files_in(reports)))
    create_pdf(PDFGenerationInput("# Bees"))
    [[temporary]] = seen
    assert not temporary.endswith(".pdf")


def test_without_reports_dir_the_file_is_in_the_working_directory(tmp_path: Path) -> None:
    create_pdf(PDFGenerationInput("# Bees"))
    assert (tmp_path / NAME).exists()


def test_reports_dir_may_begin_with_the_home_folder_and_need_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REPORTS_DIR", "~/a/b")
    create_pdf(PDFGenerationInput("# Bees"))
    assert (tmp_path / "a" / "b" / NAME).exists()


def test_an_absolute_filename_is_written_there(reports: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "elsewhere" / "bees.pdf"
    assert create_pdf(PDFGenerationInput("# Bees", str(wanted))) == str(wanted)
    assert wanted.exists()
    assert not reports.exists()


def test_a_filename_in_a_folder_keeps_the_folder_in_the_result(reports: Path) -> None:
    report = PDFGenerationInput("# Bees", "2026/bees.pdf")
    assert [create_pdf(report) for _ in range(2)] == ["2026/bees.pdf", "2026/bees-1.pdf"]
    assert files_in(reports / "2026") == {"bees.pdf", "bees-1.pdf"}


@pytest.mark.parametrize("name", ["", ".", "..", "a\0b.pdf", "folder"])
def test_what_cannot_be_a_filename_is_a_permanent_error(reports: Path, name: str) -> None:
    (reports / "folder").mkdir(parents=True)
    with pytest.raises(ApplicationError, match="cannot be the name of a report") as error:
        create_pdf(PDFGenerationInput("# Bees", name))
    assert error.value.non_retryable
    assert files_in(reports) == {"folder"}


def test_a_disk_that_refuses_is_a_transient_error_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("REPORTS_DIR", str(in_the_way / "reports"))
    with pytest.raises(ApplicationError) as error:
        create_pdf(PDFGenerationInput("# Bees"))
    assert not error.value.non_retryable
    assert error.value.message == (
        f"the report cannot be written to {in_the_way / 'reports'}: Not a directory"
    )


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
        "The PDF was not created: FileExistsError: "
        f"the report cannot be written to {in_the_way}: File exists."
    )
    await edit(report, "shorter")
    too_late = "The EDIT did not count: draft 1 was already approved."
    await status_when(report, lambda s: s.error == f"{status.error} {too_late}")
    in_the_way.unlink()
    assert await report.result() == RESULT
    assert files_in(in_the_way) == {NAME}
    assert (await report.query(GenerateReportWorkflow.get_report_status)).error == too_late
    assert len(llm.calls) == 1


async def test_200_reports_at_once_in_one_folder_are_200_files(reports: Path) -> None:
    names = await asyncio.gather(
        *(
            asyncio.to_thread(
                in_workflow(f"report-{number}").run,
                create_pdf,
                PDFGenerationInput(f"Report {number % 20}"),
            )
            for number in range(200)
        )
    )
    assert len(set(names)) == 200
    assert files_in(reports) == set(names)
    for name, number in zip(names, range(200), strict=True):
        text = PdfReader(reports / name).pages[0].extract_text()
        assert f"Report {number % 20}" in text
        assert (reports / name).read_bytes().startswith(b"%PDF")
        assert (reports / name).read_bytes().rstrip().endswith(b"%%EOF")

"""PDFs wait for their turn in the Worker, where Temporal sees them, and no LLM call behind them."""

import asyncio
import io
import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from loopback_llm import LoopbackLLM
from pypdf import PdfReader
from stand_ins import StandIns
from support import (
    RESULT,
    draft_of,
    eventually,
    keep,
    start_report,
    status_when,
    waiting,
    worker_here,
)
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

import activities
import worker
from activities import create_pdf, create_pdf_in_turn, llm_call
from beyond import markdown as drafts
from beyond import pdf
from beyond import reports_dir as folder
from models import PDFGenerationInput, Phase

REPORT = PDFGenerationInput("# Bees\n\nThey *hum*.")


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """One thread for PDFs, which is busy until the Event is set."""
    go_on = Event()
    with ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr(activities, "_pdf_threads", threads)
        threads.submit(go_on.wait)
        yield go_on
        go_on.set()


def attempt(number: int, deaths: int | None = None) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    details = [] if deaths is None else [deaths]
    environment.info = replace(environment.info, attempt=number, heartbeat_details=details)
    return environment


# The queue.


async def test_a_pdf_heartbeats_while_it_waits_and_while_it_is_made(
    one_thread: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activities, "PDF_HEARTBEAT_INTERVAL", timedelta(seconds=0.02))
    at_work, finish = Event(), Event()

    def slow(report: PDFGenerationInput) -> str:
        at_work.set()
        finish.wait()
        return report.filename

    monkeypatch.setattr(activities, "create_pdf", slow)
    environment = attempt(1)
    beats: list[object] = []
    environment.on_heartbeat = lambda *details: beats.append(*details)
    making = asyncio.create_task(environment.run(create_pdf_in_turn, REPORT))
    await eventually(lambda: len(beats) > 3)
    assert set(beats) == {0}
    one_thread.set()
    await eventually(at_work.is_set)
    so_far = len(beats)
    await eventually(lambda: len(beats) > so_far + 3)
    assert beats[-1] == 1  # if this Worker dies now, the next attempt knows it
    finish.set()
    assert await making == "research_pdf.pdf"


async def test_a_cancelled_pdf_leaves_the_line(one_thread: Event, tmp_path: Path) -> None:
    environment = attempt(1)
    making = asyncio.create_task(environment.run(create_pdf_in_turn, REPORT))
    await asyncio.sleep(0.1)
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    one_thread.set()
    assert await attempt(1).run(create_pdf_in_turn, REPORT) == "research_pdf.pdf"
    assert names_in(tmp_path) == {"research_pdf.pdf"}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_drafts_do_not_wait_for_pdfs_and_no_pdf_is_made_twice(
    client: Client,
    llm: LoopbackLLM,
    one_thread: Event,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the SDK's own threads, waiting counted as work, and timed-out attempts came again."""
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path / "reports"))
    monkeypatch.setattr(worker, "TASK_QUEUE", f"queue-{tmp_path.name}")
    async with worker._worker(client) as running:
        queue = running.task_queue
        reports = [await start_report(client, f"topic {n}", queue) for n in range(120)]
        for report in reports:
            await waiting(report, draft=1)
            await keep(report, draft=1)
        await status_when(reports[-1], lambda s: s.phase == Phase.CREATING_PDF)
        another = await start_report(client, "another topic", queue)
        await waiting(another, draft=1)
        assert (await draft_of(another)).endswith("another topic")
        assert not (tmp_path / "reports").exists()
        one_thread.set()
        results = {await report.result() for report in reports}
    assert len(results) == len(list((tmp_path / "reports").iterdir())) == 120
    for report in reports:
        assert max(await attempts(report)) == 1


async def attempts(report: Any) -> list[int]:
    return [
        event.activity_task_started_event_attributes.attempt
        async for event in report.fetch_history_events()
        if event.HasField("activity_task_started_event_attributes")
    ]


async def test_the_workflow_asks_for_heartbeats_of_a_pdf_and_does_not_count_its_waiting(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await keep(report)
    assert await report.result() == RESULT
    [scheduled] = [
        event.activity_task_scheduled_event_attributes
        async for event in report.fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
        and event.activity_task_scheduled_event_attributes.activity_type.name == "create_pdf"
    ]
    assert scheduled.priority.priority_key > 3  # that of a draft, which a server hands out before
    assert scheduled.heartbeat_timeout.ToTimedelta() == activities.PDF_HEARTBEAT_TIMEOUT
    assert scheduled.start_to_close_timeout.ToTimedelta() >= timedelta(hours=12)
    assert 2 * activities.PDF_HEARTBEAT_INTERVAL < activities.PDF_HEARTBEAT_TIMEOUT
    assert timedelta(seconds=60) >= activities.PDF_HEARTBEAT_TIMEOUT


async def test_the_worker_has_the_slots_and_sends_each_heartbeat(client: Client) -> None:
    config = worker._worker(client).config()
    assert config.get("max_concurrent_activities") == worker.ACTIVITY_SLOTS >= 2 * 1000
    throttle = config.get("max_heartbeat_throttle_interval")
    assert throttle
    assert throttle < activities.HEARTBEAT_INTERVAL
    assert config.get("graceful_shutdown_timeout") == activities.LLM_START_TO_CLOSE_TIMEOUT


# A draft that ends its Worker.


@pytest.mark.parametrize(("deaths", "plain"), [(None, False), (2, False), (3, True), (5, True)])
async def test_a_draft_that_three_attempts_died_on_is_set_as_plain_text(
    tmp_path: Path, deaths: int | None, plain: bool
) -> None:
    name = await attempt(7, deaths).run(create_pdf_in_turn, REPORT)
    text = PdfReader(tmp_path / name).pages[0].extract_text()
    assert ("*hum*" in text) == plain


async def test_a_draft_that_six_attempts_died_on_goes_back_to_the_person() -> None:
    with pytest.raises(ApplicationError) as error:
        await attempt(7, 6).run(create_pdf_in_turn, REPORT)
    assert (error.value.type, error.value.non_retryable) == ("Unprintable", True)
    assert error.value.message.endswith("ask for another one")


async def test_what_the_disk_refuses_is_no_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTS_DIR", "/dev/null/reports")
    environment = attempt(4, 2)
    beats: list[object] = []
    environment.on_heartbeat = lambda *details: beats.append(*details)
    with pytest.raises(ApplicationError):
        await environment.run(create_pdf_in_turn, REPORT)
    assert beats[-1] == 2


# A draft that takes too long.


def lines_of(pdf_file: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf_file)).pages)


@pytest.fixture
def slow_draft(monkeypatch: pytest.MonkeyPatch) -> str:
    """A draft of 200 paragraphs, set by a thread that works a second between two looks at it."""
    seconds = itertools.count()
    monkeypatch.setattr(time, "thread_time", lambda: next(seconds))
    return "*a*\n\n" * 200


def test_markdown_that_takes_too_long_is_set_as_plain_text(slow_draft: str) -> None:
    assert lines_of(pdf.render(slow_draft, work_limit=300)).count("*a*") == 0
    assert lines_of(pdf.render(slow_draft, work_limit=100)).count("*a*") == 200


def test_a_long_table_takes_time_row_by_row(
    slow_draft: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = "| a |\n|---|\n" + "| *b* |\n" * 200
    assert lines_of(pdf.render(table, work_limit=100)).count("*b*") == 200
    assert len(caplog.records) == 1  # the rest of the draft is not tried


async def test_a_draft_that_takes_too_long_as_plain_text_goes_back_to_the_person(
    slow_draft: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activities, "PDF_WORK_LIMIT", 1)
    with pytest.raises(ApplicationError) as error:
        await attempt(1).run(create_pdf_in_turn, PDFGenerationInput(slow_draft))
    assert (error.value.type, error.value.non_retryable) == ("Unprintable", True)
    assert error.value.message == ("this draft takes too long to set as pages; ask for another one")
    assert not names_in(tmp_path)


def test_waiting_is_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine or a slow disk must not cost a report its looks."""
    read = drafts.read

    def read_late(markdown: str) -> drafts.Draft:
        time.sleep(2)
        return read(markdown)

    pdf.render(REPORT.content)  # loads the fonts
    monkeypatch.setattr(drafts, "read", read_late)
    assert "*hum*" not in lines_of(pdf.render(REPORT.content, work_limit=1.5))


# What the disk answers.


async def disk_error() -> ApplicationError:
    with pytest.raises(ApplicationError) as error:
        create_pdf(REPORT)
    assert not error.value.non_retryable
    assert "Errno" not in error.value.message
    assert len(error.value.message) < 400
    return error.value


async def test_a_path_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path / ("x" * 300)))
    error = await disk_error()
    assert error.message.startswith("the report cannot be written to /")
    assert error.message.endswith(
        "…: the path is too long; set a shorter REPORTS_DIR and restart the Worker"
    )


async def test_links_that_lead_in_a_circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    monkeypatch.setenv("REPORTS_DIR", str(circle / "reports"))
    assert (await disk_error()).message == (
        f"the report cannot be written to {circle / 'reports'}: "
        "its symbolic links lead in a circle; set another REPORTS_DIR"
    )


async def test_a_working_directory_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        assert (await disk_error()).message == (
            "the report cannot be written to .: "
            "the working directory is gone; restart the Worker in one that exists"
        )
    finally:
        os.chdir(tmp_path)


async def test_the_home_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORTS_DIR", "~nobody-at-all/reports")
    assert (await disk_error()).message == (
        "REPORTS_DIR=~nobody-at-all/reports names a home directory that does not exist; "
        "set the whole path and restart the Worker"
    )


@pytest.mark.parametrize("name", ["x" * 300 + ".pdf", "蜂" * 100 + ".pdf"], ids=["ascii", "bees"])
def test_a_name_that_no_disk_takes_is_permanent(name: str) -> None:
    with pytest.raises(ApplicationError) as error:
        create_pdf(PDFGenerationInput("# Bees", name))
    assert (error.value.type, error.value.non_retryable) == ("BadName", True)
    assert len(error.value.message) < 2 * folder.PATH_LIMIT


async def test_the_plain_functions_serve_another_worker_as_they_are(
    client: Client, llm: LoopbackLLM, tmp_path: Path
) -> None:
    async with worker_here(client, llm_call, create_pdf) as queue:
        report = await start_report(client, "bees", queue)
        await keep(report)
        assert await report.result() == RESULT
    assert (tmp_path / "research_pdf.pdf").exists()

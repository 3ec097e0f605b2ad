"""The process that renders PDFs: a draft may stop it, but never the Worker."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date, timedelta
from pathlib import Path

import psutil
import pytest
from loopback_llm import LoopbackLLM, Reply
from support import (
    PATIENCE,
    RESULT,
    StartedReport,
    StartWorker,
    WorkerProcess,
    attempts_of,
    eventually,
    keep,
    start_report,
    status_when,
    waiting,
    worker_here,
)
from temporalio.client import Client

import activities
from activities import create_pdf_in_turn, llm_call
from beyond import pdf
from beyond.pdf_process import PDFProcess
from models import Phase

LIMIT = timedelta(seconds=PATIENCE)
SLOW = "- item\n" * 50_000  # takes several seconds
REFUSAL = (
    "The PDF was not created: this draft takes too long to lay out as a PDF; ask for another one."
)


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
async def renderer() -> AsyncIterator[PDFProcess]:
    renderer = PDFProcess()
    yield renderer
    if process := renderer._process:
        process.kill()
        await process.wait()


@pytest.fixture
async def process(renderer: PDFProcess) -> psutil.Process:
    """The renderer's process, which has rendered a PDF."""
    await renderer.render(LIMIT, markdown="# Bees")
    return process_of(renderer)


def process_of(renderer: PDFProcess) -> psutil.Process:
    assert renderer._process
    return psutil.Process(renderer._process.pid)


async def test_the_pdf_process_renders_the_same_bytes_as_the_plain_function(
    renderer: PDFProcess,
) -> None:
    about = {"topic": "Bees", "workflow_id": "x", "approved": date(2025, 12, 31), "paper": "a4"}
    for markdown in ("", "# Bees\n\nThey *hum* $x^2$ \ud800.", "word " * 50_000):
        rendered = await renderer.render(LIMIT, markdown=markdown, **about)
        assert rendered == pdf.render(markdown, **about)  # type: ignore[arg-type]


async def test_one_process_serves_many_pdfs(renderer: PDFProcess) -> None:
    await renderer.start()
    process = process_of(renderer)
    for _ in range(3):
        await renderer.render(LIMIT, markdown="# Bees")
        await renderer.start()
    assert process_of(renderer) == process


async def test_a_process_that_reaches_the_limit_is_killed_and_the_next_pdf_is_rendered(
    renderer: PDFProcess,
    process: psutil.Process,
) -> None:
    with pytest.raises(TimeoutError):
        await renderer.render(timedelta(seconds=0.5), markdown=SLOW)
    await eventually(lambda: has_ended(process))
    assert (await renderer.render(LIMIT, markdown="# Bees")).startswith(b"%PDF")


async def test_a_process_whose_pdf_is_cancelled_is_killed(
    renderer: PDFProcess, process: psutil.Process
) -> None:
    process.suspend()
    rendering = asyncio.create_task(renderer.render(LIMIT, markdown="# Bees"))
    await asyncio.sleep(0.1)
    rendering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rendering
    await eventually(lambda: has_ended(process))


async def test_a_process_killed_during_a_pdf_raises_and_the_next_pdf_is_rendered(
    renderer: PDFProcess,
    process: psutil.Process,
) -> None:
    process.suspend()
    rendering = asyncio.create_task(renderer.render(LIMIT, markdown=SLOW))
    await asyncio.sleep(0.1)
    process.kill()
    with pytest.raises(ChildProcessError, match="ended with exit code -9"):
        await rendering
    assert (await renderer.render(LIMIT, markdown="# Bees")).startswith(b"%PDF")


async def test_a_process_that_fails_raises_and_says_why_in_the_log(
    renderer: PDFProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ChildProcessError, match="ended with exit code 1"):
        await renderer.render(LIMIT, markdown="# Bees", paper="of no size")
    assert "KeyError: 'of no size'" in capfd.readouterr().err


async def test_a_process_killed_between_two_pdfs_is_replaced(
    renderer: PDFProcess, process: psutil.Process
) -> None:
    process.kill()
    await eventually(lambda: has_ended(process))
    await asyncio.sleep(0.1)
    assert (await renderer.render(LIMIT, markdown="# Bees")).startswith(b"%PDF")


async def test_a_draft_that_takes_too_long_goes_back_to_its_person_while_other_reports_go_on(
    client: Client, llm: LoopbackLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.replies.append(Reply(SLOW * 2))
    async with worker_here(client, llm_call, create_pdf_in_turn) as queue:
        slow = await start_report(client, "lists", queue)
        await waiting(slow, draft=1)
        with monkeypatch.context() as patch:
            patch.setattr(activities, "PDF_RENDER_LIMIT", timedelta(seconds=3))
            await keep(slow)
            await eventually(activities._pdf_turn.locked)
        other = await start_report(client, "bees", queue)
        await waiting(other, draft=1)
        await keep(other)
        assert (await waiting(slow, draft=1)).error == REFUSAL
        assert await other.result() == RESULT
        assert await attempts_of(slow) == await attempts_of(other) == [1, 1]
    assert names_in(tmp_path) == ["research_pdf.pdf"]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_pdf_is_made_again_if_its_process_is_killed(
    client: Client, demo_worker: WorkerProcess
) -> None:
    async with endless_pdf(client, demo_worker) as (report, renderer):
        renderer.kill()
        assert await report.result() == RESULT
    assert await attempts_of(report) == [1, 2]
    assert "the process that renders it ended with exit code -9" in demo_worker.log
    assert "Traceback" not in demo_worker.log


@pytest.fixture
def demo_worker(start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch) -> WorkerProcess:
    """A Worker that need not import LiteLLM."""
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    return start_worker()


@asynccontextmanager
async def endless_pdf(
    client: Client, worker: WorkerProcess
) -> AsyncIterator[tuple[StartedReport, psutil.Process]]:
    """A report whose PDF waits until the test resumes the suspended process."""
    report = await start_report(client, "bees")
    await waiting(report, draft=1)
    renderer = await renderer_of(worker)
    await eventually(lambda: renderer.cpu_times().user > 0.3)  # it ignores the signals by then
    renderer.suspend()
    try:
        await keep(report)
        await status_when(report, lambda s: s.phase == Phase.CREATING_PDF)
        await asyncio.sleep(1)  # the Worker takes the Activity and asks the process
        yield report, renderer
    finally:
        with suppress(psutil.NoSuchProcess):
            renderer.resume()


async def renderer_of(worker: WorkerProcess) -> psutil.Process:
    """Waits for the process that renders a Worker's PDFs, which starts after the Worker polls."""
    process = psutil.Process(worker.pid)

    def children() -> list[psutil.Process]:
        return [c for c in process.children() if "beyond.pdf_process" in c.cmdline()]

    await eventually(lambda: len(children()) == 1)
    return children()[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_stopped_worker_finishes_its_pdf_and_its_process_ends_with_it(
    client: Client,
    demo_worker: WorkerProcess,
    start_worker: StartWorker,
    number: signal.Signals,
) -> None:
    """A terminal sends Ctrl-C or SIGHUP, and systemd SIGTERM, to both processes."""
    async with endless_pdf(client, demo_worker) as (report, renderer):
        demo_worker.send_signal(number)
        renderer.send_signal(number)
        await eventually(lambda: "Stopping when the calls in progress" in demo_worker.log)
    await eventually(lambda: demo_worker.poll() is not None)
    assert demo_worker.returncode == 0
    await eventually(lambda: has_ended(renderer))
    assert "Traceback" not in demo_worker.log
    start_worker()
    assert await report.result() == RESULT
    assert await attempts_of(report) == [1, 1]


async def test_no_process_outlives_a_worker_that_is_killed_during_a_pdf(
    client: Client, demo_worker: WorkerProcess
) -> None:
    async with endless_pdf(client, demo_worker) as (_, renderer):
        demo_worker.kill()
        demo_worker.wait()
        assert not has_ended(renderer)
    await eventually(lambda: has_ended(renderer))
    assert "Traceback" not in demo_worker.log


async def test_no_process_outlives_a_worker_that_is_killed_before_a_pdf(
    client: Client, demo_worker: WorkerProcess
) -> None:
    renderer = await renderer_of(demo_worker)
    demo_worker.kill()
    demo_worker.wait()
    await eventually(lambda: has_ended(renderer))
    assert "Traceback" not in demo_worker.log

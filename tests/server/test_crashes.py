"""Real processes that are killed, frozen or away for a while: no report is lost.

A Worker that is stopped during a call is in test_worker.py, and during a PDF in
test_pdf_process.py.
"""

import asyncio
import signal
import time
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM, Reply
from support import (
    KEY,
    NOTICE_SOON,
    PATIENCE,
    RESULT,
    OwnServer,
    StartWorker,
    begin_call,
    draft_of,
    edit,
    eventually,
    keep,
    report_of,
    start_report,
    waiting,
)
from temporalio.client import Client

from models import Phase
from workflow import GenerateReportWorkflow

STOP_BEFORE_LINK = """
import os, time

def fsync(_, path={path!r}):
    while os.path.exists(path):
        time.sleep(0.02)

os.fsync = fsync
"""


async def test_reports_in_every_phase_survive_a_worker_that_is_killed(
    client: Client,
    llm: LoopbackLLM,
    start_worker: StartWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One report waits, one is in an LLM call and one in create_pdf: killed together for speed."""
    barrier = tmp_path / "barrier"
    barrier.touch()
    reports = tmp_path / "reports"
    monkeypatch.setenv("REPORTS_DIR", str(reports))
    (tmp_path / "sitecustomize.py").write_text(STOP_BEFORE_LINK.format(path=str(barrier)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = start_worker()

    in_pdf = await start_report(client, "about ants")
    waits = await start_report(client, "about bees")
    for report in (in_pdf, waits):
        await waiting(report, draft=1)
    await keep(in_pdf, draft=1)
    await eventually(lambda: reports.exists() and len(list(reports.iterdir())) == 1)
    in_call = await begin_call(client, llm, "about cats")
    worker.kill()
    killed = time.monotonic()
    barrier.unlink()
    start_worker()

    await eventually(lambda: len(llm.calls) == 4)
    assert time.monotonic() - killed < 120  # noticed by its heartbeats, not in ten minutes
    assert llm.calls[2].abandoned
    llm.go_on.set()
    await waiting(in_call, draft=1)
    assert await draft_of(waits) == "# Draft\n\nabout bees"
    for report in (waits, in_call):
        await keep(report, draft=1)
    results = [await report.result() for report in (waits, in_call, in_pdf)]
    assert sorted(results) == sorted(
        f"Successfully created research report PDF: {path.name}" for path in reports.glob("*.pdf")
    )
    topics = [call.messages[-1]["content"] for call in llm.calls]
    assert topics[2:] == ["about cats", "about cats"]  # only the killed call is paid for again
    assert sorted(topics[:2]) == ["about ants", "about bees"]
    assert llm.most_in_flight <= 2
    assert all(path.read_bytes().endswith(b"%%EOF\n") for path in reports.glob("*.pdf"))


async def test_reports_survive_a_server_that_is_killed(
    llm: LoopbackLLM, own_server: OwnServer, start_worker: StartWorker
) -> None:
    """The server comes back on its database, and Worker and Client go on by themselves."""
    client = await own_server.start()
    worker = start_worker()
    waits = await start_report(client, "about bees")
    await waiting(waits, draft=1)
    in_call = await begin_call(client, llm, "about cats")
    own_server.kill()
    client = await own_server.start()
    llm.go_on.set()
    waits, in_call = (report_of(client, report.id) for report in (waits, in_call))
    await waiting(in_call, draft=1)
    assert await draft_of(waits) == "# Draft\n\nabout bees"
    for report in (waits, in_call):
        await keep(report, draft=1)
        assert await report.result()
    assert [call.messages[-1]["content"] for call in llm.calls] == ["about bees", "about cats"]
    assert worker.poll() is None


async def test_a_frozen_worker_closes_its_call_after_another_took_it_over(
    client: Client, llm: LoopbackLLM, start_worker: StartWorker
) -> None:
    frozen = start_worker(first=NOTICE_SOON)
    report = await begin_call(client, llm, "bees")
    frozen.send_signal(signal.SIGSTOP)
    start_worker(first=NOTICE_SOON)
    await eventually(lambda: len(llm.calls) == 2)
    frozen.send_signal(signal.SIGCONT)
    await eventually(lambda: llm.calls[0].abandoned)
    llm.go_on.set()
    await waiting(report, draft=1)
    await keep(report, draft=1)
    assert await report.result() == RESULT
    # Temporal may have given the frozen Worker a second attempt, which it closes, too.
    await eventually(lambda: llm.in_flight == 0)
    assert sum(call.answered for call in llm.calls) == 1
    assert frozen.poll() is None


async def test_a_worker_frozen_during_a_pdf_adds_no_second_one(
    client: Client,
    llm: LoopbackLLM,
    start_worker: StartWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path / "reports"))
    llm.default = Reply("A paragraph of *words*.\n\n" * 6_000)  # seconds of work
    frozen = start_worker(first=NOTICE_SOON)
    report = await start_report(client, "bees")
    await waiting(report, draft=1)
    await keep(report, draft=1)

    async def has_begun() -> bool:
        pending = (await report.describe()).raw_description.pending_activities
        return any(activity.last_worker_identity for activity in pending)

    await eventually(has_begun)
    frozen.send_signal(signal.SIGSTOP)
    start_worker(first=NOTICE_SOON)
    result = await report.result()
    frozen.send_signal(signal.SIGCONT)
    frozen.terminate()
    assert frozen.wait(PATIENCE) == 0  # when it has finished its PDF
    assert result == RESULT
    assert [path.name for path in (tmp_path / "reports").glob("*.pdf")] == ["research_pdf.pdf"]


async def test_a_report_waits_for_a_model_that_is_away(
    client: Client, llm: LoopbackLLM, task_queue: str
) -> None:
    report = await start_report(client, "bees", task_queue)
    await waiting(report, draft=1)
    llm.stop()
    await edit(report, "shorter", draft=1)

    async def failed_twice() -> bool:
        pending = (await report.describe()).raw_description.pending_activities
        return any(activity.attempt > 2 for activity in pending)

    await eventually(failed_twice)
    status = await report.query(GenerateReportWorkflow.get_report_status)
    assert (status.phase, status.draft) == (Phase.RESEARCHING, 1)
    assert await draft_of(report) == "# Draft\n\nbees"
    llm.start()
    await waiting(report, draft=2)
    await keep(report, draft=2)
    assert await report.result() == RESULT
    assert len(llm.calls) == 2


REPORTS = 60


def whole_pdfs(folder: Path) -> set[str]:
    files = folder.glob("*.pdf")
    return {path.name for path in files if path.read_bytes().endswith(b"%%EOF\n")}


async def test_three_workers_lose_no_report_if_one_is_killed(
    client: Client,
    llm: LoopbackLLM,
    start_worker: StartWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    llm.default = Reply(delay=1)
    workers = []
    for number in range(3):
        monkeypatch.setenv("LLM_API_KEY", f"{KEY}-{number}")  # tells whose call it is
        workers.append(start_worker())

    reports = [await start_report(client, f"topic {number}") for number in range(REPORTS)]
    await eventually(lambda: len(llm.calls) > REPORTS / 2, progress=lambda: len(llm.calls))
    workers[0].kill()
    await eventually(lambda: llm.in_flight == 0, progress=lambda: llm.in_flight)
    interrupted = sum(call.abandoned for call in llm.calls)
    # draft=0: whichever draft comes next, so nobody need wait for the drafts to come.
    await asyncio.gather(*(keep(report) for report in reports))

    results = await asyncio.gather(*(report.result() for report in reports))
    names = {result.rpartition(": ")[2] for result in results}
    assert len(names) == REPORTS
    assert whole_pdfs(tmp_path) == names
    # Paid twice: the calls that the kill interrupted, and answers that it kept from Temporal.
    topics = {call.messages[-1]["content"] for call in llm.calls}
    assert len(topics) == REPORTS
    callers = {call.key for call in llm.calls}
    assert callers == {f"Bearer {KEY}-{number}" for number in range(3)}
    of_the_killed = sum(call.key == f"Bearer {KEY}-0" for call in llm.calls)
    assert interrupted <= len(llm.calls) - REPORTS <= of_the_killed

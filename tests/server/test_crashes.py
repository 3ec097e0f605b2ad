"""Real processes that are killed, frozen or away for a while: no report is lost.

SIGTERM during a call is in test_worker.py.
"""

import signal
import socket
import time
from pathlib import Path

import psutil
import pytest
from loopback_llm import LoopbackLLM, Reply
from support import (
    PATIENCE,
    RESULT,
    ReportHandle,
    StartWorker,
    WorkerProcess,
    draft_of,
    edit,
    eventually,
    free_port,
    keep,
    start_report,
    waiting,
)
from temporalio.client import Client

from beyond.server.dev_server import start_server
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
    llm.go_on.clear()
    in_call = await start_report(client, "about cats")
    await eventually(lambda: llm.in_flight == 1)
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
    llm: LoopbackLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server comes back on its database, and Worker and Client go on by themselves."""
    port, database = free_port(), tmp_path / "temporal.db"
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{port}")
    server = await start_server(port, database)
    worker = WorkerProcess(tmp_path).wait_until_polling()
    try:
        client = server.client
        waits = await start_report(client, "about bees")
        await waiting(waits, draft=1)
        llm.go_on.clear()
        in_call = await start_report(client, "about cats")
        await eventually(lambda: llm.in_flight == 1)

        [process] = [
            child for child in psutil.Process().children() if str(database) in child.cmdline()
        ]
        process.send_signal(signal.SIGKILL)
        await eventually(lambda: port_is_free(port))
        server = await start_server(port, database)
        llm.go_on.set()

        client = server.client
        waits, in_call = (
            client.get_workflow_handle_for(GenerateReportWorkflow.run, report.id)
            for report in (waits, in_call)
        )
        await waiting(in_call, draft=1)
        assert await draft_of(waits) == "# Draft\n\nabout bees"
        for report in (waits, in_call):
            await keep(report, draft=1)
            assert await report.result()
        assert [call.messages[-1]["content"] for call in llm.calls] == ["about bees", "about cats"]
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.wait()
        await server.shutdown()


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def test_a_frozen_worker_closes_its_call_after_another_took_over(
    client: Client, llm: LoopbackLLM, start_worker: StartWorker
) -> None:
    llm.go_on.clear()
    frozen = start_worker()
    report = await start_report(client, "bees")
    await eventually(lambda: llm.in_flight == 1)
    frozen.send_signal(signal.SIGSTOP)
    start_worker()
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
    llm.default = Reply("A paragraph of *words*.\n\n" * 20_000)  # seconds of work
    frozen = start_worker()
    report = await start_report(client, "bees")
    await waiting(report, draft=1)
    await keep(report, draft=1)

    async def has_begun() -> bool:
        pending = (await report.describe()).raw_description.pending_activities
        return any(activity.last_worker_identity for activity in pending)

    await eventually(has_begun)
    frozen.send_signal(signal.SIGSTOP)
    start_worker()
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


@pytest.mark.usefixtures("worker")
async def test_two_workers_share_a_task_queue(
    client: Client,
    llm: LoopbackLLM,
    shared_worker: WorkerProcess,
    start_worker: StartWorker,
) -> None:
    workers = [shared_worker, start_worker()]
    reports = [await start_report(client, f"topic {number}") for number in range(8)]
    for report in reports:
        await edit(report, "shorter", draft=1)
        await keep(report, draft=2)
    results = {await report.result() for report in reports}
    assert len(results) == len(reports)
    assert len(llm.calls) == 2 * len(reports)
    for number, report in enumerate(reports):
        assert (await draft_of(report)).startswith(f"# Draft\n\ntopic {number}\n\n")
    callers = {identity for report in reports for identity in await workers_of(report)}
    assert {f"{worker.pid}@{socket.gethostname()}" for worker in workers} == callers
    workers[1].terminate()  # a Worker that is killed may have been given a task of the next test
    assert workers[1].wait(PATIENCE) == 0


async def workers_of(report: ReportHandle) -> set[str]:
    """The identities of the Workers that ran the report's Activities."""
    started = [
        event.activity_task_started_event_attributes.identity
        for event in (await report.fetch_history()).events
        if event.HasField("activity_task_started_event_attributes")
    ]
    return set(started)

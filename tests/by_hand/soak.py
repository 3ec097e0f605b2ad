"""Makes reports with two Workers, which it kills, pauses and restarts with the server. Run it with

uv run tests/by_hand/soak.py --minutes 20
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

sys.path.extend(map(str, Path(__file__).parents[1:3]))

from loopback_llm import LoopbackLLM, Reply
from machine import forget_own_settings
from support import (
    CONTINUE_SOON,
    KEY,
    StartedReport,
    WorkerProcess,
    correct,
    draft_of,
    edit,
    free_port,
    keep,
    start_report,
    stop,
    undo,
)
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from beyond.process import exit_process
from beyond.server.dev_server import start_server
from models import Phase, ReportStatus
from workflow import GenerateReportWorkflow

CONTINUE_AFTER = 5  # Signals and Activities: most reports go on in a new run, some in several
PAUSE = 25  # seconds of a paused Worker, and more than a heartbeat's timeout

T = TypeVar("T")


class Soak:
    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder, self.end = folder, time.monotonic() + 60 * minutes
        self.port, self.counts = free_port(), Counter[str]()
        self.workers: list[WorkerProcess] = []
        self.faults: list[str] = []

    async def run(self) -> None:
        os.environ["TEMPORAL_ADDRESS"] = f"localhost:{self.port}"
        os.environ["REPORTS_DIR"] = str(self.folder / "reports")
        os.environ.update(LLM_API_KEY=KEY, LLM_MODEL="openai/gpt-4o")
        async with contextlib.AsyncExitStack() as stack:
            self.server = await self._start_server()
            stack.push_async_callback(self._stop_server)
            self.client = await Client.connect(f"localhost:{self.port}", lazy=True)
            self.workers = [self._start_worker().wait_until_polling() for _ in range(2)]
            breaking = asyncio.create_task(self._break_things())
            await asyncio.gather(*(self._write_reports(n) for n in range(8)))
            await breaking
            for worker in self.workers:
                worker.terminate()
            for worker in self.workers:
                await asyncio.to_thread(worker.wait, 60)
        self.counts["tracebacks"] = _count_tracebacks(self.folder)
        print(dict(self.counts))
        print("\n".join(self.faults) or "no fault")

    def _start_worker(self) -> WorkerProcess:
        return WorkerProcess(self.folder, first=CONTINUE_SOON.format(CONTINUE_AFTER))

    async def _start_server(self) -> WorkflowEnvironment:
        return await start_server(
            self.folder / "server.log", self.port, self.folder / "temporal.db"
        )

    async def _stop_server(self) -> None:
        await self.server.shutdown()

    async def _break_things(self) -> None:
        while time.monotonic() < self.end:
            await asyncio.sleep(random.uniform(10, 25))
            number = random.randrange(2)
            what = random.choice(["kill", "kill", "pause", "stop", "server"])
            self.counts[what] += 1
            worker = self.workers[number]
            if what == "server":
                await self._stop_server()
                await asyncio.sleep(random.uniform(0, 30))
                self.server = await self._start_server()
            elif what == "pause":
                worker.send_signal(signal.SIGSTOP)
                await asyncio.sleep(PAUSE)
                worker.send_signal(signal.SIGCONT)
            else:
                worker.send_signal(signal.SIGKILL if what == "kill" else signal.SIGTERM)
                await asyncio.to_thread(worker.wait)
            for other, one in enumerate(self.workers):  # one may have ended as the server went
                if one.poll() is not None:
                    self.workers[other] = self._start_worker()

    async def _write_reports(self, writer: int) -> None:
        number = 0
        while time.monotonic() < self.end:
            number += 1
            await self._write_report(f"topic {writer}-{number}")

    async def _write_report(self, topic: str) -> None:
        report = await self._try(partial(start_report, self.client, topic))
        edits: list[str] = []
        for _ in range(random.randrange(6)):
            status = await self._wait(report)
            decision = random.choice(["edit", "edit", "edit", "stop", "stale", "undo", "correct"])
            self.counts[decision] += 1
            if decision in ("edit", "stop"):
                edits.append(f"rule-{len(edits)}-{topic.replace(' ', '-')}.")
                await self._try(partial(edit, report, edits[-1], status.draft))
                if decision == "stop":
                    await asyncio.sleep(random.uniform(0, 2))
                    await self._try(partial(stop, report))
            elif decision == "correct":
                await self._correct(report, status)
            elif decision == "stale":
                await self._try(partial(keep, report, status.draft + 7))
            else:
                await self._try(partial(undo, report, status.draft))
        while True:
            status = await self._wait(report)
            if status.phase == Phase.DONE:
                break
            if status.phase == Phase.WAITING and status.draft:
                approved = status
                with contextlib.suppress(RPCError):  # the one before counted, and it has ended
                    await self._try(partial(keep, report, approved.draft))
                await asyncio.sleep(0.5)
            elif status.phase == Phase.WAITING:
                await self._try(partial(edit, report))
        await self._judge(report, approved, edits)

    async def _correct(self, report: StartedReport, status: ReportStatus) -> None:
        text = f"{status.text}\n\nCorrected: {self.counts['correct']}"
        await self._try(partial(correct, report, text, status.draft))
        corrected = await self._wait(report)
        if status.draft and (corrected.text, corrected.prompt) != (text, status.prompt):
            self.faults.append(f"{report.id}: the correction of draft {status.draft} is lost")

    async def _judge(self, report: StartedReport, approved: ReportStatus, edits: list[str]) -> None:
        self.counts["reports"] += 1
        result = await self._try(report.result)
        text = await self._try(partial(draft_of, report))
        history = await self._try(report.fetch_history)
        kind = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
        self.counts["failed tasks"] += sum(event.event_type == kind for event in history.events)
        own = _find_pdfs(self.folder / "reports", report.id)
        if own != [result.rpartition(": ")[2]]:
            self.faults.append(f"{report.id}: {result}, but its PDFs are {own}")
        if text != approved.text:
            self.faults.append(f"{report.id}: another text than the approved one")
        for instruction in edits:
            if (times := approved.prompt.count(instruction)) > 1:
                self.faults.append(f"{report.id}: {instruction} counts {times} times")

    async def _wait(self, report: StartedReport) -> ReportStatus:
        """Returns the status once the report waits or is done. Notes a fault if it is stuck."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            status: ReportStatus = await self._try(
                partial(report.query, GenerateReportWorkflow.get_report_status)
            )
            if status.phase in (Phase.WAITING, Phase.DONE):
                return status
            await asyncio.sleep(0.5)
        self.faults.append(f"{report.id} is stuck: {status}")
        raise RuntimeError(self.faults[-1])

    async def _try(self, request: Callable[[], Awaitable[T]]) -> T:
        """Repeats a request until Temporal and a Worker answer it."""
        while True:
            try:
                return await request()
            except (RPCError, WorkflowQueryFailedError) as error:
                if isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND:
                    raise
                self.counts["requests again"] += 1
                await asyncio.sleep(1)


def _find_pdfs(folder: Path, workflow_id: str) -> list[str]:
    return [
        file.name
        for file in folder.glob("*.pdf")
        if workflow_id in file.read_bytes().decode("latin-1")
    ]


def _count_tracebacks(folder: Path) -> int:
    return sum(log.read_text().count("Traceback") for log in folder.glob("worker-*.log"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20)
    minutes = parser.parse_args().minutes
    forget_own_settings()
    with tempfile.TemporaryDirectory() as name, LoopbackLLM() as model:
        os.environ["OPENAI_BASE_URL"] = model.base_url
        model.default = Reply(delay=1.5)
        os.chdir(name)
        asyncio.run(Soak(Path(name), minutes).run())
    exit_process(0)


if __name__ == "__main__":
    main()

"""What the measurements of the benchmark share: contestants, their Workers, reports and rows."""

import asyncio
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, TypeVar
from uuid import uuid4

import psutil
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from models import WORKFLOW_ID_PREFIX

PEERS = [sys.executable, str(Path(__file__).with_name("benchmark_peers.py"))]
LLM_DELAY = 0.05  # seconds; of a report's time, most should be the app's own
PATIENCE = 180  # seconds that one step may take before the run fails
REQUESTS_AT_ONCE = 10  # more, and the dev server is busy with the benchmark's requests


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int = 3  # in which each contestant has its turn, for a median; each is first in one
    single_reports: int = 20
    reports: int = 200
    calls: int = 300
    call_seconds: float = 20
    waiting: int = 1000
    waiting_seconds: float = 10
    killed: int = 20
    killed_call_seconds: float = 5  # of the calls that the kill interrupts
    pdf_seconds: float = 3
    long_draft: int = 1_000_000  # characters


QUICK = Scale(1, 5, 20, 30, 2, 50, 3, 4, 2, 0.5, 100_000)


@dataclass(frozen=True)
class Contestant:
    name: str
    task_queue: str
    worker: Sequence[str]  # the command
    polling: str  # what its Worker prints when it polls
    starter: Sequence[str]  # the command
    prompts: str  # what its starter prints when a person may type
    modules: Path | None = None  # the folder of its create_pdf


@dataclass(frozen=True)
class Goal:
    """Bounds for our figure, or for its ratio to that of the contestant `to`."""

    most: float = math.inf
    least: float = 0
    to: str = ""


Figures = Mapping[str, list[float]]  # by the contestant's name


@dataclass(frozen=True)
class Row:
    """One line of the table: the median of each contestant's figures."""

    measurement: str
    figures: Figures
    unit: str = "{:.2f} s"
    goal: Goal | None = None

    def __str__(self) -> str:
        figure = {name: median(values) for name, values in self.figures.items()}
        cells = [self.measurement]
        for name in ("ours", "floor", "tutorial"):
            cells.append(self.unit.format(figure[name]) if name in figure else "")
        for name in ("floor", "tutorial"):
            cells.append(f"{figure['ours'] / figure[name]:.2f}" if figure.get(name) else "")
        return f"| {' | '.join([*cells, self._verdict(figure)])} |"

    def _verdict(self, figure: Mapping[str, float]) -> str:
        goal = self.goal
        if not goal or (goal.to and not figure.get(goal.to)):
            return ""
        ours = figure["ours"] / (figure[goal.to] if goal.to else 1)
        bound = f"≤ {goal.most:g}" if goal.most < math.inf else f"≥ {goal.least:g}"
        of = f" of the {goal.to}" if goal.to else ""
        met = goal.least <= ours <= goal.most
        return f"{bound}{of}: {'met' if met else '**missed**'}"


class RunningWorker:
    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder
        self._usage = psutil.Process(process.pid)

    @property
    def cpu(self) -> float:
        """Seconds of user and system time so far, including the process that renders PDFs."""
        times = [process.cpu_times() for process in self._processes]
        return sum(each.user + each.system for each in times)

    @property
    def memory(self) -> float:
        """MiB, including the process that renders PDFs."""
        return sum(process.memory_info().rss for process in self._processes) / 2**20

    @property
    def _processes(self) -> list[psutil.Process]:
        return [self._usage, *self._usage.children()]

    def take_pdfs(self) -> int:
        """Removes the PDFs, and returns how many whole and distinct ones there were."""
        contents = set()
        for file in self.folder.glob("*.pdf"):
            contents.add(file.read_bytes())
            file.unlink()
        return sum(c.startswith(b"%PDF") and c.rstrip().endswith(b"%%EOF") for c in contents)


@dataclass(frozen=True)
class Bench:
    """What all measurements share."""

    client: Client
    contestants: list[Contestant]
    scale: Scale
    folder: Path
    llm_log: Path

    @property
    def apps(self) -> list[Contestant]:
        """The contestants that call a model and make PDFs."""
        return [c for c in self.contestants if c.modules]

    @property
    def calls(self) -> int:
        """The number of LLM calls paid so far."""
        return self.llm_log.read_text().count("\n") - 1  # the first line is the address

    def new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))

    @asynccontextmanager
    async def worker(
        self, contestant: Contestant, folder: Path | None = None
    ) -> AsyncIterator[RunningWorker]:
        """A Worker that polls, in a new folder unless one is given."""
        folder = folder or self.new_folder()
        log = folder / f"worker-{uuid4()}.log"
        with running(contestant.worker, log) as process:
            await until(lambda: contestant.polling in log.read_text(), process, log)
            yield RunningWorker(process, folder)

    @asynccontextmanager
    async def warm_workers(
        self, contestants: Iterable[Contestant]
    ) -> AsyncIterator[list[tuple[Contestant, RunningWorker]]]:
        """A Worker of each contestant that has made its first report."""
        async with AsyncExitStack() as stack:
            workers = []
            for contestant in contestants:
                worker = await stack.enter_async_context(self.worker(contestant))
                await self.report(contestant)
                workers.append((contestant, worker))
            yield workers

    async def start(self, contestant: Contestant, delay: float = LLM_DELAY) -> "Report":
        """Starts a report on which the model thinks for that many seconds."""
        identity = uuid4()
        return await self.client.start_workflow(
            "GenerateReportWorkflow",
            {"prompt": f"{delay} seconds of thought for report {identity}"},
            id=f"{WORKFLOW_ID_PREFIX}{identity}",
            task_queue=contestant.task_queue,
        )

    async def start_many(
        self, contestant: Contestant, number: int, delay: float = LLM_DELAY
    ) -> "list[Report]":
        return await each(range(number), lambda _: self.start(contestant, delay))

    async def report(self, contestant: Contestant) -> float:
        """Makes a report as a person would who decides at once; returns the seconds it took."""
        started = time.perf_counter()
        await decide([await self.start(contestant)])
        return time.perf_counter() - started


Report = WorkflowHandle[Any, Any]
T = TypeVar("T")
R = TypeVar("R")


async def draft(report: Report) -> None:
    """Waits for the first draft, until it has reached the Workflow."""
    steps = count(1)
    async with asyncio.timeout(PATIENCE):
        async for event in report.fetch_history_events(wait_new_event=True):
            step = event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
            if step and next(steps) == 2:
                return
    raise AssertionError(f"{report.id} ended without a draft")


async def approve(report: Report) -> None:
    await draft(report)
    assert await report.query("get_research_result")
    await report.signal("user_decision_signal", {"decision": "KEEP"})


async def end(report: Report) -> None:
    with suppress(WorkflowFailureError):  # its PDF will be missed
        async with asyncio.timeout(PATIENCE):
            await report.result()


async def decide(reports: Iterable[Report]) -> None:
    """Approves each draft as soon as it arrives, and waits until the reports have ended."""
    await each(reports, approve)
    await each(reports, end)


async def each(items: Iterable[T], action: Callable[[T], Awaitable[R]]) -> list[R]:
    gate = asyncio.Semaphore(REQUESTS_AT_ONCE)

    async def act(item: T) -> R:
        async with gate:
            return await action(item)

    return await asyncio.gather(*map(act, items))


def turns(items: Sequence[T], rounds: int) -> Iterator[list[T]]:
    """The items for each round. Each round begins with another, as the first has a disadvantage."""
    for number in range(rounds):
        first = number % len(items)
        yield [*items[first:], *items[:first]]


async def terminate(report: Report) -> None:
    await report.terminate()


@contextmanager
def running(
    command: Sequence[str], log: Path, modules: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the folder of its log. If it still runs at the end, it is killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env=os.environ | ({"PYTHONPATH": str(modules)} if modules else {}),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the benchmark, which ends its processes
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for the condition, as long as the process lives."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"{process.args!r} did not do it: see {log}")
        await asyncio.sleep(0.005)

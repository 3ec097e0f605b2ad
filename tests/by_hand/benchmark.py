"""Measures this app, the floor and the tutorial's published code, side by side in one run.

    uv run tests/by_hand/benchmark.py [--against DIR] [--quick] [MEASUREMENT ...]

The floor is the same shape of Workflow with Activities that do nothing but sleep: the least that
a report costs on Temporal. All run against the same dev server and the same model on loopback.
"""

import argparse
import asyncio
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, TypeVar
from uuid import uuid4

import pexpect
import psutil
from benchmark_peers import FLOOR_TASK_QUEUE, PAGE, SLOW_PIECES, SLOW_STREAM
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

sys.path.extend(map(str, Path(__file__).parents[1:3]))

from machine import PROJECT, forget_own_settings

from beyond.process import exit_process
from beyond.server.dev_server import start_server
from models import TASK_QUEUE, WORKFLOW_ID_PREFIX

PEERS = [sys.executable, str(Path(__file__).with_name("benchmark_peers.py"))]
# The tutorial's address is written into its code; the dev server's port is a free one. Its scripts
# run unchanged otherwise, with their own folder first on the path.
TUTORIAL = """
import os, runpy, sys
from temporalio.client import Client
connect = Client.connect
Client.connect = lambda _, **options: connect(os.environ["TEMPORAL_ADDRESS"], **options)
folder, script = sys.argv[1:]
sys.path[0] = folder
runpy.run_path(f"{folder}/{script}", run_name="__main__")
"""

LLM_DELAY = 0.05  # seconds; of a report's time, most should be the app's own
PATIENCE = 180  # seconds that one step may take before the run fails
REQUESTS_AT_ONCE = 10  # more, and the dev server is busy with the benchmark's requests
SETTLE = 5  # seconds between the last draft and the look at a Worker that only waits


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


async def starter(bench: Bench) -> list[Row]:
    seconds: Figures = defaultdict(list)
    for order in turns(bench.contestants, bench.scale.rounds):
        for contestant in order:
            program, *arguments = contestant.starter
            started = time.perf_counter()
            terminal = pexpect.spawn(program, arguments, cwd=str(bench.folder), timeout=PATIENCE)
            try:
                terminal.expect(contestant.prompts)
                seconds[contestant.name].append(time.perf_counter() - started)
            finally:
                terminal.close(force=True)
    measurement = "Starter to its first prompt (floor: `import temporalio.client`)"
    return [Row(measurement, seconds, goal=Goal(most=1.5, to="floor"))]


async def worker_start(bench: Bench) -> list[Row]:
    polling: Figures = defaultdict(list)
    first_draft: Figures = defaultdict(list)
    bare_import = [sys.executable, "-c", "import temporalio.worker"]
    for order in turns(bench.contestants, bench.scale.rounds):
        started = time.perf_counter()
        with running(bare_import, bench.folder / "import.log") as process:
            await asyncio.to_thread(process.wait)
            polling["floor"].append(time.perf_counter() - started)
        for contestant in order:
            report = await bench.start(contestant)
            started = time.perf_counter()
            async with bench.worker(contestant):
                if contestant in bench.apps:
                    polling[contestant.name].append(time.perf_counter() - started)
                await draft(report)
                first_draft[contestant.name].append(time.perf_counter() - started)
            await terminate(report)
    measurement = "Worker start to polling (floor: `import temporalio.worker`)"
    return [
        Row(measurement, polling, goal=Goal(most=1.5, to="floor")),
        Row(
            "Worker start to the first draft of a report that waits",
            first_draft,
            goal=Goal(most=0.6, to="tutorial"),
        ),
    ]


async def one_report(bench: Bench) -> list[Row]:
    milliseconds: Figures = defaultdict(list)
    async with bench.warm_workers(bench.contestants):
        for order in turns(bench.contestants, bench.scale.single_reports):
            for contestant in order:
                seconds = await bench.report(contestant) - LLM_DELAY
                milliseconds[contestant.name].append(1000 * seconds)
    goal = Goal(most=1.15, to="floor")
    return [Row("One report, beyond the LLM's own time", milliseconds, "{:.0f} ms", goal)]


async def many_reports(bench: Bench) -> list[Row]:
    number = bench.scale.reports
    seconds: Figures = defaultdict(list)
    cpu: Figures = defaultdict(list)
    survivors: Figures = defaultdict(list)
    for order in turns(bench.contestants, bench.scale.rounds):
        # Processes of the same program differ by some percent: each round has new ones.
        async with bench.warm_workers(order) as workers:
            for contestant, worker in workers:
                worker.take_pdfs()
                used, started = worker.cpu, time.perf_counter()
                await decide(await bench.start_many(contestant, number))
                seconds[contestant.name].append(time.perf_counter() - started)
                cpu[contestant.name].append(1000 * (worker.cpu - used) / number)
                if contestant in bench.apps:
                    survivors[contestant.name].append(worker.take_pdfs())
    name = f"{number} reports at once"
    goal = Goal(most=1.1, to="tutorial")
    return [
        Row(name, seconds, goal=goal),
        Row(f"{name}: Worker CPU a report", cpu, "{:.1f} ms", replace(goal, most=1.3)),
        Row(f"{name}: PDFs on disk", survivors, "{:.0f}", Goal(least=number)),
    ]


async def long_calls(bench: Bench) -> list[Row]:
    number, delay = bench.scale.calls, bench.scale.call_seconds
    seconds: Figures = defaultdict(list)
    for contestant in bench.contestants:
        async with bench.worker(contestant):
            await bench.report(contestant)  # the first one waits for LiteLLM
            started = time.perf_counter()
            reports = await bench.start_many(contestant, number, delay)
            await each(reports, draft)
            seconds[contestant.name].append(time.perf_counter() - started)
        await each(reports, terminate)
    name = f"{number} LLM calls of {delay:g} s at once, on one Worker"
    return [Row(name, seconds, "{:.1f} s", Goal(most=1.2, to="floor"))]


async def streams(bench: Bench) -> list[Row]:
    """Measures this app alone, because the tutorial shows no word before the last has arrived."""
    ours = bench.contestants[0]
    seconds: Figures = defaultdict(list)
    cpu: Figures = defaultdict(list)
    async with bench.warm_workers([ours]) as workers:
        _, worker = workers[0]
        for _ in range(bench.scale.rounds):
            used = worker.cpu
            program, *arguments = [*ours.starter, f"0 seconds of thought, {SLOW_STREAM}"]
            terminal = pexpect.spawn(program, arguments, cwd=str(bench.folder), timeout=PATIENCE)
            try:
                is_called = partial(lambda before: bench.calls > before, bench.calls)
                await until(is_called, worker.process, bench.llm_log)
                started = time.perf_counter()
                await asyncio.to_thread(terminal.expect, r"\d words")
                seconds[ours.name].append(time.perf_counter() - started)
                await asyncio.to_thread(terminal.expect, "Your decision")
                cpu[ours.name].append(1000 * (worker.cpu - used))
            finally:
                terminal.close(force=True)
    return [
        Row("First words on the screen, after the model's first", seconds, goal=Goal(most=1.5)),
        Row(f"Worker CPU for a draft of {SLOW_PIECES} streamed pieces", cpu, "{:.0f} ms"),
    ]


async def waiting(bench: Bench) -> list[Row]:
    number = bench.scale.waiting
    idle: Figures = defaultdict(list)
    memory: Figures = defaultdict(list)
    cpu: Figures = defaultdict(list)
    for order in turns(bench.contestants, bench.scale.rounds):
        for contestant in order:
            async with bench.worker(contestant) as worker:
                await bench.report(contestant)
                idle[contestant.name].append(worker.memory)
                reports = await bench.start_many(contestant, number)
                await each(reports, draft)
                await asyncio.sleep(SETTLE)
                memory[contestant.name].append(worker.memory)
                used = worker.cpu
                await asyncio.sleep(bench.scale.waiting_seconds)
                cpu[contestant.name].append(worker.cpu - used)
            await each(reports, terminate)
    goal = Goal(most=1, to="tutorial")
    return [
        Row("Worker memory after one report", idle, "{:.0f} MiB", goal),
        Row(f"Worker memory with {number:,} reports waiting", memory, "{:.0f} MiB", goal),
        Row(f"Worker CPU in {bench.scale.waiting_seconds:g} s while they wait", cpu),
    ]


async def killed(bench: Bench) -> list[Row]:
    """Kills the Worker when half of the reports have their draft and the rest are in a call."""
    number, half = bench.scale.killed, bench.scale.killed // 2
    paid: Figures = defaultdict(list)
    paid["floor"].append(2 * half + half)  # a call that is interrupted must be made again
    survivors: Figures = defaultdict(list)
    seconds: Figures = defaultdict(list)
    for contestant in bench.apps:
        before = bench.calls
        expected = before + 2 * half
        async with bench.worker(contestant) as worker:
            reports = await bench.start_many(contestant, half)
            await each(reports, draft)
            delay = bench.scale.killed_call_seconds
            reports += await bench.start_many(contestant, half, delay)
            await until(lambda: bench.calls >= expected, worker.process, bench.llm_log)  # noqa: B023
        started = time.perf_counter()
        async with bench.worker(contestant, worker.folder):
            await each(reports, draft)
            seconds[contestant.name].append(time.perf_counter() - started)
            await decide(reports)
        paid[contestant.name].append(bench.calls - before)
        survivors[contestant.name].append(worker.take_pdfs())
    name = f"{number} reports, Worker killed during {half} calls"
    return [
        Row(f"{name}: calls paid (floor: needed)", paid, "{:.0f}", Goal(most=1, to="floor")),
        Row(f"{name}: PDFs on disk", survivors, "{:.0f}", Goal(least=number)),
        Row(f"{name}: from the kill to the last draft", seconds, "{:.1f} s"),
    ]


async def pdfs(bench: Bench) -> list[Row]:
    one, ten, long = len(PAGE), 10 * len(PAGE), bench.scale.long_draft
    seconds: dict[int, Figures] = {length: defaultdict(list) for length in (one, ten, long)}
    for order in turns(bench.apps, bench.scale.rounds):
        for length in (one, ten, long):
            for contestant in order:
                log = bench.new_folder() / "pdfs.log"
                command = [*PEERS, "pdfs", str(length), str(bench.scale.pdf_seconds)]
                with running(command, log, contestant.modules) as process:
                    await asyncio.to_thread(process.wait)
                seconds[length][contestant.name].append(float(log.read_text()))
    rates = {
        length: {name: [1 / value for value in values] for name, values in figures.items()}
        for length, figures in seconds.items()
    }
    return [
        Row("PDFs of a one-page draft in a second", rates[one], "{:.1f}"),
        Row("PDFs of a ten-page draft in a second", rates[ten], "{:.1f}"),
        Row(
            f"PDF of a draft of {long / 1e6:g} MB",
            seconds[long],
            "{:.2f} s",
            Goal(most=4, to="tutorial"),
        ),
    ]


MEASUREMENTS: dict[str, Callable[[Bench], Awaitable[list[Row]]]] = {
    "starter": starter,
    "worker_start": worker_start,
    "one_report": one_report,
    "many_reports": many_reports,
    "long_calls": long_calls,
    "streams": streams,
    "waiting": waiting,
    "killed": killed,
    "pdfs": pdfs,
}


async def run(against: Path | None, scale: Scale, names: Sequence[str]) -> None:
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    set_environment()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        llm_log = folder / "llm.log"
        async with await start_server(folder / "server.log") as server:
            os.environ["TEMPORAL_ADDRESS"] = server.client.service_client.config.target_host
            with running([*PEERS, "llm"], llm_log) as llm:
                await until(lambda: "\n" in llm_log.read_text(), llm, llm_log)
                os.environ["OPENAI_BASE_URL"] = llm_log.read_text().strip()
                bench = Bench(server.client, contestants(against), scale, folder, llm_log)
                # From here on, nobody compiles modules any more.
                await worker_start(replace(bench, scale=QUICK))
                print("| | Ours | Floor | Tutorial | Ours/floor | Ours/tutorial | Goal |")
                print("|---|--:|--:|--:|--:|--:|---|", flush=True)
                for measurement in names or MEASUREMENTS:
                    for row in await MEASUREMENTS[measurement](bench):
                        print(row, flush=True)
    print(f"\n{conditions()}")


def set_environment() -> None:
    """Removes the developer's settings from the environment, and keeps LiteLLM off the internet."""
    forget_own_settings()
    os.environ["TEMPORAL_CONFIG_FILE"] = os.devnull
    os.environ["LLM_API_KEY"] = "loopback"
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or the tutorial fetches its price list


def contestants(against: Path | None) -> list[Contestant]:
    ours = Contestant(
        name="ours",
        task_queue=TASK_QUEUE,
        worker=[sys.executable, str(PROJECT / "worker.py")],
        polling="Worker is polling",
        starter=[sys.executable, str(PROJECT / "starter.py")],
        prompts="topic or question",
        modules=PROJECT,
    )
    floor = Contestant(
        name="floor",
        task_queue=FLOOR_TASK_QUEUE,
        worker=[*PEERS, "floor"],
        polling="Worker is polling",
        starter=[sys.executable, "-c", "import temporalio.client; print('ready')"],
        prompts="ready",
    )
    if not against:
        return [ours, floor]
    tutorial = [sys.executable, "-c", TUTORIAL, str(against.resolve())]
    return [
        ours,
        floor,
        Contestant(
            name="tutorial",
            task_queue="durable",
            worker=[*tutorial, "worker.py"],
            polling="Starting the worker",
            starter=[*tutorial, "starter.py"],
            prompts="topic or question",
            modules=against.resolve(),
        ),
    ]


def conditions() -> str:
    memory = psutil.virtual_memory().total / 2**30
    packages = [f"{name} {version(name)}" for name in ("temporalio", "litellm", "reportlab")]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Python {sys.version.split()[0]}, {', '.join(packages)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ours, the floor and the tutorial.")
    parser.add_argument("--against", type=Path, metavar="DIR", help="the tutorial's code")
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it out")
    parser.add_argument("names", nargs="*", metavar="MEASUREMENT", help=", ".join(MEASUREMENTS))
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(MEASUREMENTS):
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    scale = QUICK if arguments.quick else Scale()
    try:
        asyncio.run(run(arguments.against, scale, arguments.names))
    except (KeyboardInterrupt, asyncio.CancelledError):
        exit_process("Stopped.")
    exit_process(0)


if __name__ == "__main__":
    main()

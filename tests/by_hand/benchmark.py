"""Measures this app, the floor and the tutorial's published code, side by side in one run.

    uv run tests/by_hand/benchmark.py [--against DIR] [--quick] [MEASUREMENT ...]

The floor is the same shape of Workflow with Activities that do nothing but sleep: the least that
a report costs on Temporal. All run against the same dev server and the same model on loopback.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pexpect
import psutil
from benchmark_peers import FLOOR_TASK_QUEUE, PAGE, SLOW_PIECES, SLOW_STREAM

sys.path.extend(map(str, Path(__file__).parents[1:3]))

from bench import (
    LLM_DELAY,
    PATIENCE,
    PEERS,
    QUICK,
    Bench,
    Contestant,
    Figures,
    Goal,
    Row,
    Scale,
    decide,
    draft,
    each,
    running,
    terminate,
    turns,
    until,
)
from machine import PROJECT, forget_own_settings

from beyond.process import exit_process
from beyond.server.dev_server import start_server
from models import TASK_QUEUE

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

SETTLE = 5  # seconds between the last draft and the look at a Worker that only waits


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

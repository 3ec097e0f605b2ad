"""A call is paid for once, whatever happens to Temporal, as long as its Worker lives.

A killed Worker is in test_crashes.py.
"""

import asyncio
import gc
import signal
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import calls
import psutil
import pytest
from loopback_llm import LoopbackLLM, Reply
from support import (
    PATIENCE,
    ReportHandle,
    WorkerProcess,
    draft_of,
    eventually,
    free_port,
    start_report,
    waiting,
)
from temporalio.activity import ActivityCancellationDetails
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment

import activities
from activities import llm_call
from beyond.server.dev_server import start_server
from models import LLMCallInput

LOST = ActivityCancellationDetails(not_found=True)
AWAY = ActivityCancellationDetails(not_found=True, timed_out=True)
CANCELLED = ActivityCancellationDetails(cancel_requested=True)


def attempt(number: int, run_id: str = "run-1") -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=number, workflow_run_id=run_id)
    return environment


def begun(environment: ActivityEnvironment) -> asyncio.Task[dict[str, Any]]:
    return asyncio.create_task(environment.run(llm_call, LLMCallInput("bees")))


@pytest.fixture(autouse=True)
def no_calls_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(calls, "OWNER_CHECK_INTERVAL", 0.1)
    calls._calls.clear()
    yield
    calls._calls.clear()


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """What the server says of a lost attempt's Activity: whether it is still this Worker's."""
    answer = {"ours": True}

    async def is_ours() -> bool:
        return answer["ours"]

    monkeypatch.setattr(calls, "_is_ours", is_ours)
    return answer


# The Activity alone.


@pytest.mark.parametrize("why", [LOST, AWAY], ids=["lost", "away"])
async def test_the_next_attempt_joins_the_call_in_progress(
    llm: LoopbackLLM, ours: dict[str, bool], why: ActivityCancellationDetails
) -> None:
    llm.go_on.clear()
    first = attempt(1)
    lost = begun(first)
    await eventually(lambda: llm.in_flight == 1)
    first.cancel(cancellation_details=why)
    joined = begun(attempt(2))
    await asyncio.sleep(0.5)
    assert not joined.done()
    llm.go_on.set()
    assert await joined == await lost
    assert len(llm.calls) == 1


async def test_the_next_attempt_gets_the_answer_that_came_meanwhile(llm: LoopbackLLM) -> None:
    """Temporal was away when the answer came, and never got it."""
    answer = await begun(attempt(1))
    assert await begun(attempt(2)) == answer
    assert len(llm.calls) == 1


async def test_an_answer_is_kept_for_a_while(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "KEPT_FOR", 0.2)
    await begun(attempt(1))
    assert calls._calls
    await eventually(lambda: not calls._calls)


async def test_only_the_newest_answers_are_kept(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MOST_KEPT", 2)
    llm.go_on.clear()
    in_progress = begun(attempt(1, "in progress"))
    await eventually(lambda: llm.in_flight == 1)
    llm.go_on.set()
    await in_progress
    for number in range(4):
        await begun(attempt(1, f"run-{number}"))
    paid = len(llm.calls)
    await begun(attempt(2, "run-3"))
    assert len(llm.calls) == paid
    assert len(calls._calls) <= 3


async def test_nothing_holds_an_answer_that_is_no_longer_kept(
    llm: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer did, for five minutes, with all that the SDK knows of the Activity."""
    monkeypatch.setattr(calls, "MOST_KEPT", 2)
    answers = []
    for number in range(5):
        await begun(attempt(1, f"run-{number}"))
        answers.append(weakref.ref([*calls._calls.values()][-1]))
    gc.collect()
    assert [answer() is not None for answer in answers] == [False, False, True, True, True]


@pytest.mark.parametrize("other", [attempt(2, "run-2"), attempt(1)], ids=["run", "first attempt"])
async def test_a_call_of_something_else_is_not_joined(
    llm: LoopbackLLM, ours: dict[str, bool], other: ActivityEnvironment
) -> None:
    await begun(attempt(1))
    await begun(other)
    assert len(llm.calls) == 2


async def test_a_call_that_failed_is_made_again(
    llm: LoopbackLLM, ours: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "CANCELLATION_DELAY", PATIENCE)  # for what is not wanted any more
    llm.replies.append(Reply(status=500))
    with pytest.raises(ApplicationError):
        await begun(attempt(1))
    await asyncio.wait_for(begun(attempt(2)), PATIENCE / 2)
    assert len(llm.calls) == 2


async def test_a_cancellation_stops_the_call_that_a_lost_attempt_began(
    llm: LoopbackLLM, ours: dict[str, bool]
) -> None:
    llm.go_on.clear()
    first, second = attempt(1), attempt(2)
    lost = begun(first)
    await eventually(lambda: llm.in_flight == 1)
    first.cancel(cancellation_details=LOST)
    joined = begun(second)
    await asyncio.sleep(0.2)
    second.cancel(cancellation_details=CANCELLED)
    for task in (lost, joined):
        with pytest.raises(asyncio.CancelledError):
            await task
    await eventually(lambda: llm.calls[0].abandoned)


async def test_a_call_that_nobody_wants_any_more_is_stopped(
    llm: LoopbackLLM, ours: dict[str, bool]
) -> None:
    """The report has ended meanwhile, or another Worker makes the call."""
    llm.go_on.clear()
    first = attempt(1)
    lost = begun(first)
    await eventually(lambda: llm.in_flight == 1)
    first.cancel(cancellation_details=LOST)
    await asyncio.sleep(0.5)
    assert llm.in_flight == 1
    ours["ours"] = False
    with pytest.raises(asyncio.CancelledError):
        await lost
    await eventually(lambda: llm.calls[0].abandoned)


async def test_a_later_attempt_looks_for_a_cancellation_before_it_pays(
    llm: LoopbackLLM, ours: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report may have been cancelled while its Worker was dead."""
    monkeypatch.setattr(calls, "CANCELLATION_DELAY", PATIENCE)
    ours["ours"] = False
    await begun(attempt(1, "another run"))  # imports LiteLLM
    call = begun(environment := attempt(2))
    await asyncio.sleep(0.5)
    environment.cancel(cancellation_details=CANCELLED)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(llm.calls) == 1


@pytest.mark.parametrize(("number", "at_once"), [(1, 0), (2, 1)])
async def test_the_first_heartbeat_of_a_later_attempt_comes_at_once(
    number: int,
    at_once: int,
    llm: LoopbackLLM,
    ours: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first attempt has just been handed out, and each heartbeat has its price."""
    monkeypatch.setattr(activities, "HEARTBEAT_INTERVAL", timedelta(seconds=PATIENCE))
    environment = attempt(number)
    beats: list[object] = []
    environment.on_heartbeat = lambda *details: beats.append(details)
    llm.go_on.clear()
    call = begun(environment)
    await eventually(lambda: llm.in_flight == 1)
    assert len(beats) == at_once
    llm.go_on.set()
    await call


# With a Worker and a server that goes away.


@pytest.fixture
async def mortal_server(
    llm: LoopbackLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[WorkflowEnvironment, psutil.Process]]:
    port, database = free_port(), tmp_path / "temporal.db"
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{port}")
    async with await start_server(port, database) as server:
        [process] = [
            child for child in psutil.Process().children() if str(database) in child.cmdline()
        ]
        yield server, process
        process.send_signal(signal.SIGCONT)


@pytest.mark.takes(50)
async def test_a_server_that_is_away_for_30_seconds_costs_no_second_call(
    llm: LoopbackLLM,
    mortal_server: tuple[WorkflowEnvironment, psutil.Process],
    tmp_path: Path,
) -> None:
    """Some answers come while it is away, some after it is back."""
    server, process = mortal_server
    worker = WorkerProcess(tmp_path).wait_until_polling()
    try:
        for number in range(8):
            llm.replies.append(Reply(delay=10 if number % 2 else 35))
        reports = [await start_report(server.client, f"topic {number}") for number in range(8)]
        await eventually(lambda: llm.in_flight == 8)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(30)
        process.send_signal(signal.SIGCONT)
        for report in reports:
            await waiting(report, draft=1)
        assert len({await draft_of(report) for report in reports}) == 8
        assert len(llm.calls) == 8
        assert not any(call.abandoned for call in llm.calls)
        await eventually(lambda: "Temporal is reachable again" in worker.log)
        log = worker.log.splitlines()
        assert sum("Temporal is not reachable" in line for line in log) == 1
        assert not [line for line in log if "temporalio_client" in line or "Traceback" in line]
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.takes(18)
async def test_a_report_that_is_cancelled_while_its_worker_is_dead_is_not_called_again(
    client: Client, llm: LoopbackLLM, start_worker: Callable[[], WorkerProcess]
) -> None:
    llm.go_on.clear()
    worker = start_worker()
    report = await start_report(client, "bees")
    await eventually(lambda: llm.in_flight == 1)
    worker.kill()
    await report.cancel()
    await eventually(lambda: second_attempt_is_due(report))
    start_worker()
    with pytest.raises(WorkflowFailureError):
        await report.result()
    assert len(llm.calls) == 1


async def second_attempt_is_due(report: ReportHandle) -> bool:
    [pending] = (await report.describe()).raw_description.pending_activities
    return bool(pending.attempt == 2)

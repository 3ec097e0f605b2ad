"""The LLM calls of this Worker, so that an attempt joins the call that an earlier one has begun.

While Temporal is away, no heartbeat arrives, and the attempt that makes a call is given up. The
call itself goes on here, and its answer is kept until the next attempt comes for it.
"""

import asyncio
import contextvars
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from temporalio import activity
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.service import RPCError, RPCStatusCode

T = TypeVar("T")

# An outage that ends within this time after the answer costs no second call.
KEPT_FOR = 300  # seconds
# While Temporal is away, no call begins, so the newest answers are those that may be lost.
MOST_KEPT = 500
CANCELLATION_DELAY = 5  # seconds, in which the answer to a heartbeat brings a cancellation
OWNER_CHECK_INTERVAL = 3  # seconds between the questions whether a lost attempt is still wanted

Key = tuple[str | None, ...]  # of an Activity
_calls: dict[Key, asyncio.Task[Any]] = {}
_timers: dict[Key, asyncio.TimerHandle] = {}  # after which an answer is forgotten


async def shared(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Returns what `call` returns, or what the call of an earlier attempt here returns.

    To be awaited in an Activity that heartbeats. A cancellation of the report stops the call.
    """
    info = activity.info()
    key = (info.namespace, info.workflow_id, info.workflow_run_id, info.activity_id)
    task = _calls.get(key)
    if task is None or info.attempt == 1:
        if info.attempt > 1 and not await _is_ours():
            # The report was cancelled while its Worker was dead: nothing is paid.
            await asyncio.sleep(CANCELLATION_DELAY)
        task = asyncio.create_task(call())
        _keep(key, task)
    lost = False  # this attempt has ended, but its answer is still wanted
    while not task.done():
        try:
            await asyncio.wait({task}, timeout=OWNER_CHECK_INTERVAL if lost else None)
            if lost and not task.done() and not await _is_ours():
                task.cancel()
        except asyncio.CancelledError:
            lost = attempt_is_lost()
            if not lost:
                task.cancel()
                raise
    result: T = task.result()
    return result


def _keep(key: Key, task: asyncio.Task[Any]) -> None:
    """Keeps the call while it runs, and its answer for a while. A failed call may be repeated."""
    _forget(key)
    _calls[key] = task
    answered = [key for key, kept in _calls.items() if kept.done()]
    for oldest in answered[: max(0, len(answered) - MOST_KEPT)]:
        _forget(oldest)
    task.add_done_callback(functools.partial(_on_done, key))


def _on_done(key: Key, task: asyncio.Task[Any]) -> None:
    if _calls.get(key) is not task:
        return
    if task.cancelled() or task.exception():
        _forget(key)
        return
    # In a context of its own, because a timer keeps that of the Activity.
    context = contextvars.Context()
    loop = asyncio.get_running_loop()
    _timers[key] = loop.call_later(KEPT_FOR, _forget, key, context=context)


def _forget(key: Key) -> None:
    _calls.pop(key, None)
    if timer := _timers.pop(key, None):
        timer.cancel()


def attempt_is_lost() -> bool:
    """Whether Temporal has given up the attempt, not the Activity."""
    why = activity.cancellation_details()
    if not why or why.cancel_requested or why.worker_shutdown or why.reset:
        return False
    return why.not_found or why.timed_out or why.paused


async def _is_ours() -> bool:
    """Whether the Activity is wanted and no other Worker has it. True while Temporal is away."""
    info, client = activity.info(), activity.client()
    report = client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
    try:
        description = await report.describe()
    except RPCError as error:
        return error.status != RPCStatusCode.NOT_FOUND
    raw = description.raw_description
    # The Activity itself is not cancelled before the Workflow has heard of it.
    return not raw.workflow_extended_info.cancel_requested and any(
        pending.activity_id == info.activity_id
        and pending.state != PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
        and (
            pending.state != PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
            or pending.last_worker_identity == client.identity
        )
        for pending in raw.pending_activities
    )

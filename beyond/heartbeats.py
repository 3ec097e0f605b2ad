"""Sends an Activity's heartbeats, by which Temporal learns whether its Worker is alive."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import AsyncActivityCancelledError
from temporalio.exceptions import CancelledError
from temporalio.service import RPCError, RPCStatusCode

HEARTBEAT_INTERVAL = timedelta(seconds=5)
NEWS_INTERVAL = timedelta(seconds=0.5)  # between looks; the Worker sends at most one a second
HEARTBEAT_TIMEOUT = timedelta(seconds=20)  # allows for three lost heartbeats
REFUSAL_DELAY = 2  # seconds to wait for Temporal's response if the attempt may have timed out


@asynccontextmanager
async def send_heartbeats(
    get_details: Callable[[], object] = lambda: None,
) -> AsyncIterator[None]:
    """Sends heartbeats while the block runs. Outside a Worker, it sends none.

    `get_details` returns their details; a change is sent within `NEWS_INTERVAL`. If Temporal
    cancels the Activity, CancelledError is raised in the block. If the Worker was suspended until
    the attempt timed out, CancelledError is raised before the block begins.
    """
    if not activity.in_activity():
        yield
        return
    beating = asyncio.create_task(_beat(get_details))
    try:
        if datetime.now(UTC) > activity.info().started_time + HEARTBEAT_TIMEOUT:
            activity.heartbeat()
            await asyncio.sleep(REFUSAL_DELAY)
        yield
    finally:
        beating.cancel()


async def raise_if_cancelled() -> None:
    """Asks Temporal whether this attempt still counts, because the last heartbeat may be old.

    Raises CancelledError if the report has ended or was discarded, or if another attempt has
    replaced this one. Returns if Temporal does not answer, and outside a Worker.
    """
    if not activity.in_activity():
        return
    attempt = activity.client().get_async_activity_handle(task_token=activity.info().task_token)
    try:
        await attempt.heartbeat()
    except AsyncActivityCancelledError:
        raise CancelledError from None
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise CancelledError from None


async def _beat(get_details: Callable[[], object]) -> None:
    sent, sent_at = None, time.monotonic()
    while True:
        await asyncio.sleep(NEWS_INTERVAL.total_seconds())
        news = get_details()
        is_due = time.monotonic() - sent_at >= HEARTBEAT_INTERVAL.total_seconds()
        if news != sent or is_due:
            activity.heartbeat(*([news] if news else []))
            sent, sent_at = news, time.monotonic()

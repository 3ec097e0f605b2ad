"""The heartbeats of an Activity: Temporal learns that its Worker lives, or that it has died."""

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
NEWS_INTERVAL = timedelta(seconds=0.5)  # the Worker sends at most one heartbeat a second
HEARTBEAT_TIMEOUT = timedelta(seconds=20)  # survives three lost heartbeats
REFUSAL_DELAY = 2  # seconds, in which Temporal refuses the heartbeat of an attempt that it gave up


@asynccontextmanager
async def send_heartbeats(
    describe: Callable[[], object] = lambda: None,
) -> AsyncIterator[None]:
    """Sends heartbeats while the block runs; none outside a Worker.

    What `describe` returns is their details, and news of it is sent at once.
    Their answers bring a cancellation, which raises CancelledError in the block, or before it if
    the Worker was paused until Temporal gave the attempt up.
    """
    if not activity.in_activity():
        yield
        return
    beating = asyncio.create_task(_beat(describe))
    try:
        if datetime.now(UTC) > activity.info().started_time + HEARTBEAT_TIMEOUT:
            activity.heartbeat()
            await asyncio.sleep(REFUSAL_DELAY)
        yield
    finally:
        beating.cancel()


async def raise_if_cancelled() -> None:
    """Asks Temporal whether this attempt still counts: a heartbeat may be seconds old.

    Raises CancelledError if the report was discarded or has ended, or has another attempt. Without
    an answer, and outside a Worker, the attempt goes on.
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


async def _beat(describe: Callable[[], object]) -> None:
    sent, sent_at = None, time.monotonic()
    while True:
        await asyncio.sleep(NEWS_INTERVAL.total_seconds())
        news = describe()
        is_due = time.monotonic() - sent_at >= HEARTBEAT_INTERVAL.total_seconds()
        if news != sent or is_due:
            activity.heartbeat(*([news] if news else []))
            sent, sent_at = news, time.monotonic()

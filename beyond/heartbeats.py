"""The heartbeats of an Activity: Temporal learns that its Worker lives, or that it has died."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from temporalio import activity

HEARTBEAT_INTERVAL = timedelta(seconds=5)
HEARTBEAT_TIMEOUT = timedelta(seconds=20)  # survives three lost heartbeats
REFUSAL_DELAY = 2  # seconds, in which Temporal refuses the heartbeat of an attempt that it gave up


@asynccontextmanager
async def send_heartbeats() -> AsyncIterator[None]:
    """Sends heartbeats while the block runs; none outside a Worker.

    Their answers bring a cancellation, which raises CancelledError in the block, or before it if
    the Worker was paused until Temporal gave the attempt up.
    """
    if not activity.in_activity():
        yield
        return
    beating = asyncio.create_task(_beat())
    try:
        if datetime.now(UTC) > activity.info().started_time + HEARTBEAT_TIMEOUT:
            activity.heartbeat()
            await asyncio.sleep(REFUSAL_DELAY)
        yield
    finally:
        beating.cancel()


async def _beat() -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())
        activity.heartbeat()

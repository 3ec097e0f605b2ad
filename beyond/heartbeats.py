"""The heartbeats of an Activity: Temporal learns that its Worker lives, or that it has died."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity

HEARTBEAT_INTERVAL = timedelta(seconds=5)
HEARTBEAT_TIMEOUT = timedelta(seconds=20)  # survives three lost heartbeats


@asynccontextmanager
async def send_heartbeats() -> AsyncIterator[None]:
    """Sends heartbeats while the block runs; none outside a Worker.

    Their answers bring a cancellation, which raises CancelledError in the block.
    """
    if not activity.in_activity():
        yield
        return
    beating = asyncio.create_task(_beat())
    try:
        yield
    finally:
        beating.cancel()


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())

"""The Worker: polls the Task Queue, runs the Workflow and the Activities.

Run as many as you like, on as many machines as you like; Temporal shares the work among them.
"""

from beyond.process import (
    RefusedError,
    allow_open_files,
    end_at_ctrl_c,
    exit_process,
    make_event_loop,
    make_stop_event,
    run_process,
)

if __name__ == "__main__":
    end_at_ctrl_c()  # the imports below take a moment

import argparse
import asyncio
import logging
import time
from contextlib import suppress
from datetime import timedelta
from typing import NoReturn

from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import Worker

from activities import create_pdf_in_turn, llm_call, start_pdf_process
from beyond.llm import load_litellm
from beyond.llm.settings import find_obvious_problem
from beyond.paper import find_paper
from beyond.payloads import DATA_CONVERTER
from beyond.reports_dir import require_reports_dir
from beyond.server.connection import connect, require_namespace, watch_server
from beyond.worker_log import SDK_LOG, set_up_logging
from models import TASK_QUEUE
from workflow import GenerateReportWorkflow

log = logging.getLogger(__name__)

# Calls and PDFs in progress (the SDK's default is 100). A call only waits for its socket, and a PDF
# for its turn, so many cost little. A call waits for a slot only if PDFs have taken all of them.
ACTIVITY_SLOTS = 2000
# Each call has a socket. Unless a process asks for more, systems allow it 256 or 1,024 files.
OPEN_FILES = 4096
# 75 MiB: a waiting report takes 0.15 MiB. Replaying one that is not cached takes milliseconds.
CACHED_WORKFLOWS = 500
# How long the server keeps a task for the Worker that has the report in its cache. If that Worker
# was killed, another one takes over before a starter concludes that none runs (the SDK's default
# is 10 s).
STICKY_TIMEOUT = timedelta(seconds=2)
# By default, the SDK sends a heartbeat every 16 s, 80% of the timeout of 20 s. Cancellations arrive
# with its response, so they would be as late.
HEARTBEAT_THROTTLE = timedelta(seconds=1)
# How long calls may take to finish after SIGTERM. Longer ones are cancelled and retried.
SHUTDOWN_GRACE = timedelta(minutes=10)


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description="Run a Worker for research reports.")
    parser.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="also stop when standard input ends: no Worker outlives the process that started it",
    )
    arguments = parser.parse_args()
    set_up_logging()
    run_process(lambda: run(arguments.stop_with_stdin), make_event_loop)


async def run(stop_with_stdin: bool) -> NoReturn:
    """Polls until Ctrl-C, SIGTERM or SIGHUP, lets calls in progress finish, and ends the process.

    Raises RefusedError if there is no server, no namespace, no model that can be called or no
    folder for PDFs, or if a setting is wrong.
    """
    stop = make_stop_event(with_stdin=stop_with_stdin)
    require_reports_dir()
    try:
        find_paper()
    except ValueError as error:
        raise RefusedError(str(error)) from None
    allow_open_files(OPEN_FILES)
    runtime = Runtime(telemetry=TelemetryConfig(logging=SDK_LOG))
    client = await connect(runtime=runtime, data_converter=DATA_CONVERTER)
    await require_namespace(client)
    if problem := find_obvious_problem():
        raise RefusedError(problem)
    watching = asyncio.create_task(watch_server(client, log.warning))
    worker = Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[GenerateReportWorkflow],
        activities=[llm_call, create_pdf_in_turn],
        max_cached_workflows=CACHED_WORKFLOWS,
        # Python runs one thread at a time, and the SDK fails a task that waits its turn for 2 s.
        max_concurrent_workflow_tasks=8,
        max_concurrent_activities=ACTIVITY_SLOTS,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        # A call that is cut off and retried is paid for twice.
        graceful_shutdown_timeout=SHUTDOWN_GRACE,
    )
    try:
        async with worker:
            await _serve(client, stop)
    except ApplicationError as error:  # the model or its key is not usable
        raise RefusedError(error.message) from None
    except RuntimeError as error:  # of the SDK
        # If the server is down, this says so. Otherwise the key may not use the namespace.
        await connect()
        raise RefusedError(str(error).partition(": Status {")[0]) from None
    finally:
        watching.cancel()
    exit_process(0)  # here, because asyncio would wait for the thread that imports LiteLLM


async def _serve(client: Client, stop: asyncio.Event) -> None:
    address = client.service_client.config.target_host
    _say(  # the first line on standard output, for which starter.py --local waits
        f'Worker is polling Task Queue "{TASK_QUEUE}" at {address} '
        f"(namespace {client.namespace}). Press Ctrl-C to stop."
    )
    warm_up = asyncio.create_task(_warm_up())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({warm_up, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if warm_up.done():
        warm_up.result()
    await stopping
    _say("Stopping when the calls in progress are done. Press Ctrl-C to stop now.")


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be closed
        print(time.strftime("%Y-%m-%d %H:%M:%S"), line, flush=True)


async def _warm_up() -> None:
    """Loads LiteLLM and the fonts, which takes seconds, while the Worker already polls."""
    await asyncio.to_thread(load_litellm)
    await start_pdf_process()


if __name__ == "__main__":
    main()

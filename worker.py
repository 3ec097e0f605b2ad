"""The Worker: polls the Task Queue, runs the Workflow and the Activities.

Run as many as you like, on as many machines as you like; Temporal shares the work among them.
"""

from beyond.process import RefusedError, end_at_ctrl_c, exit_process, run_process, stop_event

if __name__ == "__main__":
    end_at_ctrl_c()  # the imports below take a moment

import argparse
import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import NoReturn

from temporalio import activity, workflow
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities import LLM_START_TO_CLOSE_TIMEOUT, create_pdf_in_turn, llm_call
from beyond.llm import load_litellm
from beyond.llm.settings import find_obvious_problem
from beyond.paper import find_paper
from beyond.report.payloads import DATA_CONVERTER
from beyond.server.connection import connect, require_namespace, until_answered
from models import TASK_QUEUE
from workflow import GenerateReportWorkflow

log = logging.getLogger(__name__)

# An LLM call is a socket that waits, and a PDF waits for its turn, so one Worker carries many (the
# SDK's default is 100). No call waits behind PDFs while there are fewer of these.
ACTIVITY_SLOTS = 2000
OPEN_FILES = 4096  # a call has a socket; systems allow a process 256 or 1024 unless it asks
# Python computes in one thread at a time, so more Workflow Tasks at once would wait for each other.
WORKFLOW_SLOTS, WORKFLOW_THREADS = 8, 1
# A report that waits for its person takes 0.15 MiB while it is cached, and its replay milliseconds.
CACHED_WORKFLOWS = 500
# The SDK would hold heartbeats back for 16 of the 20 seconds they are allowed, and a cancellation,
# which comes with the answer to one.
HEARTBEAT_THROTTLE = timedelta(seconds=1)
SERVER_CHECK_INTERVAL = timedelta(seconds=5)
# The SDK reports an outage with a dozen lines a second. `_watch` says it in one.
SDK_LOG = LoggingConfig(
    filter="warn,temporalio_client=off,temporalio_sdk_core::worker::activities=error"
)


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description="Run a Worker for research reports.")
    parser.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="also stop when standard input ends: no Worker outlives the process that started it",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("httpx", "LiteLLM", "temporalio.worker"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    activity.logger.activity_info_on_message = workflow.logger.workflow_info_on_message = False
    for name in ("temporalio.activity", "temporalio.workflow"):
        logging.getLogger(name).addFilter(_log_in_one_line)
    run_process(lambda: run(arguments.stop_with_stdin), _make_event_loop)


async def run(stop_with_stdin: bool) -> NoReturn:
    """Polls until Ctrl-C or SIGTERM, lets the calls in progress finish, and ends the process.

    Raises RefusedError if there is no server, no namespace, or no model that can be called, or if
    a setting is wrong.
    """
    stop = stop_event(with_stdin=stop_with_stdin)
    try:
        find_paper()
    except ValueError as error:
        raise RefusedError(str(error)) from None
    _allow_open_files()
    runtime = Runtime(telemetry=TelemetryConfig(logging=SDK_LOG))
    client = await connect(runtime=runtime, data_converter=DATA_CONVERTER)
    await require_namespace(client)
    if problem := find_obvious_problem():
        raise RefusedError(problem)
    watching = asyncio.create_task(_watch(client))
    worker = Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[GenerateReportWorkflow],
        activities=[llm_call, create_pdf_in_turn],
        max_cached_workflows=CACHED_WORKFLOWS,
        max_concurrent_workflow_tasks=WORKFLOW_SLOTS,
        workflow_task_executor=ThreadPoolExecutor(WORKFLOW_THREADS, "workflow"),
        max_concurrent_activities=ACTIVITY_SLOTS,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        # A call that is cut off is paid for twice.
        graceful_shutdown_timeout=LLM_START_TO_CLOSE_TIMEOUT,
    )
    try:
        async with worker:
            await _serve(client, stop)
    except ApplicationError as error:  # the model or its key is not usable
        raise RefusedError(error.message) from None
    except RuntimeError as error:  # of the SDK
        await connect()  # says so if the server has just gone; else the namespace is not ours
        raise RefusedError(str(error).partition(": Status {")[0]) from None
    finally:
        watching.cancel()
    exit_process(0)  # from here: the event loop's end would wait for an import of LiteLLM


async def _serve(client: Client, stop: asyncio.Event) -> None:
    address = client.service_client.config.target_host
    print(
        f'Worker is polling Task Queue "{TASK_QUEUE}" at {address} '
        f"(namespace {client.namespace}). Press Ctrl-C to stop.",
        flush=True,
    )
    # LiteLLM takes seconds to import: the Worker polls meanwhile, and an llm_call waits.
    warm_up = asyncio.create_task(asyncio.to_thread(load_litellm))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({warm_up, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if warm_up.done():
        warm_up.result()
    await stopping
    print("Stopping when the calls in progress are done. Press Ctrl-C to stop now.", flush=True)


async def _watch(client: Client) -> None:
    """Logs when the server goes and when it is back."""

    async def ask() -> None:
        request = GetSystemInfoRequest()
        await client.workflow_service.get_system_info(request, timeout=SERVER_CHECK_INTERVAL)

    with suppress(RPCError):  # an error that the server answers with is the Worker's to report
        while True:
            await until_answered(client, ask, log.warning)
            await asyncio.sleep(SERVER_CHECK_INTERVAL.total_seconds())


def _make_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, which takes less CPU, or asyncio's own on Windows, which has no uvloop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _log_in_one_line(record: logging.LogRecord) -> bool:
    """Names the report and the Activity, and tells a failure of ours without a traceback."""
    told = record.getMessage()
    error = record.exc_info and record.exc_info[1]
    if isinstance(error, ApplicationError | CancelledError | asyncio.CancelledError):
        told = f"{told}: {str(error) or 'cancelled'}"
        record.exc_info = None
    if step := getattr(record, "temporal_activity", None):
        told = f"{step['workflow_id']}: {step['activity_type']}, attempt {step['attempt']}: {told}"
    elif report := getattr(record, "temporal_workflow", None):
        told = f"{report['workflow_id']}: {told}"
    record.msg, record.args = told, ()
    return True


def _allow_open_files() -> None:
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()

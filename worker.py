"""The Worker: polls the Task Queue, runs the Workflow and the Activities.

Run as many as you like, on as many machines as you like; Temporal shares the work among them.
"""

import signal

# Ctrl-C during the imports below ends without a traceback, unless the caller ignores it.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import gc
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import NoReturn

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client
from temporalio.converter import StorageDriverStoreContext
from temporalio.exceptions import ApplicationError
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities import LLM_START_TO_CLOSE_TIMEOUT, create_pdf_in_turn, llm_call
from beyond.llm import load_litellm
from beyond.llm.settings import find_obvious_problem
from beyond.report.payloads import DATA_CONVERTER
from beyond.server.connection import Refused, connect, exit_process, run_process, until_answered
from models import TASK_QUEUE
from workflow import GenerateReportWorkflow

log = logging.getLogger(__name__)

# An LLM call is a socket that waits, and a PDF waits for its turn, so one Worker carries many (the
# SDK's default is 100). No call waits behind PDFs while there are fewer of these.
ACTIVITY_SLOTS = 2000
# Workflow code only computes: more at once would wait for each other.
WORKFLOW_SLOTS = 8
# Python computes in one thread at a time: with a thread for each slot, which is the SDK's default,
# a report takes a fifteenth more CPU and time, and each of several long replays as long as all.
WORKFLOW_THREADS = 1
# A report that waits for its person takes 0.15 MiB while it is cached, and its replay milliseconds.
CACHED_WORKFLOWS = 500
# A report makes a thousand objects that can be garbage, and hardly any is: the collector looks at
# them by the 7,000, not by the 700, and at those that stay about as often as by default.
COLLECT_AT = 7_000, 10, 1
OPEN_FILES = 4096  # a call has a socket; systems allow a process 256 or 1024 unless it asks
# The SDK would hold heartbeats back for 8 of the 10 seconds they are allowed.
HEARTBEAT_THROTTLE = timedelta(seconds=1)
SERVER_CHECK_INTERVAL = 5  # seconds
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
    logging.getLogger("temporalio.activity").addFilter(_in_one_line)
    run_process(lambda: run(arguments.stop_with_stdin), _new_event_loop)


async def run(stop_with_stdin: bool) -> NoReturn:
    """Polls until Ctrl-C or SIGTERM, lets the calls in progress finish, and ends the process.

    Raises Refused where there is no server, no namespace, or no model that can be called.
    """
    stop = _stop_event(stop_with_stdin)
    _allow_open_files()
    gc.set_threshold(*COLLECT_AT)
    runtime = Runtime(telemetry=TelemetryConfig(logging=SDK_LOG))
    client = await connect(runtime=runtime, data_converter=DATA_CONVERTER)
    if problem := find_obvious_problem():
        raise Refused(problem)
    watch = asyncio.create_task(_watch(client))
    try:
        async with _worker(client):
            await _serve(client, stop)
    except ApplicationError as error:  # the model or its key is not usable
        raise Refused(error.message) from None
    except RuntimeError as error:  # of the SDK: the namespace does not exist, or is not ours
        raise Refused(str(error).partition(": Status {")[0]) from None
    finally:
        watch.cancel()
    exit_process(0)  # from here: the event loop's end would wait for an import of LiteLLM


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, with which a report takes a tenth less CPU, or asyncio's own on Windows."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


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
    pause = timedelta(seconds=SERVER_CHECK_INTERVAL)

    async def ask() -> None:
        await client.workflow_service.get_system_info(GetSystemInfoRequest(), timeout=pause)

    with suppress(RPCError):  # an error that the server answers with is the Worker's to report
        while True:
            await until_answered(client, ask, log.warning)
            await asyncio.sleep(SERVER_CHECK_INTERVAL)


def _worker(client: Client) -> Worker:
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[GenerateReportWorkflow],
        activities=[llm_call, create_pdf_in_turn],
        workflow_runner=_Sandbox(),
        max_cached_workflows=CACHED_WORKFLOWS,
        max_concurrent_workflow_tasks=WORKFLOW_SLOTS,
        workflow_task_executor=ThreadPoolExecutor(WORKFLOW_THREADS, "workflow"),
        max_concurrent_activities=ACTIVITY_SLOTS,
        # No payload is stored elsewhere. With more than one, each would get a task of asyncio's.
        max_workflow_task_external_storage_concurrency=1,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        # A call that is cut off is paid for twice.
        graceful_shutdown_timeout=LLM_START_TO_CLOSE_TIMEOUT,
    )


class _Sandbox(SandboxedWorkflowRunner):
    """The SDK's sandbox, which is not entered to ask for whom each payload is.

    Only a converter or a codec with a `with_context`, and external storage, want to know. With
    none of these, some 30 such questions a report would take a thirtieth of its CPU.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        nobody = StorageDriverStoreContext(target=None)
        instance.get_serialization_context = lambda _: None  # type: ignore[assignment,method-assign]
        instance.get_external_store_context = lambda _: nobody  # type: ignore[assignment,method-assign]
        return instance


def _in_one_line(record: logging.LogRecord) -> bool:
    """Logs what our Activities say of a failure without the SDK's 26 lines of traceback."""
    error = record.exc_info and record.exc_info[1]
    if isinstance(error, ApplicationError):
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {error}", (), None
    return True


def _allow_open_files() -> None:
    with suppress(ImportError, OSError, ValueError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _stop_event(stop_with_stdin: bool) -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set. A second Ctrl-C ends the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        if not loop.is_closed():  # as it is while the process ends
            loop.call_soon_threadsafe(stop.set)

    def on_stdin_end() -> None:
        # os.read, because an interpreter that exits waits for the lock of sys.stdin.
        while os.read(0, 1024):
            pass
        loop.call_soon_threadsafe(stop.set)

    # Not loop.add_signal_handler, which Windows lacks.
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    if stop_with_stdin:
        threading.Thread(target=on_stdin_end, daemon=True).start()
    return stop


if __name__ == "__main__":
    main()

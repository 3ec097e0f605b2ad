"""The Worker: polls the Task Queue, runs the Workflow and the Activities.

Run as many as you like, on as many machines as you like; Temporal shares the work among them.
"""

import argparse
import asyncio
import logging
import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities import HEARTBEAT_INTERVAL, LLM_START_TO_CLOSE_TIMEOUT, create_pdf, llm_call
from connection import Refused, connect, exit_process, run_process
from llm import load_litellm
from models import TASK_QUEUE
from workflow import GenerateReportWorkflow

# An LLM call is a socket that waits, so one Worker carries hundreds (the SDK's default is 100).
ACTIVITY_SLOTS = 500
# One renders, because ReportLab's fonts are the process's; the others write to the disk.
PDF_THREADS = 4


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description="Run a Worker for research reports.")
    parser.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="also stop when standard input ends: no Worker outlives the process that started it",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("httpx", "LiteLLM"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    run_process(lambda: run(arguments.stop_with_stdin))


async def run(stop_with_stdin: bool) -> NoReturn:
    """Polls until Ctrl-C or SIGTERM, lets the calls in progress finish, and ends the process.

    Raises Refused where there is no server, no namespace, or no model that can be called.
    """
    stop = _stop_event(stop_with_stdin)
    client = await connect()
    try:
        with ThreadPoolExecutor(PDF_THREADS, thread_name_prefix="pdf") as threads:
            async with _worker(client, threads):
                await _serve(client, stop)
    except ApplicationError as error:  # the model or its key is not usable
        raise Refused(error.message) from None
    except RuntimeError as error:  # of the SDK: the namespace does not exist, or is not ours
        raise Refused(str(error).partition(": Status {")[0]) from None
    exit_process(0)  # from here, because asyncio.run would wait for an import of LiteLLM to end


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


def _worker(client: Client, threads: ThreadPoolExecutor) -> Worker:
    with warnings.catch_warnings():
        # Fewer threads than slots is the point: most slots are for llm_call, which needs none.
        warnings.filterwarnings("ignore", "Worker max_concurrent_activities")
        return Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[GenerateReportWorkflow],
            activities=[llm_call, create_pdf],
            activity_executor=threads,
            max_concurrent_activities=ACTIVITY_SLOTS,
            # The SDK would hold heartbeats back for 8 of the 10 seconds they are allowed.
            max_heartbeat_throttle_interval=HEARTBEAT_INTERVAL,
            # A call that is cut off is paid for twice.
            graceful_shutdown_timeout=LLM_START_TO_CLOSE_TIMEOUT,
        )


def _stop_event(stop_with_stdin: bool) -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set. A second Ctrl-C ends the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
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

"""`--local`: Temporal's dev server and a Worker on this machine, for as long as a starter runs."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

from temporalio.api.namespace.v1 import UpdateNamespaceInfo
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from beyond.data_dir import find_data_dir
from beyond.llm.settings import (
    DEMO_MODEL,
    DEMO_MODELS,
    find_obvious_problem,
    get_model,
    has_model,
)
from beyond.process import RefusedError
from beyond.reports_dir import require_reports_dir
from beyond.server.connection import (
    CONNECT_TIMEOUT,
    TemporalUnreachableError,
    connect,
    connection_settings,
    is_on_this_machine,
)
from beyond.server.dev_server import UI_PORT_OFFSET, quote_log, start_server

LAST_PORT = 65535
RETENTION = timedelta(days=3653)  # ten years for an ended report; the server's own default is a day
# The description of a demo's namespace. If a killed starter leaves its server running, this tells
# the next starter that the server is for demos.
DEMO_SERVER = "The demo of starter.py --local"
# Seconds for the call in progress when the starter ends; more would hold up the terminal.
WORKER_STOP_TIMEOUT = 15
QUICK_STOP = 1  # seconds; a Worker without a call in progress stops in less


@asynccontextmanager
async def run_local(needs_model: bool = True) -> AsyncIterator[asyncio.Event | None]:
    """Runs a server on this machine, unless one answers already, and a Worker.

    Yields an event that is set when the Worker polls, or None if no Worker runs. If no model is
    configured, the Worker uses the demo model, but only on a server that `--local` started for a
    demo. If the model cannot be used, no Worker starts; with `needs_model`, that is an error. At
    the end of the block, both stop; a call in progress has `WORKER_STOP_TIMEOUT` seconds to finish.
    Raises RefusedError if they cannot start, or from within the block if the Worker exits.
    """
    problem = find_obvious_problem() if has_model() else ""
    if problem and needs_model:
        raise RefusedError(problem)
    require_reports_dir()
    data = _require_data_dir()
    async with _run_server(data) as takes_demo:
        if problem:
            print(problem, flush=True)
            yield None
        elif takes_demo or has_model():
            async with _run_worker(data / "worker.log") as polls:
                yield polls
        else:
            print(
                "No model is configured, so --local starts no Worker for this server.\n"
                f"If none runs, set LLM_MODEL ({DEMO_MODEL} for canned text) and run this again.",
                flush=True,
            )
            yield None


def mention_local_reports() -> str:
    """Returns how to see the reports of `--local`, if there are any for this address, or ""."""
    with suppress(OSError, RefusedError):
        port = connection_settings()["target_host"].rpartition(":")[2]
        if list(find_data_dir().glob(f"*-{port}.db")):
            return "To see the reports of --local: uv run starter.py --local --list"
    return ""


@asynccontextmanager
async def _run_server(data: Path) -> AsyncIterator[bool]:
    """Yields whether the demo model may run: on a server started here or for another demo."""
    address = connection_settings()["target_host"]
    if not is_on_this_machine(address):
        raise TemporalUnreachableError(
            f"--local is for a server on this machine, but Temporal's address is {address}. "
            "Unset TEMPORAL_ADDRESS, or leave out --local."
        )
    port = int(address.rpartition(":")[2])
    if client := await _find_server(port):
        print(f"Joining the server at {address}. It does not stop with this starter.", flush=True)
        yield await _read_description(client) == DEMO_SERVER
        return
    # Two databases, so that the demo model never works on a real model's reports.
    real, demo = (data / f"{name}-{port}.db" for name in ("temporal", "demo"))
    if not has_model():
        print(
            "OFFLINE DEMO: no model is configured, so drafts are canned text.\n"
            "For real research, set LLM_MODEL and LLM_API_KEY in .env (see .env.example)."
        )
        if real.exists():
            print("Set LLM_MODEL to see your other reports.")
    database = real if has_model() and get_model() not in DEMO_MODELS else demo
    async with await start_server(data / "server.log", port, database) as environment:
        await _set_up_namespace(environment.client, DEMO_SERVER if database == demo else "")
        web_ui = f"http://localhost:{port + UI_PORT_OFFSET}"
        print(f"Temporal's dev server is running. Web UI: {web_ui}", flush=True)
        print(f"Its reports and logs are in {data}", flush=True)
        yield True


async def _set_up_namespace(client: Client, description: str) -> None:
    request = UpdateNamespaceRequest(
        namespace=client.namespace, update_info=UpdateNamespaceInfo(description=description)
    )
    request.config.workflow_execution_retention_ttl.FromTimedelta(RETENTION)
    await client.workflow_service.update_namespace(request, retry=True)


async def _read_description(client: Client) -> str:
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        answer = await client.workflow_service.describe_namespace(request, retry=True)
    except RPCError:  # such as an unknown namespace, which the starter reports
        return ""
    return answer.namespace_info.description


async def _find_server(port: int) -> Client | None:
    """Returns the Client of a server that answers, or None if the ports are free.

    If a port is taken, waits `CONNECT_TIMEOUT` seconds, because a server may be starting there.
    Raises TemporalUnreachableError if it is still taken, or if there is no port for the Web UI.
    """
    if port + UI_PORT_OFFSET > LAST_PORT:
        raise TemporalUnreachableError(
            f"Port {port} is too high: the Web UI needs the port {UI_PORT_OFFSET} above it. "
            "Choose a lower one with TEMPORAL_ADDRESS=localhost:PORT."
        )
    deadline, waiting = time.monotonic() + CONNECT_TIMEOUT, False
    while True:
        with suppress(TemporalUnreachableError):
            return await connect()
        taken = [number for number in (port, port + UI_PORT_OFFSET) if _is_taken(number)]
        if not taken:
            return None
        if time.monotonic() > deadline:
            raise TemporalUnreachableError(
                f"Port {taken[0]} is taken by another program. Stop that program, or choose "
                "another port with TEMPORAL_ADDRESS=localhost:PORT."
            )
        if not waiting:
            notice = f"Port {taken[0]} is taken. Waiting in case a server is starting there."
            print(notice, flush=True)
            waiting = True
        await asyncio.sleep(0.5)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def _run_worker(log: Path) -> AsyncIterator[asyncio.Event]:
    """Runs worker.py as a process that stops when the block ends or this process dies.

    Yields an event that is set when the Worker polls. If the Worker exits, the block is cancelled,
    and RefusedError with the last line of its log is raised.
    """
    with log.open("ab") as output:
        log_start = output.tell()
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).parents[2] / "worker.py"),
            "--stop-with-stdin",
            env=os.environ if has_model() else os.environ | {"LLM_MODEL": DEMO_MODEL},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,  # its first line says that it polls
            stderr=output,
            start_new_session=True,  # the terminal's Ctrl-C is for the starter
        )
    caller = asyncio.current_task()
    assert worker.stdin and worker.stdout and caller
    polls = asyncio.Event()
    copying = asyncio.create_task(_copy_output(worker.stdout, log, polls))
    exited = asyncio.create_task(worker.wait())

    def wake_caller(_: object) -> None:
        caller.cancel()

    exited.add_done_callback(wake_caller)
    try:
        yield polls
    except asyncio.CancelledError:
        if not exited.done():
            raise
        caller.uncancel()
        reason = quote_log(log, log_start)
        raise RefusedError(f"The Worker stopped{reason} (its log: {log})") from None
    finally:
        exited.remove_done_callback(wake_caller)
        worker.stdin.close()
        try:
            await asyncio.wait({exited}, timeout=QUICK_STOP)
            if not exited.done():
                print("Waiting for the Worker to stop. Press Ctrl-C to end it at once.", flush=True)
                await asyncio.wait({exited}, timeout=WORKER_STOP_TIMEOUT)
        finally:
            if not exited.done():
                worker.kill()
            copying.cancel()


async def _copy_output(output: asyncio.StreamReader, log: Path, polls: asyncio.Event) -> None:
    """Copies what the Worker prints into its log, and sets `polls` at its first line."""
    with log.open("ab") as file:
        while chunk := await output.read(4096):
            file.write(chunk)
            file.flush()
            polls.set()


def _require_data_dir() -> Path:
    try:
        return find_data_dir()
    except OSError as error:
        raise RefusedError(
            "--local keeps its reports and logs in a folder of your account, but cannot write to "
            f"{error.filename}: {error.strerror}. Make it writable, or set XDG_DATA_HOME to "
            "another folder."
        ) from None

"""`--local`: Temporal's dev server and a Worker on this machine, for as long as a starter runs."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from connection import TemporalUnreachable, connect, connection_settings
from llm import DEMO_MODEL

if TYPE_CHECKING:
    from temporalio.testing import WorkflowEnvironment

DATA_DIR = Path(".temporal")  # the dev server's database, and the logs
LAST_PORT = 65535
UI_PORT_OFFSET = 1000  # `temporal server start-dev` serves its Web UI there, too
# The newest version that `go install` accepts: later ones carry replace directives.
CLI_SOURCE = "github.com/temporalio/cli/cmd/temporal@v1.5.1"
# For the LLM call in progress when the starter ends; longer would hold the terminal.
WORKER_STOP_TIMEOUT = 15  # seconds


@asynccontextmanager
async def local() -> AsyncIterator[None]:
    """Runs a server on this machine, unless one answers already, and a Worker of its own.

    Both stop at the end. Raises TemporalUnreachable, also when the Worker stops before that.
    """
    async with _local_server(), _local_worker():
        yield


async def start_server(
    port: int | None = None,
    database: Path | None = None,
    log: Path | None = None,
    extra_args: Sequence[str] = (),
) -> "WorkflowEnvironment":
    """Starts Temporal's dev server, on any free port or on `port` and with the Web UI.

    The Temporal CLI is the one on PATH, else the one in the cache folder, else a download by the
    SDK, else a build with Go. Raises TemporalUnreachable where none of them can be had.
    """
    from platformdirs import user_cache_path
    from temporalio.testing import WorkflowEnvironment

    cache = user_cache_path("durable-research-reports", ensure_exists=True)

    async def start(cli: str | None) -> WorkflowEnvironment:
        with _output_to(log):
            return await WorkflowEnvironment.start_local(
                namespace=connection_settings().get("namespace", "default"),
                port=port,
                ui=port is not None,
                ui_port=port and port + UI_PORT_OFFSET,
                dev_server_existing_path=cli,
                download_dest_dir=str(cache),
                dev_server_database_filename=str(database) if database else None,
                dev_server_extra_args=extra_args,
            )

    if cli := shutil.which("temporal") or shutil.which("temporal", path=cache):
        return await start(cli)
    try:
        return await start(None)
    except RuntimeError as error:
        no_download = error
    if shutil.which("go"):
        print(f"Building the Temporal CLI with Go: about 3 minutes, once, into {cache}", flush=True)
        build = await asyncio.create_subprocess_exec(
            "go", "install", "-v", CLI_SOURCE, env={**os.environ, "GOBIN": str(cache)}
        )
        if await build.wait() == 0:
            return await start(shutil.which("temporal", path=cache))
    raise TemporalUnreachable(
        f"There is no Temporal CLI: none on PATH, none in {cache}, no download ({no_download}), "
        "no build with Go. Install it from https://docs.temporal.io/cli and try again."
    )


@contextmanager
def _output_to(log: Path | None) -> Iterator[None]:
    """Sends the output of a process that is started meanwhile to the file, not to the terminal."""
    if not log:
        yield
        return
    if sys.stdout:  # None where the caller closed it
        sys.stdout.flush()
    saved = [(stream, os.dup(stream)) for stream in (1, 2)]
    with log.open("ab") as file:
        for stream, _ in saved:
            os.dup2(file.fileno(), stream)
    try:
        yield
    finally:
        for stream, copy in saved:
            os.dup2(copy, stream)
            os.close(copy)


@asynccontextmanager
async def _local_server() -> AsyncIterator[None]:
    address = connection_settings()["target_host"]
    host, _, port = address.rpartition(":")
    if host not in ("localhost", "127.0.0.1") or not port.isdecimal():
        raise TemporalUnreachable(
            f"--local is for a server on this machine, but Temporal is set to {address}. "
            "Unset TEMPORAL_ADDRESS, or leave --local out."
        )
    try:
        await connect()
    except TemporalUnreachable:
        pass
    else:
        yield
        return
    if int(port) + UI_PORT_OFFSET > LAST_PORT:
        raise TemporalUnreachable(
            f"Port {port} leaves none for the Web UI, which is {UI_PORT_OFFSET} above it. "
            "Choose another one with TEMPORAL_ADDRESS=localhost:PORT."
        )
    for taken in (int(port), int(port) + UI_PORT_OFFSET):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", taken)) == 0:
                raise TemporalUnreachable(
                    f"Port {taken} is taken by another program. Stop that program, or choose "
                    "another port with TEMPORAL_ADDRESS=localhost:PORT."
                )
    async with await start_server(int(port), _data_file("temporal.db"), _data_file("server.log")):
        web_ui = f"http://localhost:{int(port) + UI_PORT_OFFSET}"
        print(f"Temporal's dev server runs. Web UI: {web_ui}", flush=True)
        yield


@asynccontextmanager
async def _local_worker() -> AsyncIterator[None]:
    """Runs worker.py beside the caller. It stops with the caller, even with one that is killed."""
    log = _data_file("worker.log")
    with log.open("ab") as output:
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("worker.py")),
            "--stop-with-stdin",
            env=os.environ | _demo_settings(),
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C is for the starter
        )
    caller = asyncio.current_task()
    assert worker.stdin and caller
    exited = asyncio.create_task(worker.wait())

    def wake_caller(_: object) -> None:
        caller.cancel()

    exited.add_done_callback(wake_caller)
    try:
        yield
    except asyncio.CancelledError:
        if not exited.done():
            raise
        caller.uncancel()
        last_line = log.read_text(errors="replace").strip().rpartition("\n")[2]
        raise TemporalUnreachable(f"The Worker stopped: {last_line} (its log: {log})") from None
    finally:
        exited.remove_done_callback(wake_caller)
        worker.stdin.close()
        await asyncio.wait({exited}, timeout=WORKER_STOP_TIMEOUT)
        if not exited.done():
            worker.kill()


def _data_file(name: str) -> Path:
    DATA_DIR.mkdir(exist_ok=True)
    return DATA_DIR / name


def _demo_settings() -> dict[str, str]:
    """The offline demo model, where neither a model nor a key of any provider is configured."""
    keys = {name for name, value in os.environ.items() if name.endswith("_API_KEY") and value}
    if os.environ.get("LLM_MODEL") or keys - {"TEMPORAL_API_KEY"}:
        return {}
    print(
        "OFFLINE DEMO: no model is configured, so drafts are canned text. "
        "For real research, set LLM_MODEL and LLM_API_KEY in .env (see .env.example)."
    )
    return {"LLM_MODEL": DEMO_MODEL}

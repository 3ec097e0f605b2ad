"""`--local`: Temporal's dev server and a Worker on this machine, for as long as a starter runs."""

import asyncio
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING

from temporalio.exceptions import ApplicationError

from beyond.llm.demo import DEMO_MODEL
from beyond.llm.settings import find_obvious_problem, find_provider_keys
from beyond.reports_dir import reports_dir
from beyond.server.connection import (
    CONNECT_TIMEOUT,
    THIS_MACHINE,
    Refused,
    TemporalUnreachable,
    connect,
    connection_settings,
    host_and_port,
)

if TYPE_CHECKING:
    from temporalio.testing import WorkflowEnvironment

APP = "durable-research-reports"  # the name of our folders among the user's
LAST_PORT = 65535
CLAIM_CHECK_INTERVAL = 0.1  # seconds between the looks for the server of another starter
UI_PORT_OFFSET = 1000  # `temporal server start-dev` serves its Web UI there, too
# The newest version that `go install` accepts: later ones carry replace directives.
CLI_SOURCE = "github.com/temporalio/cli/cmd/temporal@v1.5.1"
# For the LLM call in progress when the starter ends; longer would hold the terminal.
WORKER_STOP_TIMEOUT = 15  # seconds


@dataclass
class Local:
    """What `--local` runs. `server_stops` tells whether the server ends with this process."""

    server_stops: bool
    worker_log: Path
    log_start: int  # bytes; earlier Workers wrote what is before

    async def wait_for_worker(self) -> None:
        """Returns when the Worker polls. One that stops cancels the caller of `local`."""
        while "Worker is polling" not in self.worker_output():  # noqa: ASYNC110 - of a process
            await asyncio.sleep(0.05)

    def worker_output(self) -> str:
        return self.worker_log.read_bytes()[self.log_start :].decode(errors="replace")


@asynccontextmanager
async def local() -> AsyncIterator[Local]:
    """Runs a server on this machine, unless one answers already, and a Worker of its own.

    Both stop at the end. Raises Refused where they cannot start, and when the Worker stops early.
    """
    settings = _demo_settings()
    if not settings and (problem := find_obvious_problem()):
        raise Refused(problem)
    _require_reports_dir()
    async with _local_server() as server_stops, _local_worker(settings, server_stops) as running:
        yield running


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

    cache = user_cache_path(APP, ensure_exists=True)

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
    if shutil.which("go") and await _built_with_go(cache):
        return await start(shutil.which("temporal", path=cache))
    raise TemporalUnreachable(
        f"There is no Temporal CLI: none on PATH, none in {cache}, no download ({no_download}), "
        "no build with Go. Install it from https://docs.temporal.io/cli and try again."
    )


async def _built_with_go(folder: Path) -> bool:
    """Builds the Temporal CLI into the folder, and deletes the 3 GB of caches that this takes."""
    said = f"Building the Temporal CLI with Go, once, into {folder}: about 5 minutes on 2 cores"
    print(said, end="", flush=True)
    # Beside the result: a /tmp that is memory may not hold so much.
    with TemporaryDirectory(prefix="build-", dir=folder) as caches:
        # Go makes its modules read-only, and they could not be deleted.
        flags = f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip()
        places = {"GOBIN": str(folder), "GOCACHE": f"{caches}/build", "GOMODCACHE": f"{caches}/mod"}
        build = await asyncio.create_subprocess_exec(
            *("go", "install", CLI_SOURCE),
            env=os.environ | places | {"GOFLAGS": flags},
            stderr=asyncio.subprocess.PIPE,
        )
        finished = asyncio.create_task(build.communicate())
        minutes = 0
        try:
            while not (await asyncio.wait({finished}, timeout=60))[0]:
                minutes += 1
                print(f"… {minutes}", end="", flush=True)
        finally:
            print(flush=True)
            if build.returncode is None:  # the person leaves
                with suppress(ProcessLookupError):  # Ctrl-C has reached it, too
                    build.terminate()
            _, errors = await finished
    if build.returncode:
        print(errors.decode(errors="replace").strip().rpartition("\n")[2], file=sys.stderr)
    return build.returncode == 0


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
async def _local_server() -> AsyncIterator[bool]:
    """Yields whether the server is ours, so that it stops at the end."""
    address = connection_settings()["target_host"]
    host, port = host_and_port(address)
    if host not in THIS_MACHINE or not port.isdecimal():
        raise TemporalUnreachable(
            f"--local is for a server on this machine, but Temporal is set to {address}. "
            "Unset TEMPORAL_ADDRESS, or leave --local out."
        )
    owner = _data_file(f"server-{port}.owner")
    if await _another_runs(owner):
        if folder := _folder_of_living(owner):
            print(
                f"Joining the server that starter.py --local runs in {folder}. It stops when "
                "that starter ends; your report then waits for the next --local.",
                flush=True,
            )
        else:
            print(f"Joining the server at {address}. It keeps running when you leave.", flush=True)
        yield False
        return
    try:
        _require_free_ports(int(port))
        database, log = _data_file(f"temporal-{port}.db"), _data_file("server.log")
        async with await start_server(int(port), database, log):
            web_ui = f"http://localhost:{int(port) + UI_PORT_OFFSET}"
            print(f"Temporal's dev server is running. Web UI: {web_ui}", flush=True)
            print(f"Its reports and logs are in {database.parent}", flush=True)
            yield True
    finally:
        owner.unlink(missing_ok=True)


async def _another_runs(owner: Path) -> bool:
    """Whether a server answers. If none does, the next one is ours, and `owner` says so.

    Of two starters that begin at once, one waits for the server of the other.
    """
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while True:
        with suppress(TemporalUnreachable):
            await connect()
            return True
        if _is_claimed(owner, in_vain=time.monotonic() > deadline):
            return False
        await asyncio.sleep(CLAIM_CHECK_INTERVAL)


def _is_claimed(owner: Path, *, in_vain: bool) -> bool:
    """Writes who we are, where nobody who lives has done so, or has done so `in_vain`."""
    if in_vain:
        owner.unlink(missing_ok=True)
    try:
        with owner.open("x") as file:
            file.write(f"{os.getpid()}\n{Path.cwd()}")
    except FileExistsError:
        with suppress(FileNotFoundError):  # an empty one is about to be written
            if owner.read_text() and not _folder_of_living(owner):
                owner.unlink()
        return False
    return True


def _folder_of_living(owner: Path) -> str:
    """The folder of the starter that owns the server, or "" if none does or it was killed."""
    try:
        number, _, folder = owner.read_text().partition("\n")
        if sys.platform != "win32":  # where this would end it
            os.kill(int(number), 0)
    except (OSError, ValueError):
        return ""
    return folder


def _require_free_ports(port: int) -> None:
    if port + UI_PORT_OFFSET > LAST_PORT:
        raise TemporalUnreachable(
            f"Port {port} leaves none for the Web UI, which is {UI_PORT_OFFSET} above it. "
            "Choose another one with TEMPORAL_ADDRESS=localhost:PORT."
        )
    for taken in (port, port + UI_PORT_OFFSET):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", taken)) == 0:
                raise TemporalUnreachable(
                    f"Port {taken} is taken by another program. Stop that program, or choose "
                    "another port with TEMPORAL_ADDRESS=localhost:PORT."
                )


@asynccontextmanager
async def _local_worker(settings: dict[str, str], server_stops: bool) -> AsyncIterator[Local]:
    """Runs worker.py beside the caller. It stops with the caller, even with one that is killed."""
    log = _data_file("worker.log")
    with log.open("ab") as output:
        running = Local(server_stops, log, output.tell())
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).parents[2] / "worker.py"),
            "--stop-with-stdin",
            env=os.environ | settings,
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
        yield running
    except asyncio.CancelledError:
        if not exited.done():
            raise
        caller.uncancel()
        last_line = running.worker_output().strip().rpartition("\n")[2]
        raise TemporalUnreachable(f"The Worker stopped: {last_line} (its log: {log})") from None
    finally:
        exited.remove_done_callback(wake_caller)
        worker.stdin.close()
        await asyncio.wait({exited}, timeout=WORKER_STOP_TIMEOUT)
        if not exited.done():
            worker.kill()


def _data_file(name: str) -> Path:
    """A file in the one folder that every `--local` of this user has, wherever it is started."""
    from platformdirs import user_data_path

    folder = user_data_path(APP)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder / name
        reason = "it is read-only"
    except OSError as error:
        reason = error.strerror or str(error)
    raise Refused(
        f"--local keeps its reports and logs in {folder}, and cannot write there: {reason}. "
        "Make it writable, or name another folder in XDG_DATA_HOME."
    )


def _require_reports_dir() -> None:
    """Raises Refused where the Worker could write no PDF."""
    try:
        folder = reports_dir()
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except ApplicationError as error:
        raise Refused(error.message) from None
    except OSError as error:
        raise Refused(
            f"No PDF can be written to {folder.absolute()}: {error.strerror}. "
            "Change to another folder, or name one in REPORTS_DIR."
        ) from None


def _demo_settings() -> dict[str, str]:
    """The offline demo model, where neither a model nor a key of any provider is configured."""
    if os.environ.get("LLM_MODEL") or find_provider_keys():
        return {}
    print(
        "OFFLINE DEMO: no model is configured, so drafts are canned text. "
        "For real research, set LLM_MODEL and LLM_API_KEY in .env (see .env.example)."
    )
    return {"LLM_MODEL": DEMO_MODEL}

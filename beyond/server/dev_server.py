"""Starts Temporal's dev server. If there is no Temporal CLI, downloads it or builds it with Go."""

import asyncio
import os
import shutil
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from beyond.data_dir import APP
from beyond.server.connection import TemporalUnreachableError, connection_settings

if TYPE_CHECKING:
    from temporalio.testing import WorkflowEnvironment

UI_PORT_OFFSET = 1000  # from the server's port to its Web UI's, as in `temporal server start-dev`
# A slow disk or a loaded machine needs up to a minute. The SDK does not notice if the server exits
# at once, so we quote its log after four seconds.
QUICK_START, START_TIMEOUT = timedelta(seconds=4), timedelta(seconds=60)
# The newest version that `go install` accepts: later ones have replace directives in go.mod.
CLI_SOURCE = "github.com/temporalio/cli/cmd/temporal@v1.5.1"


async def start_server(
    log: Path,
    port: int | None = None,
    database: Path | None = None,
    extra_args: Sequence[str] = (),
) -> "WorkflowEnvironment":
    """Starts Temporal's dev server on `port` with its Web UI, or on any free port without one.

    Uses the Temporal CLI on PATH or else the one in the cache folder. If there is neither, the SDK
    downloads one or, where it cannot, Go builds one. Without a `database`, the server keeps reports
    in memory. Its output goes to `log`. Raises TemporalUnreachableError if there is no Temporal
    CLI, or if the server does not start within `START_TIMEOUT`.
    """
    from platformdirs import user_cache_path
    from temporalio.testing import WorkflowEnvironment

    cache = user_cache_path(APP, ensure_exists=True)
    log_start = len(_read(log))
    start = partial(
        WorkflowEnvironment.start_local,
        namespace=connection_settings()["namespace"],
        port=port,
        ui=port is not None,
        ui_port=port and port + UI_PORT_OFFSET,
        download_dest_dir=str(cache),
        dev_server_database_filename=str(database) if database else None,
        dev_server_extra_args=extra_args,
        dev_server_startup_timeout=START_TIMEOUT,
    )
    cli = _find_cli(cache)
    if not cli:
        try:
            return await _wait(start(dev_server_existing_path=None), None, log, log_start)
        except RuntimeError as error:
            no_download = error
        if not (shutil.which("go") and await _build_with_go(cache)):
            raise TemporalUnreachableError(
                f"There is no Temporal CLI: none on PATH, none in {cache}, no download "
                f"({no_download}), no build with Go. Install it from https://docs.temporal.io/cli "
                "and run the command again."
            )
        cli = _find_cli(cache)
    try:
        starting = start(dev_server_existing_path=cli)
        return await _wait(starting, QUICK_START.total_seconds(), log, log_start)
    except RuntimeError as error:
        reason = quote_log(log, log_start)
        if "did not start within" not in str(error):
            reason = f": {str(error).rpartition(': ')[2]}"
        raise TemporalUnreachableError(
            f"Temporal's dev server did not start{reason}. The Temporal CLI is {cli}, "
            f"its log {log}."
        ) from None


def _find_cli(cache: Path) -> str | None:
    return shutil.which("temporal") or shutil.which("temporal", path=cache)


async def _wait(
    start: Coroutine[None, None, "WorkflowEnvironment"],
    quick: float | None,
    log: Path,
    log_start: int,
) -> "WorkflowEnvironment":
    """Runs the start of the server, and says so if it takes longer than `quick` seconds.

    Its output goes to `log`, which had `log_start` bytes before. Raises RuntimeError, which is the
    SDK's.
    """
    starting = asyncio.create_task(start)
    try:
        with _redirect_output(log):  # the server starts in here, after any download
            await asyncio.wait({starting}, timeout=quick)
        if not starting.done():
            print(
                f"Temporal's dev server has not started yet{quote_log(log, log_start)}. "
                f"Waiting up to {START_TIMEOUT.seconds} s.",
                flush=True,
            )
        return await starting
    finally:
        starting.cancel()


def quote_log(log: Path, start: int) -> str:
    """Returns ": " and the log's last line after the byte `start`, or "" if there is none."""
    new = _read(log)[start:].decode(errors="replace").strip()
    last = new.rpartition("\n")[2].rstrip(".")
    return f": {last}" if last else ""


async def _build_with_go(folder: Path) -> bool:
    """Builds the Temporal CLI into the folder, then deletes Go's caches. False if it fails."""
    print(
        f"Building the Temporal CLI with Go, once, into {folder}\n"
        "It takes about 5 minutes on 2 cores, and 4 GB of disk meanwhile.\n"
        "With that folder on PATH, it is also the 'temporal' of the README."
    )
    # In the same folder, because /tmp may be in memory and too small.
    with TemporaryDirectory(prefix="build-", dir=folder) as caches:
        # By default, Go makes its modules read-only, and we could not delete them.
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
                print(f"{minutes} min so far", flush=True)
        finally:
            if build.returncode is None:  # the person has pressed Ctrl-C
                print("Nothing was installed.", flush=True)
                with suppress(ProcessLookupError):  # Ctrl-C may have ended the build, too
                    build.terminate()
            _, errors = await finished
    if build.returncode:
        print(errors.decode(errors="replace").strip().rpartition("\n")[2], file=sys.stderr)
    return build.returncode == 0


def _read(log: Path) -> bytes:
    return log.read_bytes() if log.exists() else b""


@contextmanager
def _redirect_output(log: Path) -> Iterator[None]:
    """Sends the output of a process started in the block to the file, not to the terminal."""
    if sys.stdout:  # None if the caller closed it
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

"""Renders PDFs in a separate process, so that no draft can stop the Worker.

The Worker starts `python -m beyond.pdf_process` and keeps it from one PDF to the next. A request is
a pickle, and a response is a PDF. Each is preceded by its length.
"""

import asyncio
import faulthandler
import logging
import pickle
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from beyond.process import exit_process

PROJECT = Path(__file__).parents[1]
LENGTH = 8  # bytes of the length before a request or a response
SAMPLE = "# Bees\n\n**They** *hum* `at` $440$ Hz."  # loads ziamath and each text font


class PDFProcess:
    """The Worker's side of the process. The process exits with the Worker, even a killed one."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts the process unless it is running. Does not wait until it has loaded its fonts.

        Raises OSError if the system refuses another process.
        """
        if self._process and self._process.returncode is None:
            return
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "beyond.pdf_process",
            cwd=PROJECT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

    async def render(self, limit: timedelta, **arguments: Any) -> bytes:
        """Returns what `beyond.pdf.render` returns for these arguments. Call it one at a time.

        Raises TimeoutError after `limit`, ChildProcessError if the process exits,
        and OSError if the process cannot be started. If the call times out or is cancelled, the
        process is killed.
        """
        await self.start()
        process, self._process = self._process, None
        assert process and process.stdin and process.stdout
        request = pickle.dumps((limit.total_seconds(), arguments))
        try:
            async with asyncio.timeout(limit.total_seconds()):
                process.stdin.write(len(request).to_bytes(LENGTH) + request)
                await process.stdin.drain()
                length = int.from_bytes(await process.stdout.readexactly(LENGTH))
                content = await process.stdout.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await process.wait()
            raise ChildProcessError(
                f"the process that renders it ended with exit code {code}; the Worker's log may "
                "say why"
            ) from None
        except BaseException:  # CancelledError, too
            with suppress(ProcessLookupError):
                process.kill()
            raise
        self._process = process
        return content


def main() -> None:
    """Renders the requests on standard input, until it ends."""
    # A terminal sends Ctrl-C and SIGHUP to this process, too, and systemd sends SIGTERM. The Worker
    # waits for its PDF and then exits, which ends standard input.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):  # Windows has no SIGHUP
            signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")

    from beyond import pdf

    pdf.render(SAMPLE)
    with suppress(BrokenPipeError):  # the Worker was killed
        while length := sys.stdin.buffer.read(LENGTH):
            limit, arguments = pickle.loads(sys.stdin.buffer.read(int.from_bytes(length)))
            # At the limit, the Worker kills this process. If the Worker was itself killed, this
            # process exits at twice the limit.
            faulthandler.dump_traceback_later(2 * limit, exit=True)
            content = pdf.render(**arguments)
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.buffer.write(len(content).to_bytes(LENGTH) + content)
            sys.stdout.flush()
    exit_process(0)


if __name__ == "__main__":
    main()

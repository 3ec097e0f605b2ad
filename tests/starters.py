"""starter.py as a person runs it in a terminal, and as a script runs it with pipes."""

import codecs
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pexpect
import psutil
import pyte
from machine import PROJECT
from support import PATIENCE, RESULT, StartedReport

from beyond.data_dir import APP

STARTER = str(PROJECT / "starter.py")
CRASHES = {134, 139, -6, -11}  # SIGABRT and SIGSEGV, which the SDK's teardown can end in
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
KEPT = "Temporal keeps your report. Come back to it with: uv run starter.py"

# All that rich and prompt_toolkit may print besides text: the cursor moves, lines are erased, modes
# and colours are set, a link begins or ends.
# The bell rings after a draft that took long.
KNOWN = re.compile(
    r"\x1b\[(?:\d*[A-D]|0?[JK]|\??[\d;]+[hl]|[\d;]*m)|\x1b\]8;[^\x07\x1b]*\x1b\\"
    r"|(?<=h)\x07(?=[\x1b\r])"
)
STRANGE = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f].{0,9}")
LINES = 500  # more than any test prints, so that nothing scrolls out of the picture
BRACKETED_PASTE = 2004 << 5  # as pyte stores a private mode


class Picture(pyte.Screen):
    """What a terminal shows after the output so far, scrolled lines included."""

    def text(self, row: int = 0) -> str:
        """The rows from that one on."""
        lines = [self._line(y) for y in range(row, max(self.buffer, default=0) + 1)]
        while lines and not lines[-1] and row + len(lines) > self.cursor.y + 1:
            lines.pop()
        return "\n".join(lines)

    @property
    def cursor_line(self) -> str:
        return self._line(self.cursor.y)

    def _line(self, row: int) -> str:
        cells = self.buffer[row]
        return "".join(cells[x].data for x in range(max(cells, default=-1) + 1)).rstrip()


def heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def write_script(path: Path, script: str) -> Path:
    """Writes an executable shell script, to run in place of a program."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


class Starter:
    """starter.py as a person starts it and sees it. Its stderr goes to a separate file."""

    def __init__(self, *arguments: str, columns: int = 200) -> None:
        self.picture = Picture(columns, LINES)
        self._stream = pyte.Stream(self.picture)
        self._modes = set(self.picture.mode)
        self.raw = ""
        self._errors = Path.cwd() / f"stderr-{uuid4()}.txt"
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._seen = 0, ""  # the row where the last thing seen ended, and its text up to there
        # Readline exports COLUMNS to pytest-xdist's processes: it would override the real width.
        environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        self.process: pexpect.spawn[bytes] = pexpect.spawn(
            "/bin/sh",
            ["-c", 'exec "$@" 2>"$0"', str(self._errors), sys.executable, STARTER, *arguments],
            dimensions=(24, columns),
            env={**environment, "TERM": "xterm-256color"},
            # The tests may run in the background of a shell, which has them ignore Ctrl-C.
            preexec_fn=heed_ctrl_c,
            timeout=PATIENCE,
        )
        self.process.delaybeforesend = None
        self._terminal = termios.tcgetattr(self.process.child_fd)

    @property
    def text(self) -> str:
        return self.picture.text()

    @property
    def links(self) -> list[str]:
        """The escape sequences that begin and end links."""
        return re.findall(r"\x1b\]8;[^\x07\x1b]*\x1b\\", self.raw)

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def sees(self, wanted: str | re.Pattern[str], timeout: float = PATIENCE) -> re.Match[str]:
        """Waits until the screen shows it, below what the test has seen before."""
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + timeout
        while True:
            row, start = self._seen
            text = self.picture.text(row)
            if not text.startswith(start):  # something else was written over it: over two rows,
                row, start = max(row - 1, 0), ""  # if it was the live line with the line above
                text = self.picture.text(row)
            if found := pattern.search(text, len(start)):
                before = text[: found.end()]
                self._seen = row + before.count("\n"), before.rpartition("\n")[2]
                return found
            assert time.monotonic() < deadline, f"{wanted} does not show:\n{self}"
            assert self._read(0.2), f"{wanted} did not show:\n{self}"

    def sees_result(self, timeout: float = PATIENCE) -> None:
        self.sees(f"Result: {RESULT}", timeout)

    def asked(self, question: str) -> None:
        """Waits until the question shows and an answer can be edited."""
        self.sees(question)
        while BRACKETED_PASTE not in self.picture.mode:
            assert self._read(PATIENCE), str(self)

    def asked_to_decide(self) -> None:
        self.asked("Your decision (query/keep/edit):")

    def decide(self, words: str) -> None:
        self.asked_to_decide()
        self.types(words)

    def begins_to_decide(self, keys: str) -> None:
        self.asked_to_decide()
        self.presses(keys)
        self.line_is(f"Your decision (query/keep/edit): {keys}")

    def asked_for_instructions(self) -> None:
        self.decide("edit")
        self.asked("Enter additional instructions (optional):")

    def line_is(self, wanted: str) -> None:
        """Waits until the line at the prompt is this one."""
        deadline = time.monotonic() + PATIENCE
        while self.picture.cursor_line != wanted:
            assert time.monotonic() < deadline, f"{wanted} is not the line:\n{self}"
            assert self._read(0.2), str(self)

    def begin(self, topic: str = "bees") -> str:
        """Returns the ID of the report that it starts."""
        self.sees("Enter your research topic or question:")
        self.types(topic)
        return self.started()

    def started(self) -> str:
        return self.sees(re.compile(r"Started workflow\. Workflow ID: (\S+), RunID \S+"))[1]

    def edit(self, instruction: str) -> None:
        self.asked_for_instructions()
        self.types(instruction)
        self.sees("Signal sent to regenerate research")

    def write_afresh(self) -> None:
        self.asked_for_instructions()
        self.types("")
        self.asked("Write a new draft from the same prompt? [y/N]")
        self.types("y")

    def keep(self) -> None:
        self.decide("keep")
        self.sees("Signal sent to keep research and create PDF")

    def leave(self) -> None:
        self.presses("\x03")
        assert self.ends() == 130

    def types(self, line: str) -> None:
        self.process.send(f"{line}\r")

    def presses(self, keys: str) -> None:
        self.process.send(keys)

    def watch_for(self, seconds: float) -> None:
        """Waits, to see that something does not appear. For what does appear, use `sees`."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def ends(self, timeout: float = PATIENCE) -> int:
        """Waits for the end and returns the exit code. Checks that the terminal is as it was."""
        deadline = time.monotonic() + timeout
        while self._read(1):
            assert time.monotonic() < deadline, f"it goes on:\n{self}"
        after = termios.tcgetattr(self.process.child_fd)
        self.process.wait()
        assert after == self._terminal, "the terminal's modes have changed"
        assert self.picture.mode == self._modes, "cursor, line wrap, or another mode has changed"
        assert not STRANGE.findall(KNOWN.sub("", self.raw)), str(self)
        return self.close()

    def close(self) -> int:
        """Closes the terminal, and returns the exit code."""
        terminal = self.process.ptyproc  # type: ignore[attr-defined]
        terminal.fileobj.close()
        # pexpect would send one signal after the other, a tenth of a second apart.
        deadline = time.monotonic() + PATIENCE
        while terminal.isalive() and time.monotonic() < deadline:
            time.sleep(0.02)
        terminal.delayafterclose = 0
        self.process.close(force=True)
        code = self.process.exitstatus
        if code is None:
            code = -(self.process.signalstatus or 0)
        assert code not in CRASHES, str(self)
        assert "Traceback" not in self.raw + self.errors, str(self)
        return code

    def _read(self, timeout: float) -> bool:
        """Reads a piece of output, if there is any. Returns false at the end of the output."""
        try:
            piece = self._decoder.decode(self.process.read_nonblocking(65536, timeout))
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += piece
        self._stream.feed(piece)
        return True

    def __str__(self) -> str:
        return f"{self.text}\n--- stderr:\n{self.errors}\n--- raw:\n{self.raw[-2000:]!r}"


OpenStarter = Callable[..., Starter]
OpenLocal = Callable[..., Starter]
Begin = Callable[[], tuple[Starter, StartedReport]]


def piped(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """starter.py as a script runs it."""
    done = subprocess.run(
        [sys.executable, STARTER, *arguments],
        input=text.encode(),
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.returncode not in CRASHES
    # Not text=True, which would hide carriage returns.
    output, errors = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in errors
    return subprocess.CompletedProcess(done.args, done.returncode, output, errors)


def left_behind(folder: Path) -> list[psutil.Process]:
    """The servers and Workers that run in the folder."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if process.info["cwd"] == str(folder) and re.search(r"worker\.py|start-dev", command):
            found.append(process)
    return found


def workers_in(folder: Path) -> list[psutil.Process]:
    return [
        process for process in left_behind(folder) if "worker.py" in " ".join(process.cmdline())
    ]


def data_in(folder: Path) -> Path:
    """The folder of the reports and logs of --local."""
    return folder / "data" / APP

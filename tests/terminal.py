"""A person's terminal: starter.py on a PTY, and what the person would see of it."""

import codecs
import os
import re
import signal
import sys
import termios
import time
from pathlib import Path
from uuid import uuid4

import pexpect
from conftest import PATIENCE, PROJECT
from wcwidth import wcwidth

STARTER = str(PROJECT / "starter.py")
CRASHES = {134, 139, -6, -11}  # SIGABRT and SIGSEGV, which the SDK's teardown can end in

# Only whole sequences: the end of one may be still to come.
TOKEN = re.compile(
    r"(?P<csi>\x1b\[(?P<arguments>[?>]?[\d;]*)(?P<final>[@-~]))"
    r"|(?P<link>\x1b\]8;[^\x07\x1b]*\x1b\\)"
    r"|(?P<strange>\x1b[^\[\]]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x07\x0b\x0c\x0e-\x1a\x7f-\x9f])"
    r"|(?P<character>[^\x1b])",
    re.DOTALL,
)


class Picture:
    """What a terminal shows after the output so far, scrolled lines included.

    Only the sequences that rich and prompt_toolkit use are known; others land in `strange`.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines: list[list[str]] = [[]]
        self.modes: dict[str, str] = {}  # "h" or "l" for each that was ever set
        self.strange: list[str] = []
        self.links: list[str] = []
        self._row = self._column = 0
        self._pending = ""

    def feed(self, text: str) -> None:
        text = self._pending + text
        position = 0
        while token := TOKEN.match(text, position):
            position = token.end()
            if token["csi"]:
                self._control(token["arguments"], token["final"], token["csi"])
            elif token["link"]:
                self.links.append(token["link"])
            elif token["strange"]:
                self.strange.append(token["strange"])
            else:
                self._put(token["character"])
        self._pending = text[position:]

    def text(self, row: int = 0) -> str:
        """What shows from that row on."""
        return "\n".join("".join(line).rstrip() for line in self.lines[row:])

    @property
    def cursor_line(self) -> str:
        return "".join(self.lines[self._row]).rstrip()

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._move(self._row + 1, self._column)
        elif character == "\b":
            self._column = max(self._column - 1, 0)
        else:
            width = max(wcwidth(character), 0)
            if self._column + width > self.columns:
                if self.modes.get("?7") == "l":
                    self._column = self.columns - width
                else:
                    self._move(self._row + 1, 0)
            line = self.lines[self._row]
            line.extend(" " * (self._column + width - len(line)))
            # A wide character fills two cells, the second one with nothing.
            line[self._column : self._column + width] = [character, ""][:width]
            self._column += width

    def _move(self, row: int, column: int) -> None:
        self._row, self._column = max(row, 0), min(max(column, 0), self.columns - 1)
        self.lines.extend([] for _ in range(self._row + 1 - len(self.lines)))

    def _control(self, arguments: str, final: str, sequence: str) -> None:
        number = int(arguments) if arguments.isdecimal() else 1
        if final in "ABCD":
            down = {"A": -number, "B": number}.get(final, 0)
            right = {"C": number, "D": -number}.get(final, 0)
            self._move(self._row + down, self._column + right)
        elif final in "hl":
            self.modes[arguments] = final
        elif final in "JK" and arguments in ("", "0"):
            del self.lines[self._row][self._column :]
            if final == "J":
                del self.lines[self._row + 1 :]
        elif final != "m":
            self.strange.append(sequence)


def heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Starter:
    """starter.py as a person starts it and sees it. Its stderr is a file, to be told apart."""

    def __init__(self, *arguments: str, columns: int = 200) -> None:
        self.picture = Picture(columns)
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
    def errors(self) -> str:
        return self._errors.read_text()

    def sees(self, wanted: str | re.Pattern[str], timeout: float = PATIENCE) -> re.Match[str]:
        """Waits until it shows, below what has been seen before."""
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + timeout
        while True:
            row, start = self._seen
            text = self.picture.text(row)
            if not text.startswith(start):  # something else was written over it
                start = ""
            if found := pattern.search(text, len(start)):
                before = text[: found.end()]
                self._seen = row + before.count("\n"), before.rpartition("\n")[2]
                return found
            assert time.monotonic() < deadline, f"{wanted} does not show:\n{self}"
            assert self._read(0.2), f"{wanted} did not show:\n{self}"

    def asked(self, question: str) -> None:
        """Waits until the question shows and an answer can be edited."""
        self.sees(question)
        while self.picture.modes.get("?2004") != "h":  # bracketed paste
            assert self._read(PATIENCE), str(self)

    def asked_to_decide(self) -> None:
        self.asked("Your decision (query/keep/edit):")

    def line_is(self, wanted: str) -> None:
        """Waits until it is the line that is being typed."""
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
        self.asked_to_decide()
        self.types("edit")
        self.sees("Enter additional instructions (optional):")
        self.types(instruction)
        self.sees("Signal sent to regenerate research")

    def keep(self) -> None:
        self.asked_to_decide()
        self.types("keep")
        self.sees("Signal sent to keep research and create PDF")

    def types(self, line: str) -> None:
        self.process.send(f"{line}\r")

    def presses(self, keys: str) -> None:
        self.process.send(keys)

    def watch_for(self, seconds: float) -> None:
        """Only for what must not show: everything else can be waited for."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def ends(self, timeout: float = PATIENCE) -> int:
        """Returns the exit code, when the terminal has been found as it was."""
        deadline = time.monotonic() + timeout
        while self._read(1):
            assert time.monotonic() < deadline, f"it goes on:\n{self}"
        after = termios.tcgetattr(self.process.child_fd)
        self.process.wait()
        assert after == self._terminal, "the terminal's modes have changed"
        modes = self.picture.modes
        assert modes.get("?25", "h") == modes.get("?7", "h") == "h", modes  # cursor, line wrap
        assert modes.get("?2004", "l") == "l", modes  # bracketed paste
        assert not self.picture.strange, str(self)
        return self.close()

    def close(self) -> int:
        self.process.close(force=True)
        code = self.process.exitstatus
        if code is None:
            code = -(self.process.signalstatus or 0)
        assert code not in CRASHES, str(self)
        assert "Traceback" not in self.raw + self.errors, str(self)
        return code

    def _read(self, timeout: float) -> bool:
        """Reads a piece of output, if any comes; false at its end."""
        try:
            piece = self._decoder.decode(self.process.read_nonblocking(65536, timeout))
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += piece
        self.picture.feed(piece)
        return True

    def __str__(self) -> str:
        return f"{self.text}\n--- stderr:\n{self.errors}\n--- raw:\n{self.raw[-2000:]!r}"

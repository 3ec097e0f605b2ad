"""The terminal: a prompt, a live line and Markdown; or plain text where there is no terminal."""

import asyncio
import os
import re
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from markdown_it.token import Token
    from prompt_toolkit import PromptSession

# Control characters other than tab and newline, and marks that reorder a line: in a draft, they
# could redraw the terminal.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
RAISED = {
    "sup": str.maketrans("0123456789+-()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾"),
    "sub": str.maketrans("0123456789+-()", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎"),
}


class Leave(Exception):
    """Ends the starter, and nothing but the starter."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


class Screen:
    """A terminal with a prompt, a live line and Markdown; or plain text, where it is none."""

    def __init__(self) -> None:
        self._terminal = os.isatty(0) and os.isatty(1) and os.environ.get("TERM") != "dumb"
        self._sessions: dict[str, PromptSession[str]] = {}  # each question has its own history
        self._input = b""  # read, but not yet asked for
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # a draft may not fit the terminal's encoding
        # The answers to these requests would appear on a terminal that is slow to give them.
        os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")

    def stop_echo(self) -> Callable[[], None]:
        """Hides what is typed before the first prompt shows it. Returns what undoes that."""
        if not self._terminal or not termios:
            return lambda: None
        before = termios.tcgetattr(0)
        quiet = termios.tcgetattr(0)
        quiet[3] &= ~termios.ECHO
        termios.tcsetattr(0, termios.TCSANOW, quiet)

        def restore() -> None:
            with suppress(termios.error):  # the terminal was closed
                termios.tcsetattr(0, termios.TCSADRAIN, before)

        return restore

    def say(self, text: str) -> None:
        print(printable(text), flush=True)

    def say_error(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    def say_without_live_line(self, text: str) -> None:
        """Says what a terminal shows in its live line."""
        if not self._terminal:
            self.say(text)

    def show(self, markdown: str) -> None:
        """Sets a draft as the PDF will: with all of its text, and nothing that is not in it."""
        if not self._terminal:
            self.say(markdown)
            return
        from rich.console import Console
        from rich.markdown import Markdown

        import drafts

        # Without hyperlinks, an address is seen before it is followed.
        draft = Markdown("", hyperlinks=False)
        # Not Rich's own reading, which leaves HTML out: nobody approves what was not shown.
        draft.parsed = [in_plain_text(token) for token in drafts.read(printable(markdown)).tokens]
        Console().print(draft)

    def show_file(self, path: Path) -> None:
        if not self._terminal:
            self.say(f"File: {path}")
            return
        from rich.console import Console
        from rich.text import Text

        Console().print(
            "File:", Text(printable(str(path)), f"link {path.as_uri()}"), soft_wrap=True
        )

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if not self._terminal:
            for row in (header, *rows):
                self.say("\t".join(row))
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*header)
        for row in rows:
            table.add_row(*(Text(printable(cell), overflow="fold") for cell in row))
        Console().print(table)

    async def ask(self, question: str) -> str:
        """Returns a line that the person types. Raises Leave: 130 at Ctrl-C, 0 at Ctrl-D."""
        if not self._terminal:
            self.say(question)
            return await self._read_line()
        if len(question) < os.get_terminal_size().columns:  # a second row could not be taken back
            print(question, end="", flush=True)  # before the import, which takes a moment
        from prompt_toolkit import PromptSession
        from prompt_toolkit.patch_stdout import patch_stdout

        print(end="\r", flush=True)
        session = self._sessions.setdefault(question, PromptSession(enable_suspend=True))
        try:
            with patch_stdout(raw=True):
                return await session.prompt_async(question)
        except KeyboardInterrupt:
            raise Leave(130) from None
        except EOFError:
            raise Leave(0) from None

    async def wait(self, event: asyncio.Event, line: Callable[[], str]) -> None:
        """Shows a line that changes until the event comes. Raises Leave as `ask` does."""
        if event.is_set() or not self._terminal:
            await event.wait()
            return
        from prompt_toolkit import Application
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
        from prompt_toolkit.layout import FormattedTextControl, Layout, Window
        from prompt_toolkit.patch_stdout import patch_stdout

        keys = KeyBindings()

        @keys.add("c-c")
        @keys.add("<sigint>")  # a Ctrl-C while a text is printed above the line
        @keys.add("c-d")
        def leave(press: KeyPressEvent) -> None:
            press.app.exit(result=0 if press.key_sequence[0].key == "c-d" else 130)

        live_line = Window(
            FormattedTextControl(lambda: printable(line())),
            wrap_lines=True,
            dont_extend_height=True,
            always_hide_cursor=True,
        )
        app: Application[int | None] = Application(
            Layout(live_line), key_bindings=keys, refresh_interval=0.5, erase_when_done=True
        )

        async def end() -> None:
            await event.wait()
            if not app.is_done:  # by Ctrl-C, at the same moment
                app.exit()

        ending = asyncio.create_task(end())
        try:
            with patch_stdout(raw=True):
                exit_code = await app.run_async()
        finally:
            ending.cancel()
        if exit_code is not None:
            raise Leave(exit_code)

    async def _read_line(self) -> str:
        """Returns the next line of a pipe. Raises Leave at its end."""
        if sys.stdin is None:  # closed by the caller: its number may be another file's by now
            raise Leave(0)
        loop = asyncio.get_running_loop()
        line: asyncio.Future[bytes | None] = loop.create_future()

        def deliver(text: bytes | None) -> None:
            if not line.done():
                line.set_result(text)

        def read() -> None:
            # os.read, because an interpreter that exits would wait for the lock of sys.stdin.
            while b"\n" not in self._input:
                chunk = os.read(0, 4096)
                if not chunk:
                    break
                self._input += chunk
            at_end = not self._input
            text, _, self._input = self._input.partition(b"\n")
            with suppress(RuntimeError):  # the report has ended meanwhile, and the loop with it
                loop.call_soon_threadsafe(deliver, None if at_end else text)

        # A thread of its own that may be left behind: to_thread's would hold up the exit.
        threading.Thread(target=read, daemon=True).start()
        text = await line
        if text is None:
            raise Leave(0)
        return text.decode(errors="replace")


def in_plain_text(token: "Token") -> "Token":
    """A token whose raised and lowered digits are characters, and whose addresses stand once."""
    children = token.children or []
    for child in children:
        for look, digits in RAISED.items():
            if look in child.meta.get("looks", ()) and "goto" not in child.meta:
                child.content = child.content.translate(digits)
    for number, child in enumerate(children[:-2]):
        text = children[number + 1].content
        if child.type == "link_open" and str(child.attrs["href"]).endswith(text):
            child.type = child.tag = children[number + 2].type = children[number + 2].tag = "text"
    return token


def printable(text: str) -> str:
    """The text without what could redraw the terminal."""
    return UNPRINTABLE.sub("", text)

"""The terminal: a prompt, a live line and Markdown; or plain text if there is no terminal."""

import asyncio
import os
import select
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

from beyond.data_dir import find_data_dir
from beyond.printable import printable
from beyond.process import read_stdin
from beyond.terminal.changes import Part
from beyond.terminal.programs import find_pager, run_editor, run_pager
from beyond.terminal.words import YES_OR_NO, means_yes

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from rich.console import RenderableType

# By a Part's mark: rich's style for its text, and what encloses the text if there are no colours.
MARKS = {"-": "strike red", "+": "underline green", "": "", "note": "dim"}
PLAIN_MARKS = {"-": "[-{}-]", "+": "{{+{}+}}", "": "{}", "note": "{}"}
PASTE_GAP = 0.02  # seconds between two parts of a pasted text; nobody types so fast
WIDEST_TEXT = 100  # columns; longer lines are hard to read
# Rows that the growing text leaves free: for its heading, the hint how to stop, the live line with
# the reason of a retry, and blank rows between them.
LIVE_ROWS = 7
CTRL_C = 130  # a shell's exit code for a program that Ctrl-C ended: 128 + SIGINT's number
OPENERS = {"darwin": "open", "win32": "explorer"}  # elsewhere, freedesktop.org's xdg-open

T = TypeVar("T")


class LeaveError(Exception):
    """The person leaves: the starter ends with `exit_code`, and the report goes on."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


class Screen:
    """The person's terminal, or a pipe, which gets plain text. `terminal` says which it is."""

    GAP = 2  # columns between the cells of a row

    def __init__(self) -> None:
        self.terminal = os.isatty(0) and os.isatty(1) and os.environ.get("TERM") != "dumb"
        self._sessions: dict[str, PromptSession[str]] = {}  # each question has its own history
        self._input = b""  # read from a pipe, but not asked for yet
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # a draft may not fit the terminal's encoding
        # prompt-toolkit asks for the cursor's position; a slow terminal would print its answer.
        os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")

    def stop_echo(self) -> Callable[[], None]:
        """Hides what is typed until the first prompt. Returns a function that undoes this."""
        # In line mode, the terminal would act on Ctrl-D itself; now the prompt gets it in its turn.
        return self._switch_off("ECHO", "ICANON")

    def say(self, text: str) -> None:
        """Prints lines without control characters. In a window, they break between words."""
        if self.terminal:
            wrapper = textwrap.TextWrapper(
                self.columns, break_long_words=False, break_on_hyphens=False
            )
            text = "\n".join(map(wrapper.fill, text.split("\n")))
        self.say_unwrapped(text)

    def say_unwrapped(self, text: str) -> None:
        """Prints what people and programs copy, such as a command: no line of it is broken."""
        print(printable(text), flush=True)

    def say_error(self, text: str) -> None:
        """Prints a line or more on standard error."""
        print(printable(text), file=sys.stderr, flush=True)

    def ring(self) -> None:
        """Rings the terminal's bell. A pipe gets nothing."""
        if self.terminal:
            print("\a", end="", flush=True)

    def say_without_live_line(self, text: str) -> None:
        """Tells a pipe what a terminal shows in its live line."""
        if not self.terminal:
            self.say(text)

    def show(self, heading: str, markdown: str) -> None:
        """Prints a draft under its heading, in full."""
        print(self._set(heading, markdown), end="", flush=True)

    async def page(self, heading: str, markdown: str) -> None:
        """Opens a draft in the pager if it is taller than the window, or else prints it."""
        await self._page(self._set(heading, markdown))

    async def page_changes(self, heading: str, changes: Iterable[Sequence[Part]]) -> None:
        """Shows paragraphs with their deleted and new words, as `page` shows a draft."""
        if not self.terminal or os.environ.get("NO_COLOR"):
            marked = ("".join(PLAIN_MARKS[mark].format(text) for mark, text in c) for c in changes)
            text = "\n\n".join([heading, *map(printable, marked)])
            await self._page(f"{text}\n")
            return
        from rich.text import Text

        texts = [
            Text.assemble(*((printable(text), MARKS[mark]) for mark, text in change), "\n")
            for change in changes
        ]
        await self._page(_render([Text(f"{heading}\n"), *texts]))

    async def _page(self, text: str) -> None:
        is_tall = self.terminal and text.count("\n") >= shutil.get_terminal_size().lines
        if is_tall and (pager := find_pager()):
            await self._lend_terminal(run_pager(pager, text))
        else:
            print(text, end="", flush=True)

    async def edit(self, file: Path) -> str:
        """Opens the file in the person's editor. Returns what went wrong, in a sentence, or ""."""
        if not self.terminal:
            return "There is no terminal for an editor."
        return await self._lend_terminal(run_editor(file))

    async def _lend_terminal(self, program: Awaitable[T]) -> T:
        # Otherwise Ctrl-C in the program would also end the starter, and the server of --local.
        restore = self._switch_off("ISIG")
        try:
            return await program
        finally:
            restore()

    def _set(self, heading: str, markdown: str) -> str:
        """Returns a draft under its heading. A pipe gets its Markdown as it is."""
        plain = f"{heading}\n{printable(markdown)}\n"
        if not self.terminal:
            return plain
        from beyond.terminal.markdown import set_markdown

        try:
            return f"{heading}\n{_render([set_markdown(markdown)])}"
        except Exception:  # whatever it is, the person must see the draft to decide on it
            return plain

    def show_file(self, path: Path, open_it: bool) -> None:
        """Shows a link to the file, and runs the command that opens it if `open_it`."""
        if not self.terminal:
            self.say(f"File: {path}")
        else:
            from rich.console import Console
            from rich.text import Text

            link = Text(printable(str(path)), f"link {path.as_uri()}")
            Console().print("File:", link, soft_wrap=True)
        opener = OPENERS.get(sys.platform, "xdg-open")
        if open_it:
            silent = subprocess.DEVNULL
            try:
                subprocess.run([opener, path], check=True, stdout=silent, stderr=silent)
            except (OSError, subprocess.CalledProcessError):
                self.say_error(f"{opener} cannot open it on this machine.")
        elif self.terminal:
            self.say_unwrapped(f"Open it with: {opener} {shlex.quote(str(path))}")

    @property
    def columns(self) -> int:
        """The width of the window in characters; 0 for a pipe."""
        return shutil.get_terminal_size().columns if self.terminal else 0

    def show_row(self, cells: Sequence[str], widths: Sequence[int]) -> None:
        """Prints a row of a table on one line. A pipe gets all of it, with tabs between the cells.

        `widths` are those of all cells but the last, in columns.
        """
        if not self.terminal:
            self.say("\t".join(cells))
            return
        from rich.console import Console
        from rich.text import Text

        texts = [Text(printable(cell)) for cell in cells]
        for text, width in zip(texts[:-1], widths, strict=True):
            text.truncate(width, overflow="ellipsis", pad=True)
        Console().print(Text(" " * self.GAP).join(texts), no_wrap=True, overflow="ellipsis")

    async def ask(self, question: str, words: Sequence[str] = ()) -> str:
        """Returns what the person types. Tab completes `words`; without any, it may be many lines.

        Raises LeaveError, with exit code 130 at Ctrl-C, or 0 at Ctrl-D or the end of a pipe.
        """
        if not self.terminal:
            # A person whose stdout is a file still sees what is asked.
            print(question, file=sys.stderr if os.isatty(0) else sys.stdout, flush=True)
            return await self._read_line()
        # Before the import, which takes a moment. The prompt overwrites only one row.
        if len(question) < shutil.get_terminal_size().columns:
            print(question, end="", flush=True)
        from prompt_toolkit.patch_stdout import patch_stdout

        print(end="\r", flush=True)
        session = self._sessions.get(question)
        if not session:
            session = self._sessions[question] = _make_session(words)
        try:
            with patch_stdout(raw=True):
                # prompt-toolkit's own handler would print a traceback.
                typed = await session.prompt_async(question, set_exception_handler=False)
                return replace_odd_bytes(typed)
        except KeyboardInterrupt:
            raise LeaveError(CTRL_C) from None
        except asyncio.CancelledError:
            if not words:  # the arrow key brings back what was typed so far
                session.default_buffer.append_to_history()
            raise
        except EOFError:
            raise LeaveError(0) from None

    async def confirm(self, question: str) -> bool:
        """Whether the person says yes. A pipe is not asked and counts as yes. Raises LeaveError."""
        if not self.terminal:
            return True
        return means_yes(await self.ask(question, YES_OR_NO))

    async def wait(
        self, event: asyncio.Event, line: Callable[[], str], growing: Callable[[], tuple[str, str]]
    ) -> bool:
        """Shows a changing line, and a growing text above it, until `event` is set.

        `growing` returns the text's heading and the text. Returns True, before the event, if the
        person presses s. Raises LeaveError as `ask` does.
        """
        if event.is_set() or not self.terminal:
            await event.wait()
            return False
        from prompt_toolkit import Application
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
        from prompt_toolkit.layout import FormattedTextControl, Layout, Window
        from prompt_toolkit.patch_stdout import patch_stdout

        keys = KeyBindings()

        @keys.add("c-c")
        @keys.add("<sigint>")  # Ctrl-C while a text is being printed above the line
        @keys.add("c-d")
        def leave(press: KeyPressEvent) -> None:
            exit_code = 0 if press.key_sequence[0].key == "c-d" else CTRL_C
            press.app.exit(exception=LeaveError(exit_code))

        @keys.add("s")
        def stop(press: KeyPressEvent) -> None:
            press.app.exit(result=True)

        @keys.add("c-z")
        def suspend(press: KeyPressEvent) -> None:
            press.app.suspend_to_background()

        live_text = Window(
            FormattedTextControl(lambda: [("dim", _fit(*growing())), ("", printable(line()))]),
            wrap_lines=True,
            dont_extend_height=True,
            always_hide_cursor=True,
        )
        app: Application[bool] = Application(
            Layout(live_text), key_bindings=keys, refresh_interval=0.5, erase_when_done=True
        )

        async def end() -> None:
            await event.wait()
            if not app.is_done:  # Ctrl-C may have ended it at the same moment
                app.exit(result=False)

        ending = asyncio.create_task(end())
        try:
            with patch_stdout(raw=True):
                return await app.run_async(set_exception_handler=False)
        finally:
            ending.cancel()

    def _switch_off(self, *modes: str) -> Callable[[], None]:
        """Switches off terminal modes, named as in termios. Returns a function to restore them."""
        if not self.terminal or not termios:
            return lambda: None
        try:
            before, changed = termios.tcgetattr(0), termios.tcgetattr(0)
            for mode in modes:
                changed[3] &= ~getattr(termios, mode)
            if "ICANON" in modes:
                changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
            termios.tcsetattr(0, termios.TCSANOW, changed)
        except termios.error:  # the terminal was closed
            return lambda: None

        def restore() -> None:
            with suppress(termios.error):  # the terminal was closed
                termios.tcsetattr(0, termios.TCSADRAIN, before)

        return restore

    async def _read_line(self) -> str:
        """Returns the next line of a pipe. Raises LeaveError at its end."""
        if sys.stdin is None:  # the caller closed it; its descriptor may be another file's by now
            raise LeaveError(0)
        while b"\n" not in self._input:
            if not (chunk := await read_stdin()):
                break
            self._input += chunk
        if not self._input:
            raise LeaveError(0)
        line, _, self._input = self._input.partition(b"\n")
        return line.decode(errors="replace")


def _make_session(words: Sequence[str]) -> "PromptSession[str]":
    """Returns a prompt for one of `words`; without them, for a text, with a history on disk."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("escape", "enter")
    def start_line(press: KeyPressEvent) -> None:
        press.current_buffer.insert_text("\n")

    @keys.add("enter", filter=Condition(lambda: not words))
    def end_line(press: KeyPressEvent) -> None:
        # Without bracketed paste, a terminal sends pasted lines as if they were typed very fast.
        if press.key_processor.input_queue or _has_more_to_read():
            press.current_buffer.insert_text("\n")
        else:
            press.current_buffer.validate_and_handle()

    class ForgivingHistory(FileHistory):
        """Ignores disk errors, so that typed text is never lost to them."""

        def load_history_strings(self) -> Iterable[str]:
            try:
                return super().load_history_strings()
            except OSError:
                return []

        def store_string(self, string: str) -> None:
            with suppress(OSError):
                super().store_string(string)

    history: History = InMemoryHistory()
    if not words:
        with suppress(OSError):
            file = find_data_dir() / "history"
            file.open("a+").close()
            history = ForgivingHistory(file)
    return PromptSession(
        history=history,
        completer=WordCompleter(list(words)) if words else None,
        complete_while_typing=False,
        enable_open_in_editor=True,
        enable_suspend=True,
        key_bindings=keys,
    )


def _render(parts: Iterable["RenderableType"]) -> str:
    """Returns what rich prints for these parts, at most `WIDEST_TEXT` columns wide."""
    from rich.console import Console

    console = Console()
    console.width = min(console.width, WIDEST_TEXT)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return capture.get()


def _fit(heading: str, text: str) -> str:
    """Returns the heading and as many of the text's last lines as the window has room for."""
    if not text:
        return ""
    from rich.console import Console
    from rich.text import Text

    columns, rows = shutil.get_terminal_size()
    lines = Text(printable(text)).wrap(Console(), min(columns, WIDEST_TEXT))
    end = [line.plain.rstrip() for line in lines[-max(rows - LIVE_ROWS, 1) :]]
    return "\n".join([heading, "", *end, "", ""])


def _has_more_to_read() -> bool:
    """Whether more input follows at once. A terminal delivers a long paste in parts."""
    if not termios:
        return False
    return bool(select.select([0], [], [], PASTE_GAP)[0])


def replace_odd_bytes(text: str) -> str:
    """Returns the text with a replacement character for each byte that is not valid UTF-8."""
    # Python (in arguments) and prompt-toolkit (in keys) decode such a byte to a lone surrogate.
    return text.encode(errors="surrogateescape").decode(errors="replace")

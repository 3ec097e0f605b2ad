"""Runs the programs that take over the terminal for a while: the pager and the editor."""

import asyncio
import os
import shlex
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

# In less's prompt language: what it says at the end of the text, then what it says before that.
PAGER_PROMPT = "?eq goes back to the question:Space shows more, q goes back."
# Tried in this order if neither VISUAL nor EDITOR is set. Debian's `editor` is its user's choice.
EDITORS = ("editor", "nano", "vim", "vi", "notepad")
ENDS_WITHIN = 2  # seconds that an editor has to save its text when the starter ends


def find_pager() -> str:
    """Returns the command line of the pager, or "" if there is none."""
    return os.environ.get("PAGER") or shutil.which("less") or ""


async def run_pager(pager: str, text: str) -> None:
    """Shows the text in the pager, a command line, until the person leaves it.

    Raises OSError if the shell cannot be started.
    """
    # As git does: less keeps colours, and leaves the text in the window. With LESSSECURE, a
    # decision that somebody types into less by mistake writes no file.
    settings = {"LESS": f"FRXPs{PAGER_PROMPT}$", "LESSSECURE": "1"} | os.environ
    await _run(asyncio.create_subprocess_shell(pager, stdin=PIPE, env=settings), text)


async def run_editor(file: Path) -> str:
    """Lets the person change the file. Returns what went wrong, in one sentence, or ""."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    editor = editor or next(filter(shutil.which, EDITORS), "")
    if not editor:
        return "No editor was found: set EDITOR."
    try:
        code = await _run(asyncio.create_subprocess_exec(*shlex.split(editor), file))
    except (OSError, ValueError) as error:
        return f"The editor ({editor}) cannot be opened: {error}."
    return f"The editor ({editor}) ended with exit code {code}." if code else ""


async def _run(starting: Coroutine[Any, Any, Process], text: str | None = None) -> int:
    """Runs the program to its end and returns its exit code. It does not outlive the starter."""
    program = await starting
    try:
        await program.communicate(text.encode() if text is not None else None)
    finally:
        if program.returncode is None:
            with suppress(ProcessLookupError, TimeoutError):
                program.terminate()
                await asyncio.wait_for(program.wait(), ENDS_WITHIN)
    return program.returncode or 0

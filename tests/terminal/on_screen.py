"""Shows drafts as a terminal does, for the tests of Markdown on a terminal."""

import io
from typing import Any

from rich.console import Console

from beyond.terminal.markdown import set_markdown


def print_draft(markdown: str, columns: int = 80, **options: Any) -> str:
    """What a terminal of that width gets. `options` are of rich's Console."""
    printed = io.StringIO()
    Console(file=printed, width=columns, height=999, **options).print(set_markdown(markdown))
    lines = printed.getvalue().split("\n")
    assert options or all(len(line) <= columns for line in lines)
    return printed.getvalue()

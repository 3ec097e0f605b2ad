"""A draft on a terminal: with all of its words, and readable on light and dark."""

import io
import re

import pytest
from rich.console import Console

from beyond.terminal.markdown import set_markdown


@pytest.mark.parametrize("columns", [20, 80, 200])
@pytest.mark.parametrize("depth", [1, 2, 3, 5, 7, 20])
@pytest.mark.parametrize("mark", ["> ", "- ", "1. "])
def test_no_depth_of_blocks_loses_a_word(mark: str, depth: int, columns: int) -> None:
    levels = range(1, depth + 1)
    lines = [f"{' ' * len(mark) * (level - 1)}{mark}bees{level}" for level in levels]
    if mark == "> ":
        lines = [f"{mark * level}bees{level}" for level in levels]
    printed = io.StringIO()
    Console(file=printed, width=columns).print(set_markdown("\n".join(lines)))
    shown = printed.getvalue()
    assert {f"bees{level}" for level in levels} <= set(shown.split())
    assert all(len(line) <= columns for line in shown.splitlines())


def test_struck_text_is_struck_and_code_has_no_background() -> None:
    printed = io.StringIO()
    console = Console(file=printed, force_terminal=True, color_system="standard")
    console.print(set_markdown("the ~~old~~ `new`"))
    assert re.search(r"\x1b\[9mold\x1b", printed.getvalue())
    assert re.search(r"\x1b\[1;35mnew\x1b", printed.getvalue())

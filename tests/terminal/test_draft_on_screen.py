"""A draft on a terminal: with all of its words, and readable on light and dark."""

import re
from itertools import product

import pytest
from on_screen import print_draft


@pytest.mark.parametrize("mark", ["> ", "- ", "1. "])
def test_no_depth_of_blocks_loses_a_word(mark: str) -> None:
    for depth, columns in product([1, 2, 3, 5, 7, 20], [20, 80, 200]):
        levels = range(1, depth + 1)
        lines = [f"{' ' * len(mark) * (level - 1)}{mark}bees{level}" for level in levels]
        if mark == "> ":
            lines = [f"{mark * level}bees{level}" for level in levels]
        shown = print_draft("\n".join(lines), columns)
        assert {f"bees{level}" for level in levels} <= set(shown.split())


def test_struck_text_is_struck_and_code_has_no_background() -> None:
    printed = print_draft("the ~~old~~ `new`", force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[9mold\x1b", printed)
    assert re.search(r"\x1b\[1;35mnew\x1b", printed)

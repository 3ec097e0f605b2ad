"""Removes what may not be printed on a terminal or in a log."""

import re

# Control characters other than tab and newline, and marks that reorder a line. In a draft, they
# could redraw the terminal.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text without characters that could redraw the terminal."""
    return UNPRINTABLE.sub("", text)

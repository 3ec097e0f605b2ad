"""The words that a person may type in the dialogue."""

from collections.abc import Iterable

SHORTCUTS = {"1": "query", "2": "keep", "3": "edit", "?": "help"}  # the tutorial's numbers, "?"
HELP = """
query     show the current draft again
keep      approve the draft on the screen and create the PDF
edit      say what to change; the model revises the draft
undo      go back to the draft before
discard   end the report without a PDF
quit      leave; the report waits for you (Ctrl-C and Ctrl-D do the same)
The first letters are enough. Tab completes a word, Alt-Enter starts a new line,
Ctrl-X Ctrl-E opens your editor."""


def find_word(typed: str, words: Iterable[str]) -> tuple[str, str]:
    """Returns the one of the words that the person means, or what is wrong if there is none."""
    if typed in SHORTCUTS:
        return SHORTCUTS[typed], ""
    meant = [word for word in words if typed and word.startswith(typed)]
    if len(meant) > 1:
        return "", f"'{typed}' can mean {' or '.join(meant)}."
    return meant[0] if meant else "", "Please enter either 'keep', 'edit', or 'query'"

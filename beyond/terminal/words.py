"""The words that a person can type in the dialogue, and the menus that list them."""

from collections.abc import Iterable

from models import Phase, ReportStatus

SHORTCUTS = {"1": "query", "2": "keep", "3": "edit", "?": "help"}  # the tutorial's numbers, "?"
YES_OR_NO = "yes", "no"
CHOICES = """\
1. Type 'query' to view the current research result
2. Type 'keep' to approve the research and create PDF
3. Type 'edit' to modify the research"""
COMPLETE = "Research is complete!"
TRY_AGAIN = "Type 'edit' to try again."
LINE = "=" * 50
MORE = "Type 'help' for more."
WITHOUT_A_DRAFT = ("query", "edit", "discard", "help", "quit")  # the words that need no draft
HELP = """
query     show the current draft again
changes   show what is new in the draft
keep      approve the draft on the screen and create the PDF
edit      say what to change; the model revises the draft
correct   change the draft yourself, in your editor
undo      go back to the draft before
save      write the draft into a file here
discard   end the report without a PDF
quit      leave; the report waits for you (Ctrl-C and Ctrl-D do the same)
The first letters are enough. 'edit make it shorter' sends that at once.
Tab completes a word, Alt-Enter starts a new line, Ctrl-X Ctrl-E opens your editor.
While the model writes, s stops it."""


def write_menu(columns: int) -> str:
    """Returns the tutorial's menu. Its lines are `columns` wide at most; 0 means no limit."""
    line = LINE[: columns or len(LINE)]
    return "\n".join([line, COMPLETE, CHOICES, line, MORE])


def name_words(words: Iterable[str], *, has_draft: bool) -> str:
    """Returns the menu on one line, with the words that make sense at the moment."""
    *others, last = [word for word in words if has_draft or word in WITHOUT_A_DRAFT]
    return f"{f'{COMPLETE} ' * has_draft}Type {', '.join(others)} or {last}."


def find_word(typed: str, words: Iterable[str]) -> tuple[str, str]:
    """Returns the word that the person means and "", or "" and what to tell the person."""
    if typed in SHORTCUTS:
        return SHORTCUTS[typed], ""
    meant = [word for word in words if typed and word.startswith(typed)]
    if len(meant) == 1:
        return meant[0], ""
    if meant:
        return "", f"'{typed}' can mean {' or '.join(meant)}."
    return "", "Please enter either 'keep', 'edit', or 'query'"


def means_yes(answer: str) -> bool:
    """Whether the answer to a question for yes or no is yes."""
    return answer.strip().lower() in ("y", "yes")


def advise(status: ReportStatus) -> str:
    """Returns what a person can type after an error, or "" while the report goes on by itself."""
    if status.phase != Phase.WAITING:
        return ""
    if status.draft:
        return f"Type 'edit' to ask again, or 'keep' to take draft {status.draft}."
    return TRY_AGAIN

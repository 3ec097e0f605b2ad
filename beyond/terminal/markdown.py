"""A draft's Markdown on a terminal, with all of its text: nobody approves what was not shown."""

from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, TableElement
from rich.table import Table
from rich.text import Text

from beyond.markdown import read
from beyond.printable import printable

SMALL_DIGITS = {
    "sup": str.maketrans("0123456789+-()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾"),
    "sub": str.maketrans("0123456789+-()", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎"),
}


def set_markdown(markdown: str) -> Markdown:
    """Returns the draft for a console of rich's."""
    # Without hyperlinks, an address is seen before it is followed.
    draft = _WholeMarkdown("", hyperlinks=False)
    # Not rich's own reading, which leaves HTML out.
    draft.parsed = [_flatten(token) for token in read(printable(markdown)).tokens]
    return draft


class _WholeTable(TableElement):
    """rich's table cuts words that are wider than their column. This one keeps them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        [table] = super().__rich_console__(console, options)
        assert isinstance(table, Table)
        if table.__rich_measure__(console, options).minimum <= options.max_width:
            for column in table.columns:
                column.overflow = "fold"
            yield table
            return
        # The window has no room for the words side by side, so each cell has its own line.
        headings = [column.header for column in table.columns]
        rows = self.body.rows if self.body else []
        for row in rows:
            yield Text()
            for heading, cell in zip(headings, row.cells, strict=True):
                assert isinstance(heading, Text)
                yield Text.assemble(heading, ": ", cell.content) if heading else cell.content
        if not rows:
            yield from headings
        yield Text()


class _WholeMarkdown(Markdown):
    elements = {**Markdown.elements, "table_open": _WholeTable}  # noqa: RUF012


def _flatten(token: Token) -> Token:
    """Makes raised, lowered and deleted text plain, and lets each address stand once."""
    children = token.children or []
    for part in (token, *children):  # entities such as &#x202e; are characters only now
        part.content = printable(part.content)
        if "href" in part.attrs:
            part.attrs["href"] = printable(str(part.attrs["href"]))
    for child in children:
        if child.type in ("s_open", "s_close"):  # not every terminal strikes out
            child.type, child.tag, child.content = "text", "", "~~"
        for look, digits in SMALL_DIGITS.items():
            if look in child.meta.get("looks", ()) and "goto" not in child.meta:
                child.content = child.content.translate(digits)
    for number, child in enumerate(children[:-2]):
        text = children[number + 1].content
        if child.type == "link_open" and str(child.attrs["href"]).endswith(text):
            child.type = child.tag = children[number + 2].type = children[number + 2].tag = "text"
    return token

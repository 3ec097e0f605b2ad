"""A draft's Markdown on a terminal, without losing a word: people approve only what they read."""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, TableElement
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from beyond.markdown import read
from beyond.printable import printable

SMALL_DIGITS = {
    "sup": str.maketrans("0123456789+-()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾"),
    "sub": str.maketrans("0123456789+-()", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎"),
}
QUOTE_INDENT = 4  # columns for a quote's mark; a list's take fewer, up to item 99
NARROWEST = 8  # columns; rich drops text in quotes and lists if it has no room left
# rich prints code on black, which is a bar on a light terminal, and keys in bright yellow.
THEME = Theme({"markdown.code": "bold magenta", "markdown.kbd": "bold"})
SCHEMES = ("", "http://", "https://", "mailto:")  # what the text of a link may leave out


def set_markdown(markdown: str) -> Markdown:
    """Returns the draft as something that a console of rich's can print."""
    draft = _WholeMarkdown("")
    draft.markup = printable(markdown)
    # Not rich's own reading, which leaves HTML out.
    draft.parsed = [_flatten(token) for token in read(draft.markup).tokens]
    return draft


class _WholeTable(TableElement):
    """A table that keeps words that are wider than their column. rich's own cuts them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        [table] = super().__rich_console__(console, options)
        assert isinstance(table, Table)
        if table.__rich_measure__(console, options).minimum <= options.max_width:
            for column in table.columns:
                column.overflow = "fold"
            yield table
            return
        # The window is too narrow for the columns, so each cell has its own line.
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
    inlines = Markdown.inlines | {"link", "link_url"}  # names of styles in rich's theme

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width - QUOTE_INDENT * _measure_depth(self.parsed) < NARROWEST:
            yield Text(self.markup)
            return
        with console.use_theme(THEME):
            yield from super().__rich_console__(console, options)


def _measure_depth(tokens: Iterable[Token]) -> int:
    """Returns how deep quotes and lists are nested."""
    depth = deepest = 0
    for token in tokens:
        if token.type.startswith(("blockquote", "list_item")):
            depth += token.nesting
            deepest = max(deepest, depth)
    return deepest


def _flatten(token: Token) -> Token:
    """Makes pictures, superscripts and subscripts plain text, and spells out the links."""
    children = token.children or []
    for part in (token, *children):  # again, because entities such as &#x202e; are characters now
        part.content = printable(part.content)
        if "href" in part.attrs:
            part.attrs["href"] = printable(str(part.attrs["href"]))
    for child in children:
        if child.type == "image":  # rich would show it above its paragraph or table
            child.type, child.tag, child.content = "text", "", f"🌆 {_name_picture(child)}"
        for look, digits in SMALL_DIGITS.items():
            if look in child.meta.get("looks", ()) and "goto" not in child.meta:
                child.content = child.content.translate(digits)
    if children:
        token.children = list(_spell_links(children))
    return token


def _name_picture(image: Token) -> str:
    """Returns a picture's description, or its file's name, or "" if the draft contains its data."""
    address = str(image.attrs.get("src", ""))
    file = "" if address.startswith("data:") else printable(address.rpartition("/")[2])
    return image.content or file


def _spell_links(children: list[Token]) -> Iterator[Token]:
    """Puts the address of each link behind its text, so that people see where a link leads.

    If the text is the address, it appears once. (rich's own links lose the styles in their text.)
    """
    links: list[tuple[str, list[str]]] = []  # addresses and texts of the links that are open
    for child in children:
        if child.type == "link_open":
            links.append((str(child.attrs["href"]), []))
            yield Token("text_of_link", "link", 1)
        elif child.type == "link_close":
            yield Token("text_of_link", "link", -1)
            address, texts = links.pop()
            text = "".join(texts).strip()
            known = [unquote(f"{scheme}{text}").removesuffix("/") for scheme in SCHEMES]
            if address and unquote(address).removesuffix("/") not in known:
                yield Token("text", "", 0, content=" (" if text else "(")
                yield Token("address", "link_url", 0, content=address)
                yield Token("text", "", 0, content=")")
        else:
            if links:
                links[-1][1].append(child.content)
            yield child

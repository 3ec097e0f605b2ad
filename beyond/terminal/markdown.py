"""A draft's Markdown on a terminal, with all of its text: nobody approves what was not shown."""

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
INDENT = 4  # columns of a quote's mark; those of a list take fewer, up to its item 99
NARROWEST = 8  # columns of text within quotes and lists; where there are none, rich drops it
# rich sets code on black, a bar on a light terminal, and keys in bright yellow.
LOOKS = Theme({"markdown.code": "bold magenta", "markdown.kbd": "bold"})
SCHEMES = ("", "http://", "https://", "mailto:")  # of an address that is known from its text


def set_markdown(markdown: str) -> Markdown:
    """Returns the draft for a console of rich's."""
    draft = _WholeMarkdown("")
    draft.markup = printable(markdown)
    # Not rich's own reading, which leaves HTML out.
    draft.parsed = [_flatten(token) for token in read(draft.markup).tokens]
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
    inlines = Markdown.inlines | {"link", "link_url"}  # which have looks in rich's theme

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width - INDENT * _measure_depth(self.parsed) < NARROWEST:
            yield Text(self.markup)
            return
        with console.use_theme(LOOKS):
            yield from super().__rich_console__(console, options)


def _measure_depth(tokens: Iterable[Token]) -> int:
    """How many quotes and lists stand in one another, at most."""
    depth = deepest = 0
    for token in tokens:
        if token.type.startswith(("blockquote", "list_item")):
            depth += token.nesting
            deepest = max(deepest, depth)
    return deepest


def _flatten(token: Token) -> Token:
    """Makes pictures and raised and lowered text plain, and spells out the links."""
    children = token.children or []
    for part in (token, *children):  # entities such as &#x202e; are characters only now
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
    """What a picture shows, or the name of its file. One within the draft has none."""
    address = str(image.attrs.get("src", ""))
    file = "" if address.startswith("data:") else printable(address.rpartition("/")[2])
    return image.content or file


def _spell_links(children: list[Token]) -> Iterator[Token]:
    """Has the address of each link follow its text, so that it is seen before it is followed.

    An address that is the text already stands once. rich's own links lose the looks of their text.
    """
    links: list[tuple[str, list[str]]] = []  # addresses and texts of those that are open
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

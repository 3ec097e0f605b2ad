"""Replaces HTML in a draft: a block by equivalent Markdown, a tag within a line by a look."""

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from beyond.markdown.source import is_sparse

# HTML elements. A tag with another name is text, such as <name> or List<T>.
LOOKS = {
    **{"b": "strong", "strong": "strong", "i": "em", "em": "em", "cite": "em", "var": "em"},
    **{"s": "s", "del": "s", "strike": "s", "u": "u", "ins": "u", "sub": "sub", "sup": "sup"},
    **{"kbd": "kbd", "code": "code", "tt": "code", "samp": "code", "dfn": "em", "th": "strong"},
}
LINES = {"br", "p", "div", "li", "tr", "dt", "dd", "ul", "ol", "table", "summary", "blockquote"}
OTHERS = """
a abbr address area article aside audio base bdi bdo big body button canvas caption center col
colgroup data datalist details dialog dl fieldset figcaption figure font footer form h1 h2 h3 h4 h5
h6 head header hgroup hr html iframe img input label legend link main map mark menu meta meter nav
noscript object optgroup option output p param picture pre progress q rp rt ruby script section
select slot small source span style tbody td template textarea tfoot thead time title track video
wbr
"""
ELEMENTS = {*LOOKS, *LINES, *OTHERS.split()}
# The Markdown for the opening and the closing tag of a block; None keeps the tag in its line.
BLOCKS: dict[str, tuple[str, str] | None] = {
    **dict.fromkeys(ELEMENTS, ("\n\n", "\n\n")),
    **dict.fromkeys([*LOOKS, "a", "img", "br"], None),
    **{f"h{rank}": (f"\n\n{'#' * rank} ", "\n\n") for rank in range(1, 7)},
    **dict.fromkeys(["thead", "tbody", "tfoot"], ("", "")),
    "summary": ("\n\n**", "**\n\n"),
    "li": ("\n- ", ""),
}
TAG = re.compile(
    r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s[^<>]*|/)?)>|<!--(?:(?!<!--).)*?-->|<[!?][^<>]*>", re.DOTALL
)
BARE = re.compile(
    r"(\s+[a-z][\w-]*)+\s*", re.IGNORECASE
)  # attributes without values: "a<b then c>" is not a tag
VERBATIM = re.compile(
    r"<(pre|script|style|textarea|table)\b[^<>]*>(.*?)(?:</\1\s*>|\Z)", re.DOTALL | re.I
)
ROW = re.compile(r"<tr\b[^<>]*>(.*?)(?=</?tr\b|\Z)", re.DOTALL | re.I)
CELL = re.compile(r"<t([hd])\b([^<>]*)>(.*?)(?=</?t[hd]\b|\Z)", re.DOTALL | re.I)
SPAN = re.compile(r"\b(col|row)span\s*=\s*[\"']?(\d{1,2})")


def replace_html(tokens: list[Token], parser: MarkdownIt, env: dict[str, Any]) -> Iterator[Token]:
    """The tokens of a draft, with those of equivalent Markdown in place of its blocks of HTML.

    `parser` reads that Markdown; its rule "html_block" must be off. `env` is the parser's.
    """
    for token in tokens:
        if token.type != "html_block":
            yield token
            continue
        for made in _read_block(token.content, parser, env):
            made.level += token.level
            made.map = token.map
            yield made


def make_code_token(text: str) -> Token:
    """A block of code, for text that is shown unparsed."""
    return Token("fence", "code", 0, content=text.rstrip("\n") + "\n", block=True)


def _read_block(html: str, parser: MarkdownIt, env: dict[str, Any]) -> list[Token]:
    made: list[Token] = []
    position = 0
    for verbatim in VERBATIM.finditer(html):
        made += parser.parse(_to_markdown(html[position : verbatim.start()]), env)
        position = verbatim.end()
        if verbatim[1].lower() == "table":
            made += parser.parse(_table_to_markdown(verbatim[2]), env)
        else:
            made.append(make_code_token(unescape(TAG.sub("", verbatim[2])).strip("\n")))
    return made + parser.parse(_to_markdown(html[position:]), env)


def _to_markdown(html: str) -> str:
    """A block of HTML as Markdown; tags within lines stay."""

    def replace(tag: re.Match[str]) -> str:
        if not tag[2]:  # a comment
            return "\n"
        marks = BLOCKS.get(tag[2].lower())
        return marks[bool(tag[1])] if marks else tag[0]

    return "\n".join(" ".join(line.split()) for line in TAG.sub(replace, html).split("\n"))


def _table_to_markdown(html: str) -> str:
    """An HTML table as Markdown. A cell that spans several places fills the first of them."""
    rows: list[list[str]] = []
    taken: Counter[int] = Counter()  # by column: the rows below that a cell spans
    for row in ROW.findall(html):
        rows.append(_read_row(row, taken, bool(rows)))
    most, cells = max(map(len, rows), default=0), len(CELL.findall(html))
    if not any(rows) or is_sparse(rows=len(rows), columns=most, cells=cells):
        return _to_markdown(html)
    lines = [f"| {' | '.join([*row, *[''] * (most - len(row))])} |" for row in rows]
    lines.insert(1, "|" + "-|" * most)
    outside = _to_markdown(ROW.sub("", html)).strip()
    return "\n".join([outside, "", *lines, ""])


def _read_row(row: str, taken: Counter[int], below: bool) -> list[str]:
    """The texts of a row's cells. `below` is false for the first row, whose cells are headers."""
    cells: list[str] = []
    for cell in [*CELL.finditer(row), None]:
        while taken[len(cells)] > 0:  # by a cell above
            taken[len(cells)] -= 1
            cells.append("")
        if cell:
            span = {kind: int(number) for kind, number in SPAN.findall(cell[2].lower())}
            wide, tall = span.get("col") or 1, span.get("row") or 1
            for column in range(len(cells), len(cells) + wide):
                taken[column] = max(taken[column], tall - 1)
            text = " ".join(cell[3].split()).replace("|", "\\|")
            text = f"<th>{text}</th>" if below and cell[1].lower() == "h" else text
            cells += [text, *[""] * (wide - 1)]
    return cells


class OpenTags:
    """The tags of one line. The open ones determine the looks of its text."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @property
    def looks(self) -> tuple[str, ...]:
        """The looks of the text that follows, as names of HTML elements."""
        return tuple(look for look in self._open if self._open[look] > 0)

    def read(self, source: str, begins: bool) -> list[Token]:
        """Take in a tag and return what it prints: the tag itself, if HTML has no such element.

        `begins` is whether the tag begins its line.
        """
        tag = TAG.fullmatch(source)
        name = ((tag and tag[2]) or "").lower()
        if not tag or (name and name not in ELEMENTS) or (name in LOOKS and BARE.fullmatch(tag[3])):
            return [Token("text", "", 0, content=source)]
        if name in LOOKS and not source.endswith("/>"):
            self._open[LOOKS[name]] = max(0, self._open[LOOKS[name]] + (-1 if tag[1] else 1))
        if name not in LINES or tag[1]:
            return []
        line = [] if begins else [Token("hardbreak", "br", 0)]
        return [*line, Token("text", "", 0, content="• ")] if name == "li" else line

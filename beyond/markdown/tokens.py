"""What a parser of Markdown leaves to be done: HTML, footnotes, tasks, alerts, lines and signs."""

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from itertools import pairwise
from typing import Any, Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from beyond.markdown.emoji import EMOJI, replace_emoji
from beyond.markdown.source import DISPLAYED, HIDDEN, Formulas, is_sparse
from beyond.markdown.sources import link_sources, name_entry

# HTML elements. A tag of any other name is a placeholder such as <name>, or the type List<T>.
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
TAG = re.compile(
    r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s[^<>]*|/)?)>|<!--(?:(?!<!--).)*?-->|<[!?][^<>]*>", re.DOTALL
)
ATTRIBUTE = re.compile(r"""\b(href|src|alt)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
VERBATIM = re.compile(
    r"<(pre|script|style|textarea|table)\b[^<>]*>(.*?)(?:</\1\s*>|\Z)", re.DOTALL | re.I
)
ROW = re.compile(r"<tr\b[^<>]*>(.*?)(?=</?tr\b|\Z)", re.DOTALL | re.I)
CELL = re.compile(r"<t([hd])\b([^<>]*)>(.*?)(?=</?t[hd]\b|\Z)", re.DOTALL | re.I)
SPAN = re.compile(r"\b(col|row)span\s*=\s*[\"']?(\d{1,2})")
BADGE = re.compile(r"//img\.shields\.io|/badge")
ALERT = re.compile(r"\[!(\w+)\][+-]?(.*)")
TASK = re.compile(r"\[([ xX])\][ \xa0]")
# A line that begins like this is a line of its own: an entry, an item, an equation, "Author: …".
ENTRY = re.compile(
    rf"\[\^?\d+\]|:\s|[•◦▪●‣·–—☐☑→]\s|-\s|\(\d+[a-z]?\)\s|\d{{1,3}}[.)]\s|{EMOJI.pattern}"  # noqa: RUF001
)
DRAWN = re.compile(r"([+|┌│├└╔║╚][^\n]*(\n|\Z)){3,}")  # a table or a picture without its fence
SEPARATOR = re.compile(r"[─━═—–_*=~-]{4,}")  # noqa: RUF001
KEY = re.compile(r"[^\W\d_][\w ./&()'-]{0,30}:(\s|$)")


Nesting = Literal[-1, 0, 1]
# Of the cell in a row and a column: the columns and rows that it spans, whether it is a header.
Spans = dict[tuple[int, int], tuple[int, int, bool]]


def make_code_token(text: str) -> Token:
    """What stands in for Markdown that is not read as such: code."""
    return Token("fence", "code", 0, content=text.rstrip("\n") + "\n", block=True)


def tidy(
    text: str, parser: MarkdownIt, html_parser: MarkdownIt, formulas: Formulas, limit: int
) -> list[Token]:
    """The tokens of a draft whose formulas are hidden; a paragraph beyond `limit` is code.

    `html_parser` reads blocks of HTML that have been made Markdown.
    """
    env: dict[str, Any] = {}
    tokens = list(_replace_html(parser.parse(text, env), html_parser, env))
    notes = _Notes(env)
    out: list[Token] = []
    definition_lists = 0  # how many enclose the token
    for token in notes.collect(tokens):
        if token.type in ("dl_open", "dl_close"):
            definition_lists += token.nesting
            continue
        token.level -= definition_lists
        if token.type in ("dt_open", "dt_close"):
            token.type, token.tag = token.type.replace("dt", "paragraph"), "p"
            token.meta["term"] = True
        elif token.type in ("dd_open", "dd_close"):
            token.type, token.tag = token.type.replace("dd", "blockquote"), "blockquote"
            token.meta["definition"] = True
        if token.type == "inline":
            source = len(token.content) > limit or DRAWN.fullmatch(token.content)
            if source and out[-1].type == "paragraph_open":
                opening = out.pop()
                token = make_code_token(formulas.restore(token.content))
                token.map, token.level = opening.map, opening.level
            else:
                around = out[-2].type if len(out) > 1 else ""
                token.children = _tidy_inline(
                    token.children or [],
                    formulas,
                    notes,
                    in_item=around == "list_item_open",
                    in_quote=around == "blockquote_open",
                )
                token.content = formulas.restore(token.content)
                if out[-1].meta.get("term"):
                    bold = Token("strong_open", "strong", 1), Token("strong_close", "strong", -1)
                    token.children = [bold[0], *token.children, bold[1]]
        elif token.type == "paragraph_close" and out[-1].type == "fence":
            continue
        elif token.type in ("fence", "code_block"):
            token.content = formulas.restore(token.content)
        out.append(token)
    link_sources(out)
    return out


def _replace_html(tokens: list[Token], parser: MarkdownIt, env: dict[str, Any]) -> Iterator[Token]:
    """The tokens with blocks of HTML as the Markdown that says the same."""
    for token in tokens:
        if token.type != "html_block":
            yield token
            continue
        made: list[Token] = []
        position = 0
        for verbatim in [*VERBATIM.finditer(token.content), None]:
            end = verbatim.start() if verbatim else None
            made += parser.parse(_to_markdown(token.content[position:end]), env)
            if verbatim:
                position = verbatim.end()
                if verbatim[1].lower() == "table":
                    table, spans = _table_to_markdown(verbatim[2])
                    made += _span_cells(parser.parse(table, env), spans)
                    continue
                made.append(make_code_token(unescape(TAG.sub("", verbatim[2])).strip("\n")))
        for other in made:
            other.level += token.level
            other.map = token.map
            yield other


def _to_markdown(html: str) -> str:
    """A block of HTML as Markdown; tags inside of lines stay."""

    def block(match: re.Match[str]) -> str:
        closing, name = match[1], (match[2] or "").lower()
        if re.fullmatch("h[1-6]", name):
            return "\n\n" if closing else f"\n\n{'#' * int(name[1])} "
        if name == "summary":
            return "**\n\n" if closing else "\n\n**"
        if name == "li":
            return "" if closing else "\n- "
        if name in LOOKS or name in ("a", "img", "br") or name not in ELEMENTS:
            return match[0] if name else "\n"
        return "" if name in ("thead", "tbody", "tfoot") else "\n\n"

    return "\n".join(" ".join(line.split()) for line in TAG.sub(block, html).split("\n"))


def _table_to_markdown(html: str) -> tuple[str, Spans]:
    """A table of HTML as Markdown in which a cell that spans others stands in the first of them."""
    rows: list[list[str]] = []
    spans: Spans = {}
    taken: Counter[int] = Counter()  # the rows below that a cell takes in a column
    sources = ROW.findall(html)
    for row in sources:
        cells: list[str] = []
        for cell in [*CELL.finditer(row), None]:
            while taken[len(cells)] > 0:  # by a cell above
                taken[len(cells)] -= 1
                cells.append("")
            if cell:
                found = {kind: int(number) for kind, number in SPAN.findall(cell[2].lower())}
                column, wide = len(cells), found.get("col") or 1
                tall = min(found.get("row") or 1, len(sources) - len(rows))
                wide = next((n for n in range(1, wide) if taken[column + n] > 0), wide)
                spans[len(rows), column] = wide, tall, cell[1].lower() == "h"
                for taken_column in range(column, column + wide):
                    taken[taken_column] = max(taken[taken_column], tall - 1)
                text = " ".join(cell[3].split()).replace("|", "\\|")
                cells += [text, *[""] * (wide - 1)]
        rows.append(cells)
    most = max(map(len, rows), default=0)
    if not any(rows) or is_sparse(rows=len(rows), columns=most, cells=len(spans)):
        return _to_markdown(html), {}
    lines = [f"| {' | '.join([*row, *[''] * (most - len(row))])} |" for row in rows]
    lines.insert(1, "|" + "-|" * most)
    outside = _to_markdown(ROW.sub("", html)).strip()
    return "\n".join([outside, "", *lines, ""]), spans


def _span_cells(tokens: list[Token], spans: Spans) -> list[Token]:
    """The tokens of a table with the spans and the headers that HTML has in it."""
    row = column = -1
    for token in tokens:
        row, column = (row + 1, -1) if token.type == "tr_open" else (row, column)
        if token.tag in ("th", "td"):
            column += token.nesting == 1
            wide, tall, head = spans.get((row, column), (1, 1, False))
            token.meta["span"] = wide, tall
            if head:
                token.type = token.type.replace("td", "th")
    return tokens


class _Notes:
    """Footnotes: a section at the end of the draft, linked with the places that refer to it."""

    def __init__(self, env: dict[str, Any]) -> None:
        self.numbers: dict[str, int] = {
            note["label"]: number + 1
            for number, note in env.get("footnotes", {}).get("list", {}).items()
        }
        self.referred = len(self.numbers)

    def refer(self, token: Token) -> Token:
        number = self.numbers[token.meta["label"]]
        meta: dict[str, Any] = {"looks": ("sup",), "goto": f"note {number}"}
        if not token.meta["subId"]:
            meta["anchor"] = f"cited note {number}"
        return Token("text", "", 0, content=f"[{number}]", meta=meta)

    def collect(self, tokens: list[Token]) -> Iterator[Token]:
        """The tokens with the definitions at their end, in the order of their numbers."""
        notes: dict[str, list[Token]] = {}
        into: list[Token] | None = None
        last = ""
        for token in tokens:
            if token.type == "footnote_reference_open":
                into = notes.setdefault(token.meta["label"], [])
            elif token.type == "footnote_reference_close":
                into = None
            elif into is not None:
                into.append(token)
            else:
                last = token.type
                yield token
        if not notes:
            return
        if last != "heading_close":  # the draft has a heading for them
            yield Token("hr", "hr", 0)
        for label in notes:
            self.numbers.setdefault(label, len(self.numbers) + 1)
        yield Token("ordered_list_open", "ol", 1, meta={"sources": True})
        for label in sorted(notes, key=self.numbers.__getitem__):
            number = self.numbers[label]
            opening = Token("list_item_open", "li", 1, level=1, meta={"mark": f"[{number}]"})
            for token in notes[label]:
                token.level += 2
            name_entry([opening, *notes[label]], f"note {number}", number <= self.referred)
            yield from [opening, *notes[label], Token("list_item_close", "li", -1, level=1)]
        yield Token("ordered_list_close", "ol", -1)


def _tidy_inline(
    children: list[Token], formulas: Formulas, notes: _Notes, in_item: bool, in_quote: bool
) -> list[Token]:
    """The children of an inline token, without HTML and with formulas, lines and signs."""
    out: list[Token] = []
    looks: Counter[str] = Counter()
    links = 0  # how many of HTML's are open

    def add(kind: str, content: str = "", tag: str = "", nesting: Nesting = 0, **meta: Any) -> None:
        now = tuple(look for look in looks if looks[look] > 0)
        if now:
            meta["looks"] = now
        out.append(Token(kind, tag, nesting, content=content, meta=meta))

    for child in children:
        match child.type:
            case "text":
                kind = "code_inline" if looks["code"] > 0 else "text"
                tag = "code" if kind == "code_inline" else ""
                position = 0
                for match in HIDDEN.finditer(child.content):
                    if match.start() > position:
                        add(kind, child.content[position : match.start()], tag, **child.meta)
                    position = match.end()
                    add("code_inline", formulas.restore(match[0]), "code", formula=True)
                if position < len(child.content) or child.meta:
                    add(kind, child.content[position:], tag, **child.meta)
            case "html_inline":
                html = TAG.fullmatch(child.content)
                name = ((html and html[2]) or "").lower()
                bare = html and re.fullmatch(r"(\s+[a-z][\w-]*)+\s*", html[3] or "", re.IGNORECASE)
                if not html or (name and name not in ELEMENTS) or (bare and name in LOOKS):
                    add("text", formulas.restore(child.content))
                elif name in LOOKS and not child.content.endswith("/>"):
                    looks[LOOKS[name]] = max(0, looks[LOOKS[name]] + (-1 if html[1] else 1))
                elif name == "a":
                    values = _read_attributes(html[3])
                    if not html[1] and values.get("href"):
                        links += 1
                        add("link_open", "", "a", 1)
                        out[-1].attrs = {"href": formulas.restore(values["href"])}
                    elif html[1] and links:
                        links -= 1
                        add("link_close", "", "a", -1)
                elif name == "img":
                    values = _read_attributes(html[3])
                    if BADGE.search(values.get("src", "")):
                        continue
                    add("image", formulas.restore(values.get("alt", "")), "img")
                    out[-1].attrs = {"src": formulas.restore_picture(values.get("src", ""))}
                elif name in LINES and (not html[1]) and (out or name == "li"):
                    if out and out[-1].type != "hardbreak":
                        add("hardbreak", "", "br")
                    if name == "li":
                        add("text", "• ")
            case "footnote_ref":
                out.append(notes.refer(child))
            case "code_inline":
                add("code_inline", formulas.restore(child.content), "code")
            case "image" if BADGE.search(str(child.attrs.get("src"))):
                pass
            case "image" | "link_open":
                for key, value in child.attrs.items():
                    child.attrs[key] = formulas.restore_picture(str(value))
                child.content = formulas.restore(child.content)
                child.children = None
                out.append(child)
            case _:
                out.append(child)
    for _ in range(links):
        add("link_close", "", "a", -1)
    while out and out[-1].type == "hardbreak":
        out.pop()
    if in_item and out and (task := TASK.match(out[0].content)) and out[0].type == "text":
        box = Token("text", "", 0, content="☐ " if task[1] == " " else "☑ ")
        out[0].content = out[0].content[task.end() :]
        out.insert(0, box)
    if in_quote and out and (alert := ALERT.match(out[0].content)) and out[0].type == "text":
        title = Token("text", "", 0, content=alert[2].strip() or alert[1].capitalize())
        bold = [Token("strong_open", "strong", 1), title, Token("strong_close", "strong", -1)]
        out[:1] = bold
        if len(out) > 3 and out[3].type == "softbreak":
            out[3] = Token("hardbreak", "br", 0)
    return replace_emoji(_keep_lines(out))


def _read_attributes(text: str) -> dict[str, str]:
    return {
        match[1].lower(): unescape(match[2] or match[3] or match[4] or "")
        for match in ATTRIBUTE.finditer(text)
    }


def _keep_lines(children: list[Token]) -> list[Token]:
    """Soft line breaks become hard between lines of which one is a line of its own."""
    if not any(child.type == "softbreak" for child in children):
        return children
    lines: list[list[Token]] = [[]]
    breaks: list[Token] = []
    for child in children:
        if child.type.endswith("break"):
            breaks.append(child)
            lines.append([])
        else:
            lines[-1].append(child)
    out = lines[0]
    for found, (before, after) in zip(breaks, pairwise(lines), strict=True):
        own = found.type == "softbreak" and (_ends(before) or _begins(after, before))
        out += [Token("hardbreak", "br", 0) if own else found, *after]
    return out


def _ends(line: list[Token]) -> bool:
    """Whether a line is a bold title, a separator or a displayed formula."""
    types = [token.type for token in line]
    bold = types[:1] == ["strong_open"] and "strong_close" in types
    after = line[types.index("strong_close") :] if bold else line
    separator = SEPARATOR.fullmatch(_join_text(line)) is not None
    title = bold and not EMOJI.sub("", _join_text(after)).strip()
    return title or separator or _stands(line[-1:])


def _begins(line: list[Token], before: list[Token]) -> bool:
    """Whether a line is an entry, "Author: …", a separator or a displayed formula."""
    text = _join_text(line)
    label = bool(line) and line[0].type == "strong_open" and KEY.match(f"{text} ")
    keyed = KEY.match(text) and KEY.match(_join_text(before))
    own = ENTRY.match(text) or SEPARATOR.fullmatch(text) or label or keyed or _stands(line[:1])
    return bool(own)


def _stands(line: list[Token]) -> bool:
    """Whether a token is a formula that stands in a line of its own."""
    return any(t.meta.get("formula") and t.content.startswith(DISPLAYED) for t in line)


def _join_text(line: list[Token]) -> str:
    return "".join(token.content for token in line).strip()

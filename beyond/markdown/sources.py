"""Lists of sources: entries, and the places that cite them, lead to each other."""

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace

from markdown_it.token import Token

ENTRY = re.compile(r"\[(\d{1,3})\](?:[:.]\s*|\s+)")
CITATION = re.compile(r"\[\d{1,3}(?:[,;\u2013-]\s?\d{1,3})*\]")
NUMBER = re.compile(r"\[?(\d+)\]?")


def link_sources(tokens: Sequence[Token]) -> list[Token]:
    """The tokens with lists of sources, which paragraphs that begin with [1] are in the end.

    Without such paragraphs it is a list after the last heading that has the numbers that are cited,
    or is one of links. `meta` of a list has `sources`, that of its items `mark`, the number as it
    is cited, and `note`, a name, if it is.
    """
    constructs = _make_lists(split_constructs(tokens))
    made = [token for construct in constructs for token in construct]
    cited = [int(n[1]) for t in made for c in t.children or [] for n in _find_numbers(c)]
    items: dict[int, list[Token]] = {}  # the tokens of the item with each number
    tail = True  # whether no heading comes after the list
    for construct in reversed(constructs):
        opening = construct[0]
        tail = tail and opening.type != "heading_open"
        if not opening.type.endswith("list_open"):
            continue
        parts = list(_split_items(construct))
        numbered = opening.type == "ordered_list_open"
        known = numbered and not items and len(parts) >= max(cited, default=1000)
        links = sum(c.type == "link_open" for token in construct for c in token.children or [])
        if tail and (known or links >= len(parts)):
            opening.meta["sources"] = True
        if numbered and opening.meta.get("sources") and "note" not in parts[0][0].meta:
            start = int(opening.attrs.get("start", 1))
            items = dict(enumerate(parts, start)) | items
    first: set[int] = set()  # the numbers that have been met
    for token in made:
        if token.type == "inline":
            token.children = list(_link_citations(token.children or [], items, first))
    for number, item in items.items() if first else ():
        item[0].meta["mark"] = f"[{number}]"
        if number in first:
            name_entry(item, f"source {number}", True)
    return made


def name_entry(item: Sequence[Token], name: str, cited: bool) -> None:
    """Let an item be where its citations lead, and lead back to the first of them."""
    item[0].meta["note"] = name
    inlines = [token for token in item if token.type == "inline"]
    if inlines:
        anchor = Token("text", "", 0, content="", meta={"anchor": name})
        inlines[0].children = [anchor, *(inlines[0].children or [])]
    if inlines and cited:
        space = Token("text", "", 0, content="\xa0")
        back = Token("text", "", 0, content="↩", meta={"goto": f"cited {name}"})
        inlines[-1].children = [*(inlines[-1].children or []), space, back]


def split_constructs(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens of each top-level construct."""
    construct: list[Token] = []
    for token in tokens:
        construct.append(token)
        if token.level == 0 and token.nesting <= 0 and token.type != "inline":
            yield construct
            construct = []


def _make_lists(constructs: Iterable[list[Token]]) -> list[list[Token]]:
    """The constructs with lists in place of lines that begin with [1], [2], …"""
    lines = [line for construct in constructs for line in _split_lines(construct)]
    numbers = [_read_number(line) for line in lines]
    made: list[list[Token]] = []
    above = 0  # the number of the entry above
    for line, number, below in zip(lines, numbers, [*numbers[1:], 0], strict=True):
        headed = bool(made) and made[-1][0].type == "heading_open"
        if not number or not (headed or below == number + 1 or 0 < above < number):
            made.append(line)
            above = 0
            continue
        if not above or number != above + 1:
            attrs: dict[str, str | int | float] = {"start": number}
            opening = Token("ordered_list_open", "ol", 1, attrs=attrs, meta={"sources": True})
            made.append([opening, Token("ordered_list_close", "ol", -1)])
        above = number
        text = (line[1].children or [])[0]
        text.content = ENTRY.sub("", text.content, count=1)
        meta = {"mark": f"[{number}]"}
        made[-1][-1:-1] = [
            Token("list_item_open", "li", 1, level=1, meta=meta),
            *(replace(token, level=token.level + 2) for token in line),
            Token("list_item_close", "li", -1, level=1),
        ]
    return made


def _read_number(construct: Sequence[Token]) -> int:
    """The number with which a paragraph begins as an entry, or 0."""
    children = construct[1].children if construct[0].tag == "p" else None
    found = ENTRY.match(children[0].content) if children else None
    return int(found[1]) if found and children and children[0].type == "text" else 0


def _split_lines(construct: list[Token]) -> Iterator[list[Token]]:
    """A construct; or paragraphs in place of one that has a line break before an entry."""
    if construct[0].type != "paragraph_open":
        yield construct
        return
    parts: list[list[Token]] = [[]]
    for child in construct[1].children or []:
        if parts[-1] and parts[-1][-1].type == "hardbreak" and ENTRY.match(child.content):
            parts[-1].pop()
            parts.append([])
        parts[-1].append(child)
    for part in parts:
        yield [construct[0], replace(construct[1], children=part), construct[2]]


def _split_items(construct: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens of each item of a list."""
    item: list[Token] = []
    for token in construct[1:-1]:
        item.append(token)
        if token.type == "list_item_close" and token.level == construct[0].level + 1:
            yield item
            item = []


def _find_numbers(child: Token) -> Iterator[re.Match[str]]:
    """The numbers by which a text cites sources."""
    if child.type == "text" and "goto" not in child.meta:
        for cited in CITATION.finditer(child.content):
            yield from NUMBER.finditer(child.content, *cited.span())


def _link_citations(
    children: Sequence[Token], known: Container[int], first: set[int]
) -> Iterator[Token]:
    """The children with links from the numbers in brackets to the sources that have them."""
    links = 0
    for child in children:
        links += child.nesting if child.type.startswith("link") else 0
        position = 0
        for found in _find_numbers(child):
            number = int(found[1])
            if number not in known or links:
                continue
            yield replace(child, content=child.content[position : found.start()])
            meta = {**child.meta, "goto": f"source {number}"}
            if number not in first:
                meta["anchor"] = f"cited source {number}"
            first.add(number)
            yield replace(child, content=found[0], meta=meta)
            position = found.end()
        yield replace(child, content=child.content[position:]) if position else child

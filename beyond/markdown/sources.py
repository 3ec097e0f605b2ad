"""Links sources and footnotes with the places that cite them, both ways."""

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from typing import Any

from markdown_it.token import Token

CITATION = re.compile(r"\[\d{1,3}(?:[,;\u2013-]\s?\d{1,3})*\]")
CITED = re.compile(r"\[?(\d+)\]?")


class Notes:
    """Moves footnotes to the end of the draft, and links them with their references."""

    def __init__(self, env: dict[str, Any]) -> None:
        self.numbers: dict[str, int] = {
            note["label"]: number + 1
            for number, note in env.get("footnotes", {}).get("list", {}).items()
        }
        self.referred = len(self.numbers)

    def refer(self, token: Token) -> Token:
        """The text that replaces a reference: its number, as a link to the note."""
        number = self.numbers[token.meta["label"]]
        meta: dict[str, Any] = {"looks": ("sup",), "goto": f"note {number}"}
        if not token.meta["subId"]:
            meta["anchor"] = f"cited note {number}"
        return Token("text", "", 0, content=f"[{number}]", meta=meta)

    def collect(self, tokens: list[Token]) -> Iterator[Token]:
        """The tokens with the footnotes at their end, in the order of their numbers."""
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
        if notes and last != "heading_close":  # a heading at the end is meant for the notes
            yield Token("hr", "hr", 0)
        if notes:
            yield from self._list(notes)

    def _list(self, notes: dict[str, list[Token]]) -> Iterator[Token]:
        """The tokens of the list of footnotes. `notes` has those of each label."""
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


def link_sources(tokens: list[Token]) -> None:
    """Find the lists of sources, and link their entries with the places that cite them.

    Changes the tokens in place: it sets `meta` as `Draft` says, and replaces `children`. A list has
    sources if two of three things are true: the text cites its numbers, it has at least as many
    links as items, and no heading follows it.
    """
    inlines = [token for token in tokens if token.type == "inline"]
    cited = {int(n[1]) for t in inlines for child in t.children or [] for n in _find_numbers(child)}
    items: dict[int, list[Token]] = {}  # the tokens of the item with each number
    at_end = True
    for opening, *inside, _ in reversed([c for c in split_constructs(tokens) if len(c) > 1]):
        at_end = at_end and opening.type != "heading_open"
        if opening.meta or not opening.type.endswith("list_open"):
            continue
        found = dict(enumerate(split_constructs(inside, 1), int(opening.attrs.get("start", 1))))
        known = opening.tag == "ol" and not cited.isdisjoint(found)
        links = sum(c.type == "link_open" for token in inside for c in token.children or [])
        if sum((known, links >= len(found), at_end)) > 1:
            opening.meta["sources"] = True
            for number in found if known else ():
                items.setdefault(number, found[number])
    met: set[int] = set()
    for token in inlines:
        token.children = list(_link_citations(token.children or [], items, met))
    for number, item in items.items():
        item[0].meta["mark"] = f"[{number}]"
        if number in met:
            name_entry(item, f"source {number}", True)


def name_entry(item: Sequence[Token], name: str, cited: bool) -> None:
    """Name an item, so that citations can link to it. Changes its tokens in place.

    If it is `cited`, it ends in a link back to the first citation.
    """
    item[0].meta["note"] = name
    inlines = [token for token in item if token.type == "inline"]
    if inlines:
        anchor = Token("text", "", 0, content="", meta={"anchor": name})
        inlines[0].children = [anchor, *(inlines[0].children or [])]
    if inlines and cited:
        space = Token("text", "", 0, content="\xa0")
        back = Token("text", "", 0, content="↩", meta={"goto": f"cited {name}"})
        inlines[-1].children = [*(inlines[-1].children or []), space, back]


def split_constructs(tokens: Sequence[Token], level: int = 0) -> Iterator[list[Token]]:
    """Split tokens into the constructs of a level, such as a paragraph or a whole list."""
    construct: list[Token] = []
    for token in tokens:
        construct.append(token)
        if token.level == level and token.nesting <= 0 and token.type != "inline":
            yield construct
            construct = []


def _find_numbers(child: Token) -> Iterator[re.Match[str]]:
    """The numbers in brackets with which a text cites sources."""
    if child.type == "text" and "goto" not in child.meta:
        for cited in CITATION.finditer(child.content):
            yield from CITED.finditer(child.content, *cited.span())


def _link_citations(
    children: Sequence[Token], known: Container[int], met: set[int]
) -> Iterator[Token]:
    """The children with `known` numbers in brackets as links. Adds these numbers to `met`."""
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
            if number not in met:
                meta["anchor"] = f"cited source {number}"
            met.add(number)
            yield replace(child, content=found[0], meta=meta)
            position = found.end()
        yield replace(child, content=child.content[position:]) if position else child

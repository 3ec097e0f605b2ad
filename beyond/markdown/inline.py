"""Tidies the children of a line: its HTML, formulas, links, tasks and emoji."""

import re
from itertools import pairwise
from typing import Any

from markdown_it.token import Token

from beyond.markdown.emoji import replace_emoji
from beyond.markdown.formulas import HIDDEN, Formulas
from beyond.markdown.html import OpenTags
from beyond.markdown.sources import Notes

BADGE = re.compile(r"//img\.shields\.io|/badge")
ALERT = re.compile(r"\[!(\w+)\][+-]?(.*)")
EMBEDDED = re.compile(r"data:image/[\w.+-]+;base64,[\w+/=]+")  # a picture as text
TASK = re.compile(r"\[([ xX])\][ \xa0]")


def tidy_line(
    children: list[Token], formulas: Formulas, notes: Notes, around: str = ""
) -> list[Token]:
    """The children of an inline token as `Draft` describes them.

    `around` is the type of the token before its paragraph, such as "list_item_open".
    """
    line = _LineBuilder(formulas, notes)
    for child in children:
        HANDLERS.get(child.type, _LineBuilder.add)(line, child)
    out = line.out
    while out and out[-1].type == "hardbreak":
        out.pop()
    if out and out[0].type == "text":
        out = {"list_item_open": _read_task, "blockquote_open": _read_alert}.get(around, list)(out)
    return replace_emoji(_split_links(out))


class _LineBuilder:
    """Builds the children of a line, one after the other."""

    def __init__(self, formulas: Formulas, notes: Notes) -> None:
        self.formulas, self.notes = formulas, notes
        self.out: list[Token] = []
        self.tags = OpenTags()

    def add(self, token: Token) -> None:
        self.out.append(token)

    def add_text(self, child: Token) -> None:
        """A text, and the formulas that are hidden in it."""
        if child.meta:  # made by Notes
            self.add(child)
            return
        content, position = EMBEDDED.sub("", child.content), 0
        for match in HIDDEN.finditer(content):
            self._add_looking(content[position : match.start()])
            self._add_looking(match[0], "code_inline", formula=True)
            position = match.end()
        self._add_looking(content[position:])

    def add_code(self, child: Token) -> None:
        self._add_looking(child.content, "code_inline")

    def add_tag(self, child: Token) -> None:
        for token in self.tags.read(child.content, begins=not self.out):
            if token.type == "text":
                self._add_looking(token.content)
            elif self.out[-1].type != "hardbreak":
                self.add(token)

    def add_note(self, child: Token) -> None:
        self.add(self.notes.refer(child))

    def add_picture(self, child: Token) -> None:
        """A picture as its description and its address, which is "" for a data: address."""
        address = str(child.attrs["src"])
        if BADGE.search(address):
            return
        words = "".join(part.content for part in child.children or []) or child.content
        child.content, child.children = self.formulas.restore(words), None
        address = "" if address.startswith("data:") else self.formulas.restore_address(address)
        child.attrs = {"src": address}
        self.add(child)

    def add_link(self, child: Token) -> None:
        address = self.formulas.restore_address(str(child.attrs["href"]))
        child.attrs["href"] = "#" if address.startswith("data:") else address
        self.add(child)

    def _add_looking(self, content: str, kind: str = "text", **meta: Any) -> None:
        if looks := self.tags.looks:
            meta["looks"] = looks
        kind = "code_inline" if "code" in looks else kind
        if content:
            tag = "code" if kind == "code_inline" else ""
            self.add(Token(kind, tag, 0, content=self.formulas.restore(content), meta=meta))


HANDLERS = {
    "text": _LineBuilder.add_text,
    "code_inline": _LineBuilder.add_code,
    "html_inline": _LineBuilder.add_tag,
    "footnote_ref": _LineBuilder.add_note,
    "image": _LineBuilder.add_picture,
    "link_open": _LineBuilder.add_link,
}


def _read_task(line: list[Token]) -> list[Token]:
    """Replace "[ ]" or "[x]" at the beginning of a list item with a box."""
    if task := TASK.match(line[0].content):
        box = Token("text", "", 0, content="☐ " if task[1] == " " else "☑ ")
        line[0].content = line[0].content[task.end() :]
        return [box, *line]
    return line


def _read_alert(line: list[Token]) -> list[Token]:
    """Replace "[!NOTE]" at the beginning of a quote with a bold title."""
    if not (alert := ALERT.match(line[0].content)):
        return line
    title = Token("text", "", 0, content=alert[2].strip() or alert[1].capitalize())
    rest = [Token("hardbreak", "br", 0), *line[2:]] if line[2:] else line[1:]
    return [*make_bold([title]), *rest]


def make_bold(line: list[Token]) -> list[Token]:
    """The line in bold."""
    return [Token("strong_open", "strong", 1), *line, Token("strong_close", "strong", -1)]


def _split_links(line: list[Token]) -> list[Token]:
    """Take links out of links: the outer one ends before the inner one and continues after it.

    Emphasis that is open there ends and continues, too.
    """
    depth = [child.nesting for child in line if child.tag == "a"]
    if all(before + after <= 1 for before, after in pairwise(depth)):
        return line
    out: list[Token] = []
    links: list[Token] = []
    marks: list[Token] = []
    for child in line:
        if child.tag == "a":
            ends = [Token(mark.type.replace("open", "close"), mark.tag, -1) for mark in marks[::-1]]
            ends += [Token("link_close", "a", -1)] if links else []
            links = [*links, child] if child.nesting > 0 else links[:-1]
            out += [*ends, *(token.copy() for token in (*links[-1:], *marks))]
            continue
        if child.nesting > 0:
            marks.append(child)
        elif child.nesting < 0:
            marks.pop()
        out.append(child)
    full: list[Token] = []
    for token in out:
        if token.nesting < 0 and full and full[-1].nesting > 0:
            full.pop()
        else:
            full.append(token)
    return full

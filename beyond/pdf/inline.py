"""Turns the nodes of a line into runs: formulas, and text with its look."""

import re
from collections.abc import Container, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it.tree import SyntaxTreeNode as Node

from beyond.pdf.formulas import set_formula
from beyond.pdf.paint import LINK
from beyond.pdf.parts import Box, Look
from beyond.pdf.text import HALF_PAGE
from beyond.pdf.words import CODE_SCALE, RAISED_SCALE

LIVE = re.compile("(https?://|mailto:)", re.IGNORECASE)
RAISED, LOWERED = 0.36, -0.18  # shares of the text's size, upwards
STYLED = {"strong", "em", "s"}  # nodes that change only the look

Run = tuple[str, Look] | Box


class Inline(NamedTuple):
    """Makes the runs of lines in one place of a draft."""

    names: Container[str]  # of the draft's headings, to which its links may lead
    room: float  # for a formula, in points
    among_sources: bool = False  # whether a link prints its address after its title

    def make_runs(self, nodes: Sequence[Node], look: Look) -> list[Run]:
        """The runs of a paragraph, a heading, a cell, or a part of one."""
        return [run for node in nodes for run in self.make_run(node, look)]

    def make_run(self, node: Node, look: Look) -> Sequence[Run]:
        """The runs of one node and of those in it."""
        kind = node.type
        if kind in STYLED:
            return self.make_runs(node.children, _apply_looks(look, (kind,)))
        if kind == "link":
            return self.make_link(node, look)
        if kind == "image":
            return make_image(node, look)
        if kind.endswith("break"):
            return [("\n" if kind == "hardbreak" else " ", look)]
        formula = node.meta.get("formula") and set_formula(node.content, look.size, displayed=False)
        if formula:
            return [formula.shrink_to(self.room, HALF_PAGE)]
        return make_stretch(node, look)

    def make_link(self, node: Node, look: Look) -> Sequence[Run]:
        """A link's text, in the colour of links if the link leads somewhere."""
        href = str(node.attrs.get("href", ""))
        live = LIVE.match(href) is not None
        if live or (href[:1] == "#" and unquote(href[1:]) in self.names):
            look = look._replace(color=LINK, link=href if live else unquote(href))
        runs = self.make_runs(node.children, look)
        if self.among_sources and live:
            shown = read_runs(runs).removesuffix("/")
            if not href.removesuffix("/").endswith(shown):
                runs.append((f" ({href})", look))
        return runs


def make_stretch(node: Node, look: Look) -> Sequence[Run]:
    """Text or code, in `look` and in what its `meta` adds to that."""
    text, meta = node.content, node.meta
    if node.type == "code_inline":
        look = look._replace(code=True, size=look.size * CODE_SCALE)
        text = text.replace("\n", " ")
    if meta:
        look = _apply_looks(look, meta.get("looks", ()))
        color, goto = meta.get("color", look.color), look.link
        if "goto" in meta:
            color, goto = LINK, f"#{meta['goto']}"
        anchor, language = meta.get("anchor", ""), meta.get("language", "")
        look = look._replace(color=color, link=goto, anchor=anchor, language=language)
    if look.framed and text.strip():
        text = f"\xa0{text}\xa0"
    return [(text, look)] if text or look.anchor else []


def _apply_looks(look: Look, names: Sequence[str]) -> Look:
    """The look, changed by names of HTML elements."""
    if "sub" in names or "sup" in names:
        rise = look.size * (LOWERED if "sub" in names else RAISED)
        look = look._replace(size=look.size * RAISED_SCALE, rise=rise)
    return look._replace(
        bold=look.bold or "strong" in names,
        italic=look.italic or "em" in names,
        strike=look.strike or "s" in names,
        underline=look.underline or "u" in names,
        framed=look.framed or "kbd" in names,
    )


def make_image(node: Node, look: Look) -> Sequence[Run]:
    """The description of a picture, as a link to the picture, which is not fetched."""
    address = str(node.attrGet("src") or "")
    remote = LIVE.match(address) is not None
    text = node.content or (unquote(address.rpartition("/")[2]) if remote else "")
    if remote and not look.link:
        look = look._replace(color=LINK, link=address)
    return [(f"\xa0{text}\xa0", look._replace(framed=True))] if text.strip() else []


def read_runs(runs: Sequence[Run]) -> str:
    """The text of runs, without formulas."""
    return "".join([run[0] for run in runs if isinstance(run, tuple)])

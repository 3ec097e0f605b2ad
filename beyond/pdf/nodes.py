# ruff: noqa: RUF001, RUF003
"""Reads a draft's tree: headings and their names, tasks, displayed formulas."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, takewhile
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode as Node

from beyond.markdown import get_words, read_as_source
from beyond.markdown.formulas import DISPLAYED
from beyond.markdown.sources import split_constructs
from beyond.pdf.parts import SOFT_HYPHEN
from beyond.pdf.prepare import Prepared

# "1.2 ", "(3) ", "Chapter 3: ", "IV. ", "B. ", "第一章 " before a title.
NUMBERING = re.compile(
    r"\A[(（]?(?:[^\s\d]++\s++(?=[\dIVX]++\s*+[.:)–—-]))?"
    r"(?:[IVXivx]++[.):]|[A-Za-z][.)]|[第제]?(?:[\d.]++|[一二三四五六七八九十]++)(?:部分|[章节節篇部장부])?)?"
    r"[\s.:)）、．–—-]*+"
)
PAGE = re.compile(  # "..... 12", "(p. 12)" or "– page 12" after a title
    r"(?:(?<![\W_])[\W_]++|[(（–—-][^\d()]{0,8}+)\d++[页頁쪽]?\W*+\Z"
)
ASIDE = re.compile(r"\[[^][]*\]|[(（][^()（）]*[)）]")  # "[3]", "(2024)"
REMARK = re.compile(r":\s|\s[–—-]\s|：")  # between a title and what is said about it

CHATTER = 3  # blocks before a title, such as "Here is your report:"


def grow_blocks(draft: Prepared) -> Iterator[Node]:
    """The tree of each block of a draft. A block that is nested too deeply becomes code."""
    for tokens in split_constructs(draft.tokens):
        try:
            yield Node(tokens).children[0]
        except RecursionError:
            source = draft.cite(find_lines(token.map for token in tokens))
            yield Node(read_as_source(source).tokens).children[0]


def find_lines(maps: Iterable[Sequence[int] | None]) -> list[int]:
    """The numbers of the lines from which tokens come, given their `map`.

    They may have gaps: footnotes come from all over the draft.
    """
    return sorted({number for found in maps if found for number in range(*found)})


def find_headings(block: Node) -> Iterator[Node]:
    """The headings in a block."""
    return (node for node in block.walk() if node.type == "heading")


def find_title(blocks: Sequence[Node], has_topic: bool) -> Node | None:
    """The heading that is the draft's title; None if there is none.

    It begins the draft, or it follows a few words of the model and is the only heading of level 1.
    If there is a topic to be the title, a heading below level 1 that others equal is a chapter.
    """
    tops = [block for block in blocks if block.type == "heading" and read_words(block)]
    if not tops:
        return None
    title, above = tops[0], blocks.index(tops[0])
    tags = [node.tag for block in blocks for node in find_headings(block)]
    is_alone, is_highest = tags.count(title.tag) == 1, title.tag == "h1"
    if above:
        return title if is_highest and is_alone and above <= CHATTER else None
    return title if is_highest or is_alone or not has_topic else None


def is_tight(paragraph: Node) -> bool:
    """Whether a paragraph is in a list without blank lines."""
    return bool(paragraph.nester_tokens and paragraph.nester_tokens.opening.hidden)


def read_words(node: Node) -> str:
    """The words of a heading or a paragraph."""
    token = node.children[0].token
    return get_words(token).replace(SOFT_HYPHEN, "") if token else ""


def read_text(nodes: Iterable[Node]) -> str:
    """The text of nodes within a line, without their looks."""
    return "".join(leaf.content for node in nodes for leaf in node.walk())


def make_slug(title: str) -> str:
    """The name of a heading in an address, as GitHub makes it."""
    # The signs of category M are vowels and accents.
    kept = (
        c for c in title.lower() if c in " -_" or c.isalnum() or unicodedata.category(c)[0] == "M"
    )
    return "".join(kept).replace(" ", "-")


def name_places(titles: Iterator[str]) -> Iterator[str]:
    """A name for each heading, as on GitHub, so that a table of contents can link to it."""
    known: Counter[str] = Counter()
    for title in titles:
        name = make_slug(title)
        known[name] += 1
        yield f"{name}-{known[name] - 1}" if known[name] > 1 else name


def name_chapter(title: str) -> str:
    """The name of a chapter without its number, by which lists are compared."""
    return make_slug(NUMBERING.sub("", title.strip()) or title).strip("-")


def find_listed(block: Node) -> set[str]:
    """What a block lists that may be chapters: the names of its lines, and where its links lead.

    A line has several names: all of it, without its page, without a remark, and the bold words that
    it begins with.
    """
    listed: set[str] = set()
    for node in block.walk():
        lines: list[str] = []
        if node.type == "inline" and node.parent and node.parent.type != "heading":
            for nodes in split_lines(node.children):
                bold = nodes[:1] if nodes[0].type == "strong" else []
                lines += [read_text(nodes), read_text(bold)]
        elif node.type in ("fence", "code_block"):
            lines = node.content.splitlines()
        elif node.type == "link":
            lines = [read_text([node])]
            listed.add(unquote(str(node.attrGet("href"))))
        listed.update(*map(name_line, lines))
    return listed


def name_line(line: str) -> set[str]:
    """The names of the chapters that a line may list."""
    title = NUMBERING.sub("", line.strip())
    return {name_chapter(part) for part in (line, PAGE.sub("", title), REMARK.split(title)[0])}


def split_lines(nodes: Iterable[Node]) -> Iterator[list[Node]]:
    """The nodes of each line that the draft has."""
    for is_break, group in groupby(nodes, lambda node: node.type.endswith("break")):
        if not is_break:
            yield list(group)


def take_box(item: Node) -> str:
    """Take the box out of a task and return it, to be the item's mark; "" if it is not a task."""
    first = item.children[0] if item.children else None
    texts = first.children[0].children if first and first.type == "paragraph" else []
    if not texts or texts[0].content[:1] not in ("☐", "☑"):
        return ""
    box = texts[0].content[0]
    _set_content(texts[0], texts[0].content[2:])
    return box


def _set_content(node: Node, content: str) -> None:
    """Give a leaf of the tree another text. The draft's own tokens stay as they are."""
    assert node.token
    node.token = node.token.copy(content=content)


def is_displayed(nodes: Sequence[Node]) -> bool:
    """Whether one of the nodes is a displayed formula."""
    return any(n.meta.get("formula") and n.content.startswith(DISPLAYED) for n in nodes)


def split_displayed(nodes: Sequence[Node]) -> list[list[Node]]:
    """Split a paragraph into displayed formulas and the text between them.

    No part begins or ends with line breaks or blanks. A formula's part has the punctuation after
    it.
    """
    parts: list[list[Node]] = [[]]
    for node in nodes:
        behind = parts[-2] if len(parts) > 1 and not parts[-1] else []
        if is_displayed([node]):
            parts += [[node], []]
        elif behind and (end := re.match(r"[.,;:]\s*", node.content)):
            sign = Node([Token("text", "", 0, content=end[0].strip())], create_root=False)
            behind.append(sign)
            _set_content(node, node.content[end.end() :])
            parts[-1].append(node)
        else:
            parts[-1].append(node)
    return [part for part in map(strip_breaks, parts) if part]


def strip_breaks(nodes: list[Node]) -> list[Node]:
    """The nodes without line breaks and blanks around them."""

    def is_blank(node: Node) -> bool:
        return node.type.endswith("break") or (
            node.type == "text" and not node.content.strip() and "anchor" not in node.meta
        )

    seen = [place for place, node in enumerate(nodes) if not is_blank(node)]
    return nodes[seen[0] : seen[-1] + 1] if seen else []


def introduces(nodes: Sequence[Node]) -> bool:
    """Whether a paragraph ends in a colon, or in a bold line, which serves as a heading.

    A bold line may have a number before it, and an aside after it, such as a source's number.
    """
    *_, line = split_lines(nodes)
    leaves = [leaf for leaf in _find_leaves(line, False) if leaf.text]
    if _join(leaves).rstrip().endswith((":", "\uff1a")):
        return True
    number = list(takewhile(lambda leaf: not leaf.bold, leaves))  # or a sign
    title = leaves[len(number) :]
    aside = ASIDE.sub("", _join(leaf for leaf in title if not leaf.bold))
    has_letters, has_words = any(map(str.isalpha, _join(number))), any(map(str.isalnum, aside))
    return bool(title) and not has_letters and not has_words


class Leaf(NamedTuple):
    """A text within a line."""

    text: str
    bold: bool


def _join(leaves: Iterable[Leaf]) -> str:
    return "".join(leaf.text for leaf in leaves)


def _find_leaves(nodes: Iterable[Node], bold: bool) -> Iterator[Leaf]:
    """The texts in nodes, which are bold if something around them is."""
    for node in nodes:
        inside = bold or node.type == "strong" or "strong" in node.meta.get("looks", ())
        if node.is_nested:
            yield from _find_leaves(node.children, inside)
        else:
            yield Leaf(node.content, inside)

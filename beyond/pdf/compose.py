"""Turns a draft's tree into the flowables of its pages, with a method for each kind of block."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from markdown_it.tree import SyntaxTreeNode as Node

from beyond.pdf.bidi import is_rtl
from beyond.pdf.code import make_code_lines
from beyond.pdf.formulas import find_number, set_formula
from beyond.pdf.inline import Inline, Run, read_runs
from beyond.pdf.lines import Style
from beyond.pdf.nodes import (
    find_headings,
    find_lines,
    find_listed,
    find_title,
    grow_blocks,
    introduces,
    is_displayed,
    is_tight,
    name_chapter,
    name_places,
    read_words,
    split_displayed,
    take_box,
)
from beyond.pdf.pages import INDENT, Heading, Rule, shorten
from beyond.pdf.parts import BODY, Look
from beyond.pdf.pieces import HAN
from beyond.pdf.prepare import Prepared
from beyond.pdf.tables import Table, make_table
from beyond.pdf.tags import Element
from beyond.pdf.text import HALF_PAGE, HEIGHT, WIDTH, Text
from beyond.pdf.words import make_words

DEEPEST = WIDTH / 2  # points, as all lengths here; the indent of the deepest list
SOURCES_SIZE = 9.0  # of the text of sources and footnotes
CODE_SIZE = 8.75  # 82 characters a line
TITLE_SIZE = 24.0
HEADING_SIZES = {"h1": 19.0, "h2": 15.5, "h3": 13.0, "h4": 11.5, "h5": 10.5, "h6": 10.5}
APART, CLOSE = 7.0, 3.0  # the space above a text, and above one in a list without blank lines
BULLETS = "•\u2013"
# Blocks that have no room for a list item's mark beside them.
UNMARKED = {"hr", "table", "blockquote", "bullet_list", "ordered_list"}

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """What encloses a block."""

    element: Element  # in the document's structure
    left: float = 0.0  # the indent
    size: float = BODY  # of the text
    list_depth: int = 0
    bars: tuple[float, ...] = ()  # of the quotes, from the left

    @property
    def among_sources(self) -> bool:
        """Whether a list of sources or footnotes encloses it."""
        return self.size == SOURCES_SIZE


class Composer:
    """Composes one draft, and adds the elements of what it makes to `structure`."""

    def __init__(self, draft: Prepared, structure: Element, topic: str = "") -> None:
        self.draft, self.structure = draft, structure
        self.blocks = list(grow_blocks(draft))
        self.heading = find_title(self.blocks, bool(topic))  # the one that is the title
        self.title = read_words(self.heading) if self.heading else topic
        if self.heading:
            self.blocks.remove(self.heading)
        nodes = [node for block in self.blocks for node in find_headings(block)]
        self.headings = rank_headings([self.heading, *nodes] if self.heading else nodes)
        self.entries = [self.headings[node] for node in nodes]  # of a table of contents
        self.names = {heading.name for heading in self.headings.values()}

    @property
    def has_contents(self) -> bool:
        """Whether one block lists most of the draft's chapters, the highest of its headings.

        The chapters come after it. What names those before it looks back, as a conclusion does.
        """
        levels = Counter(heading.level for heading in self.entries)
        top = min((level for level, number in levels.items() if number > 1), default=0)
        blocks = {}  # the number of each chapter's block, by the chapter's names
        for number, block in enumerate(self.blocks):
            for heading in map(self.headings.__getitem__, find_headings(block)):
                if heading.level == top:
                    blocks[name_chapter(heading.title)] = blocks[f"#{heading.name}"] = number
        half = len(set(blocks.values())) / 2
        for number, block in enumerate(self.blocks):
            listed = {blocks.get(name, 0) for name in find_listed(block)}
            if sum(chapter > number for chapter in listed) > half:
                return True
        return False

    def make_title(self) -> Text | None:
        """The title: a heading of the draft, the topic, or none."""
        place = Place(self.structure, size=TITLE_SIZE)
        if self.heading:
            return self.make_heading(self.heading, place, TITLE_SIZE)
        runs = [(self.title, Look(TITLE_SIZE, bold=True))]
        return self.make_text(runs, place, TITLE_SIZE * 1.1, "H1") if self.title else None

    def compose(self) -> list[Any]:
        """The flowables of the draft. A block that cannot be set is shown as its source."""
        out: list[Any] = []
        for block in self.blocks:
            if block.type == "heading":
                drop_rules(out)
            if out or block.type != "hr":
                out += self.compose_block(block)
        drop_rules(out)
        return out

    def compose_block(self, block: Node) -> list[Any]:
        """The flowables of one of the draft's blocks."""
        elements = len(self.structure.kids)
        try:
            flowables = self.make_block(block, Place(self.structure))
            for flowable in flowables:
                flowable.wrap(WIDTH, HEIGHT)
        except Exception:  # any kind: a fault in the layout must not lose a word of the draft
            lines = find_lines(node.map for node in block.walk())
            first, last = min(lines, default=0) + 1, max(lines, default=0) + 1
            log.warning(
                "Lines %d to %d cannot be set; their source is shown", first, last, exc_info=True
            )
            del self.structure.kids[elements:]
            flowables = [self.make_code(self.draft.cite(lines), Place(self.structure))]
            flowables[0].wrap(WIDTH, HEIGHT)
        return flowables

    def make_blocks(self, nodes: Sequence[Node], place: Place) -> list[Any]:
        """The flowables of several blocks."""
        return [flowable for node in nodes for flowable in self.make_block(node, place)]

    def make_block(self, node: Node, place: Place) -> list[Any]:
        """The flowables of a block. Raises ValueError if `Draft` has no such type."""
        match node.type:
            case "paragraph":
                return list(self.make_paragraph(node, place))
            case "heading":
                return [self.make_heading(node, place)]
            case "fence" | "code_block":
                return [self.make_code(node.content, place, node.info)]
            case "hr":
                style = Style(left=place.left, bars=place.bars, rtl=self.draft.rtl)
                return [Rule(12, style)]
            case "bullet_list" | "ordered_list":
                return self.make_list(node, place)
            case "blockquote":
                return self.make_quote(node, place)
            case "table":
                return [self.make_table(node, place)]
        raise ValueError(f"unknown block {node.type}")

    def make_paragraph(self, node: Node, place: Place) -> Iterator[Text]:
        """A paragraph. Each displayed formula in it becomes a separate, centred text."""
        [inline] = node.children
        before = CLOSE if (is_tight(node) and place.list_depth) or place.among_sources else APART
        pieces = split_displayed(inline.children)
        for number, nodes in enumerate(pieces):
            if is_displayed(nodes[:1]):
                yield self.make_displayed(nodes, place, before)
            else:
                text = self.make_text(self.make_runs(nodes, Look(place.size), place), place, before)
                text.style.keeps = introduces(nodes) or number + 1 < len(pieces)
                yield text
            before = APART
        if not pieces:
            yield self.make_text([], place, before)

    def make_displayed(self, nodes: Sequence[Node], place: Place, before: float) -> Text:
        """A displayed formula with its number and the punctuation after it, centred."""
        formula, *following = nodes
        made = set_formula(formula.content, BODY, displayed=True)
        if not made:
            return self.make_code(formula.content, place)
        runs: list[Run] = [made.shrink_to(WIDTH - place.left, HALF_PAGE)]
        runs += [(node.content, Look()) for node in following]
        if number := find_number(formula.content):
            runs.append((f"\xa0\xa0\xa0\xa0{number}", Look()))
        text = self.make_text(runs, place, before)
        text.style.align = "center"
        return text

    def make_heading(self, node: Node, place: Place, size: float = 0) -> Text:
        """A heading, with its entry in the outline."""
        size, heading = size or HEADING_SIZES[node.tag], self.headings[node]
        runs = self.make_runs(heading.nodes, Look(size, bold=True), place)
        kind = f"H{heading.level + 1}"
        text = self.make_text(runs, place._replace(size=size), size * 1.1, kind)
        text.style.keeps, text.style.outline = True, heading[:3]
        return text

    def make_list(self, node: Node, place: Place) -> list[Any]:
        """The flowables of a list."""
        ordered = node.type == "ordered_list"
        numbering = "Decimal" if ordered else "Disc"
        element = place.element.add("L", f"/A<</O/List/ListNumbering/{numbering}>>")
        size = SOURCES_SIZE if node.meta.get("sources") else place.size
        out: list[Any] = []
        for number, item in enumerate(node.children, int(node.attrs.get("start", 1))):
            mark = f"{number}." if ordered else BULLETS[place.list_depth % 2]
            inside = place._replace(
                element=element.add("LI"), size=size, list_depth=place.list_depth + 1
            )
            out += self.make_item(item, item.meta.get("mark", mark), inside)
        if out and not place.list_depth and size == BODY:
            out[0].spaceBefore = max(out[0].spaceBefore, APART)
        return out

    def make_item(self, node: Node, mark: str, place: Place) -> list[Any]:
        """The flowables of a list item, of which the first has the mark."""
        label, body = place.element.add("Lbl"), place.element.add("LBody")
        if note := node.meta.get("note"):
            body = body.add("Note", name=note)
        left = place.left + max(INDENT, 6 * len(mark.strip("[].")) + 12)
        inside = place._replace(element=body, left=min(left, DEEPEST))
        mark = take_box(node) or mark
        out: list[Any] = []
        if not node.children or node.children[0].type in UNMARKED:
            # The mark gets a line of its own.
            out.append(self.make_text([("\xa0", Look())], inside, CLOSE))
        out += self.make_blocks(node.children, inside)
        out[0].style.mark, out[0].style.label = mark, label
        return out

    def make_quote(self, node: Node, place: Place) -> list[Any]:
        """A quote with a bar at its left, or a definition under its term."""
        definition = node.meta.get("definition")
        kind = "Div" if definition else "BlockQuote"
        bars = place.bars if definition else (*place.bars, place.left + 4)
        left = min(place.left + INDENT, DEEPEST)
        inside = place._replace(element=place.element.add(kind), left=left, bars=bars)
        out = self.make_blocks(node.children, inside)
        for block in out[1:] if not definition else ():
            block.style.joined += 1  # its bar continues the bar of the block above
        return out

    def make_table(self, node: Node, place: Place) -> Table:
        """A table. `make_table` tries sizes, and each makes new cells and elements."""
        rows = [row for part in node.children for row in part.children]
        kids = place.element.kids
        above = len(kids)

        def make_rows(size: float) -> list[list[Text]]:
            del kids[above:]
            element = place.element.add("Table")
            return [self.make_row(row, element.add("TR"), size, place) for row in rows]

        return make_table(make_rows, WIDTH - place.left, place.left, place.bars)

    def make_row(self, node: Node, element: Element, size: float, place: Place) -> list[Text]:
        """The cells of a row whose element is `element`, with text of `size` points."""
        return [self.make_cell(cell, element, size, place) for cell in node.children]

    def make_cell(self, node: Node, row: Element, size: float, place: Place) -> Text:
        """A cell, whose element becomes a child of its row's."""
        head = node.type == "th"
        look = Look(size, bold=head, tabular_figures=True)
        runs = self.make_runs(node.children[0].children, look, place)
        style = Style(
            leading=size * 1.38,
            align=str(node.attrGet("style") or "").removeprefix("text-align:"),
            rtl=self.draft.rtl or is_rtl(read_runs(runs)),
            element=row.add("TH", "/A<</O/Table/Scope/Column>>") if head else row.add("TD"),
            language=self.draft.language,
        )
        return Text(make_words(runs), style)

    def make_text(
        self, runs: Sequence[Run], place: Place, before: float = 0, kind: str = "P"
    ) -> Text:
        """A text in a place; `before` is the space above it in points."""
        source, size = read_runs(runs), place.size
        if not source.strip() and all(isinstance(run, tuple) for run in runs) and place.list_depth:
            runs = [("\xa0", Look(size))]  # an empty line for the mark
        style = Style(
            size=size,
            leading=size * (1.25 if size > BODY else 1.42),
            whole=place.among_sources,
            before=before,
            left=place.left,
            bars=place.bars,
            element=place.element.add(kind),
            rtl=self.draft.rtl or is_rtl(source),
            language=self.draft.language,
            # If Han, which is twice as wide as Latin, fills about half of the width.
            flush=size == BODY and len(HAN.findall(source)) * 3 > len(source),
        )
        return Text(make_words(runs), style)

    def make_code(self, content: str, place: Place, info: str = "") -> Text:
        """Code or source with its line breaks. `info` begins with the name of its language."""
        style = Style(
            leading=CODE_SIZE * 1.5,
            before=9,
            after=9,
            left=place.left,
            bars=place.bars,
            code=True,
            rtl=self.draft.rtl,
            whole=True,
            element=place.element.add("P").add("Code"),
        )
        return Text(make_code_lines(content.strip("\n"), CODE_SIZE, info), style)

    def make_runs(self, nodes: Sequence[Node], look: Look, place: Place) -> list[Run]:
        """The runs of a line in a place."""
        inline = Inline(self.names, WIDTH - place.left - INDENT, place.among_sources)
        return inline.make_runs(nodes, look)


def rank_headings(nodes: Sequence[Node]) -> dict[Node, Heading]:
    """Each heading with its level, under the nearest one of a higher rank, and its name."""
    made: dict[Node, Heading] = {}
    ranks: list[int] = []  # of a heading and of those that enclose it; the outline skips no level
    for node, name in zip(nodes, name_places(map(read_words, nodes)), strict=True):
        rank = int(node.tag[1])
        ranks = [*(other for other in ranks if other < rank), rank]
        title = shorten(read_words(node))
        made[node] = Heading(len(ranks) - 1, title, name, node.children[0].children)
    return made


def drop_rules(flowables: list[Any]) -> None:
    """Remove the rules at the end of the flowables."""
    while flowables and isinstance(flowables[-1], Rule):
        flowables.pop()

"""Makes what pages have around a draft: title, table of contents, running heads, page numbers."""

import io
import re
from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple

from markdown_it.tree import SyntaxTreeNode as Node
from reportlab import platypus, rl_config

from beyond.paper import SIZES
from beyond.pdf.archive import add_metadata
from beyond.pdf.fonts import get_face
from beyond.pdf.lines import Style
from beyond.pdf.paint import FAINT, RULE, color
from beyond.pdf.parts import BODY, INK, Look
from beyond.pdf.pieces import HAN_KANA
from beyond.pdf.tables import Table
from beyond.pdf.tags import Element, Tags
from beyond.pdf.text import HALF_PAGE, HEIGHT, LONE, WIDTH, Text, begins_page, draw_bars
from beyond.pdf.words import Word, make_words

KICKER = "Research Report"  # above the title of an English draft, or in its place
TITLE_LIMIT = 120  # characters of the document's title and of headings in the outline
THICKNESS = 0.7  # points, as all lengths here; of a rule
ROOM_BELOW = 40.0  # two lines; a rule is drawn only if there is more room below it
INDENT = 24.0  # of a list item or a quote
LONG = 8 * HEIGHT  # a longer report gets a table of contents and running heads
ENTRIES = 26  # of a table of contents; as many as fit on the first page
LEAD = 60.0  # the highest text that stays above the table of contents
NUMBERS = 36.0  # the width of the page numbers in it
CHAIN = 6  # the most texts to keep together because each introduces the next
SMALL, TINY = 9.5, 8.5  # the topic and the day of approval, the page number

WORD_START = re.compile(rf"[^\s{HAN_KANA}]+\Z")  # the beginning of a word that is cut off

rl_config.useA85 = 0  # ASCII85 makes pages larger and takes time


class Heading(NamedTuple):
    """A heading as the outline and the table of contents name it."""

    level: int  # 0 for the highest
    title: str
    name: str  # of its place
    nodes: Sequence[Node]


class Pages(platypus.BaseDocTemplate):  # type: ignore[misc]
    """Lays out pages with running heads and page numbers, and sets the document's metadata.

    The class relies on three internals of ReportLab: a page begins with `_preamble`, fonts are in
    "BasicFonts", and `_endBuild` ends the last page. tests/pdf/test_pdf_fonts.py tests them.
    """

    def __init__(
        self, out: io.BytesIO, paper: str, approved: date | None, structure: Element, **about: Any
    ) -> None:
        self.approved, self.structure = approved, structure
        self.head: Text | None = None  # above each page but the first
        size = SIZES[paper]
        self.about = about | {"author": "", "creator": "durable-research-reports"}
        super().__init__(out, pagesize=size, displayDocTitle=True, invariant=1, **self.about)
        self.left, self.foot = (size[0] - WIDTH) / 2, (size[1] - HEIGHT) / 2
        frame = platypus.Frame(self.left, self.foot, WIDTH, HEIGHT, 0, 0, 0, 0)
        template = platypus.PageTemplate(frames=[frame], onPage=self.begin, onPageEnd=self.finish)
        self.addPageTemplates(template)

    def begin(self, canvas: Any, _: object) -> None:
        """Prepare the document before its first page."""
        if self.page == 1:  # PDF/A allows only embedded fonts, not ReportLab's Helvetica
            canvas.tags = Tags(canvas, self.structure)
            add_metadata(canvas, self.approved, self.about)
            canvas._preamble = ""
            canvas._doc.idToObject["BasicFonts"].dict.pop("F1")
            if self.approved:
                canvas.setDateFormatter(lambda *_: f"D:{self.approved:%Y%m%d}000000Z")

    def finish(self, canvas: Any, _: object) -> None:
        """Print the running head and the page number. The number of pages is added at the end."""
        if self.head and self.page > 1:
            self.head.paint(canvas, self.left, self.pagesize[1] - self.foot / 2 + TINY / 2)
        with canvas.tags.mark(None):
            canvas.setFillColor(color(FAINT))
            canvas.setFont(get_face("Text").fontName, TINY)
            canvas.drawRightString(self.pagesize[0] / 2, self.foot / 2 + 4, f"{self.page} /")
            canvas.doForm("pages")

    def _endBuild(self) -> None:
        canvas = self.canv
        for name in sorted(canvas.tags.wanted - canvas.tags.anchors.keys()):
            # A note in a block that is shown as source was never placed.
            canvas.bookmarkHorizontal(name, 0, 0)
        for number, entry in enumerate(canvas.tags.entries):
            canvas.beginForm(f"entry{number}")
            entry.print_page(canvas)
            canvas.endForm()
        canvas.beginForm("pages")
        canvas.setFillColor(color(FAINT))
        canvas.setFont(get_face("Text").fontName, TINY)
        canvas.drawString(self.pagesize[0] / 2 + 2, self.foot / 2 + 4, str(self.page))
        canvas.endForm()
        super()._endBuild()


class Rule(platypus.Flowable):  # type: ignore[misc]
    """A line across the page, invisible at the top or the bottom of a page."""

    def __init__(self, space: float, style: Style | None = None) -> None:
        super().__init__()
        self.style = style or Style()
        self.spaceBefore, self.spaceAfter = space, space / 2
        self.width, self.height, self.seen, self.at_top = 0.0, THICKNESS, False, False

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """The size in points. `height` is the room that is left on the page."""
        self.width, self.at_top = width, begins_page(height)
        self.seen = height > ROOM_BELOW and not self.at_top
        return width, THICKNESS

    def draw(self) -> None:
        """Paint the line, and the bars of the quotes around it."""
        left = self.style.left
        with self.canv.tags.mark(None):
            draw_bars(self)
            if self.seen:
                x = 0 if self.style.rtl else left
                self.canv.setFillColor(color(RULE))
                self.canv.rect(x, 0, self.width - left, THICKNESS, stroke=0, fill=1)


class Entry(Text):
    """A line of the table of contents. Its page number is painted when that is known."""

    def __init__(self, words: list[Word], style: Style, goal: str) -> None:
        super().__init__(words, style)
        self.goal = goal

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """The size in points, without the page number."""
        return super().wrap(width - NUMBERS, height)

    def draw(self) -> None:
        """Paint the title, and the page number at the other side."""
        canvas, style = self.canv, self.style
        self.paint(canvas, NUMBERS if style.rtl else style.left, self.height)
        x, y = 0 if style.rtl else self.width, self.height - self.lines[0].ascent
        assert style.element
        link = style.element.add("Link")
        canvas.tags.add_link(link, (x, y, x + NUMBERS, self.height), f"#{self.goal}", self.source)
        canvas.saveState()
        canvas.translate(x, y)
        with canvas.tags.mark(link):
            canvas.doForm(f"entry{len(canvas.tags.entries)}")
        canvas.restoreState()
        canvas.tags.entries.append(self)

    def print_page(self, canvas: Any) -> None:
        """Paint the number of the page."""
        canvas.setFillColor(color(INK))
        canvas.setFont(get_face("Text").fontName, self.style.size)
        draw, x = (canvas.drawString, 0) if self.style.rtl else (canvas.drawRightString, NUMBERS)
        draw(x, 0, str(canvas.tags.anchors.get(self.goal, "")))


def make_front(
    kicker: str, title: Text | None, approved: date | None, rtl: bool, structure: Element
) -> list[Any]:
    """The flowables above the draft: the kicker, the title and the day of approval."""
    out: list[Any] = []

    def add(text: str, look: Look, before: float) -> None:
        if text:
            element = structure.add("P")
            style = Style(leading=look.size * 1.4, before=before, rtl=rtl, element=element)
            out.append(Text(make_words([(text, look)]), style))

    add(kicker, Look(TINY, FAINT, bold=True), 0)
    if title:
        out.append(title)
    add(f"{approved or ''}", Look(TINY, FAINT), 4)
    return [*out, Rule(16)]


def make_head(title: str, rtl: bool) -> Text:
    """The running head of a long report: its title, shortened to one line."""
    words = make_words([(title, Look(TINY, FAINT))])
    head = Text(words, Style(leading=TINY * 1.4, rtl=rtl))
    if head.natural_width > WIDTH:
        return make_head(shorten(title.removesuffix("…"), len(title) - 2), rtl)
    head.wrap(WIDTH, 0)
    return head


def shorten(title: str, limit: int = TITLE_LIMIT) -> str:
    """The title; if it is longer than `limit` characters, its first words and "…"."""
    if len(title) <= limit:
        return title
    start = title[:limit]
    if not title[limit].isspace():
        start = WORD_START.sub("", start) or start
    return start.rstrip() + "…"


def make_contents(
    headings: Sequence[Heading],
    make_runs: Callable[[Sequence[Node], Look], Any],
    toc: Element,
    rtl: bool,
) -> list[Entry]:
    """A table of contents with two levels, or with one if two do not fit on the first page."""
    levels = [heading.level for heading in headings]
    top = min(levels)
    deepest = top + (sum(level <= top + 1 for level in levels) <= ENTRIES)
    entries = []
    for level, title, goal, nodes in headings:
        if level <= deepest:
            size = BODY if level == top else SMALL
            style = Style(
                leading=size * 1.4,
                before=5 if level == top else 3,
                left=(level - top) * INDENT,
                size=size,
                rtl=rtl,
                whole=True,
                element=toc.add("TOCI").add("Reference"),
            )
            look = Look(size, link=f"#{goal}")
            entries.append(Entry(make_words(make_runs(nodes, look)), style, goal))
            if add_heights(entries[-1:]) > LEAD:
                entries[-1] = Entry(make_words([(title, look)]), style, goal)
    return entries


def count_lead(body: Sequence[Any]) -> int:
    """How many flowables stay above a table of contents: one, such as "By an author", or none."""
    following = any(isinstance(part, platypus.CondPageBreak) for part in body[1:2])
    return int(following and add_heights(body[:1]) < LEAD)


def add_heights(flowables: Sequence[Any]) -> float:
    """The approximate height of flowables in points."""
    return float(sum(f.wrap(WIDTH, HEIGHT)[1] + f.getSpaceBefore() for f in flowables))


def keep_together(flowables: Sequence[Any]) -> list[Any]:
    """The flowables, with conditional page breaks that keep each with what it introduces."""
    mark_captions(flowables)
    out: list[Any] = []
    held: list[Any] = []
    for flowable in flowables:
        if (isinstance(flowable, Text) and flowable.style.keeps) or (
            held and isinstance(flowable, Rule)
        ):
            held.append(flowable)
            if len(held) > CHAIN:
                out.append(held.pop(0))
            continue
        if held:
            if out:  # ReportLab forgets this space at a conditional page break
                held[0].spaceBefore = max(0, held[0].spaceBefore - out[-1].getSpaceAfter())
            needed = sum(one.height + one.spaceBefore for one in held) + flowable.spaceBefore
            if isinstance(flowable, Table):
                needed += flowable.least_height
            elif isinstance(flowable, Text):
                whole = flowable.style.whole and flowable.height <= HALF_PAGE
                needed += flowable.measure_to(len(flowable.lines) if whole else 3)
            out += [platypus.CondPageBreak(min(needed, HEIGHT * 0.75)), *held]
            held = []
        out.append(flowable)
    return out + held


def mark_captions(flowables: Sequence[Any]) -> None:
    """Keep a short text with the table or the code below it.

    If the last text of all is a single line, keep the text before it with that.
    """
    for text, below in pairwise(flowables):
        if not isinstance(text, Text):
            continue
        is_code = isinstance(below, Text) and below.style.code
        if (is_code and not text.style.code) or isinstance(below, Table):
            text.style.keeps |= len(text.lines) <= LONE
        elif isinstance(below, Text) and below is flowables[-1]:
            text.style.keeps |= len(below.lines) == 1

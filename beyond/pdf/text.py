"""Paragraphs and code as flowables: how high they are, where they split, what is beside them."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from reportlab.platypus import Flowable

from beyond.pdf.breaks import measure_joined
from beyond.pdf.fonts import choose_families, find_family, get_face
from beyond.pdf.lines import Line, Style, break_lines, keep_apart
from beyond.pdf.paint import RULE, SHADE, Painter, color
from beyond.pdf.parts import BODY, INK
from beyond.pdf.words import Word

# Of the text on a page of any paper, in points, as all lengths here; some 80 characters a line.
WIDTH, HEIGHT = 432.0, 648.0
PADDING = 5.0  # inside code blocks and table cells
HALF_PAGE = HEIGHT / 2  # code, sources and table rows of at most this height are not split
BAR = 2.5  # the width of a quote's bar
LARGEST_AFTER = 10.0  # the most space that a block has below it
MARK_GAP = 7.0  # between a bullet or a number and its text
LONE, LONE_OF_CODE = 2, 3  # the fewest lines of a text, or of code, on either side of a page break


class Text(Flowable):  # type: ignore[misc]
    """A paragraph, a heading, a cell or a block of code."""

    def __init__(self, words: Sequence[Word], style: Style) -> None:
        super().__init__()
        self.words, self.style = words, style
        # The pieces of a text share its lines. A piece has those from `start` to `end`.
        self.lines: list[Line] = []
        self.tops: list[float] = [0.0]  # the height above each line, and of all lines
        self.start = self.end = 0
        self.wrapped = -1.0  # the width for which the lines are broken
        self.width = self.height = 0.0
        self.at_top = False  # of a page
        self.spaceBefore, self.spaceAfter = style.before, style.after

    @property
    def first(self) -> bool:
        """Whether this piece is the beginning of the text."""
        return self.start == 0

    @property
    def source(self) -> str:
        """The text as it was written, on one line."""
        return " ".join(word.source for word in self.words)

    @property
    def natural_width(self) -> float:
        """The width in points at which no line has to break."""
        widest = width = 0.0
        for word in self.words:
            width += word.width
            widest = max(widest, width)
            width = 0.0 if word.newline else width + (word.gap.width if word.gap else 0)
        return widest

    @property
    def least_width(self) -> float:
        """The width in points of the longest word."""
        return max((word.width for word in self.words), default=0.0)

    @property
    def joined_width(self) -> float:
        """The width in points of the longest word, if words break at their joints."""
        return max(map(measure_joined, self.words), default=0.0)

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """Break the text into lines for a width, and return its size in points."""
        if width != self.wrapped:
            pad = 2 * PADDING if self.style.code else 0
            self.lines = list(break_lines(self.words, width - self.style.left - pad, self.style))
            keep_apart(self.lines)
            heights = (line.ascent + line.descent for line in self.lines)
            self.tops = list(accumulate(heights, initial=0.0))
            self.start, self.end, self.wrapped = 0, len(self.lines), width
        self.width, self.height = width, self.measure_to(self.end)
        self.at_top = begins_page(height)
        return width, self.height

    def measure_to(self, end: int) -> float:
        """The height in points of the piece, or of its lines before one of them."""
        height = self.tops[min(end, self.end)] - self.tops[self.start]
        if self.style.code and self.first:
            height += PADDING
        if self.style.code and end == len(self.lines):
            height += PADDING
        return height

    def split(self, width: float, height: float) -> list["Text"]:
        """Split the text at a height in points, with two lines, or three of code, on each side.

        Returns [] if the text goes to the next page.
        """
        self.wrap(width, height)
        style = self.style
        pad = PADDING if style.code and self.first else 0
        end = bisect_right(self.tops, self.tops[self.start] + height - pad) - 1
        least = LONE_OF_CODE if style.code else LONE
        end = min(end, self.end - least)
        if end - self.start < least or (style.whole and self.height <= HALF_PAGE and self.first):
            return []
        following = end
        while style.code and following < self.end - 1 and not self.lines[following].width:
            following += 1
        return [self._make_piece(self.start, end), self._make_piece(following, self.end)]

    def _make_piece(self, start: int, end: int) -> "Text":
        piece = Text(self.words, self.style)
        piece.lines, piece.tops, piece.wrapped = self.lines, self.tops, self.wrapped
        piece.start, piece.end = start, end
        piece.spaceBefore = self.spaceBefore if piece.first else 0
        piece.spaceAfter = self.spaceAfter if end == len(self.lines) else 0
        return piece

    def draw(self) -> None:
        """Paint the text and what is beside it."""
        style = self.style
        x, y = 0.0 if style.rtl else style.left, self.height
        self._draw_ground(x)
        if style.code:
            x += PADDING
            y -= PADDING if self.first else 0
        if self.first and style.outline:
            level, title, key = style.outline
            self.canv.tags.anchors[key] = self.canv.getPageNumber()
            self.canv.bookmarkHorizontal(key, 0, y + BODY)
            self.canv.addOutlineEntry(title, key, level)
        if self.first and style.mark and self.lines:
            self._draw_mark(y - self.lines[0].ascent)
        self.paint(self.canv, x, y)

    def _draw_ground(self, x: float) -> None:
        """Paint the bars of quotes and the shade of code."""
        canvas, style = self.canv, self.style
        if not (style.bars or style.code):
            return
        with canvas.tags.mark(None):
            draw_bars(self)
            if style.code:
                canvas.setFillColor(color(SHADE))
                canvas.rect(x, 0, self.width - style.left, self.height, stroke=0, fill=1)

    def _draw_mark(self, y: float) -> None:
        """Paint the bullet or the number."""
        canvas, style, mark = self.canv, self.style, self.style.mark
        family = find_family(mark[-1], choose_families(mark)) or "Text"
        canvas.setFillColor(color(INK))
        canvas.setFont(get_face(family).fontName, style.size)
        with canvas.tags.mark(style.label):
            if style.rtl:
                mark = f".{mark[:-1]}" if mark[-1] == "." else mark
                canvas.drawString(self.width - style.left + MARK_GAP, y, mark)
            else:
                canvas.drawRightString(style.left - MARK_GAP, y, mark)

    def repeat(self) -> "Text":
        """A copy of the text as decoration, so that screen readers do not read it twice."""
        again = Text(self.words, replace(self.style, element=None))
        again.lines, again.start, again.end = self.lines, self.start, self.end
        return again

    def paint(self, canvas: Any, x: float, y: float) -> None:
        """Paint the lines downwards from a top left corner, in points."""
        painter = Painter(canvas, self.style.element, self.style.code)
        painter.paint(self.lines[self.start : self.end], x, y)


def draw_bars(block: Any) -> None:
    """Paint the bars of the quotes around a text, a table or a rule.

    Bars that are joined go on in the space above the block, whose bar they may overlap.
    """
    canvas, style = block.canv, block.style
    canvas.setFillColor(color(RULE))
    for number, bar in enumerate(style.bars):
        joined = number < style.joined and not block.at_top
        top = block.height + (block.spaceBefore + LARGEST_AFTER if joined else 0)
        at = block.width - bar - BAR if style.rtl else bar
        canvas.rect(at, 0, BAR, top, stroke=0, fill=1)


def begins_page(height: float) -> bool:
    """Whether a block begins a page, given the height that is left for it, in points."""
    return height > HEIGHT - 0.1

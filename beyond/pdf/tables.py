"""Tables: columns as wide as their text needs, rows that stay whole, a header on each page."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from reportlab.platypus import Flowable  # type: ignore[import-untyped]

from beyond.pdf.text import BAR, HALF_PAGE, PADDING, RULE, SHADE, WHOLE, Text

SPACE = 10.0  # points above and below a table
LINE = 0.6  # points
NARROW_PADDING = 3.0  # points: of a table whose words would break with more
NUMBER = re.compile(
    r"[~≈<>+\u2212-]*[$€£¥]?[+\u2212-]?\d[\d.,\s]*([%‰xKMBk]|[a-z]{1,2})?|[-\u2013\u2014]|n/a", re.I
)
NARROW = 8.0  # points: no column of text is narrower
LONG = 120.0  # points: what is wider is an address or a name in a program, not a word
LEAST = 40.0  # points: less is no room for them
WEIGHT = 0.8  # the power of what a column lacks: long text wraps anyway, so it counts for less


class Table(Flowable):  # type: ignore[misc]
    """A table that begins with its header. A cell that spans others has a covered copy in each."""

    def __init__(self, rows: list[list[Text]], widths: list[float], left: float, rtl: bool) -> None:
        super().__init__()
        self.rows, self.widths, self.left, self.rtl = rows, widths, left, rtl
        self.spaceBefore = self.spaceAfter = SPACE
        self.heights: list[float] = []
        self.padding, self.heads = PADDING, 1  # the number of rows in the header
        self.bars: list[float] = []  # of the quotes around it
        self.goes_on = False  # whether its header repeats that of the page before

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """The size of the table in points."""
        if not self.heights:
            self.heights = [self.measure_row(row) for row in self.rows]
        self.width, self.height = width, sum(self.heights)
        return width, self.height

    def measure_row(self, row: Sequence[Text]) -> float:
        """The height of a row in points."""
        cells = zip(row, self.find_room(row), strict=True)
        heights = [cell.wrap(room, 0)[1] for cell, room in cells if not cell.style.covered]
        return 2 * self.padding + max(heights, default=0.0)

    def find_room(self, row: Sequence[Text]) -> list[float]:
        """The width in points within each cell of a row."""
        ends = (column + cell.style.columns for column, cell in enumerate(row))
        return [sum(self.widths[n:end]) - 2 * self.padding for n, end in enumerate(ends)]

    @property
    def least_height(self) -> float:
        """The height in points of what of the table may stand at the foot of a page."""
        self.wrap(0, 0)
        return self.height if self.height <= WHOLE else sum(self.heights[: self.heads + 1])

    def _make_part(self, rows: list[tuple[list[Text], float]], goes_on: bool) -> "Table":
        """Some rows of the table with their heights, in columns as wide as its own."""
        table = Table([row for row, _ in rows], self.widths, self.left, self.rtl)
        table.heights = [height for _, height in rows]
        table.bars, table.padding, table.heads = self.bars, self.padding, self.heads
        table.goes_on = goes_on
        return table

    def split(self, width: float, height: float) -> list["Table"]:
        """The table in two at a height in points: between two rows, or within a very tall one."""
        self.wrap(width, height)
        if self.height <= WHOLE:
            return []
        number, used = 0, 0.0
        while number < len(self.rows) and used + self.heights[number] <= height:
            used += self.heights[number]
            number += 1
        rows = list(zip(self.rows, self.heights, strict=True))
        header = rows[: self.heads]
        if sum(self.heights[: self.heads]) > HALF_PAGE:
            header = []  # too tall to be repeated
        tall = number < len(rows) and self.heights[number] > HALF_PAGE
        if tall and (pieces := self._cut(number, height - used)):
            above, below = [*rows[:number], pieces[0]], [pieces[1], *rows[number + 1 :]]
            header = header if number >= self.heads else []
        else:
            if number == len(rows) - 1 > 2 and self.heights[number] < WHOLE:
                number -= 1  # no row stands alone on the next page
            if number <= len(header):
                return []
            above, below = rows[:number], rows[number:]
        rest = self._make_part([*header, *below], bool(header))
        return [self._make_part(above, self.goes_on), rest]

    def _cut(self, number: int, height: float) -> tuple[Any, Any] | None:
        """A row in two at a height, each with its height; None if no line of a cell fits."""
        tops, rests = [], []
        room = height - 2 * self.padding
        for cell, inner in zip(self.rows[number], self.find_room(self.rows[number]), strict=True):
            fits = cell.style.covered or cell.wrap(inner, room)[1] <= room
            pieces = [cell, Text([], cell.style)] if fits else cell.split(inner, room)
            if not pieces:
                return None
            tops.append(pieces[0])
            rests.append(pieces[1])
        return (tops, self.measure_row(tops)), (rests, self.measure_row(rests))

    def draw(self) -> None:
        """Paint the rows."""
        canvas = self.canv
        way = -1 if self.rtl else 1
        widths = self.widths[::way]
        total = sum(widths)
        x0 = self.width - total - self.left if self.rtl else self.left
        starts = list(accumulate(widths, initial=x0))
        y = self.height
        with canvas.tags.mark(None):
            canvas.setFillColor(RULE)
            for bar in self.bars:
                canvas.rect(bar, 0, BAR, y + SPACE, stroke=0, fill=1)
            canvas.setFillColor(SHADE)
            shade = sum(self.heights[: self.heads])
            canvas.rect(x0, y - shade, total, shade, stroke=0, fill=1)
            canvas.setStrokeColor(RULE)
            canvas.setLineWidth(LINE)
            for number, bottom in enumerate(accumulate(self.heights), 1):
                below = self.rows[number] if self.heads != number < len(self.rows) else []
                hidden = [cell.style.covered == "above" for cell in below][::way]
                spans = list(zip(hidden, starts, starts[1:], strict=False))
                spans = spans if any(hidden) else [(False, x0, x0 + total)]
                for hide, left, right in spans:
                    if not hide:
                        canvas.line(left, y - bottom, right, y - bottom)
        for number, (row, height) in enumerate(zip(self.rows, self.heights, strict=True)):
            for column, cell in enumerate(row):
                x = starts[len(row) - column - cell.style.columns if self.rtl else column]
                if number < self.heads and self.goes_on:
                    cell = cell.repeat()
                if not cell.style.covered:
                    cell.paint(canvas, x + self.padding, y - self.padding)
            y -= height


def fits(rows: Sequence[Sequence[Text]], room: float, padding: float) -> bool:
    """Whether a table fits into a width in points without breaking a word."""
    columns = zip(*rows, strict=True)
    least = [max(min(cell.least_width, LONG) for cell in column) for column in columns]
    needed: float = sum(least) + len(least) * (2 * padding + 0.1)
    return needed <= room


def share_width(
    rows: Sequence[Sequence[Text]], room: float, padding: float = PADDING
) -> list[float]:
    """The widths of columns in points: each its longest word, and of the rest what it needs.

    Raises ValueError for more columns than a page has room for.
    """
    space = 2 * padding + 0.1  # as sums of widths are not exact
    columns = list(zip(*rows, strict=True))
    if len(columns) * (2 * padding + NARROW) > room:
        raise ValueError(f"a table of {len(columns)} columns is too wide for a page")
    wanted = [max(cell.natural_width for cell in column) + space for column in columns]
    if sum(wanted) <= room:
        return wanted
    least = [max(cell.least_width for cell in column) + space for column in columns]
    if sum(least) > room:
        # Something must break: the longest words, mostly addresses, if that is enough; else what
        # stands in the widest columns, down to a width that they share.
        much = 1.5 * room / len(least)
        long = sum(width > much for width in least)
        spare = room - sum(width for width in least if width <= much)
        if spare > long * LEAST > 0:
            return [spare / long if width > much else width for width in least]
        narrow = sorted(least)
        left = room
        for number, width in enumerate(narrow):
            equal = left / (len(narrow) - number)
            if width > equal:
                break
            left -= width
        return [min(width, equal) for width in least]
    widths = list(least)
    for number in sorted(range(len(widths)), key=wanted.__getitem__):
        if (
            wanted[number] > room / len(widths)
            or sum(widths) + wanted[number] - widths[number] > room
        ):
            break
        widths[number] = wanted[number]  # short columns need not wrap
    weights = [(most - width) ** WEIGHT for most, width in zip(wanted, widths, strict=True)]
    while (spare := room - sum(widths)) > 0.1 and (total := sum(weights)):
        for number, most in enumerate(wanted):
            widths[number] += spare * weights[number] / total
            if widths[number] >= most:
                widths[number], weights[number] = most, 0.0
    return widths


def align_numbers(rows: Sequence[Sequence[Text]]) -> None:
    """Columns of numbers stand right if the draft says nothing."""
    for header, *cells in zip(*rows, strict=True):
        sources = [cell.source for cell in cells if cell.source.strip()]
        numbers = any(map(str.isdecimal, "".join(sources))) and all(map(NUMBER.fullmatch, sources))
        if numbers and not header.style.align:
            for cell in (header, *cells):
                cell.style.align = "right" if cell.style.columns == 1 else "center"

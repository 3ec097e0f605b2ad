"""Tables: columns as wide as their text needs, rows that stay whole, a header on each page."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from reportlab.platypus import CondPageBreak, Flowable  # type: ignore[import-untyped]

from beyond.pdf.text import BAR, PADDING, RULE, SHADE, WHOLE, Text

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
PAGE = 648.0  # points between the margins of letter paper
TALL = 0.5  # of a page's height: a row that is taller may be split


class Table(Flowable):  # type: ignore[misc]
    """A table that begins with its header; a cell that spans others stands in all their places."""

    def __init__(self, rows: list[list[Text]], widths: list[float], left: float, rtl: bool) -> None:
        super().__init__()
        self.rows, self.widths, self.left, self.rtl = rows, widths, left, rtl
        self.spaceBefore = self.spaceAfter = SPACE
        self.heights: list[float] = []
        self.padding, self.heads = PADDING, 1  # the number of rows in the header
        self.bars: list[float] = []  # of the quotes around it
        self.shown: set[int] = set()  # the ids of the cells that are repeated from a page before

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """The size of the table in points."""
        if not self.heights:
            self.heights = [self.measure_row(row) for row in self.rows]
            for number, column, cell in self.find_cells():
                if cell.style.rows > 1:
                    last = number + cell.style.rows
                    needed = self.measure(cell, self.spread(self.rows[number])[column])
                    self.heights[last - 1] += max(0.0, needed - sum(self.heights[number:last]))
        self.width, self.height = width, sum(self.heights)
        return width, self.height

    def find_cells(self) -> Iterator[tuple[int, int, Text]]:
        """Each cell with the first row and column that it has."""
        above: Sequence[Text | None] = [None] * len(self.widths)
        for number, row in enumerate(self.rows):
            before = None
            for column, cell in enumerate(row):
                if cell is not before and cell is not above[column]:
                    yield number, column, cell
                before = cell
            above = row

    def spread(self, row: Sequence[Text]) -> list[float]:
        """The widths of the cells of a row in points."""
        widths: defaultdict[int, float] = defaultdict(float)
        for cell, width in zip(row, self.widths, strict=True):
            widths[id(cell)] += width
        return [widths[id(cell)] for cell in row]

    def measure(self, cell: Text, width: float) -> float:
        """The height of a cell in points."""
        return 2 * self.padding + cell.wrap(width - 2 * self.padding, 0)[1]

    def measure_row(self, row: Sequence[Text]) -> float:
        """The height of a row in points, as far as its own cells need it."""
        cells = zip(row, self.spread(row), strict=True)
        heights = (self.measure(cell, width) for cell, width in cells if cell.style.rows == 1)
        return max(heights, default=0.0)

    @property
    def least_height(self) -> float:
        """The height in points of what of the table may stand at the foot of a page."""
        self.wrap(0, 0)
        return self.height if self.height <= WHOLE else sum(self.heights[: self.heads + 1])

    def _make_part(
        self, rows: list[list[Text]], heights: list[float], shown: Sequence[Text] = ()
    ) -> "Table":
        """Some rows of the table, in columns as wide as its own."""
        table = Table(rows, self.widths, self.left, self.rtl)
        table.heights, table.bars, table.padding = heights, self.bars, self.padding
        table.heads = self.heads
        table.shown = {id(cell) for cell in shown} or self.shown
        return table

    def split(self, width: float, height: float) -> list[Any]:
        """The table in two at a height in points: between two rows, or within a very tall one."""
        self.wrap(width, height)
        if self.height <= WHOLE:
            return []
        number, used = 0, 0.0
        while number < len(self.rows) and used + self.heights[number] <= height:
            used += self.heights[number]
            number += 1
        header = self.rows[: self.heads], self.heights[: self.heads]
        tall = number < len(self.rows) and self.heights[number] > TALL * PAGE
        if tall and (pieces := self._cut(number, height - used)):
            (top, top_height), (rest, rest_height) = pieces
            above = [*self.rows[:number], top], [*self.heights[:number], top_height]
            repeated = header if number >= self.heads else ([], [])
            rows = [*repeated[0], rest, *self.rows[number + 1 :]]
            heights = [*repeated[1], rest_height, *self.heights[number + 1 :]]
            shown = [cell for row in (*header[0], self.rows[number]) for cell in row]
            return [self._make_part(*above), self._make_part(rows, heights, shown)]
        if number == len(self.rows) - 1 > 2 and self.heights[number] < WHOLE:
            number -= 1  # no row stands alone on the next page
        end = next((n for n in range(number, 1, -1) if not self._find_spans(n)), number)
        if sum(self.heights[end:number]) > WHOLE:
            end = number  # a very long cell repeats its text
        if end <= self.heads:
            return []
        above = self._make_part(self.rows[:end], self.heights[:end])
        rows, heights = [*header[0], *self.rows[end:]], [*header[1], *self.heights[end:]]
        shown = [cell for row in (*header[0], self.rows[end - 1]) for cell in row]
        below = self._make_part(rows, heights, shown)
        return [above, below] if end == number else [above, CondPageBreak(PAGE), below]

    def _find_spans(self, number: int) -> list[int]:
        """The columns whose cell in a row begins in one above."""
        if number == len(self.rows):
            return []
        pairs = zip(self.rows[number - 1], self.rows[number], strict=True)
        return [column for column, (above, cell) in enumerate(pairs) if above is cell]

    def _cut(self, number: int, height: float) -> tuple[Any, Any] | None:
        """A row in two at a height, each with its height; None if no line of a cell fits."""
        made: dict[int, list[Text]] = {}
        for cell, width in zip(self.rows[number], self.spread(self.rows[number]), strict=True):
            room, inner = height - 2 * self.padding, width - 2 * self.padding
            cell.wrap(inner, room)
            whole = [cell, Text([], cell.style)]
            pieces = whole if cell.height <= room else cell.split(inner, room)
            if not pieces:
                return None
            made.setdefault(id(cell), pieces)
        tops, rests = zip(*(made[id(cell)] for cell in self.rows[number]), strict=True)
        return (list(tops), self.measure_row(tops)), (list(rests), self.measure_row(rests))

    def draw(self) -> None:
        """Paint the rows."""
        canvas = self.canv
        widths = self.widths[::-1] if self.rtl else self.widths
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
                goes_on = self._find_spans(number)
                for column in range(len(widths)) if goes_on else ():
                    at = len(widths) - 1 - column if self.rtl else column
                    if column not in goes_on:
                        canvas.line(starts[at], y - bottom, starts[at + 1], y - bottom)
                if not goes_on:
                    canvas.line(x0, y - bottom, x0 + total, y - bottom)
        tops = [self.height - above for above in accumulate(self.heights, initial=0.0)]
        for number, column, cell in self.find_cells():
            x = starts[len(widths) - column - cell.style.columns if self.rtl else column]
            shown = cell.repeat() if id(cell) in self.shown else cell
            shown.paint(canvas, x + self.padding, tops[number] - self.padding)


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

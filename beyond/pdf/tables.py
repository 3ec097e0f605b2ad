"""Tables: columns as wide as their text needs, rows that stay whole, a header on each page."""

import re
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from reportlab.platypus import Flowable

from beyond.pdf.lines import Style
from beyond.pdf.paint import RULE, SHADE, color
from beyond.pdf.text import HALF_PAGE, PADDING, Text, begins_page, draw_bars

TEXT_SIZES = (9.5, 8.5, 7.5)  # points, as all lengths here; the largest that breaks no word is used
SPACE = 10.0  # above and below a table
HAIRLINE = 0.6
WHOLE = 165.0  # a table of at most this height is not split
NARROW_PADDING = 3.0  # for a table in which words would break otherwise
WIDER = 36.0  # how far such a table may exceed its room
FIGURE = re.compile(
    r"[~≈<>+\u2212-]*[$€£¥]?[+\u2212-]?\d[\d.,\s]*([%‰xKMBk]|[a-z]{1,2})?|[-\u2013\u2014]|n/a", re.I
)
NARROW = 8.0  # the least width of a column's text
IDENTIFIER = 120.0  # a wider word is an address or an identifier, which may break
LEAST = 40.0  # a narrower column is not worth giving to an address
# The least width of text in a column of prose, and in one of names, which may break. The first pair
# for which there is room holds.
ENOUGH = ((100.0, 100.0), (75.0, 75.0), (75.0, 40.0))
WEIGHT = 0.8  # exponent of what a column lacks; below 1, because long text wraps anyway
TOLERANCE = 0.1  # for rounding in sums of widths


class Table(Flowable):  # type: ignore[misc]
    """A table whose first row is its header."""

    def __init__(
        self, rows: list[list[Text]], widths: list[float], padding: float, style: Style
    ) -> None:
        super().__init__()
        self.rows, self.widths, self.padding, self.style = rows, widths, padding, style
        self.spaceBefore, self.spaceAfter = style.before, style.after
        self.width = self.height = 0.0
        self.at_top = False  # of a page
        self.heights: list[float] = []
        self.goes_on = False  # whether its header repeats that of the page before

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """The size of the table: the width that it is given, and the height of its rows."""
        if not self.heights:
            self.heights = [self.measure_row(row) for row in self.rows]
        self.width, self.height, self.at_top = width, sum(self.heights), begins_page(height)
        return width, self.height

    def measure_row(self, row: Sequence[Text]) -> float:
        """The height of a row."""
        cells = zip(row, self.widths, strict=True)
        heights = [cell.wrap(width - 2 * self.padding, 0)[1] for cell, width in cells]
        return 2 * self.padding + max(heights)

    @property
    def least_height(self) -> float:
        """The height that a page must have left for the table: of all rows, or of the first two."""
        self.wrap(0, 0)
        return self.height if self.height <= WHOLE else sum(self.heights[:2])

    def _make_part(self, rows: list[tuple[list[Text], float]], goes_on: bool) -> "Table":
        """Some rows of the table with their heights, in columns as wide as its own."""
        table = Table([row for row, _ in rows], self.widths, self.padding, self.style)
        table.heights = [height for _, height in rows]
        table.goes_on = goes_on
        return table

    def split(self, width: float, height: float) -> list["Table"]:
        """Split the table at a height: between two rows, or within a very tall one.

        Returns [] if the table goes to the next page.
        """
        self.wrap(width, height)
        if self.height <= WHOLE:
            return []
        number, used = 0, 0.0
        while number < len(self.rows) and used + self.heights[number] <= height:
            used += self.heights[number]
            number += 1
        rows = list(zip(self.rows, self.heights, strict=True))
        header = rows[:1] if self.heights[0] <= HALF_PAGE else []  # a taller one is not repeated
        tall = number < len(rows) and self.heights[number] > HALF_PAGE
        if tall and (pieces := self._cut(number, height - used)):
            above, below = [*rows[:number], pieces[0]], [pieces[1], *rows[number + 1 :]]
            header = header if number else []
        else:
            if number == len(rows) - 1 > 2 and self.heights[number] < WHOLE:
                number -= 1  # the next page gets more than a single row
            if number <= len(header):
                return []
            above, below = rows[:number], rows[number:]
        rest = self._make_part([*header, *below], bool(header))
        return [self._make_part(above, self.goes_on), rest]

    def _cut(self, number: int, height: float) -> tuple[Any, Any] | None:
        """Split a row at a height. Each part is its cells and its height. None if no line fits."""
        tops, rests = [], []
        room = height - 2 * self.padding
        for cell, width in zip(self.rows[number], self.widths, strict=True):
            inner = width - 2 * self.padding
            is_whole = cell.wrap(inner, room)[1] <= room
            pieces = [cell, Text([], cell.style)] if is_whole else cell.split(inner, room)
            if not pieces:
                return None
            tops.append(pieces[0])
            rests.append(pieces[1])
        return (tops, self.measure_row(tops)), (rests, self.measure_row(rests))

    def draw(self) -> None:
        """Paint the rows."""
        order = -1 if self.style.rtl else 1
        widths = self.widths[::order]
        total = sum(widths)
        left = self.style.left
        x = self.width - total - left if self.style.rtl else left
        self._draw_ground(x, total)
        places = list(accumulate(widths, initial=x))[:-1][::order]
        y = self.height - self.padding
        for number, (row, height) in enumerate(zip(self.rows, self.heights, strict=True)):
            for at, cell in zip(places, row, strict=True):
                shown = cell.repeat() if self.goes_on and not number else cell
                shown.paint(self.canv, at + self.padding, y)
            y -= height

    def _draw_ground(self, x: float, width: float) -> None:
        """Paint the bars of quotes, the shade of the header and the lines below the rows."""
        canvas, top = self.canv, self.height
        with canvas.tags.mark(None):
            draw_bars(self)
            canvas.setFillColor(color(SHADE))
            canvas.rect(x, top - self.heights[0], width, self.heights[0], stroke=0, fill=1)
            canvas.setStrokeColor(color(RULE))
            canvas.setLineWidth(HAIRLINE)
            for bottom in accumulate(self.heights):
                canvas.line(x, top - bottom, x + width, top - bottom)


def make_table(
    make_rows: Callable[[float], list[list[Text]]], room: float, left: float, bars: Sequence[float]
) -> Table:
    """A table in the largest of `TEXT_SIZES` in which it fits into `room` without breaking a word.

    `make_rows` makes the cells in a size; those of its last call are the table's. `left` is the
    indent, and `bars` the distances of the bars of quotes from the left. Raises ValueError for more
    columns than a page has room for.
    """
    padding = PADDING
    for size in TEXT_SIZES:
        rows = make_rows(size)
        if breaks_no_word(rows, room, padding):
            break
    else:
        room, padding = room + WIDER, NARROW_PADDING
    align_numbers(rows)
    style = Style(before=SPACE, after=SPACE, left=left, bars=bars, rtl=rows[0][0].style.rtl)
    return Table(rows, share_width(rows, room, padding), padding, style)


def breaks_no_word(rows: Sequence[Sequence[Text]], room: float, padding: float) -> bool:
    """Whether a table fits into a width without breaking a word."""
    columns = list(zip(*rows, strict=True))
    least = [max(min(cell.least_width, IDENTIFIER) for cell in column) for column in columns]
    needed: float = sum(least) + len(least) * (2 * padding + TOLERANCE)
    return needed <= room


def share_width(
    rows: Sequence[Sequence[Text]], room: float, padding: float = PADDING
) -> list[float]:
    """The widths of columns: each holds its longest word, and the rest is shared by need.

    Names and addresses break where a column of prose would be too narrow beside them.

    Raises ValueError for more columns than a page has room for.
    """
    space = 2 * padding + TOLERANCE
    columns = list(zip(*rows, strict=True))
    if len(columns) * (2 * padding + NARROW) > room:
        raise ValueError(f"a table of {len(columns)} columns is too wide for a page")
    wanted = [max(cell.natural_width for cell in column) + space for column in columns]
    if sum(wanted) <= room:
        return wanted
    least = [max(cell.least_width for cell in column) + space for column in columns]
    widths = _shrink(least, room) if sum(least) > room else _share_rest(least, wanted, room)
    joined = [max(cell.joined_width for cell in column) for column in columns]
    joints = [width + space if width <= IDENTIFIER else 0.0 for width in joined]
    # A column whose widest cell is a single word has names.
    are_names = [most == word for most, word in zip(wanted, least, strict=True)]
    for prose, names in ENOUGH:
        enough = [space + (names if is_name else prose) for is_name in are_names]
        fair = [*map(min, wanted, enough)]
        if all(width >= share - TOLERANCE for width, share in zip(widths, fair, strict=True)):
            break
        if fed := _feed([*map(max, least, fair)], [*map(max, joints, fair)], wanted, room):
            return fed
    return widths


def _shrink(least: list[float], room: float) -> list[float]:
    """Widths of a table in which some words must break.

    Columns with very long words, mostly addresses, shrink first. If that is not enough, the widest
    columns all shrink to the same width.
    """
    much = 1.5 * room / len(least)
    long = sum(width > much for width in least)
    spare = room - sum(width for width in least if width <= much)
    if spare > long * LEAST > 0:
        return [spare / long if width > much else width for width in least]
    narrow, left, equal = sorted(least), room, room
    for number, width in enumerate(narrow):
        equal = left / (len(narrow) - number)
        if width > equal:
            break
        left -= width
    return [min(width, equal) for width in least]


def _feed(
    whole: list[float], broken: list[float], wanted: list[float], room: float
) -> list[float] | None:
    """Widths that starve no column, because identifiers break.

    The columns need the widths `whole` if no identifier breaks, and `broken` if all do. None if
    there is no room even for these.
    """
    lack = sum(whole) - room
    spare = [width - least for width, least in zip(whole, broken, strict=True)]
    if lack <= 0:
        return _share_rest(whole, wanted, room)
    if lack > sum(spare):
        return None
    return [width - lack * more / sum(spare) for width, more in zip(whole, spare, strict=True)]


def _share_rest(least: list[float], wanted: list[float], room: float) -> list[float]:
    """Widths that give each column its longest word and a share of the rest.

    Columns of short texts get all that they want, if that is no more than an equal share of the
    room and there is so much left.
    """
    widths = list(least)
    for number in sorted(range(len(widths)), key=wanted.__getitem__):
        left = room - sum(widths) + widths[number]
        if wanted[number] > min(room / len(widths), left):
            break
        widths[number] = wanted[number]
    weights = [(most - width) ** WEIGHT for most, width in zip(wanted, widths, strict=True)]
    rest = room - sum(widths)
    while rest > TOLERANCE and any(weights):
        total = sum(weights)
        for number, most in enumerate(wanted):
            widths[number] += rest * weights[number] / total
            if widths[number] >= most:
                widths[number], weights[number] = most, 0.0
        rest = room - sum(widths)
    return widths


def align_numbers(rows: Sequence[Sequence[Text]]) -> None:
    """Align columns of numbers right, in place, unless the draft says otherwise."""
    for header, *cells in zip(*rows, strict=True):
        sources = [cell.source for cell in cells if cell.source.strip()]
        numbers = any(map(str.isdecimal, "".join(sources))) and all(map(FIGURE.fullmatch, sources))
        if numbers and not header.style.align:
            for cell in (header, *cells):
                cell.style.align = "right"

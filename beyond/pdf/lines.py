"""Breaks text into lines, and places their parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from beyond.pdf.bidi import reorder
from beyond.pdf.breaks import split_word
from beyond.pdf.parts import BODY, Look, Part
from beyond.pdf.tags import Element
from beyond.pdf.words import Word

LOOSEST = BODY / 4  # points; the most that is added between letters to fill a line
ASCENT, DESCENT = 0.76, 0.24  # shares of the leading above and below the base line
LETTERS_ABOVE, LETTERS_BELOW = 0.68, 0.66  # how much of a line's ascent and descent letters fill
CLEAR = 1.0  # points between a formula and the letters of the next line
EDGE = 1.5  # points above and below a formula at the edge of its text


@dataclass(slots=True)
class Line:
    """The placed parts of a line. Lengths are in points."""

    parts: list[tuple[float, Part]]  # each with its distance from the left
    width: float
    ascent: float  # from its top to the base line
    descent: float  # from the base line to its bottom
    above: float  # the height of its formulas above the base line
    below: float  # the depth of its formulas below the base line


@dataclass
class Style:
    """How a text, a table or a rule is laid out. Shared by its pieces if a page break splits it.

    Lengths are in points.
    """

    leading: float = BODY * 1.42  # from one base line to the next
    before: float = 0.0  # the space above the text
    after: float = 0.0  # the space below it
    left: float = 0.0  # the indent, which is on the right if `rtl`
    align: str = ""  # "left", "center" or "right"; by default, the side where the text begins
    bars: Sequence[float] = ()  # of the quotes around it, from the side where the text begins
    joined: int = 0  # how many bars continue those of the block above
    mark: str = ""  # a bullet or a number beside the first line
    size: float = BODY  # of the mark
    outline: tuple[int, str, str] | None = None  # a heading's level from 0, its title and its name
    code: bool = False  # whether it is a block of code: shaded, in columns
    rtl: bool = False  # whether it begins at the right, as all but the lines of code do then
    language: str = ""  # of the draft, as a tag
    element: Element | None = None  # what the text is in the document's structure
    label: Element | None = None  # what its mark is
    flush: bool = False  # whether all lines but the last end at the right edge
    keeps: bool = False  # whether it stays on the page of what follows
    whole: bool = False  # whether it is split only if it is higher than half a page


def break_lines(words: Sequence[Word], room: float, style: Style) -> Iterator[Line]:
    """Break words into lines at most `room` points wide."""
    line: list[Word] = []
    width = 0.0
    waiting = list(reversed(words))
    while waiting:
        word = waiting.pop()
        if line and width + word.width > room + 0.01:
            fits = room - width
            # A word that is wider than a line begins in this one if a third of it is free.
            begins = word.width > room and fits > room / 3
            cut = split_word(word, fits, style.language, soft=not begins)
            first, rest = cut or (None, word)
            yield make_line([*line, first] if first else line, room, style, style.flush)
            waiting.append(rest)
            line, width = [], 0.0
            continue
        if word.width > room + 0.01 and (cut := split_word(word, room, style.language, alone=True)):
            waiting.append(cut[1])
            yield make_line([cut[0]], room, style, style.flush)
            continue
        line.append(word)
        width += word.width + (word.gap.width if word.gap else 0)
        if word.newline:
            yield make_line(line, room, style)
            line, width = [], 0.0
    if line or not words:
        yield make_line(line, room, style)


def make_line(words: Sequence[Word], room: float, style: Style, flush: bool = False) -> Line:
    """Place words in a line `room` points wide. With `flush`, they fill it to its right edge."""
    parts = list(_join_words(words))
    rtl = style.rtl and not style.code
    if any(part.direction == "R" for part in parts):
        parts = reorder(parts, rtl)
    leading = style.leading
    width = above = below = 0.0
    strokes: list[tuple[float, list[Part]]] = []
    before: Part | None = None
    for part in parts:
        if part.box:
            above, below = max(above, part.box.ascent), max(below, part.box.descent)
        if before and _goes_on(before, part, style.code):
            strokes[-1][1].append(part)
        else:
            strokes.append((width, [part]))
        width += part.width
        before = part
    start = {"center": (room - width) / 2, "right": room - width}
    x = start.get(style.align or ("right" if rtl else "left"), 0.0)
    placed = [(x + at, _join(stroke)) for at, stroke in strokes]
    placed = _spread(placed, room - width) if flush else placed
    return Line(placed, width, leading * ASCENT, leading * DESCENT, above, below)


def keep_apart(lines: Sequence[Line]) -> None:
    """Move lines apart where formulas would touch, as TeX does. Changes the lines in place."""
    for before, line in pairwise(lines):
        below = max(before.below, before.descent * LETTERS_BELOW)
        above = max(line.above, line.ascent * LETTERS_ABOVE)
        if below + above > before.descent + line.ascent:
            line.ascent = below + above + CLEAR - before.descent
    if lines:
        lines[0].ascent = max(lines[0].ascent, lines[0].above + EDGE)
        lines[-1].descent = max(lines[-1].descent, lines[-1].below + EDGE)


def _join_words(words: Sequence[Word]) -> Iterator[Part]:
    """The parts of words, with the spaces between the words."""
    for word, following in zip_longest(words, words[1:]):
        yield from word.parts
        if not (word.gap and following):
            continue
        gap, look = word.gap, word.gap.look
        goes_on = following.parts and following.parts[0].look == look
        if (look.rise or look.is_decorated) and not goes_on:
            gap = gap._replace(look=Look(look.size, look.color))
        yield gap


def _goes_on(before: Part, part: Part, in_columns: bool) -> bool:
    """Whether a part is painted together with the one before. In code, only ASCII is."""
    return (
        part.font is before.font
        and (part.look is before.look or part.look == before.look)
        and part.is_plain
        and before.is_plain
        and (not in_columns or part.source.isascii())
    )


def _join(stroke: list[Part]) -> Part:
    if len(stroke) == 1:
        return stroke[0]
    return stroke[0]._replace(
        shown="".join([part.shown for part in stroke]),
        width=sum([part.width for part in stroke]),
        source="".join([part.source for part in stroke]),
    )


def _spread(placed: list[tuple[float, Part]], slack: float) -> list[tuple[float, Part]]:
    """Spread the free points of a line among its Han and kana, unless that makes it too loose."""
    loose = [len(part.shown) - 1 if part.font.is_han and part.shown else 0 for _, part in placed]
    space = slack / max(1, sum(loose))
    if space > LOOSEST:
        return placed
    out, moved = [], 0.0
    for (at, part), gaps in zip(placed, loose, strict=True):
        width = part.width + space * gaps
        out.append((at + moved, part._replace(spacing=space if gaps else 0.0, width=width)))
        moved += space * gaps
    return out

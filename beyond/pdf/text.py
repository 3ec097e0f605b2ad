"""Paragraphs and code on the page: their lines, what stands beside them, and where they break."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate, zip_longest
from typing import Any

from reportlab.lib.colors import HexColor  # type: ignore[import-untyped]
from reportlab.platypus import Flowable  # type: ignore[import-untyped]

from beyond.pdf.bidi import reorder
from beyond.pdf.fonts import (
    choose_families,
    find_family,
    get_face,
    replace_unprintable,
    split_by_family,
)
from beyond.pdf.tags import Element, paint_as
from beyond.pdf.words import BODY, INK, Box, Look, Part, Word, split_word

PADDING = 5.0  # points, as all lengths here; inside code blocks and table cells
WHOLE = 165.0  # a table that is no higher is never split
HALF_PAGE = 324.0  # code and sources that are no higher are never split, nor are rows of tables
LOOSEST = BODY / 4  # between letters, to make a line flush; one that needs more is not
TIGHT = 0.08  # of an em: more space between letters is taken for a space
BAR, JOINT = 2.5, 10.0  # the width of a quote's bar; how far it goes on between two texts
FAINT, LINK, RULE, SHADE = map(HexColor, ("#6b6b75", "#084d9e", "#ccccd4", "#f4f4f6"))
color = lru_cache(100)(HexColor)


@dataclass(slots=True)
class Line:
    parts: list[tuple[float, Part]]  # with their distances from the left
    width: float
    ascent: float
    descent: float


@dataclass
class Style:
    """How a text stands on the page. It is handed to all pieces into which a page break cuts it."""

    leading: float = BODY * 1.42
    before: float = 0.0
    after: float = 0.0
    left: float = 0.0
    align: str = ""  # left, center or right; by default where the text begins
    bars: list[float] = field(default_factory=list)  # of the quotes around it, from the left
    joined: int = 0  # how many of these bars go on from the text above
    mark: str = ""  # a bullet or a number beside the first line
    size: float = BODY  # of the mark
    outline: tuple[int, str, str] | None = None  # the level, title and name of a heading
    shaded: bool = False  # a block of code
    rtl: bool = False
    language: str = ""  # of the draft, as a tag
    element: Element | None = None  # what the text is in the document's structure
    label: Element | None = None  # what its mark is
    flush: bool = False  # whether all lines but the last end at the right edge
    keeps: bool = False  # the text stands on the page of what follows
    whole: bool = False  # it is not split, unless it is higher than `HALF_PAGE`
    columns: int = 1  # of the table, if it is a cell
    covered: str = ""  # the side from which another cell covers the place, left or above


def _join(run: list[Part]) -> Part:
    if len(run) == 1:
        return run[0]
    return run[0]._replace(
        shown="".join([part.shown for part in run]),
        width=sum([part.width for part in run]),
        source="".join([part.source for part in run]),
    )


def _spread(placed: list[tuple[float, Part]], slack: float) -> list[tuple[float, Part]]:
    """The parts of a line, with the space that it lacks among its letters of Han and kana."""
    loose = [len(part.shown) - 1 if part.font and part.font.is_han else 0 for _, part in placed]
    space = slack / max(1, sum(loose))
    if space > LOOSEST:
        return placed
    out, moved = [], 0.0
    for (at, part), gaps in zip(placed, loose, strict=True):
        width = part.width + space * gaps
        out.append((at + moved, part._replace(spacing=space if gaps else 0.0, width=width)))
        moved += space * gaps
    return out


class Text(Flowable):  # type: ignore[misc]
    """A paragraph, a heading, a cell or a block of code."""

    def __init__(self, words: list[Word], style: Style) -> None:
        super().__init__()
        self.words, self.style = words, style
        # All pieces of a text share its lines, of which each has those from `start` to `end`.
        self.lines: list[Line] = []
        self.tops: list[float] = [0.0]  # the height of all lines before each line, and of all
        self.start = self.end = 0
        self.wrapped = -1.0
        self.spaceBefore, self.spaceAfter = style.before, style.after

    @property
    def first(self) -> bool:
        """Whether the piece has the beginning of the text."""
        return self.start == 0

    @property
    def source(self) -> str:
        """The text as it was written, on one line."""
        words = ("".join(part.source for part in word.parts) for word in self.words)
        return " ".join(words)

    @property
    def natural_width(self) -> float:
        """The width in points, of a column, at which no line would have to be broken."""
        widest = width = 0.0
        for word in self.words:
            width += word.width
            widest = max(widest, width)
            width = 0.0 if word.newline else width + (word.gap.width if word.gap else 0)
        return widest / self.style.columns

    @property
    def least_width(self) -> float:
        """The width of the longest word in points, of a column."""
        return max((word.width for word in self.words), default=0.0) / self.style.columns

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """The size in points that the text takes up in a width."""
        if width != self.wrapped:
            pad = 2 * PADDING if self.style.shaded else 0
            self.lines = list(self.break_lines(width - self.style.left - pad))
            heights = (line.ascent + line.descent for line in self.lines)
            self.tops = list(accumulate(heights, initial=0.0))
            self.start, self.end, self.wrapped = 0, len(self.lines), width
        self.width, self.height = width, self.measure_to(self.end)
        return width, self.height

    def measure_to(self, end: int) -> float:
        """The height in points of the piece, or of its lines before one of them."""
        height = self.tops[min(end, self.end)] - self.tops[self.start]
        if self.style.shaded and self.first:
            height += PADDING
        if self.style.shaded and end == len(self.lines):
            height += PADDING
        return height

    def break_lines(self, room: float) -> Iterator[Line]:
        """The lines in a width."""
        line: list[Word] = []
        width = 0.0
        style = self.style
        words = list(reversed(self.words))
        while words:
            word = words.pop()
            if line and width + word.width > room + 0.01:
                fits = room - width
                # A word that must break somewhere begins in this line if that has room for it.
                begins = word.width > room and fits > room / 3
                if cut := split_word(word, fits, style.language, soft=not begins):
                    line.append(cut[0])
                    words.append(cut[1])
                else:
                    words.append(word)
                yield self.make_line(line, room, style.flush)
                line, width = [], 0.0
                continue
            if word.width > room + 0.01 and (
                cut := split_word(word, room, style.language, alone=True)
            ):
                words.append(cut[1])
                yield self.make_line([cut[0]], room, style.flush)
                continue
            line.append(word)
            width += word.width + (word.gap.width if word.gap else 0)
            if word.newline:
                yield self.make_line(line, room)
                line, width = [], 0.0
        if line or not self.words:
            yield self.make_line(line, room)

    def make_line(self, words: list[Word], room: float, flush: bool = False) -> Line:
        """Place words in a line, which may end at the right edge."""
        parts: list[Part] = []
        for word, following in zip_longest(words, words[1:]):
            parts += word.parts
            if not (word.gap and following):
                continue
            gap, look = word.gap, word.gap.look
            goes_on = following.parts and following.parts[0].look == look
            if (look.rise or look.is_decorated) and not goes_on:
                gap = gap._replace(look=Look(look.size, look.color))
            parts.append(gap)
        if any(part.direction == "R" for part in parts):
            parts = reorder(parts, self.style.rtl)
        leading = self.style.leading
        width, ascent, descent = 0.0, leading * 0.76, leading * 0.24
        runs: list[tuple[float, list[Part]]] = []  # what is painted in one stroke
        before: Part | None = None
        language = ""  # of the run
        loose = not self.style.shaded  # in code, each part stands in its column
        for part in parts:
            if part.font is None:
                ascent = max(ascent, part.shown.ascent + 1.5)
                descent = max(descent, part.shown.descent + 1.5)
            if (
                before
                and type(part.shown) is type(before.shown) is str
                and part.font is before.font
                and (
                    part.source.isascii()
                    or (loose and part.language in ("", language))
                    or (loose and not language and part.font and part.font.is_han)
                )
                and (part.look is before.look or part.look == before.look)
            ):
                runs[-1][1].append(part)
            else:
                runs.append((width, [part]))
                language = ""
            if not (language or part.source.isascii()):
                language = part.language
            width += part.width
            before = part
        start = {"center": (room - width) / 2, "right": room - width}
        x = start.get(self.style.align or ("right" if self.style.rtl else "left"), 0.0)
        placed = [(x + at, _join(run)) for at, run in runs]
        if flush:
            placed = _spread(placed, room - width)
        return Line(placed, width, ascent, descent)

    def split(self, width: float, height: float) -> list["Text"]:
        """The text in two at a height in points: no line, nor two of code, alone on either side."""
        self.wrap(width, height)
        style = self.style
        pad = PADDING if style.shaded and self.first else 0
        end = bisect_right(self.tops, self.tops[self.start] + height - pad) - 1
        least = 3 if style.shaded else 2
        end = min(end, self.end - least)
        if end - self.start < least or (style.whole and self.height <= HALF_PAGE and self.first):
            return []
        following = end
        while style.shaded and following < self.end - 1 and not self.lines[following].width:
            following += 1
        pieces = []
        for start, stop in ((self.start, end), (following, self.end)):
            piece = Text(self.words, style)
            piece.lines, piece.tops, piece.wrapped = self.lines, self.tops, self.wrapped
            piece.start, piece.end = start, stop
            piece.spaceBefore = self.spaceBefore if piece.first else 0
            piece.spaceAfter = self.spaceAfter if stop == len(self.lines) else 0
            pieces.append(piece)
        return pieces

    def draw(self) -> None:
        """Paint the text and what is beside it."""
        canvas, style = self.canv, self.style
        x = 0.0 if style.rtl else style.left
        y = self.height
        with canvas.tags.mark(None):
            for number, bar in enumerate(style.bars):
                canvas.setFillColor(RULE)
                # Bars go on in the space between this text and the one above.
                top = y + (JOINT if number < style.joined and self.first else 0)
                at = self.width - bar - BAR if style.rtl else bar
                canvas.rect(at, 0, BAR, top, stroke=0, fill=1)
            if style.shaded:
                canvas.setFillColor(SHADE)
                canvas.rect(x, 0, self.width - style.left, self.height, stroke=0, fill=1)
        if style.shaded:
            x += PADDING
            if self.first:
                y -= PADDING
        if self.first and style.outline:
            level, title, key = style.outline
            canvas.tags.anchors[key] = canvas.getPageNumber()
            canvas.bookmarkHorizontal(key, 0, y + BODY)
            canvas.addOutlineEntry(title, key, level)
        if self.first and style.mark and self.lines:
            canvas.setFillColor(INK)
            face = get_face(find_family(style.mark[-1], choose_families(style.mark)) or "Text")
            canvas.setFont(face.fontName, style.size)
            base = y - self.lines[0].ascent
            with canvas.tags.mark(style.label):
                if style.rtl:
                    mark = f".{style.mark[:-1]}" if style.mark[-1] == "." else style.mark
                    canvas.drawString(self.width - style.left + 7, base, mark)
                else:
                    canvas.drawRightString(style.left - 7, base, style.mark)
        self.paint(canvas, x, y)

    def repeat(self) -> "Text":
        """The text again, as decoration."""
        again = Text(self.words, replace(self.style, element=None))
        again.lines, again.start, again.end = self.lines, self.start, self.end
        return again

    def paint(self, canvas: Any, x: float, y: float) -> None:
        """Paint the lines from a top left corner on."""
        text = canvas.beginText()
        font: Any = None
        fill: Any = None
        rise = 0.0
        kind = ("", False, "")  # of the text at hand: its address, whether it is code, its language
        element = self.style.element
        link: Element | None = None
        moved = True  # whether the next part's place must be said

        def flush() -> None:
            """Paint the text at hand as what it is in the structure."""
            nonlocal text, font, fill, rise, moved
            if font is None:
                return
            if rise:
                text.setRise(0)
            with canvas.tags.mark(element, kind[2]):
                canvas.drawText(text)
            text, font, fill, rise, moved = canvas.beginText(), None, None, 0.0, True

        for line in self.lines[self.start : self.end]:
            y -= line.ascent
            moved = True
            for at, part in line.parts:
                look = part.look
                if part.font is None:
                    flush()
                    self.draw_box(canvas, x + at, y, part.shown)
                    continue
                language = canvas.tags.choose_language(part.language)
                now = look.link, look.code and not self.style.shaded, language
                if now != kind:
                    flush()
                    element = self.style.element
                    if look.link != kind[0]:
                        if element and look.link.startswith("#") and element.kind != "Reference":
                            element = element.add("Reference")
                        link = element.add("Link") if element and look.link else None
                    element = link or element
                    if element and now[1]:
                        element = element.add("Code")
                    kind = now
                if moved or self.style.shaded:
                    text.setTextOrigin(x + at, y)
                    moved = False
                if (part.font, look.size) != font:
                    font = part.font, look.size
                    text.setFont(part.font.fontName, look.size)
                if look.color is not fill:
                    fill = look.color
                    text.setFillColor(fill)
                if look.rise != rise:
                    rise = look.rise
                    text.setRise(rise)
                if look.is_decorated:
                    self.decorate(canvas, x + at, y, part, link)
                if part.spacing:
                    text.setCharSpace(part.spacing)
                spread = part.spacing > TIGHT * look.size or len(part.shown) > len(part.source)
                if spread and part.font.is_han:
                    paint_as(text, part.shown, part.source)
                else:
                    text.textOut(part.shown)
                if part.spacing:
                    text.setCharSpace(0)
                    moved = True
            y -= line.descent
        flush()

    def draw_box(self, canvas: Any, x: float, y: float, box: Box) -> None:
        """Paint a formula or a picture, with what it says unseen, to be found and copied."""
        source = replace_unprintable(" ".join(box.source.split()))
        element = None
        if self.style.element and source:  # what says nothing is decoration
            element = self.style.element.add(box.kind)
            element.alt = source
        parts = [
            (get_face(name), t) for name, t in split_by_family(source, choose_families(source))
        ]
        width = sum(font.measure(shown, 1) for font, shown in parts)
        with canvas.tags.mark(element):
            box.draw(canvas, x, y)
            text = canvas.beginText(x, y)
            text.setTextRenderMode(3)
            for font, shown in parts:
                text.setFont(font.fontName, box.width / max(0.1, width))
                text.textOut(shown)
            text.setTextRenderMode(0)
            canvas.drawText(text)

    def decorate(self, canvas: Any, x: float, y: float, part: Part, link: Element | None) -> None:
        """Paint what lines a part has, and make it a link or the place to which one leads."""
        look, end = part.look, x + part.width
        if look.framed and part.shown.strip():
            with canvas.tags.mark(None):
                canvas.setStrokeColor(RULE)
                canvas.setLineWidth(0.6)
                bottom, height = y - look.size * 0.28, look.size * 1.2
                canvas.roundRect(x + 0.8, bottom, part.width - 1.6, height, 2)
        for wanted, height in ((look.strike, 0.28), (look.underline, -0.14)):
            if wanted:
                with canvas.tags.mark(None):
                    canvas.setStrokeColor(look.color)
                    canvas.setLineWidth(look.size * 0.06)
                    canvas.line(x, y + look.size * height, end, y + look.size * height)
        if look.anchor:
            canvas.tags.anchors[look.anchor] = canvas.getPageNumber()
            canvas.bookmarkHorizontal(look.anchor, 0, y + look.size * 1.4)
        if look.link:
            area = (x, y - look.size * 0.25 + look.rise, end, y + look.size + look.rise)
            if link:
                canvas.tags.add_link(link, area, look.link, part.source)

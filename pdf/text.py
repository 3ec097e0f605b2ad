"""Paragraphs and code of any script: where lines break, in which order they read, how they look.

ReportLab's own Paragraph breaks lines at spaces, knows one direction, and breaks what is left of a
paragraph again on each page: a long one takes it time that grows with the square of the length.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

from reportlab.lib.colors import Color, HexColor  # type: ignore[import-untyped]
from reportlab.platypus import Flowable  # type: ignore[import-untyped]

from pdf.fonts import (
    RIGHT_TO_LEFT,
    SHAPED,
    Face,
    face,
    families,
    family_of,
    printable,
    stretches,
)

BODY = 10.5  # points, as all lengths here
PADDING = 5.0  # inside code blocks and table cells
CODE_SCALE = 0.92  # Cascadia Mono looks larger than FiraGO
PORTION = 1_000  # characters of a word: each break within it measures the rest of it again
RAISED = 0.68  # the size of a superscript, of its text's
WHOLE = 165.0  # a block of code that is no higher is never split
BAR, JOINT = 2.5, 10.0  # the width of a quote's bar, and how far it reaches up
INK, FAINT, LINK, RULE, SHADE = (
    HexColor(color) for color in ("#212126", "#6b6b75", "#084d9e", "#ccccd4", "#f4f4f6")
)
color = lru_cache(100)(HexColor)

# Unicode ranges. Chinese and Japanese break between any two characters, but not before a closing
# mark or after an opening one; Thai, Lao, Khmer and Burmese, without a dictionary, break between
# letters and never between a letter and its vowel signs.
WIDE = "\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
OPENING = "〈《「『【〔〖（［｛“‘"  # noqa: RUF001
CLOSING = "、。〉》」』】〕〗！），．：；？］｝”’ー…ぁぃぅぇぉっゃゅょァィゥェォッャュョ々"  # noqa: RUF001
THAI = "เ-ไ"
PIECE = re.compile(
    rf"[{OPENING}]*[{WIDE}][{CLOSING}]*|[{THAI}]?[ก-ฮ][ะ-ฺๅ-๎]*|[ກ-ຮ][ະ-ຽ່-໎]*"
    rf"|[^{WIDE}{OPENING}ก-ฮ{THAI}ກ-ຮ]+|."
)
UNSPACED = re.compile(f"[{WIDE}{OPENING}{CLOSING}ก-ฮ{THAI}ກ-ຮ]")
WORD = re.compile(r"\n|[^ \n]+| +")
HYPHENS = re.compile(r"[^-–—]+[-–—]+(?=[^\W\d])|[^-–—]+|[-–—]+")  # noqa: RUF001
JOINTS = re.compile(r"[ /_.\-?&=,:;)\]}|]|(?<=[a-z])(?=[A-Z])")  # where a long word breaks best
MIRRORED = str.maketrans("()[]{}<>«»‹›", ")(][}{><»«›‹")  # noqa: RUF001
NUMBER = re.compile("[\\d\u0660-\u0669\u06f0-\u06f9]")
RUNS = re.compile(
    rf"[{''.join(RIGHT_TO_LEFT.pattern[1:-1])}\u064b-\u065f]+"
    "|[\u0660-\u0669\u06f0-\u06f9\\d]+(?:[.,:/٫٬-][\u0660-\u0669\u06f0-\u06f9\\d]+)*%?"
    f"|[^\\W\\d{RIGHT_TO_LEFT.pattern[1:-1]}][^{RIGHT_TO_LEFT.pattern[1:-1]}]*|."
)


class Look(NamedTuple):
    """How a stretch of text looks."""

    size: float = BODY
    color: Color = INK
    bold: bool = False
    italic: bool = False
    code: bool = False
    rise: float = 0.0
    strike: bool = False
    underline: bool = False
    framed: bool = False  # as a key of a keyboard
    link: str = ""  # an address, or "#" and the name of a place in the document
    anchor: str = ""  # the name of this place
    figures: bool = False  # of equal width


PLAIN = Look()[5:11]


class Box(Protocol):
    """What stands in a line without being text: a formula."""

    width: float
    ascent: float
    descent: float  # below the base line, positive
    source: str

    def draw(self, canvas: Any, x: float, y: float) -> None:
        """Paint it with its base line beginning at a point."""


class Part(NamedTuple):
    """A stretch of one look and one font; `direction` is one of L, R, digits D and N for none."""

    look: Look
    font: Face | None
    shown: Any  # a str, glyphs, or a Box
    width: float
    direction: str = "L"
    source: str = ""


@dataclass(slots=True)
class Word:
    """What no line may break, and the width of the space after it."""

    parts: list[Part]
    width: float = 0.0
    space: float = 0.0
    newline: bool = False


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
    joined: int = 0  # bars that reach up to the text above
    mark: str = ""  # a bullet or a number beside the first line
    outline: tuple[int, str] | None = None  # the rank and the title of a heading
    shaded: bool = False  # a block of code
    rtl: bool = False


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
    def last(self) -> bool:
        """Whether the piece has the end of the text."""
        return self.end == len(self.lines)

    def natural_width(self) -> float:
        """The width in points at which no line would have to be broken."""
        widest = width = 0.0
        for word in self.words:
            width += word.width
            widest = max(widest, width)
            width = 0.0 if word.newline else width + word.space
        return widest

    def least_width(self) -> float:
        """The width of the longest word in points."""
        return max((word.width for word in self.words), default=0.0)

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """The size in points that the text takes up in a width."""
        if width != self.wrapped:
            pad = 2 * PADDING if self.style.shaded else 0
            self.lines = list(self.broken(width - self.style.left - pad))
            heights = (line.ascent + line.descent for line in self.lines)
            self.tops = list(accumulate(heights, initial=0.0))
            self.start, self.end, self.wrapped = 0, len(self.lines), width
        self.width, self.height = width, self.height_to(self.end)
        return width, self.height

    def height_to(self, end: int) -> float:
        """The height in points of the piece, or of its lines before one of them."""
        pad = PADDING * (self.first + (end == len(self.lines))) if self.style.shaded else 0
        return self.tops[min(end, self.end)] - self.tops[self.start] + pad

    def broken(self, room: float) -> Iterator[Line]:
        """The lines in a width."""
        line: list[Word] = []
        width = 0.0
        words = list(reversed(self.words))
        while words:
            word = words.pop()
            if line and width + word.width > room + 0.01:
                fits = room - width
                # Rather a long word after a short line than a line of its own for each.
                if word.width > room and fits > room / 3 and (cut := split(word, fits, line == [])):
                    line.append(cut[0])
                    words.append(cut[1])
                else:
                    words.append(word)
                yield self.line(line, room)
                line, width = [], 0.0
                continue
            if word.width > room + 0.01 and (cut := split(word, room, True)):
                words.append(cut[1])
                yield self.line([cut[0]], room)
                continue
            line.append(word)
            width += word.width + word.space
            if word.newline:
                yield self.line(line, room)
                line, width = [], 0.0
        if line or not self.words:
            yield self.line(line, room)

    def line(self, words: list[Word], room: float) -> Line:
        """Place words in a line."""
        parts: list[Part] = []
        for number, word in enumerate(words):
            parts += word.parts
            if word.space and number < len(words) - 1 and word.parts:
                look = word.parts[-1].look
                if look[5:11] != PLAIN:  # what underlines or links two words joins them
                    following = words[number + 1].parts
                    same = following and following[0].look == look
                    look = look if same else Look(look.size, look.color)
                font = word.parts[-1].font or face("Text")
                font = font if type(word.parts[-1].shown) is str and font.has(" ") else face("Text")
                parts.append(Part(look, font, " ", word.space, "N", " "))
        if any(part.direction == "R" for part in parts):
            parts = in_visual_order(parts, self.style.rtl)
        width = sum(part.width for part in parts)
        leading = self.style.leading
        ascent, descent = leading * 0.76, leading * 0.24
        for part in parts:
            if part.font is None:
                ascent = max(ascent, part.shown.ascent + 1.5)
                descent = max(descent, part.shown.descent + 1.5)
        start = {"center": (room - width) / 2, "right": room - width}
        x = start.get(self.style.align or ("right" if self.style.rtl else "left"), 0.0)
        placed: list[tuple[float, Part]] = []
        for part in parts:
            before = placed[-1][1] if placed else None
            if (
                before
                and type(before.shown) is type(part.shown) is str
                and (
                    part.font is before.font
                    and (part.look is before.look or part.look == before.look)
                )
            ):
                merged = before._replace(
                    shown=before.shown + part.shown, width=before.width + part.width
                )
                placed[-1] = placed[-1][0], merged
            else:
                placed.append((x, part))
            x += part.width
        return Line(placed, width, ascent, descent)

    def split(self, width: float, height: float) -> list["Text"]:
        """The text in two at a height in points: no line stands alone on either side."""
        self.wrap(width, height)
        style = self.style
        pad = PADDING * self.first if style.shaded else 0
        end = bisect_right(self.tops, self.tops[self.start] + height - pad) - 1
        end = min(end, self.end - 1)  # if only the padding at the end does not fit
        if self.end - end == 1:
            end -= 1
        if end - self.start <= 1 or (style.shaded and self.height <= WHOLE and self.first):
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
            piece.spaceAfter = self.spaceAfter if piece.last else 0
            pieces.append(piece)
        return pieces

    def draw(self) -> None:
        """Paint the text and what is beside it."""
        canvas, style = self.canv, self.style
        x = 0.0 if style.rtl else style.left
        y = self.height
        for number, bar in enumerate(style.bars):
            canvas.setFillColor(RULE)
            # Bars go on from the text before, across any space there is between the two.
            top = y + (JOINT if number < style.joined and self.first else 0)
            at = self.width - bar - BAR if style.rtl else bar
            canvas.rect(at, 0, BAR, top, stroke=0, fill=1)
        if style.shaded:
            canvas.setFillColor(SHADE)
            canvas.rect(x, 0, self.width - style.left, self.height, stroke=0, fill=1)
            x += PADDING
            y -= PADDING * self.first
        if self.first and style.outline:
            level, title = style.outline
            key = f"heading {self.canv.getPageNumber()} {self.canv.absolutePosition(0, y)[1]:.1f}"
            canvas.bookmarkHorizontal(key, 0, y + BODY)
            canvas.addOutlineEntry(title, key, level)
        if self.first and style.mark and self.lines:
            canvas.setFillColor(INK)
            order = families(style.mark)
            canvas.setFont(face(family_of(style.mark[-1], order) or "Text").fontName, BODY)
            base = y - self.lines[0].ascent
            if style.rtl:
                canvas.drawString(self.width - style.left + 7, base, style.mark)
            else:
                canvas.drawRightString(style.left - 7, base, style.mark)
        self.paint(canvas, x, y)

    def paint(self, canvas: Any, x: float, y: float) -> None:
        """Paint the lines from a top left corner on."""
        text = canvas.beginText()
        font: Any = None
        fill: Any = None
        rise = 0.0
        for line in self.lines[self.start : self.end]:
            y -= line.ascent
            text.setTextOrigin(x + (line.parts[0][0] if line.parts else 0), y)
            moved = False
            for at, part in line.parts:
                look = part.look
                if part.font is None:
                    part.shown.draw(canvas, x + at, y)
                    self.hide(text, x + at, y, part.shown)
                    font, moved = None, True
                    continue
                if moved or self.style.shaded:  # in code, each part stands in its column
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
                if look[6:11] != PLAIN[1:]:
                    self.decorate(canvas, x + at, y, part)
                text.textOut(part.shown)
            y -= line.descent
        if rise:
            text.setRise(0)
        canvas.drawText(text)

    def hide(self, text: Any, x: float, y: float, box: Box) -> None:
        """Put what a box says into the page, unseen, so that readers can find and copy it."""
        source = printable(" ".join(box.source.split()))
        font = face("Text")
        text.setTextOrigin(x, y)
        text.setTextRenderMode(3)
        text.setFont(font.fontName, box.width / max(0.1, font.width(source, 1)))
        text.textOut(source)
        text.setTextRenderMode(0)

    def decorate(self, canvas: Any, x: float, y: float, part: Part) -> None:
        """Paint what lines a part has, and make it a link or the place to which one leads."""
        look, end = part.look, x + part.width
        if look.framed and part.shown.strip():
            canvas.setStrokeColor(RULE)
            canvas.setLineWidth(0.6)
            canvas.roundRect(x + 0.8, y - look.size * 0.28, part.width - 1.6, look.size * 1.2, 2)
        for wanted, height in ((look.strike, 0.28), (look.underline, -0.14)):
            if wanted:
                canvas.setStrokeColor(look.color)
                canvas.setLineWidth(look.size * 0.06)
                canvas.line(x, y + look.size * height, end, y + look.size * height)
        if look.anchor:
            canvas.anchors = {*getattr(canvas, "anchors", ()), look.anchor}
            canvas.bookmarkHorizontal(look.anchor, 0, y + look.size * 1.4)
        if look.link:
            area = (x, y - look.size * 0.25 + look.rise, end, y + look.size + look.rise)
            if look.link.startswith("#"):
                canvas.wanted = {*getattr(canvas, "wanted", ()), look.link[1:]}
                canvas.linkRect("", look.link[1:], area, relative=1)
            else:
                canvas.linkURL(look.link, area, relative=1)


def words_of(runs: Sequence[tuple[str, Look] | Box]) -> list[Word]:
    """The words of a text, measured. A text's line breaks are those in its runs."""
    words: list[Word] = []
    order = families("".join(run[0] for run in runs if isinstance(run, tuple)))
    glued = False  # whether what comes next belongs to the last word
    for run in runs:
        if not isinstance(run, tuple):
            part = Part(Look(), None, run, run.width)
            if glued:
                words[-1].parts.append(part)
                words[-1].width += part.width
            else:
                words.append(Word([part], part.width))
            glued = True
            continue
        text, look = run
        fonts = families(text, code=True) if look.code else order
        space = face("Text").width(" ", look.size)
        if look.anchor and not text:
            words.append(Word([Part(look, face("Text"), "", 0.0)]))
            glued = True
        for token in WORD.findall(text):
            if token == "\n":
                if not glued:
                    words.append(Word([]))
                words[-1].newline = True
                glued = False
                continue
            if token[0] == " ":
                if words and not words[-1].newline:
                    words[-1].space = space
                glued = False
                continue
            for piece in _pieces(token):
                parts = _parts(piece, look, fonts)
                width = sum(part.width for part in parts)
                loose = UNSPACED.match(piece) or (
                    words and words[-1].parts and UNSPACED.match(words[-1].parts[-1].source[-1:])
                )
                if glued and not (loose and piece[0] not in CLOSING) and len(piece) < PORTION:
                    words[-1].parts += parts
                    words[-1].width += width
                else:
                    words.append(Word(parts, width))
                glued = not piece.endswith(("-", "–", "—")) or len(piece) == 1  # noqa: RUF001
    return words


def _pieces(token: str) -> list[str]:
    """The parts of what stands between two spaces, between which a line may break."""
    if len(token) > PORTION:
        return [piece for portion in _portions(token) for piece in _pieces(portion)]
    if token.isascii():
        return HYPHENS.findall(token) if "-" in token[1:-1] else [token]
    if UNSPACED.search(token):
        return PIECE.findall(token)
    return HYPHENS.findall(token)


def _parts(piece: str, look: Look, order: tuple[str, ...]) -> list[Part]:
    """A piece in parts of one font and one direction each."""
    style = look.bold + 2 * look.italic
    if piece.isascii():
        font = face(order[0], style)
        kind = "L"
        if not piece.isalpha():
            kind = "D" if piece[0].isdigit() or piece[-1].isdigit() else "N"
            kind = "L" if re.search("[a-zA-Z]", piece) else kind
        shown = piece.translate(font.figures()) if look.figures else piece
        return [Part(look, font, shown, font.width(shown, look.size), kind, piece)]
    out: list[Part] = []
    mixed = RIGHT_TO_LEFT.search(piece) is not None or NUMBER.search(piece) is not None
    for run in RUNS.findall(piece) if mixed else [piece]:
        rtl = RIGHT_TO_LEFT.match(run) is not None
        kind = (
            "R" if rtl else "D" if NUMBER.match(run) else "L" if any(map(str.isalpha, run)) else "N"
        )
        for family, part in stretches(run, order):
            font = face(family, style)
            position = 0
            for match in [*SHAPED.finditer(part), None]:
                plain = part[position : match.start()] if match else part[position:]
                if plain:
                    shown = plain.translate(font.figures()) if look.figures else plain
                    out.append(Part(look, font, shown, font.width(shown, look.size), kind, plain))
                if match:
                    width, glyphs = font.shape(match[0], rtl)
                    out.append(Part(look, font, glyphs, width * look.size, kind, match[0]))
                    position = match.end()
    return out


def split(word: Word, room: float, alone: bool) -> tuple[Word, Word] | None:
    """A word in two, of which the first fits into a width; None where nothing of it fits."""
    left = room
    for number, part in enumerate(word.parts):
        if part.width <= left:
            left -= part.width
            continue
        if part.font is None or not part.source:
            break
        low = _fitting(part, left)
        hyphen = ""
        joints = [m.end() for m in JOINTS.finditer(part.source, 0, low) if m.end() > low / 3]
        letters = part.source[max(0, low - 4) : low + 3]
        if joints:
            low = joints[-1]
        elif letters.isalpha() and letters.isascii() and not part.look.code and low > 4:
            low, hyphen = low - 1, "-"
        while low > 0 and low < len(part.source) and unicodedata.combining(part.source[low]):
            low -= 1
        if low == 0 and number == 0:
            if not alone:
                return None
            low = 1
        head = _parts(part.source[:low] + hyphen, part.look, _order(part)) if low else []
        tail = _parts(part.source[low:], part.look, _order(part)) if part.source[low:] else []
        first, rest = [*word.parts[:number], *head], [*tail, *word.parts[number + 1 :]]
        if not rest:
            return None
        return (
            Word(first, sum(p.width for p in first)),
            Word(rest, sum(p.width for p in rest), word.space, word.newline),
        )
    else:
        return None
    if number == 0:
        return None
    first, rest = word.parts[:number], word.parts[number:]
    return (
        Word(first, sum(p.width for p in first)),
        Word(rest, sum(p.width for p in rest), word.space, word.newline),
    )


def _fitting(part: Part, room: float) -> int:
    """How many characters of a part fit into a width."""

    def fits(number: int) -> bool:
        parts = _parts(part.source[:number], part.look, _order(part))
        return sum(made.width for made in parts) <= room

    most = len(part.source) - 1
    low = min(most, int(room / part.width * len(part.source)))  # if all were equally wide
    step = 1
    if fits(low):
        while low < most and fits(min(most, low + step)):
            low, step = min(most, low + step), step * 2
        high = min(most, low + step)
    else:
        high = low
        while low > 0 and not fits(low):
            high, low, step = low, max(0, low - step), step * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _order(part: Part) -> tuple[str, ...]:
    return families(part.source, code=part.look.code)


def in_visual_order(parts: list[Part], rtl: bool) -> list[Part]:
    """The parts of a line from left to right: the Unicode Bidirectional Algorithm in brief."""
    base = "R" if rtl else "L"
    kinds = [part.direction for part in parts]
    strong = base
    for number, kind in enumerate(kinds):  # digits go with the letters before them (W2 to W7)
        if kind in "LR":
            strong = kind
        elif kind == "D" and strong == "L":
            kinds[number] = "L"
    number = 0
    while number < len(kinds):  # what has no direction takes that of both its neighbors (N1, N2)
        end = number
        while end < len(kinds) and kinds[end] == "N":
            end += 1
        if end > number:
            before = kinds[number - 1] if number else base
            after = kinds[end] if end < len(kinds) else base
            sides = {"R" if side == "D" else side for side in (before, after)}
            kinds[number:end] = [sides.pop() if len(sides) == 1 else base] * (end - number)
        number = end + 1
    runs: list[tuple[bool, list[Part]]] = []
    for kind, part in zip(kinds, parts, strict=True):
        backwards = kind in "RD"
        if backwards and part.direction == "N" and isinstance(part.shown, str):
            part = part._replace(shown=part.shown.translate(MIRRORED))
        if runs and runs[-1][0] == backwards:
            runs[-1][1].append(part)
        else:
            runs.append((backwards, [part]))
    ordered: list[Part] = []
    for backwards, run in reversed(runs) if rtl else runs:
        ordered += reversed(run) if backwards else run
    return ordered


def is_rtl(text: str) -> bool:
    """Whether a text begins in a script that runs from right to left."""
    kinds = map(unicodedata.bidirectional, text)
    return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"


def code_lines(text: str, size: float) -> list[Word]:
    """The lines of a block of code, in which every character has its column."""
    look = Look(size, code=True)
    font = face("Code")
    cell = font.width("0", size)
    words: list[Word] = []
    for line in printable(text.expandtabs(4)).split("\n"):
        for portion in _portions(line) or [""]:
            parts: list[Part] = []
            for family, part in stretches(portion, families(portion, code=True)):
                if family == "Code":
                    parts.append(Part(look, font, part, len(part) * cell, "L", part))
                else:
                    parts += _in_columns(part, look, family, cell)
            words.append(Word(parts, sum(part.width for part in parts)))
        words[-1].newline = True
    return words


def _in_columns(text: str, look: Look, family: str, cell: float) -> Iterator[Part]:
    """What the code's font does not have, scaled to whole columns."""
    for stretch in re.findall(r"[^\W\d_]+|.", text):
        for part in _parts(stretch, look, (family,)):
            wide = any(unicodedata.east_asian_width(char) in "WF" for char in part.source)
            if stretch.isalpha() and not wide:
                columns = max(1, round(part.width / cell + 0.3))
            else:
                columns = sum(
                    (2 if unicodedata.east_asian_width(char) in "WF" else 1)
                    for char in part.source
                    if not unicodedata.combining(char)
                )
            scale = min(1.0, columns * cell / part.width) if part.width else 1.0
            smaller = look._replace(size=look.size * scale)
            yield part._replace(look=smaller, width=columns * cell)


def _portions(text: str) -> list[str]:
    """A text in portions that are measured at once; only data has longer words."""
    return [text[start : start + PORTION] for start in range(0, len(text), PORTION)]

"""Stretches of text in one look, font and direction, with their widths."""

import re
from typing import Any, NamedTuple, Protocol

from beyond.pdf.fonts import (
    INDIC,
    MARKS,
    RIGHT_TO_LEFT,
    RTL,
    SHAPED,
    Face,
    Glyphs,
    get_face,
    split_by_family,
)

BODY = 10.5  # points, as all lengths here
INK = "#212126"
SOFT_HYPHEN = "\u00ad"
LETTER = rf"(?:[^\W{RTL}]|[{INDIC}{MARKS}\u00ad])"  # with its signs, as in a word
DIGIT, ARABIC_DIGIT = re.compile(r"\d"), re.compile("[\u0660-\u0669]")
RUNS = re.compile(  # of one direction: right to left, numbers, left to right, or a single sign
    rf"[{RTL}\u064b-\u065f]+|[$€£₪]?\d+(?:[.,:/\u066b\u066c-]\d+)*[%‰°€₪]?"
    rf"|[^\W\d{RTL}]{LETTER}*(?:[.'’@:/_&+-]+{LETTER}+)*|."  # noqa: RUF001
)


class Look(NamedTuple):
    """How a stretch of text looks."""

    size: float = BODY  # points
    color: str = INK  # a CSS colour
    bold: bool = False
    italic: bool = False
    code: bool = False
    rise: float = 0.0  # points above the base line
    strike: bool = False
    underline: bool = False
    framed: bool = False  # as a key of a keyboard
    link: str = ""  # an address, or "#" and the name of a place in the document
    anchor: str = ""  # the name of this place
    tabular_figures: bool = False  # whether all digits have the same width
    language: str = ""  # a tag, if it is not the draft's

    @property
    def style(self) -> int:
        """The number of the font in its family, as `get_face` takes it."""
        return (1 if self.bold else 0) + (2 if self.italic else 0)

    @property
    def is_decorated(self) -> bool:
        """Whether more than its glyphs is painted, or a link begins or leads here."""
        return bool(self.strike or self.underline or self.framed or self.link or self.anchor)


class Box(Protocol):
    """A formula, which takes the place of a word in its line. Lengths are in points."""

    width: float
    ascent: float
    descent: float  # below the base line, positive
    source: str
    kind: str  # what it is in the structure of the document

    def draw(self, canvas: Any, x: float, y: float) -> None:
        """Paint it with its base line beginning at a point."""


class Part(NamedTuple):
    """A stretch of text in one look, font and direction; or a formula.

    `direction` is "L" or "R", "D" for digits that follow the direction of what is before them, "A"
    for Arabic digits, which do not, or "N" for what has no direction.
    """

    look: Look
    font: Face
    shown: str  # the characters that are painted; "" for shaped text and for a formula
    width: float  # points
    direction: str = "L"
    source: str = ""  # the text as it was written
    spacing: float = 0.0  # points after each glyph
    glyphs: Glyphs = ()  # of shaped text
    box: Box | None = None

    @property
    def is_plain(self) -> bool:
        """Whether `shown` is all that is painted."""
        return not (self.glyphs or self.box)


def make_parts(piece: str, look: Look, order: tuple[str, ...], bidi: bool = False) -> list[Part]:
    """Split a piece into parts of one font and one direction each, measured in points.

    `order` has the families to try, as from `choose_families`. `bidi` is whether the whole text has
    letters that run from right to left; without it, each part's direction is "L".
    """
    if not bidi:
        if piece.isascii():
            return [_make_plain(piece, look, get_face(order[0], look.style), "L")]
        return _shape(piece, look, order, "L")
    return [part for run in RUNS.findall(piece) for part in _shape(run, look, order, _direct(run))]


def _direct(run: str) -> str:
    """The direction of a run, as `Part` has it."""
    if RIGHT_TO_LEFT.match(run):
        return "R"
    if run[0].isalpha():
        return "L"
    return "A" if ARABIC_DIGIT.match(run) else "D" if DIGIT.search(run) else "N"


def _shape(run: str, look: Look, order: tuple[str, ...], direction: str) -> list[Part]:
    """The parts of a run of one direction: plain text, or glyphs if the script is shaped."""
    out: list[Part] = []
    for family, text in split_by_family(run, order):
        font = get_face(family, look.style)
        if look.italic and not all(map(font.has, text)):
            font = get_face(family, 1 if look.bold else 0)
        position = 0
        for match in SHAPED.finditer(text) if direction in "LR" else ():
            if plain := text[position : match.start()]:
                out.append(_make_plain(plain, look, font, direction))
            width, glyphs = font.shape(match[0], direction == "R")
            width *= look.size
            out.append(Part(look, font, "", width, direction, match[0], glyphs=glyphs))
            position = match.end()
        if plain := text[position:]:
            out.append(_make_plain(plain, look, font, direction))
    return out


def _make_plain(text: str, look: Look, font: Face, direction: str) -> Part:
    """A part of plain text."""
    shown = text.translate(font.get_tabular_figures()) if look.tabular_figures else text
    shown = shown.replace(SOFT_HYPHEN, "")
    return Part(look, font, shown, font.measure_text(shown, look.size), direction, text)

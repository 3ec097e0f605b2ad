# ruff: noqa: RUF001
"""Splits text into words, between which lines break, and measures them.

ReportLab's own Paragraph breaks lines only at spaces, knows one direction, and breaks the rest of a
paragraph again on each page, which takes quadratic time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple, Protocol

from beyond.pdf.fonts import (
    INDIC,
    MARKS,
    RIGHT_TO_LEFT,
    RTL,
    SHAPED,
    Face,
    choose_families,
    get_face,
    split_by_family,
)

BODY = 10.5  # points, as all lengths here
CODE_SCALE = 0.92  # Cascadia Mono looks larger than FiraGO
RAISED_SCALE = 0.68  # the size of a superscript, as a share of its text's
PORTION = 1_000  # characters; a longer word is data, and is measured in portions
INK = "#212126"

# Unicode ranges. Chinese and Japanese break between any two characters, but not before a closing
# mark or after an opening one; Thai breaks between words; Lao, without a dictionary, breaks between
# letters and never between a letter and its vowel signs.
HAN_KANA = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
)
OPENING, OPENING_QUOTES = "〈《「『【〔〖（［｛", "“‘"
CLOSING = (
    "、。〉》」』】〕〗！），．：；？］｝ー…・々"
    + "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶゝゞヽヾ"
)
CLOSING_QUOTES = "”’"
PIECE = re.compile(
    rf"[{OPENING}{OPENING_QUOTES}]*[{HAN_KANA}][{CLOSING}{CLOSING_QUOTES}]*"
    rf"|[ກ-ຮ][ະ-ຽ່-໎]*|[^{HAN_KANA}{OPENING}{CLOSING}ກ-ຮ]+[{CLOSING}]*|."
)
THAI_LETTERS = re.compile("([ก-ฺเ-๎]+)")
UNSPACED = re.compile(f"[{HAN_KANA}{OPENING}{CLOSING}ก-ฮเ-ไກ-ຮ]")
# A line may break before and after these, unless BEGINNINGS or ENDS forbids it. Both have straight
# quotes, which do not tell whether they open or close.
BREAKABLE = re.compile(f"[{HAN_KANA}{CLOSING}ก-ฮเ-ไກ-ຮ]")
BEGINNINGS = f"{OPENING}{OPENING_QUOTES}([{{«‹„‚$€£¥\"'"
ENDS = f"{CLOSING}{CLOSING_QUOTES})]}}»›,.;:!?%‰ฯๆ\"'"
# Spaces at which no line breaks: inside French quotes and before punctuation that stands apart.
APART = re.compile(
    r"(?:(?<!\S)|(?<=[^\s«‹(\[{]\())([«‹(\[{]++) +|(?<! ) ++(?=[»›)\]}!?;:]+(?:[\s.,]|$))"
)
LATIN = "A-Za-z0-9\u00c0-\u04ff"
HAN = re.compile(f"[{HAN_KANA}]")
MEETING = re.compile(f"[{HAN_KANA}][{LATIN}]|[{LATIN}][{HAN_KANA}]")
SOFT_HYPHEN = "\u00ad"
TOKEN = re.compile(r"\n|[^ \n]+| +")
HYPHENS = re.compile(r".*?[^\W\d_][-–—]+(?=[^\W\d_])|.+", re.DOTALL)
LETTER = rf"(?:[^\W{RTL}]|[{INDIC}{MARKS}\u00ad])"  # with its signs, as in a word
DIGIT, ARABIC_DIGIT = re.compile(r"\d"), re.compile("[\u0660-\u0669]")
RUNS = re.compile(  # of one direction: right to left, numbers, left to right, or a single sign
    rf"[{RTL}\u064b-\u065f]+|[$€£₪]?\d+(?:[.,:/\u066b\u066c-]\d+)*[%‰°€₪]?"
    rf"|[^\W\d{RTL}]{LETTER}*(?:[.'’@:/_&+-]+{LETTER}+)*|."
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
    font: Face | None  # None for a formula
    shown: Any  # a str, glyphs as `Face.shape` returns them, or a Box
    width: float  # points
    direction: str = "L"
    source: str = ""  # the text as it was written
    spacing: float = 0.0  # points after each glyph

    @property
    def is_box(self) -> bool:
        """Whether it is a formula, not text."""
        return self.font is None


@dataclass(slots=True)
class Word:
    """A stretch that breaks only if it is wider than its line, and the space after it."""

    parts: list[Part]
    width: float = 0.0  # points, without the space
    gap: Part | None = None  # the space after it
    newline: bool = False  # whether its line ends after it
    exact: bool = False  # whether a hyphen would falsify it, as in an identifier

    @property
    def source(self) -> str:
        """The text as it was written."""
        return "".join([part.source for part in self.parts])


def make_words(runs: Sequence[tuple[str, Look] | Box]) -> list[Word]:
    """Split runs into words, measured in points.

    A run is a text with its look, or a formula. Lines end only where a text has a line break.
    """
    source = "".join([run[0] for run in runs if isinstance(run, tuple)])
    made = _Words(choose_families(source), RIGHT_TO_LEFT.search(source) is not None)
    for run in runs:
        if isinstance(run, tuple):
            made.add_text(*run)
        else:
            made.add(None, [Part(Look(), None, run, run.width)], run.width)
    return made.words


class _Words:
    """Collects the words of a text, from its beginning to its end."""

    def __init__(self, order: tuple[str, ...], bidi: bool) -> None:
        self.order, self.bidi = order, bidi
        self.words: list[Word] = []
        self.glued = False  # whether what comes next belongs to the last word

    def add_text(self, text: str, look: Look) -> None:
        """Add a text that has one look."""
        order = choose_families(text, code=True) if look.code else self.order
        if look.anchor and not text:
            self.words.append(Word([Part(look, get_face("Text"), "", 0.0)]))
            self.glued = True
        for token in TOKEN.findall(APART.sub("\\1\xa0", text)):
            if token == "\n":
                self.end_line()
            elif token[0] == " ":
                self.end_word(look)
            else:
                for piece in _split_pieces(token):
                    self.add(piece, *_measure(piece, look, order, self.bidi))

    def add(self, piece: str | None, parts: list[Part], width: float) -> None:
        """Add a piece, or a formula if `piece` is None, to the last word or as a new one."""
        words = self.words
        if self.glued and not (piece and (len(piece) >= PORTION or _may_break(words[-1], piece))):
            words[-1].parts += parts
            words[-1].width += width
        else:
            if self.glued:
                words[-1].gap = _make_quarter(words[-1].parts[-1:], parts[:1])
            words.append(Word([*parts], width))
        self.glued = piece is None or len(piece) == 1 or not piece.endswith(("-", "–", "—"))

    def end_word(self, look: Look) -> None:
        """End the last word with a space."""
        if self.words and not self.words[-1].newline:
            self.words[-1].gap = _make_gap(self.words[-1].parts[-1:], look)
        self.glued = False

    def end_line(self) -> None:
        """End a line, which may have no words."""
        if not self.glued:
            self.words.append(Word([]))
        self.words[-1].newline = True
        self.glued = False


@lru_cache(20_000)
def _measure(
    piece: str, look: Look, order: tuple[str, ...], bidi: bool
) -> tuple[list[Part], float]:
    """The parts of a piece and its width in points, cached because words recur."""
    parts = make_parts(piece, look, order, bidi)
    return parts, sum([part.width for part in parts])


def _may_break(word: Word, piece: str) -> bool:
    """Whether a line may end between a word and a piece that follows it without a space."""
    last = word.parts[-1].source[-1:] if word.parts else ""
    loose = BREAKABLE.match(piece) or (last and BREAKABLE.match(last))
    return bool(loose) and piece[0] not in ENDS and (not last or last not in BEGINNINGS)


def _make_quarter(before: list[Part], after: list[Part]) -> Part | None:
    """The space between a letter of Han or kana and a Latin letter or a digit."""
    if not before or not after:
        return None
    one, other = before[0], after[0]
    sides = one.source[-1:] + other.source[:1]
    if not MEETING.fullmatch(sides) or other.look.rise or (one.look.code and other.look.code):
        return None
    han = one if HAN.match(sides) else other
    if not han.font or not han.font.is_han:
        return None
    return Part(han.look, han.font, han.font.make_quarter(), han.look.size / 4, "N")


def _make_gap(before: list[Part], look: Look) -> Part:
    """The space after a part: in its look, unless that is smaller or raised."""
    last = before[0] if before else None
    if last and not last.is_box and not (last.look.code or last.look.rise):
        return _make_space(last.look)
    if look.code or look.rise:
        look = Look(look.size / (CODE_SCALE if look.code else RAISED_SCALE), look.color)
    return _make_space(look)


def _make_space(look: Look) -> Part:
    font = get_face("Text", look.style)
    return Part(look, font, " ", font.measure(" ", look.size), "N", " ")


def _split_pieces(token: str) -> list[str]:
    """Split a text without spaces into pieces, between which a line may break."""
    if len(token) > PORTION:  # as each break in a word measures the rest of it again
        portions = (token[start : start + PORTION] for start in range(0, len(token), PORTION))
        return [piece for portion in portions for piece in _split_pieces(portion)]
    if token.isascii():
        return HYPHENS.findall(token) if "-" in token[1:-1] else [token]
    if UNSPACED.search(token):
        if THAI_LETTERS.search(token):
            return [
                piece for stretch in THAI_LETTERS.split(token) for piece in _split_thai(stretch)
            ]
        return PIECE.findall(token)
    return HYPHENS.findall(token)


@lru_cache(2_000)
def _split_thai(stretch: str) -> list[str]:
    """Split a stretch of Thai into words, by Google's BudouX model, or one of another script."""
    if not THAI_LETTERS.match(stretch):
        return PIECE.findall(stretch)
    return list(_get_thai_parser().parse(stretch))


@cache
def _get_thai_parser() -> Any:
    import budoux  # here, because few drafts need it

    return budoux.load_default_thai_parser()


def make_parts(piece: str, look: Look, order: tuple[str, ...], bidi: bool = False) -> list[Part]:
    """Split a piece into parts of one font and one direction each, measured in points.

    `order` has the families to try, as from `choose_families`. `bidi` is whether the whole text has
    letters that run from right to left; without it, each part's direction is "L".
    """
    if not bidi:
        if piece.isascii():
            return [_make_part(piece, look, get_face(order[0], look.style), "L")]
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
                out.append(_make_part(plain, look, font, direction))
            width, glyphs = font.shape(match[0], direction == "R")
            out.append(Part(look, font, glyphs, width * look.size, direction, match[0]))
            position = match.end()
        if plain := text[position:]:
            out.append(_make_part(plain, look, font, direction))
    return out


def _make_part(text: str, look: Look, font: Face, direction: str) -> Part:
    """A part of plain text."""
    shown = text.translate(font.get_tabular_figures()) if look.tabular_figures else text
    shown = shown.replace(SOFT_HYPHEN, "")
    return Part(look, font, shown, font.measure(shown, look.size), direction, text)

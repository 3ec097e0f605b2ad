# ruff: noqa: RUF001
"""The words of a text, measured: what no line may break, in parts of one look, font and direction.

ReportLab's own Paragraph breaks lines at spaces, knows one direction, and breaks what is left of a
paragraph again on each page, which takes time that grows with the square of the length.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import pyphen  # type: ignore[import-untyped]
from reportlab.lib.colors import Color, HexColor  # type: ignore[import-untyped]

from beyond.pdf.fonts import (
    INDIC,
    MARKS,
    RIGHT_TO_LEFT,
    RTL,
    SHAPED,
    Face,
    choose_families,
    get_face,
    name_language,
    split_by_family,
)

BODY = 10.5  # points, as all lengths here
CODE_SCALE = 0.92  # Cascadia Mono looks larger than FiraGO
RAISED_SCALE = 0.68  # the size of a superscript, in that of its text
PORTION = 1_000  # characters; a longer word, which is data, is measured in portions
LOOKS_KEPT, PIECES_KEPT = 24, 1_000  # a page has some 5 looks and 300 different words
INK = HexColor("#212126")

# Unicode ranges. Chinese and Japanese break between any two characters, but not before a closing
# mark or after an opening one; Thai and Lao, without a dictionary, break between letters and never
# between a letter and its vowel signs.
WIDE = "\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
OPENING, OPENING_QUOTES = "〈《「『【〔〖（［｛", "“‘"
CLOSING = (
    "、。〉》」』】〕〗！），．：；？］｝ー…・々"
    + "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶゝゞヽヾ"
)
CLOSING_QUOTES = "”’"
THAI = "เ-ไ"
PIECE = re.compile(
    rf"[{OPENING}{OPENING_QUOTES}]*[{WIDE}][{CLOSING}{CLOSING_QUOTES}]*"
    rf"|[{THAI}]?[ก-ฮ][ะ-ฺๅ-๎]*|[ກ-ຮ][ະ-ຽ່-໎]*|[^{WIDE}{OPENING}{CLOSING}ก-ฮ{THAI}ກ-ຮ]+[{CLOSING}]*|."
)
UNSPACED = re.compile(f"[{WIDE}{OPENING}{CLOSING}ก-ฮ{THAI}ກ-ຮ]")
# Between these and another character a line may break, unless one of the marks forbids it. The
# direction of straight quotes is not known.
BREAKABLE = re.compile(f"[{WIDE}{CLOSING}ก-ฮ{THAI}ກ-ຮ]")
BEGINNINGS = f"{OPENING}{OPENING_QUOTES}([{{«‹„‚$€£¥\"'"
ENDS = f"{CLOSING}{CLOSING_QUOTES})]}}»›,.;:!?%‰ฯ\"'"
# Spaces at which no line breaks, inside of French quotes and before the signs that stand apart.
APART = re.compile(
    r"(?:(?<!\S)|(?<=[^\s«‹(\[{]\())([«‹(\[{]++) +|(?<! ) ++(?=[»›)\]}!?;:]+(?:[\s.,]|$))"
)
LATIN = "A-Za-z0-9\u00c0-\u04ff"
HAN, MEETING = re.compile(f"[{WIDE}]"), re.compile(f"[{WIDE}][{LATIN}]|[{LATIN}][{WIDE}]")
BOX = "\ufffc"  # stands for a box in a text
SOFT_HYPHEN = "\u00ad"
HYPHENATED = "en_US"  # the language of words that that of the draft has no patterns for
# What may get a hyphen.
LETTERS = re.compile("[a-zA-Z\u00c0-\u058f\u10a0-\u10ff\u1e00-\u1fff]{5,}")
WORD = re.compile(r"\n|[^ \n]+| +")
HYPHENS = re.compile(r".*?[^\W\d_][-–—]+(?=[^\W\d_])|.+", re.DOTALL)
SPACES = re.compile(r"[ ,;({]+")  # where a line of code breaks best
# Where a long word breaks best.
JOINTS = re.compile(r"(?:[ /_\-?&=:;)\]}|]|[.,](?!\d))(?![)\]}.,:;!?\"'”’»])|(?<=[a-z])(?=[A-Z])")
LETTER = rf"(?:[^\W{RTL}]|[{INDIC}{MARKS}\u00ad])"  # with its signs, as in a word
NUMBER, ARABIC_NUMBER = re.compile(r"\d"), re.compile("[\u0660-\u0669]")
RUNS = re.compile(  # of one direction: right to left, numbers, left to right, or a single sign
    rf"[{RTL}\u064b-\u065f]+|[$€£₪]?\d+(?:[.,:/\u066b\u066c-]\d+)*[%‰°€₪]?"
    rf"|[^\W\d{RTL}]{LETTER}*(?:[.'’@:/_&+-]+{LETTER}+)*|."
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

    @property
    def style(self) -> int:
        """The number of the font in its family, as `get_face` takes it."""
        return (1 if self.bold else 0) + (2 if self.italic else 0)

    @property
    def is_decorated(self) -> bool:
        """Whether more than glyphs is painted, or the place matters to a link."""
        return bool(self.strike or self.underline or self.framed or self.link or self.anchor)


class Box(Protocol):
    """What stands in a line without being text: a formula."""

    width: float
    ascent: float
    descent: float  # below the base line, positive
    source: str
    kind: str  # what it is in the structure of the document

    def draw(self, canvas: Any, x: float, y: float) -> None:
        """Paint it with its base line beginning at a point."""


class Part(NamedTuple):
    """A stretch of one look and one font.

    `direction` is L, R, N for none, D for digits that go with what is before them, or A for Arabic
    digits, which do not.
    """

    look: Look
    font: Face | None
    shown: Any  # a str, glyphs, or a Box
    width: float
    direction: str = "L"
    source: str = ""
    spacing: float = 0.0  # after each glyph

    @property
    def language(self) -> str:
        """The language that its script tells, if that is not Latin."""
        return "" if self.source.isascii() else name_language(self.source)


@dataclass(slots=True)
class Word:
    """What no line may break, and the space after it."""

    parts: list[Part]
    width: float = 0.0
    gap: Part | None = None
    newline: bool = False


def make_words(runs: Sequence[tuple[str, Look] | Box]) -> list[Word]:
    """The words of a text, measured. A text's line breaks are those in its runs."""
    words: list[Word] = []
    source = "".join(run[0] for run in runs if isinstance(run, tuple))
    order, bidi = choose_families(source), RIGHT_TO_LEFT.search(source) is not None
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
        fonts = choose_families(text, code=True) if look.code else order
        look, space, measure = _make_measure(look, fonts, bidi)
        if look.anchor and not text:
            words.append(Word([Part(look, get_face("Text"), "", 0.0)]))
            glued = True
        for token in WORD.findall(APART.sub("\\1\xa0", text)):
            if token == "\n":
                if not glued:
                    words.append(Word([]))
                words[-1].newline = True
                glued = False
                continue
            if token[0] == " ":
                if words and not words[-1].newline:
                    same = words[-1].parts and words[-1].parts[-1].look is look
                    words[-1].gap = space if same else _make_gap(words[-1], look)
                glued = False
                continue
            for piece in _split_pieces(token):
                parts, width = measure(piece)
                if glued and len(piece) < PORTION and not _may_break(words[-1], piece):
                    words[-1].parts += parts
                    words[-1].width += width
                else:
                    if glued and parts:
                        words[-1].gap = _make_quarter(words[-1].parts[-1:], parts[0])
                    words.append(Word([*parts], width))
                glued = not piece.endswith(("-", "–", "—")) or len(piece) == 1
    return words


@lru_cache(LOOKS_KEPT)
def _make_measure(
    look: Look, order: tuple[str, ...], bidi: bool
) -> tuple[Look, Part, Callable[[str], tuple[list[Part], float]]]:
    """What sets text in one look: the look, its space, and what measures a piece.

    All of it is kept for the next text in that look, with the pieces, as words recur.
    """

    @lru_cache(PIECES_KEPT)
    def measure(piece: str) -> tuple[list[Part], float]:
        parts = make_parts(piece, look, order, bidi)
        return parts, sum(part.width for part in parts)

    return look, _make_gap(Word([]), look), measure


def forget() -> None:
    """Measure each word anew, because glyphs have other numbers now."""
    _make_measure.cache_clear()


def _may_break(word: Word, piece: str) -> bool:
    """Whether a line may end between a word and a piece that follows it without a space."""
    last = word.parts[-1].source[-1:] if word.parts else ""
    loose = BREAKABLE.match(piece) or (last and BREAKABLE.match(last))
    return bool(loose) and piece[0] not in ENDS and (not last or last not in BEGINNINGS)


def _make_quarter(before: list[Part], part: Part) -> Part | None:
    """The space between a letter of Han or kana and one of Latin or a digit."""
    sides = "".join(one.source[-1:] for one in before) + part.source[:1]
    if not MEETING.fullmatch(sides) or part.look.rise or (part.look.code and before[0].look.code):
        return None
    han = before[0] if HAN.match(sides) else part
    if not han.font or not han.font.is_han:
        return None
    return Part(han.look, han.font, han.font.make_quarter(), han.look.size / 4, "N")


def _make_gap(word: Word, look: Look) -> Part:
    """The space after a word: in its look, unless that is smaller or raised."""
    last = word.parts[-1] if word.parts else None
    if last and last.font and not (last.look.code or last.look.rise):
        look = last.look
    elif look.code or look.rise:
        look = Look(look.size / (CODE_SCALE if look.code else RAISED_SCALE), look.color)
    font = get_face("Text", look.style)
    return Part(look, font, " ", font.measure(" ", look.size), "N", " ")


def _split_pieces(token: str) -> list[str]:
    """The parts of what stands between two spaces, between which a line may break."""
    if len(token) > PORTION:  # as each break in a word measures the rest of it again
        portions = (token[start : start + PORTION] for start in range(0, len(token), PORTION))
        return [piece for portion in portions for piece in _split_pieces(portion)]
    if token.isascii():
        return HYPHENS.findall(token) if "-" in token[1:-1] else [token]
    if UNSPACED.search(token):
        return PIECE.findall(token)
    return HYPHENS.findall(token)


def make_parts(piece: str, look: Look, order: tuple[str, ...], bidi: bool = False) -> list[Part]:
    """A piece in parts of one font and one direction each."""
    out: list[Part] = []

    def add(font: Face, text: str, kind: str) -> None:
        shown = text.translate(font.get_figures()) if look.figures else text
        shown = shown.replace(SOFT_HYPHEN, "")
        out.append(Part(look, font, shown, font.measure(shown, look.size), kind, text))

    if piece.isascii() and not bidi:
        add(get_face(order[0], look.style), piece, "L")
        return out
    for run in RUNS.findall(piece) if bidi else [piece]:
        kind = "L"
        if bidi and RIGHT_TO_LEFT.match(run):
            kind = "R"
        elif bidi and not run[0].isalpha():
            kind = "A" if ARABIC_NUMBER.match(run) else "D" if NUMBER.search(run) else "N"
        for family, part in split_by_family(run, order):
            font = get_face(family, look.style)
            if look.italic and not all(map(font.has, part)):
                font = get_face(family, 1 if look.bold else 0)
            position = 0
            for match in [*SHAPED.finditer(part), None] if kind in "LR" else [None]:
                plain = part[position : match.start()] if match else part[position:]
                if plain:
                    add(font, plain, kind)
                if match:
                    width, glyphs = font.shape(match[0], kind == "R")
                    out.append(Part(look, font, glyphs, width * look.size, kind, match[0]))
                    position = match.end()
    return out


def split_word(
    word: Word, room: float, language: str = "", alone: bool = False, soft: bool = False
) -> tuple[Word, Word] | None:
    """A word in two, of which the first fits into a width; None if nothing of it fits.

    Of a word that stands `alone`, one character is taken at least; `soft` allows no break but at a
    soft hyphen.
    """
    text = "".join(part.source if part.font else BOX for part in word.parts)
    if soft and SOFT_HYPHEN not in text:
        return None
    left, most = room, 0
    for part in word.parts:
        if part.width > left:
            break
        left -= part.width
        most += len(part.source) if part.font else 1
    else:
        return None
    at, hyphen = most, ""
    if part.font and part.source:
        most += _count_fitting(part, left)
        at, hyphen = _find_break(text, most, part.look.code, language)
    if soft and hyphen != SOFT_HYPHEN:
        return None
    at = at or int(alone)
    first, rest, position = [], [], 0
    for part in word.parts:
        length = len(part.source) if part.font else 1
        inside = at - position
        position += length
        if inside >= length:
            first.append(part)
        elif inside <= 0:
            rest.append(part)
        else:
            first += _remake(part, part.source[:inside])
            rest += _remake(part, part.source[inside:])
    if not first or not rest:
        return None
    if hyphen:
        last = first.pop()
        first += _remake(last, f"{last.source}-")
    return (
        Word(first, sum(part.width for part in first)),
        Word(rest, sum(part.width for part in rest), word.gap, word.newline),
    )


def _find_break(text: str, most: int, code: bool, language: str) -> tuple[int, str]:
    """Where a word breaks best of which `most` characters fit, and the hyphen that it gets."""
    if at := text.rfind(SOFT_HYPHEN, 0, max(0, most - 1)) + 1:
        return at, SOFT_HYPHEN
    if code and (at := _find_end(SPACES, text, most, most / 2)):
        return at, ""
    if at := _find_end(JOINTS, text, most, most / 3):
        return at, ""
    around = (found for found in LETTERS.finditer(text) if found.start() < most < found.end())
    if not code and (found := next(around, None)):
        for tag in (pyphen.language_fallback(language) or HYPHENATED, HYPHENATED):
            places = pyphen.Pyphen(lang=tag).positions(found[0])
            if ends := [at for place in places if (at := found.start() + place) < most]:
                return ends[-1], "-"
        if (at := min(most - 1, found.end() - 2)) > found.start() + 1:
            return at, "-"
    for at in range(most, max(0, most - 4), -1):
        sign = unicodedata.category(text[at])[0] == "M" or text[at] in ENDS
        lone = text[at - 1 : at + 1].isalpha() and not text[at + 1 : at + 2].isalpha()
        if not (sign or lone or text[at - 1] in BEGINNINGS):
            return at, ""
    return most, ""


def _remake(part: Part, source: str) -> list[Part]:
    """A part with another text."""
    order = choose_families(part.source, code=part.look.code)
    return make_parts(source, part.look, order, part.direction != "L")


def _find_end(pattern: re.Pattern[str], text: str, most: int, least: float) -> int:
    """Where a pattern's last match in the beginning of a text ends; 0 if that is not far enough."""
    ends = [match.end() for match in pattern.finditer(text) if least < match.end() <= most]
    return ends[-1] if ends else 0


def _count_fitting(part: Part, room: float) -> int:
    """How many characters of a part fit into a width."""

    def measure(number: int) -> float:
        return sum(made.width for made in _remake(part, part.source[:number]))

    return bisect_right(range(1, len(part.source)), room, key=measure)

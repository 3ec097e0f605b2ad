# ruff: noqa: RUF001
"""Splits text into words, between which lines break, and measures them.

ReportLab's own Paragraph breaks lines only at spaces, knows one direction, and breaks the rest of a
paragraph again on each page, which takes quadratic time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from beyond.pdf.fonts import RIGHT_TO_LEFT, choose_families, get_face
from beyond.pdf.parts import Box, Look, Part, make_parts
from beyond.pdf.pieces import HAN, HAN_KANA, PORTION, may_break, split_pieces

CODE_SCALE = 0.92  # Cascadia Mono looks larger than FiraGO
RAISED_SCALE = 0.68  # the size of a superscript, as a share of its text's
# Spaces at which no line breaks: inside French quotes and before punctuation that stands apart.
STICKY_SPACES = re.compile(
    r"(?:(?<!\S)|(?<=[^\s«‹(\[{]\())([«‹(\[{]++) +|(?<! ) ++(?=[»›)\]}!?;:]+(?:[\s.,]|$))"
)
LATIN = "A-Za-z0-9\u00c0-\u04ff"
MEETING = re.compile(f"[{HAN_KANA}][{LATIN}]|[{LATIN}][{HAN_KANA}]")
TOKEN = re.compile(r"\n|[^ \n]+| +")


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
            formula = Part(Look(), get_face("Text"), "", run.width, box=run)
            made.add(None, [formula], run.width)
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
        for token in TOKEN.findall(STICKY_SPACES.sub("\\1\xa0", text)):
            if token == "\n":
                self.end_line()
            elif token[0] == " ":
                self.end_word(look)
            else:
                for piece in split_pieces(token):
                    self.add(piece, *_measure_piece(piece, look, order, self.bidi))

    def add(self, piece: str | None, parts: list[Part], width: float) -> None:
        """Add a piece, or a formula if `piece` is None, to the last word or as a new one."""
        last = self.words[-1] if self.glued else None
        apart = (
            piece and last and (len(piece) >= PORTION or may_break(last.parts[-1].source, piece))
        )
        if last and not apart:
            last.parts += parts
            last.width += width
        else:
            if last:
                last.gap = _make_quarter(last.parts[-1], parts[0])
            self.words.append(Word([*parts], width))
        self.glued = piece is None or len(piece) == 1 or not piece.endswith(("-", "–", "—"))

    def end_word(self, look: Look) -> None:
        """End the last word with a space."""
        if self.words and not self.words[-1].newline:
            self.words[-1].gap = _make_gap(self.words[-1].parts[-1], look)
        self.glued = False

    def end_line(self) -> None:
        """End a line, which may have no words."""
        if not self.glued:
            self.words.append(Word([]))
        self.words[-1].newline = True
        self.glued = False


@lru_cache(20_000)
def _measure_piece(
    piece: str, look: Look, order: tuple[str, ...], bidi: bool
) -> tuple[list[Part], float]:
    """The parts of a piece and its width in points, cached because words recur."""
    parts = make_parts(piece, look, order, bidi)
    return parts, sum([part.width for part in parts])


def _make_quarter(before: Part, after: Part) -> Part | None:
    """The space between a letter of Han or kana and a Latin letter or a digit."""
    sides = before.source[-1:] + after.source[:1]
    if not MEETING.fullmatch(sides) or after.look.rise or (before.look.code and after.look.code):
        return None
    han = before if HAN.match(sides) else after
    if not han.font.is_han:
        return None
    return Part(han.look, han.font, han.font.make_quarter(), han.look.size / 4, "N")


def _make_gap(before: Part, look: Look) -> Part:
    """The space after a part: in its look, unless that is smaller or raised."""
    if not (before.box or before.look.code or before.look.rise):
        return _make_space(before.look)
    if look.code or look.rise:
        look = Look(look.size / (CODE_SCALE if look.code else RAISED_SCALE), look.color)
    return _make_space(look)


def _make_space(look: Look) -> Part:
    font = get_face("Text", look.style)
    return Part(look, font, " ", font.measure_text(" ", look.size), "N", " ")

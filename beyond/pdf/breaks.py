# ruff: noqa: RUF001
"""Breaks words that are too wide for their line, with a hyphen where one belongs."""

import re
import unicodedata
from bisect import bisect_right
from itertools import pairwise

from beyond.pdf.fonts import choose_families
from beyond.pdf.languages import find_hyphens
from beyond.pdf.parts import SOFT_HYPHEN, Part, make_parts
from beyond.pdf.pieces import BEGINNINGS, ENDS
from beyond.pdf.words import Word

BOX = "\ufffc"  # the character for a formula in a word's text
# What may get a hyphen: five letters or more, Latin to Armenian or Georgian.
HYPHENATED = re.compile("[a-zA-Z\u00c0-\u058f\u10a0-\u10ff\u1e00-\u1fff]{5,}")
CODED = re.compile(r"[^\W\d_][\d_]|[\d_][^\W\d_]")  # a letter beside a digit, as in a code
SPACES = re.compile(r"[ ,;({]+(?![)}])")  # where a line of code should break
# Where a long word should break: after a separator, or before a capital as in camelCase.
JOINTS = re.compile(r"(?:[ /_\-?&=:;)\]}|]|[.,](?!\d))(?![)\]}.,:;!?\"'”’»])|(?<=[a-z])(?=[A-Z])")


def split_word(
    word: Word, room: float, language: str = "", alone: bool = False, soft: bool = False
) -> tuple[Word, Word] | None:
    """Split a word in two, the first part at most `room` points wide; None if nothing of it fits.

    `language` is the tag of the language that hyphenates it. With `alone`, the first part has at
    least one character, even if that is too wide. With `soft`, the word breaks only at a soft
    hyphen.
    """
    text = "".join([BOX if part.box else part.source for part in word.parts])
    if soft and SOFT_HYPHEN not in text:
        return None
    most, part, left = _find_overflow(word, room)
    if not part:
        return None
    at, hyphen, exact = most, "", word.exact or bool(CODED.search(text)) or part.look.code
    if part.source:
        most += _count_fitting(part, left)
        at, hyphen = _find_break(text, most, exact, language)
    if soft and hyphen != SOFT_HYPHEN:
        return None
    first, rest = _cut(word.parts, at or int(alone))
    if not first or not rest:
        return None
    if hyphen:
        last = first.pop()
        first += _remake(last, f"{last.source}-")
    return (
        Word(first, sum(part.width for part in first)),
        Word(rest, sum(part.width for part in rest), word.gap, word.newline, exact),
    )


def _find_overflow(word: Word, room: float) -> tuple[int, Part | None, float]:
    """How many characters fit before the first part that does not, that part, and its room.

    The room is in points. Without such a part, it is None.
    """
    before = 0
    for part in word.parts:
        if part.width > room:
            return before, part, room
        room -= part.width
        before += _count(part)
    return before, None, room


def _count(part: Part) -> int:
    return 1 if part.box else len(part.source)


def _cut(parts: list[Part], at: int) -> tuple[list[Part], list[Part]]:
    """The parts before and after a place, which is counted in characters."""
    first: list[Part] = []
    rest: list[Part] = []
    position = 0
    for part in parts:
        inside = at - position
        position += _count(part)
        if position <= at:
            first.append(part)
        elif inside <= 0:
            rest.append(part)
        else:
            first += _remake(part, part.source[:inside])
            rest += _remake(part, part.source[inside:])
    return first, rest


def _find_break(text: str, most: int, exact: bool, language: str) -> tuple[int, str]:
    """The best place to break a word of which `most` characters fit, and its hyphen or ""."""
    if at := text.rfind(SOFT_HYPHEN, 0, max(0, most - 1)) + 1:
        return at, SOFT_HYPHEN
    if exact and (at := _find_end(SPACES, text, most, most / 2)):
        return at, ""
    if at := _find_end(JOINTS, text, most, most / 3):
        return at, ""
    if not exact and (found := _find_hyphen(text, most, language)):
        return found
    for at in range(most, max(0, most - 4), -1):
        sign = unicodedata.category(text[at])[0] == "M" or text[at] in ENDS
        lone = text[at - 1 : at + 1].isalpha() and not text[at + 1 : at + 2].isalpha()
        if not (sign or lone or text[at - 1] in BEGINNINGS):
            return at, ""
    return most, ""


def _find_hyphen(text: str, most: int, language: str) -> tuple[int, str] | None:
    """The last place before `most` at which a language breaks the letters there, and the hyphen.

    Capitals may be a code, so they break without a hyphen.
    """
    around = (found for found in HYPHENATED.finditer(text) if found.start() < most < found.end())
    if not (letters := next(around, None)):
        return None
    for places in find_hyphens(letters[0], language):
        if ends := [at for place in places if (at := letters.start() + place) < most]:
            return ends[-1], "" if letters[0].isupper() else "-"
    return None


def measure_joined(word: Word) -> float:
    """The width in points of a word's longest part between two joints, estimated."""
    text = word.source
    if not text or not JOINTS.search(text):
        return word.width
    ends = [0, *(match.end() for match in JOINTS.finditer(text)), len(text)]
    return word.width * max(end - start for start, end in pairwise(ends)) / len(text)


def _remake(part: Part, source: str) -> list[Part]:
    """The parts of another text in the look of a part."""
    order = choose_families(part.source, code=part.look.code)
    return make_parts(source, part.look, order, part.direction != "L")


def _find_end(pattern: re.Pattern[str], text: str, most: int, least: float) -> int:
    """The largest end of a match that is more than `least` and at most `most`; 0 for none."""
    ends = [match.end() for match in pattern.finditer(text) if least < match.end() <= most]
    return ends[-1] if ends else 0


def _count_fitting(part: Part, room: float) -> int:
    """How many characters of a part fit into `room` points."""

    def width(number: int) -> float:
        return sum(made.width for made in _remake(part, part.source[:number]))

    return bisect_right(range(1, len(part.source)), room, key=width)

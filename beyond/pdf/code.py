"""Colours blocks of code with pygments, and aligns their characters in columns."""

import math
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from typing import Any

from pygments.lexers import find_lexer_class_by_name
from pygments.styles import get_style_by_name
from pygments.token import Comment, String
from pygments.util import ClassNotFound

from beyond.pdf.fonts import RIGHT_TO_LEFT, choose_families, get_face
from beyond.pdf.parts import INK, SOFT_HYPHEN, Look, Part, make_parts
from beyond.pdf.pieces import PORTION
from beyond.pdf.words import Word

COLOR_LIMIT = 10_000  # characters; longer code has no colours, as some lexers take quadratic time
# On SHADE, each colour of this style has the contrast of 4.5 to 1 that WCAG 2 requires.
COLORS = {
    kind: f"#{look['color']}" if look["color"] not in (None, "000000") else INK
    for kind, look in get_style_by_name("xcode")
}


def make_code_lines(text: str, size: float, info: str = "") -> list[Word]:
    """The lines of a block of code as words, with every character in its column.

    `size` is in points. `info` is the text beside the fence, which begins with a language's name. A
    very long line has several words.
    """
    text = text.replace(SOFT_HYPHEN, "")
    order, bidi = choose_families(text, code=True), RIGHT_TO_LEFT.search(text) is not None
    cell = get_face("Code").measure_text("0", size)
    words = [Word([])]
    for (color, is_prose), stretch in _color(text, info):
        look = Look(size, color, code=True)
        for number, line in enumerate(stretch.split("\n")):
            if number:
                words[-1].newline = True
                words.append(Word([]))
            for start in range(0, len(line), PORTION):
                if words[-1].width > PORTION * cell:
                    words.append(Word([]))
                for part in make_parts(line[start : start + PORTION], look, order, bidi):
                    _add_part(words[-1], part, cell, is_prose)
    words[-1].newline = True
    return words


def _add_part(word: Word, part: Part, cell: float, is_prose: bool) -> None:
    if part.direction == "N" and not is_prose:
        part = part._replace(direction="L")  # code runs from left to right
    fitted = list(_fit_columns(part, cell))
    word.parts += fitted
    word.width += sum(made.width for made in fitted)


def _color(text: str, info: str) -> Iterator[tuple[tuple[str, bool], str]]:
    """The stretches of code, each with its colour and whether it is prose."""
    tokens: list[tuple[int, Any, str]] = []
    if len(text) <= COLOR_LIMIT:
        name = re.split(r"[^\w+#.-]", info.lstrip("{. "), maxsplit=1)[0]
        with suppress(ClassNotFound):
            tokens = [*find_lexer_class_by_name(name)().get_tokens_unprocessed(text)]
    if "".join(value for _, _, value in tokens) != text:
        yield (INK, True), text
        return

    def look(token: tuple[int, Any, str]) -> tuple[str, bool]:
        kind = token[1]
        while kind not in COLORS:  # a lexer's own kind: look at its parent
            kind = kind.parent
        return COLORS[kind], kind in String or kind in Comment

    for key, group in groupby(tokens, look):
        yield key, "".join(value for _, _, value in group)


def _fit_columns(part: Part, cell: float) -> Iterator[Part]:
    """A part in whole columns: two for a CJK character, as many as it needs in other scripts."""
    font, size = part.font, part.look.size
    if font is get_face("Code"):
        yield part
        return
    shaped = bool(part.glyphs)

    def take_columns(char: str) -> tuple[int, float]:
        """The columns and the width of a sign; zeros for letters, which stay together."""
        columns = 2 if unicodedata.east_asian_width(char) in "WF" else 1
        together = shaped or (char.isalpha() and columns == 1)
        return (0, 0.0) if together else (columns, font.measure_text(char, size))

    for (columns, _), group in groupby(part.source, take_columns):
        stretch = "".join(group)
        natural = part.width if shaped else font.measure_text(stretch, size)
        total = cell * (columns * len(stretch) or max(1, math.ceil(natural / cell - 0.2)))
        scale = total / natural if natural and (columns == 2 or total < natural) else 1
        look = part.look._replace(size=size * scale)
        shown = part.shown if shaped else stretch
        yield part._replace(look=look, shown=shown, width=total, source=stretch)

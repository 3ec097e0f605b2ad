"""Finds a font for each character, and shapes text with HarfBuzz.

The module relies on internals of ReportLab: a `TTFontFace` keeps the glyph and the width of a
character in `charToGlyph` and `charWidths`, and the widths of all glyphs in `hmetrics`;
`addObjects` writes the table by which readers find the text (`toUnicodeCMap:…`), with a character's
code in hexadecimal, and a font's dictionary with its `Widths`. tests/pdf/test_pdf_fonts.py tests
each.
"""

import io
import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files
from itertools import groupby, pairwise, zip_longest
from typing import Any

import pymupdf_fonts
import uharfbuzz as hb
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import ShapeData, ShapedStr, TTFont

# Unicode ranges
RTL = "\u0590-\u065f\u066a-\u06ef\u06fa-\u08ff\ufb1d-\ufdff\ufe70-\ufeff"  # without the digits
RIGHT_TO_LEFT = re.compile(f"[{RTL}]")
INDIC = "\u0900-\u0dff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u200c\u200d"
KANA, HANGUL = re.compile("[\u3041-\u30ff]"), re.compile("[\uac00-\ud7a3]")
TRADITIONAL = re.compile(
    "[這們個時來對說為會後過還沒國與開關動長問間學實發經現書點樣種無電話訊際灣]"
)
CJK = re.compile(  # Han, kana, Hangul and their punctuation
    "[\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
)
MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0"
SHAPED = re.compile(rf"[{RTL}]+(?:[{RTL}\u064b-\u065f])*|[{INDIC}]+|\w[{MARKS}]+")
WORD_JOINER = "\u2060"  # the text of a glyph that stands for no character
GLYPHS = 0xF0000  # the first of 131,072 private characters that stand for glyphs
FILES = {  # for each family: regular, bold, italic, bold italic, as far as they exist
    "Text": ("figo", "figbo", "figit", "figbi"),
    "Code": ("cascadia", "cascadiab", "cascadiai", "cascadiabi"),
    "Signs": ("DejaVuSans",),
    "World": ("KurintoSans-Rg", "KurintoSans-Bd"),
    **{
        f"Han {place}": (f"KurintoSans{place}-Rg", f"KurintoSans{place}-Bd")
        for place in ("SC", "TC", "JP", "KR")
    },
}
HAN_FAMILIES = 4  # one for each region: SC, TC, JP, KR
STYLES = ("", "-Bold", "-Italic", "-BoldItalic")
WESTERN = ("Text", "Code", "Signs", "World")


Glyphs = tuple[tuple[float, Any], ...]  # stretches of glyphs, each with its rise in ems


class Face(TTFont):  # type: ignore[misc]
    """A TrueType font that shapes text: each shaped glyph gets a private character.

    ReportLab's own shaping allows one font for each word, and loses the text behind the glyphs.
    """

    def __init__(self, name: str, data: bytes) -> None:
        # Otherwise, each font has all of ASCII, and files are a third larger.
        super().__init__(name, io.BytesIO(data), asciiReadable=False)
        self.shaper = hb.Font(hb.Face(data))
        metrics = self.face.hmetrics  # ReportLab scales the last widths twice
        for number in reversed(range(len(metrics))):
            width = self.shaper.get_glyph_h_advance(number)
            if metrics[number][0] == width:
                break
            metrics[number] = width, metrics[number][1]
        self.characters: dict[tuple[int, str, float], int] = {}
        self.labels: dict[int, str] = {}
        self.shape = lru_cache(10_000)(self._shape)  # words recur
        self.get_tabular_figures = cache(self._make_tabular_figures)
        self.is_han = name.startswith("Han")

    def has(self, char: str) -> bool:
        """Whether the font has a glyph for a character."""
        return ord(char) in self.face.charToGlyph

    def measure_text(self, text: str, size: float) -> float:
        """The width of a text in points, without shaping; `size` is in points, too."""
        return float(self.stringWidth(text, size))

    def draw(self, char: str, x: float, y: float, size: float) -> str:
        """The outline of a character as an SVG path, from (x, y) on the base line.

        Lengths are in points, and y grows down the page.
        """
        scale, path = size / self.face.unitsPerEm, []

        def add(operator: str, *numbers: float) -> None:
            at = [(y - n * scale if i % 2 else x + n * scale) for i, n in enumerate(numbers)]
            path.append(" ".join([operator, *(f"{number:.3f}" for number in at)]))

        outline = hb.DrawFuncs()
        outline.set_move_to_func(lambda *n: add("M", *n[:2]))
        outline.set_line_to_func(lambda *n: add("L", *n[:2]))
        outline.set_quadratic_to_func(lambda *n: add("Q", *n[:4]))
        outline.set_cubic_to_func(lambda *n: add("C", *n[:6]))
        outline.set_close_path_func(lambda *_: add("Z"))
        self.shaper.draw_glyph(self.face.charToGlyph[ord(char)], outline)
        return " ".join(path)

    def _shape(self, text: str, rtl: bool) -> tuple[float, Glyphs]:
        """The width at 1 point of a text of one script, and its glyphs from left to right.

        The glyphs are in stretches, each with its rise in ems. (ReportLab can raise glyphs itself,
        but does not lower the line again after two of them.)
        """
        shown, data, rises, unit = "", [], [], 1000 / self.face.unitsPerEm
        for index, label, advance, offset, rise in self._label_glyphs(text, rtl):
            width = self.shaper.get_glyph_h_advance(index) * unit
            shown += self._assign_character(index, label, width)
            data.append(ShapeData(0, advance * unit, 0, offset * unit, 0, width))
            rises.append(rise * unit / 1000)
        stretches, end = [], 0
        for raised, group in groupby(rises):
            start, end = end, end + len(list(group))
            stretches.append((raised, ShapedStr(shown[start:end], data[start:end])))
        return sum(item.x_advance for item in data) / 1000, tuple(stretches)

    def _label_glyphs(self, text: str, rtl: bool) -> Iterator[tuple[int, str, int, int, int]]:
        """The glyphs of a text, each with its character, its advance, its offset and its rise.

        Some readers reorder the text that they extract, so each glyph stands for one character. For
        a ligature, blanks stand for its other characters.
        """
        buffer = hb.Buffer()
        buffer.cluster_level = hb.BufferClusterLevel.MONOTONE_CHARACTERS
        buffer.add_str(text)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if rtl else "ltr"
        hb.shape(self.shaper, buffer)
        glyphs = list(zip(buffer.glyph_infos, buffer.glyph_positions, strict=True))
        ends = dict(pairwise([*sorted({info.cluster for info, _ in glyphs}), len(text)]))
        for start, group in groupby(glyphs, lambda glyph: glyph[0].cluster):
            source = text[start : ends[start]][:: -1 if rtl else 1]
            for glyph, char in zip_longest(group, source):
                if glyph:
                    info, at = glyph
                    label = char or WORD_JOINER
                    yield info.codepoint, label, at.x_advance, at.x_offset, at.y_offset
                else:
                    yield self.face.charToGlyph[ord(" ")], char, 0, 0, 0

    def _assign_character(self, glyph: int, label: str, width: float) -> str:
        code = self.characters.get((glyph, label, width))
        if code is None:
            code = self.characters[glyph, label, width] = GLYPHS + len(self.characters)
            self.labels[code] = label
            self.face.charToGlyph[code], self.face.charWidths[code] = glyph, width
        return chr(code)

    def make_quarter(self) -> str:
        """A blank of a quarter of an em that stands for no text. Only fonts of Han have one."""
        return self._assign_character(self.face.charToGlyph[0x2005], "", 250)

    def _make_tabular_figures(self) -> dict[int, str]:
        """A table for `str.translate` that gives all digits the same width."""
        made = {}
        for digit in "0123456789":
            buffer = hb.Buffer()
            buffer.add_str(digit)
            buffer.guess_segment_properties()
            hb.shape(self.shaper, buffer, {"tnum": True})
            width = buffer.glyph_positions[0].x_advance * 1000 / self.face.unitsPerEm
            made[ord(digit)] = self._assign_character(buffer.glyph_infos[0].codepoint, digit, width)
        return made

    def addObjects(self, doc: Any) -> None:
        """Write the font, and let readers find the text that its glyphs stand for."""
        super().addObjects(doc)

        def text(match: re.Match[str]) -> str:
            code = int(match[0], 16)
            return self.labels.get(code, chr(code)).encode("utf-16-be").hex()

        own = self.face.name.decode()
        for name, item in doc.idToObject.items():
            if name.startswith("toUnicodeCMap:") and name.endswith(own):
                item.content = re.sub("(?<=> <)[0-9A-F]{5,6}", text, item.content)
        for font in doc.idToObject["BasicFonts"].dict.values():
            if getattr(font, "BaseFont", "").endswith(own):
                # ReportLab formats numbers one by one, which is a tenth of the time for a page.
                font.Widths = f"[{' '.join(f'{width:.6g}' for width in font.Widths.sequence)}]"


def get_face(family: str, style: int = 0) -> Face:
    """A font of a family, loaded once in each process.

    `style` is 0 for regular, 1 for bold, 2 for italic, 3 for both. If the family lacks it, the
    nearest one is returned.
    """
    names = FILES[family]
    if style >= len(names):
        style = style & 1 if len(names) > 1 else 0
    return _load_face(family, style)


@cache
def _load_face(family: str, style: int) -> Face:
    name = FILES[family][style]
    if family == "Signs":
        data = files("ziafont").joinpath("fonts", f"{name}.ttf").read_bytes()
    elif name in pymupdf_fonts.fontbuffers:
        data = pymupdf_fonts.fontbuffers[name]()
    else:
        folder = files("weblate_fonts").joinpath("static", "weblate_fonts", "kurinto", "ttf")
        data = folder.joinpath(f"{name}.ttf").read_bytes()
    font = Face(family.replace(" ", "") + STYLES[style], data)
    pdfmetrics.registerFont(font)
    return font


def choose_families(text: str, code: bool = False) -> tuple[str, ...]:
    """The families for a text, in the order in which they are tried."""
    if text.isascii():
        return ("Code", "Text") if code else ("Text",)
    western = ("Code", "Text", "Signs", "World") if code else WESTERN
    place = "SC"
    if KANA.search(text):
        place = "JP"
    elif HANGUL.search(text):
        place = "KR"
    elif TRADITIONAL.search(text):
        place = "TC"
    return (*western, *dict.fromkeys(f"Han {p}" for p in (place, "SC", "JP", "KR", "TC")))


@lru_cache(20_000)
def find_family(char: str, order: tuple[str, ...]) -> str:
    """The first of the families that has a character, or ""."""
    tried = order
    if len(order) > HAN_FAMILIES:  # fonts of Han are large: load them only for their characters
        tried = order[-HAN_FAMILIES:] + order if CJK.match(char) else order[:-HAN_FAMILIES]
    return next((family for family in tried if get_face(family).has(char)), "")


def split_by_family(text: str, order: tuple[str, ...]) -> list[tuple[str, str]]:
    """Split a text into stretches of one family each, as pairs of family and text."""
    if text.isascii():
        return [(order[0], text)]
    found = {char: find_family(char, order) or order[0] for char in set(text)}
    if len(set(found.values())) == 1:
        return [(found[text[0]], text)]
    out: list[tuple[str, str]] = []
    for family, group in groupby(text, found.__getitem__):
        part = "".join(group)
        while out and part and (unicodedata.combining(part[0]) or part[0] in "\u200c\u200d"):
            if not get_face(out[-1][0]).has(part[0]):
                break
            out[-1] = out[-1][0], out[-1][1] + part[0]
            part = part[1:]
        if part:
            out.append((family, part))
    return out

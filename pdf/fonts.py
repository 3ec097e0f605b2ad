"""Faces, and what it takes to set any script in them: a font for each character, and HarfBuzz."""

import io
import re
import unicodedata
from collections import Counter
from copy import copy
from functools import cache
from itertools import groupby, pairwise, zip_longest
from typing import Any
from weakref import WeakKeyDictionary

import pymupdf_fonts  # type: ignore[import-untyped]
import uharfbuzz as hb  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.cidfonts import UnicodeCIDFont  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import ShapeData, ShapedStr, TTFont  # type: ignore[import-untyped]

# Unicode ranges
RTL = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff"
RIGHT_TO_LEFT = re.compile(f"[{RTL}\U00100000-\U0010ffff]")
INVISIBLE = re.compile(  # joiners that join nothing, and variation selectors
    "(?<![\u0600-\u0dff])[\u200c\u200d]|[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
GLYPHS, RTL_GLYPHS = 0xF0000, 0x100000  # the first characters that stand for glyphs
SCRIPTS = {  # by the first word of a character's Unicode name
    **{"LATIN": "en", "CYRILLIC": "ru", "GREEK": "el", "ARABIC": "ar", "HEBREW": "he"},
    **{"THAI": "th", "DEVANAGARI": "hi", "GEORGIAN": "ka", "HANGUL": "ko", "HIRAGANA": "ja"},
    **{"KATAKANA": "ja", "CJK": "zh"},
}
FACES = {  # regular, bold, italic, bold italic
    "Text": ("figo", "figbo", "figit", "figbi"),
    "Code": ("cascadia", "cascadiab", "cascadiai", "cascadiabi"),
}
CID_FONTS = {  # with the codecs that tell what they have
    **{"STSong-Light": "gbk", "MSung-Light": "big5"},
    **{"HeiseiKakuGo-W5": "cp932", "HYGothic-Medium": "cp949"},
}
ALL = (*FACES, *CID_FONTS)
PREFERRED = {"ja": "HeiseiKakuGo-W5", "ko": "HYGothic-Medium", "zh-Hant": "MSung-Light"}


def register(language: str) -> tuple[str, ...]:
    """Register the fonts of one document; their names, in the order in which they are tried."""
    for family, files in FACES.items():
        names = [family + look for look in ("", "-Bold", "-Italic", "-BoldItalic")]
        for name, file in zip(names, files, strict=True):
            pdfmetrics.registerFont(load(name, file).fresh())
        pdfmetrics.registerFontFamily(family, *names)
    for name in CID_FONTS:
        pdfmetrics.registerFont(UnicodeCIDFont(name))
        pdfmetrics.registerFontFamily(name, *[name] * 4)
    first = PREFERRED.get(language, "STSong-Light")
    return (*FACES, *sorted(CID_FONTS, key=lambda name: name != first))


def guess_language(text: str) -> str:
    """The language of the script that most letters are in, as a tag for the metadata."""
    counts = Counter({"en": 0, "ja": 0, "zh": 0})
    for char, number in Counter(text).items():
        script = re.split("[ -]", unicodedata.name(char, ""))[0]
        if script in SCRIPTS and char.isalpha():
            counts[SCRIPTS[script]] += number
    if counts["ja"] * 10 > counts["zh"]:  # most of Japanese is Han too; Chinese has no kana
        counts["ja"] += counts.pop("zh")
    language = counts.most_common(1)[0][0]
    simplified, traditional = (len(text.encode(codec, "ignore")) for codec in ("gb2312", "big5"))
    return "zh-Hant" if language == "zh" and traditional > simplified else language


class Face(TTFont):  # type: ignore[misc]
    """A TrueType font that shapes: its glyphs are characters of its own, in private planes.

    ReportLab's own shaping knows one font a word, and loses the text that glyphs stand for.
    """

    def __init__(self, name: str, file: str) -> None:
        data = pymupdf_fonts.fontbuffers[file]()
        super().__init__(name, io.BytesIO(data))
        self.shaper = hb.Font(hb.Face(data))

    def fresh(self) -> "Face":
        """The font for one document: what others have shaped must not change its bytes."""
        font = copy(self)
        font.state, font.face, font.characters = WeakKeyDictionary(), copy(self.face), {}
        font.face.charToGlyph = dict(self.face.charToGlyph)
        font.face.charWidths = dict(self.face.charWidths)
        font.__dict__["shape"] = cache(font.shape)  # words recur
        return font

    def shape(self, text: str, size: float) -> tuple[float, str]:
        """The width and the glyphs of a text of one script, from left to right."""
        buffer = hb.Buffer()
        buffer.cluster_level = hb.BufferClusterLevel.MONOTONE_CHARACTERS
        buffer.add_str(text)
        buffer.guess_segment_properties()
        rtl = RIGHT_TO_LEFT.search(text) is not None
        buffer.direction = "rtl" if rtl else "ltr"
        hb.shape(self.shaper, buffer)
        glyphs = list(zip(buffer.glyph_infos, buffer.glyph_positions, strict=True))
        ends = dict(pairwise([*sorted({info.cluster for info, _ in glyphs}), len(text)]))
        labelled: list[Any] = [("", "")]  # a blank, as ReportLab cannot begin with a raised glyph
        for start, group in groupby(glyphs, lambda glyph: glyph[0].cluster):
            # Each glyph stands for one character, so that readers that reorder text can do so;
            # if there are fewer glyphs (a ligature), blanks stand for the other characters.
            source = text[start : ends[start]][:: -1 if rtl else 1]
            labelled += zip_longest(group, source, fillvalue="")
        shown, data, unit = "", [], 1000 / self.face.unitsPerEm
        for glyph, label in labelled:
            info, at = glyph or (None, None)
            index = info.codepoint if info else self.face.charToGlyph[ord(" ")]
            moves = (at.x_advance, at.y_advance, at.x_offset, at.y_offset) if at else (0,) * 4
            width = self.shaper.get_glyph_h_advance(index) * unit if info else 0
            code = (RTL_GLYPHS if rtl else GLYPHS) + len(self.characters)
            code = self.characters.setdefault((index, label, width), code)
            self.face.charToGlyph[code], self.face.charWidths[code] = index, width
            shown += chr(code)
            data.append(ShapeData(0, *(move * unit for move in moves), width))
        return sum(item.x_advance for item in data) * size / 1000, ShapedStr(shown, data)

    def addObjects(self, doc: Any) -> None:
        """Write the font, and let readers find the text that its glyphs stand for."""
        super().addObjects(doc)
        labels = {code: label for (_, label, _), code in self.characters.items()}

        def text(match: re.Match[str]) -> str:
            code = int(match[0], 16)
            return str(labels.get(code, chr(code))).encode("utf-16-be").hex()

        for name, item in doc.idToObject.items():
            if name.startswith("toUnicodeCMap:") and name.endswith("+" + self.face.name.decode()):
                item.content = re.sub("(?<=> <)[0-9A-F]{5,6}", text, item.content)


@cache
def load(name: str, file: str) -> Face:
    """A font, read once a process."""
    return Face(name, file)


@cache
def font_of(char: str, fonts: tuple[str, ...]) -> str:
    """The first of the fonts that has a character, or nothing."""
    for name in fonts:
        if name in FACES:
            if ord(char) in load(name, FACES[name][0]).face.charToGlyph:
                return name
        elif char <= "\uffff" and char.encode(CID_FONTS[name], "ignore"):
            return name
    return ""


@cache
def printed(char: str) -> str:
    """What stands for a character in print: its Unicode name if no font has it."""
    kind = unicodedata.category(char)
    if char in "\n\u200c\u200d" or (kind not in ("Cc", "Cf", "Co", "Zl") and font_of(char, ALL)):
        return char
    name = unicodedata.name(char, f"U+{ord(char):04X}")
    return {"Cc": "", "Cf": "", "Zs": " ", "Zl": "\n", "Zp": "\n"}.get(kind, f"[{name}]")


def printable(text: str) -> str:
    """The text without invisible characters, and with names for those that no font has."""
    text = INVISIBLE.sub("", unicodedata.normalize("NFC", text.replace("\t", " ")))
    return "".join(map(printed, text))

# ruff: noqa: RUF001
"""Faces, and what it takes to set any script in them: a font for each character, and HarfBuzz.

What this module relies on inside ReportLab: a `TTFontFace` keeps the glyph and the width of a
character in `charToGlyph` and `charWidths`, and the widths of all glyphs in `hmetrics`;
`addObjects` writes the table by which readers find the text (`toUnicodeCMap:…`) with a character's
code in hexadecimal; `makeSubset` and a stream's filter depend on nothing but their arguments.
tests/test_pdf_fonts.py has a test of each.
"""

import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files
from itertools import groupby, pairwise, zip_longest
from typing import Any

import pymupdf_fonts  # type: ignore[import-untyped]
import uharfbuzz as hb  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfdoc, pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import ShapeData, ShapedStr, TTFont  # type: ignore[import-untyped]

# Unicode ranges
RTL = "\u0590-\u065f\u066a-\u06ef\u06fa-\u08ff\ufb1d-\ufdff\ufe70-\ufeff"  # without the digits
RIGHT_TO_LEFT = re.compile(f"[{RTL}]")
INDIC = "\u0900-\u0dff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u200c\u200d"
KANA, HANGUL = re.compile("[\u3041-\u30ff]"), re.compile("[\uac00-\ud7a3]")
TRADITIONAL = re.compile(
    "[這們個時來對說為會後過還沒國與開關動長問間學實發經現書點樣種無電話訊際灣]"
)
WIDE = re.compile(  # Han, kana, Hangul and their punctuation
    "[\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
)
MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0"
SHAPED = re.compile(rf"[{RTL}]+(?:[{RTL}\u064b-\u065f])*|[{INDIC}]+|\w[{MARKS}]+")
INVISIBLE = re.compile(  # joiners outside of the scripts that need them, and variation selectors
    "(?<![\u0600-\u0dff])[\u200c\u200d]|[\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
JOINER = "\u2060"  # the text of a glyph that stands for none: nothing to see or to break at
GLYPHS = 0xF0000  # the first character that stands for a glyph
GLYPH_LIMIT = 60_000  # such characters in a private plane, before their numbering starts again
FILES = {  # of each family: regular, bold, italic, bold italic, as far as the package has them
    "Text": ("figo", "figbo", "figit", "figbi"),
    "Code": ("cascadia", "cascadiab", "cascadiai", "cascadiabi"),
    "Signs": ("DejaVuSans",),
    "World": ("KurintoSans-Rg", "KurintoSans-Bd"),
    **{
        f"Han {place}": (f"KurintoSans{place}-Rg", f"KurintoSans{place}-Bd")
        for place in ("SC", "TC", "JP", "KR")
    },
}
PLACES = 4  # the number of families for Han
STYLES = ("", "-Bold", "-Italic", "-BoldItalic")
WESTERN = ("Text", "Code", "Signs", "World")
LANGUAGES = {  # of scripts of one language, by the first word in the Unicode name of a letter
    **{"GREEK": "el", "HEBREW": "he", "THAI": "th", "GEORGIAN": "ka", "ARMENIAN": "hy"},
    **{"HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "TAMIL": "ta"},
    **{"TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml", "GUJARATI": "gu", "GURMUKHI": "pa"},
    **{"KHMER": "km", "LAO": "lo", "SINHALA": "si"},
}

MOST_WRITTEN = {  # of scripts of several languages, the one that most people write
    **{"CYRILLIC": "ru", "ARABIC": "ar", "DEVANAGARI": "hi", "BENGALI": "bn", "ETHIOPIC": "am"},
}
EAST_ASIAN = {"zh", "ja", "ko"}  # these share letters, so none of them is a stretch in another
# Words of the languages that are written most and share their script, from their frequency lists.
# "und" is the tag of a language that is not known.
STOP_WORDS = {
    "en": "the of and to is that for with are this was be by from which",
    "es": "la de el los las una por con para como más pero sus está y del",
    "pt": "de o os as uma com não para mais dos das ao pelo são é um",
    "fr": "la de le les des et est une dans pour qui sur avec pas au aux du",
    "de": "der die das und ist nicht mit den von zu ein eine auf für sich",
    "it": "la il di che è gli della per sono non nel alla dei anche più",
    "nl": "het een van en niet met zijn voor aan dat ook wordt op te",
    "pl": "w i na się nie jest do że z oraz jak przez dla są",
    "tr": "ve bir bu için ile olarak da daha çok olan gibi değil",
    "vi": "và của là các được trong có cho những với không một này",
    "id": "yang dan di dengan untuk dari ini pada adalah dalam tidak akan",
    "sv": "och att det som är på för av inte med till ett den",
    "da": "og at det er på til af ikke med som en for den",
    "ro": "și în la este cu pe din care nu mai sunt pentru",
    "cs": "a v na se je že s pro jako jsou nebo také podle",
    "hu": "a az és hogy nem egy is ez meg volt vagy mint",
    "fi": "ja on ei että se oli myös ovat kuin tai joka",
    "ru": "и в не на что с как это для из по или от",
    "uk": "і в не на що з як це для та або від є",
    "ar": "في من على إلى أن هذا التي مع عن هذه كان ما",
    "fa": "و در به از که این را با است برای آن",
    "ur": "کے میں کی ہے اور سے کا کو نے پر",
    "hi": "के में की है और से का को ने पर यह",
    "bn": "এবং ও এই করে হয় থেকে জন্য একটি না সঙ্গে",
    "mr": "आणि आहे या हे ते च्या मध्ये आहेत व होते",
}
SAMPLE = 20_000  # characters of a draft that tell its language


class Face(TTFont):  # type: ignore[misc]
    """A TrueType font that shapes: its glyphs are characters of its own, in a private plane.

    ReportLab's own shaping knows one font a word, and loses the text that glyphs stand for.
    """

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(name, io.BytesIO(data))
        self.shaper = hb.Font(hb.Face(data))
        metrics = self.face.hmetrics  # ReportLab scales the widths at their end twice
        for number in reversed(range(len(metrics))):
            width = self.shaper.get_glyph_h_advance(number)
            if metrics[number][0] == width:
                break
            metrics[number] = width, metrics[number][1]
        self.characters: dict[tuple[int, str, float], int] = {}
        self.labels: dict[int, str] = {}
        self.face.makeSubset = _keep_subsets(self.face.makeSubset)
        self.shape = lru_cache(10_000)(self._shape)  # words recur
        self.get_figures = cache(self._make_figures)
        self.is_han = name.startswith("Han")

    def has(self, char: str) -> bool:
        """Whether the font has a glyph for a character."""
        return ord(char) in self.face.charToGlyph

    def measure(self, text: str, size: float) -> float:
        """The width of a text in points, set without shaping."""
        return float(self.stringWidth(text, size))

    def draw(self, char: str, x: float, y: float, size: float) -> str:
        """The outline of a character on a base line, as an SVG path: y grows down the page."""
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

    def _shape(self, text: str, rtl: bool) -> tuple[float, str]:
        """The width at 1 point and the glyphs, from left to right, of a text of one script."""
        buffer = hb.Buffer()
        buffer.cluster_level = hb.BufferClusterLevel.MONOTONE_CHARACTERS
        buffer.add_str(text)
        buffer.guess_segment_properties()
        buffer.direction = "rtl" if rtl else "ltr"
        hb.shape(self.shaper, buffer)
        glyphs = list(zip(buffer.glyph_infos, buffer.glyph_positions, strict=True))
        ends = dict(pairwise([*sorted({info.cluster for info, _ in glyphs}), len(text)]))
        labelled: list[Any] = []
        if glyphs and glyphs[0][1].y_offset:
            labelled = [(None, JOINER)]  # a blank: ReportLab cannot begin with a raised glyph
        for start, group in groupby(glyphs, lambda glyph: glyph[0].cluster):
            # Each glyph stands for one character, as some readers reorder what they extract. For a
            # ligature, blanks stand for its other characters.
            source = text[start : ends[start]][:: -1 if rtl else 1]
            labelled += zip_longest(group, source, fillvalue="")
        shown, data, unit = "", [], 1000 / self.face.unitsPerEm
        for glyph, label in labelled:
            info, at = glyph or (None, None)
            index = info.codepoint if info else self.face.charToGlyph[ord(" ")]
            label = label or JOINER
            moves = (at.x_advance, at.y_advance, at.x_offset, at.y_offset) if at else (0,) * 4
            width = self.shaper.get_glyph_h_advance(index) * unit
            shown += self._assign_character(index, label, width)
            data.append(ShapeData(0, *(move * unit for move in moves), width))
        return sum(item.x_advance for item in data) / 1000, ShapedStr(shown, data)

    def _assign_character(self, glyph: int, label: str, width: float) -> str:
        code = self.characters.get((glyph, label, width))
        if code is None:
            code = self.characters[glyph, label, width] = GLYPHS + len(self.characters)
            self.labels[code] = label
            self.face.charToGlyph[code], self.face.charWidths[code] = glyph, width
        return chr(code)

    def make_quarter(self) -> str:
        """A blank of a quarter of an em that stands for no text; fonts of Han have one."""
        return self._assign_character(self.face.charToGlyph[0x2005], "", 250)

    def _make_figures(self) -> dict[int, str]:
        """A translation of digits into digits of equal width."""
        made = {}
        for digit in "0123456789":
            buffer = hb.Buffer()
            buffer.add_str(digit)
            buffer.guess_segment_properties()
            hb.shape(self.shaper, buffer, {"tnum": True})
            width = buffer.glyph_positions[0].x_advance * 1000 / self.face.unitsPerEm
            made[ord(digit)] = self._assign_character(buffer.glyph_infos[0].codepoint, digit, width)
        return made

    def forget(self) -> bool:
        """Start the numbering of glyphs again, between documents, before the plane is full."""
        if len(self.characters) <= GLYPH_LIMIT:
            return False
        self.characters.clear()
        self.shape.cache_clear()
        self.get_figures.cache_clear()
        return True

    def addObjects(self, doc: Any) -> None:
        """Write the font, and let readers find the text that its glyphs stand for."""
        super().addObjects(doc)

        def text(match: re.Match[str]) -> str:
            code = int(match[0], 16)
            return self.labels.get(code, chr(code)).encode("utf-16-be").hex()

        for name, item in doc.idToObject.items():
            if not name.endswith((self.face.name.decode(), self.face.name.decode() + ")")):
                continue
            if name.startswith("toUnicodeCMap:"):
                item.content = re.sub("(?<=> <)[0-9A-F]{5,6}", text, item.content)
            if name.startswith(("toUnicodeCMap:", "fontFile:")):
                item.filters = [_Compressed()]


class _Compressed(pdfdoc.PDFStreamFilterZCompress):  # type: ignore[misc]
    """ReportLab's compression that keeps what it made last: most drafts have the same fonts."""

    encode = staticmethod(lru_cache(64)(pdfdoc.PDFZCompress.encode))


def _keep_subsets(make: Any) -> Any:
    """`makeSubset` that keeps what it made last: most drafts have the same characters."""
    kept = lru_cache(32)(lambda characters, glyphs: make(list(characters)))
    owner = make.__self__

    def subset(characters: list[int]) -> bytes:
        made: bytes = kept(tuple(characters), tuple(map(owner.charToGlyph.get, characters)))
        return made

    return subset


def get_face(family: str, style: int = 0) -> Face:
    """A font of a family, read once a process; style 1 is bold, 2 italic, 3 both."""
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


def get_loaded_faces() -> Iterator[Face]:
    """The faces that this process has read."""
    for name in pdfmetrics.getRegisteredFontNames():
        font = pdfmetrics.getFont(name)
        if isinstance(font, Face):
            yield font


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
    """The first of the families that has a character, or nothing."""
    tried = order
    if len(order) > PLACES:  # fonts of Han are large: they are read for what only they have
        tried = order[-PLACES:] + order if WIDE.match(char) else order[:-PLACES]
    return next((family for family in tried if get_face(family).has(char)), "")


def split_by_family(text: str, order: tuple[str, ...]) -> list[tuple[str, str]]:
    """The text in stretches of one family each."""
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


@lru_cache(20_000)
def _find_replacement(char: str) -> str | None:
    """What stands for a character in print; None for a letter that no font has."""
    kind = unicodedata.category(char)
    if char in "\n\u200c\u200d":
        return char
    known = kind not in ("Cc", "Cf", "Co", "Zl")
    if known and find_family(char, choose_families(char)):
        return char
    if kind in ("Cc", "Cf", "Zs", "Zl", "Zp"):
        return {"Zs": " ", "Zl": "\n", "Zp": "\n"}.get(kind, "")
    if kind[0] in "LM" and char < "\U00020000":
        return None
    name = unicodedata.name(char, f"U+{ord(char):04X}")
    if "\U0001f000" <= char <= "\U0001faff":  # as one types it on GitHub
        return f":{name.lower().replace(' ', '_')}:"
    return f"[{name}]"


def replace_unprintable(text: str) -> str:
    """The text without invisible characters, and with a note for what no font of ours has."""
    if text.isascii() and text.isprintable():
        return text
    text = INVISIBLE.sub("", unicodedata.normalize("NFC", text.replace("\t", " ")))
    out: list[str] = []
    for missing, group in groupby(text, lambda char: _find_replacement(char) is None):
        if not missing:
            out += [_find_replacement(char) or "" for char in group]
            continue
        for script, letters in groupby(group, lambda c: unicodedata.name(c, "unknown").split()[0]):
            number = sum(1 for _ in letters)
            noun = "character" if number == 1 else "characters"
            out.append(f"[{number} {noun} of {script.capitalize()} script]")
    return "".join(out)


def detect_language(text: str) -> str:
    """The language that most letters are in, as a tag; "und" if nothing tells."""
    if text.isascii():
        return _find_by_words(text)
    counts: dict[str, int] = {}
    letters = re.sub(r"[\W\d_a-zA-Z]", "", text)
    counts[""] = len(re.findall("[a-zA-Z]", text))
    for char in dict.fromkeys(letters):  # in this order, so that of two equal counts the first wins
        script = re.split("[ -]", unicodedata.name(char, ""))[0]
        tag = LANGUAGES.get(script, "" if script == "LATIN" else script)
        counts[tag] = counts.get(tag, 0) + letters.count(char)
    # Most of Japanese is Han; Chinese has no kana.
    if counts.get("ja", 0) * 10 > counts.get("zh", 0):
        counts["ja"] = counts.get("ja", 0) + counts.pop("zh", 0)
    found = max(counts, key=lambda tag: counts[tag])
    if found == "zh":
        return "zh-Hant" if TRADITIONAL.search(text) else "zh-Hans"
    if found in LANGUAGES.values():
        return found
    return _find_by_words(text, MOST_WRITTEN.get(found, "und"))


def _find_by_words(text: str, otherwise: str = "und") -> str:
    """The language whose commonest words are found most often."""
    words = Counter(re.split(r"[\s.,;:!?()]+", text[:SAMPLE].lower()))
    counts = {tag: sum(words[stop] for stop in stops.split()) for tag, stops in STOP_WORDS.items()}
    found = max(counts, key=counts.__getitem__)
    return found if counts[found] else otherwise


@lru_cache(10_000)
def name_language(text: str) -> str:
    """The language of a stretch of one script, by its first letter; "" for Latin and signs."""
    first = next(filter(str.isalpha, text), "a")
    script = re.split("[ -]", unicodedata.name(first, ""))[0]
    return LANGUAGES.get(script) or MOST_WRITTEN.get(script, "")

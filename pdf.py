"""Markdown in, PDF bytes out.

markdown-it-py reads the draft, `Composer` maps its tokens to ReportLab's flowables, and `Text` and
`Face` are what it takes to set any script in them, with HarfBuzz.
"""

import io
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from functools import cache
from itertools import groupby, pairwise, takewhile, zip_longest
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary
from xml.sax.saxutils import escape, quoteattr

import pymupdf_fonts  # type: ignore[import-untyped]
import uharfbuzz as hb  # type: ignore[import-untyped]
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token
from reportlab import platypus, rl_config  # type: ignore[import-untyped]
from reportlab.lib.pagesizes import letter  # type: ignore[import-untyped]
from reportlab.lib.styles import ParagraphStyle  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.cidfonts import UnicodeCIDFont  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import ShapeData, ShapedStr, TTFont  # type: ignore[import-untyped]
from reportlab.platypus.paragraph import _getFragWords  # type: ignore[import-untyped]

TITLE = "Research Report"
TOPIC_LIMIT = 300  # characters; a longer topic would push the report off its first page
NESTING_LIMIT = 40  # block levels; what lies deeper is set as source
MARGIN = 72.0  # points, as all lengths here
WIDTH, HEIGHT = letter[0] - 2 * MARGIN, letter[1] - 2 * MARGIN
INDENT = 22.0  # of a list item or a quote
DEEPEST = WIDTH / 2  # the indent of no text exceeds this, however deep the list
PADDING = 5.0  # inside code blocks and table cells
COMPANY = 130.0  # left on the page for headings and what follows
BODY, SMALL, TINY = 10.5, 9.5, 8.5
CODE = 8.75  # Cascadia Mono looks larger than FiraGO
HEADINGS = {"h1": 19.0, "h2": 15.5, "h3": 13.0, "h4": 11.5, "h5": 10.5, "h6": 10.5}
INK, FAINT, LINK, RULE, SHADE = "#212126", "#6b6b75", "#084d9e", "#ccccd4", "#f4f4f6"
TABLE_STYLE = [
    ("BACKGROUND", (0, 0), (-1, 0), SHADE),
    ("LINEBELOW", (0, 0), (-1, -1), 0.6, RULE),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("FONTNAME", (0, 0), (-1, -1), "Text"),  # of its own accord a table selects Helvetica
    *((f"{side}PADDING", (0, 0), (-1, -1), PADDING) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")),
]
BULLETS = "•\u2013"
TAGS = {"strong": "b", "em": "i", "s": "strike"}  # of the parser, and in ReportLab's markup
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
LIVE = re.compile("(https?://|mailto:)", re.IGNORECASE)

# ReportLab's time for one paragraph or table grows as the square of its pages.
ENDLESS = 40_000  # characters of a paragraph, which is then set as source
PORTION = re.compile(r"(?:[^\n]{0,100}\n){1,60}|[^\n]{1,4000}\n?|\n")  # of source
MANY = 100  # portions, from which on plain ASCII is set without ReportLab's markup
ROWS = 200  # of a table, before it goes on as another one
SAMPLE = 100  # rows by which the columns of a table are measured
TOO_MUCH = (  # to be parsed and set within ten seconds or so; such a draft is set as source
    (r"^[ \t]*\S", 15_000),  # lines
    (r"\|", 30_000),  # table cells
    (r"\[", 30_000),  # links that may begin
    (r"[*_`~<&!|\\]", 100_000),  # other markup
)

# Unicode ranges. Chinese and Japanese break between any two characters, but not before a closing
# mark or after an opening one; Thai, without a dictionary, breaks between letters and never
# between a letter and its vowel signs.
WIDE = "\u2e80-\u2fdf\u3005-\u3007\u3021-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
OPENING = "〈《「『【〔〖（［｛“‘"  # noqa: RUF001
CLOSING = "、。〉》」』】〕〗！），．：；？］｝”’ー…ぁぃぅぇぉっゃゅょァィゥェォッャュョ々"  # noqa: RUF001
CHUNK = re.compile(
    rf"[{OPENING}]*[{WIDE}][{CLOSING}]*|[เ-ไ]?[ก-ฮ][ะ-ฺๅ-๎]*"
    rf"|\xa0+|[^\xa0{WIDE}{OPENING}ก-ฮเ-ไ]{{1,200}}\xa0*|."
)
RTL, INDIC = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff", "\u0900-\u0dff\u0e00-\u0e7f\u200c\u200d"
RIGHT_TO_LEFT = re.compile(f"[{RTL}\U00100000-\U0010ffff]")
SHAPED = re.compile(rf"(?:[^\w{RTL}]*[{RTL}]+)+[^\w{RTL}]*|[{INDIC}]+")
SPECIAL = re.compile(f"[{RTL}{INDIC}{WIDE}]")
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

rl_config.useA85 = 0  # ASCII85 only makes the pages larger, and is slow to write
log = logging.getLogger(__name__)
one_at_a_time = Lock()  # ReportLab registers fonts for the whole process


def render(markdown: str, *, topic: str = "", workflow_id: str = "", plain: bool = False) -> bytes:
    """Set a Markdown draft as a PDF report on letter paper.

    Any text comes out, whatever its characters, size or nesting, and equal arguments give equal
    bytes. Nothing is fetched or read. `topic` is printed under the title and is the document's
    subject; `workflow_id` is its only keyword. What cannot be set as Markdown is set as plain text,
    as `plain` asks for from the start.
    """
    topic = " ".join(topic.split())
    topic = printable(topic if len(topic) <= TOPIC_LIMIT else topic[: TOPIC_LIMIT - 1] + "…")
    language = guess_language(markdown + topic)
    about = {"subject": topic, "keywords": printable(workflow_id), "lang": language}
    with one_at_a_time:
        for compose in (Composer.story, Composer.code)[plain:]:
            composer, out = Composer(language), io.BytesIO()
            try:
                front = [
                    composer.text(f"<b>{TITLE}</b>", 24, alignment=1),
                    composer.text(composer.escaped(topic), 13, 6, textColor=FAINT, alignment=1),
                    rule(14),
                ]
                Report(out, **about).build(front + compose(composer, markdown))
                break
            except Exception:  # a draft must not be lost to what nobody has tried
                if compose is Composer.code:
                    raise
                log.warning("The draft is set as plain text", exc_info=True)
    return out.getvalue()


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


class Report(platypus.BaseDocTemplate):  # type: ignore[misc]
    """Letter paper with page numbers, metadata and an outline."""

    def __init__(self, out: io.BytesIO, **about: str) -> None:
        about |= {"title": TITLE, "author": "", "creator": "durable-research-reports"}
        super().__init__(out, pagesize=letter, displayDocTitle=True, invariant=1, **about)
        frame = platypus.Frame(MARGIN, MARGIN, WIDTH, HEIGHT, 0, 0, 0, 0)
        self.addPageTemplates(platypus.PageTemplate(frames=[frame], onPageEnd=self.finish))
        self.ranks: list[int] = []  # of the headings that enclose the text

    def finish(self, canvas: Any, _: object) -> None:
        """Print the page number."""
        if self.page == 1:  # Helvetica, which each page would select and none uses
            canvas._preamble = ""
            canvas._doc.idToObject["BasicFonts"].dict.pop("F1")
        canvas.setFont("Text", TINY)
        canvas.setFillColor(FAINT)
        canvas.drawCentredString(letter[0] / 2, MARGIN / 2 + 4, f"Page {self.page}")

    def afterFlowable(self, flowable: Any) -> None:
        """Put a heading into the outline, under the nearest one of a higher rank."""
        if isinstance(flowable, Text) and flowable.style.entry:
            rank, title = flowable.style.entry
            flowable.style.entry = None  # the rest of a split heading is none
            self.ranks = [*(other for other in self.ranks if other < rank), rank]
            top = self.frame._y + flowable.height + BODY
            self.canv.bookmarkHorizontal(f"{self.page}:{top:.1f}", 0, top)
            self.canv.addOutlineEntry(title, f"{self.page}:{top:.1f}", len(self.ranks) - 1)


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


class Text(platypus.Paragraph):  # type: ignore[misc]
    """A paragraph of any script, with the bars of the quotes around it."""

    frags: Any
    bulletText: Any

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """The size in a width; it is asked for several times, and found once."""
        if getattr(self, "wrapped", None) != width or not hasattr(self, "blPara"):
            super().wrap(width, height)
            self.wrapped = width
        return width, self.height

    def breakLines(self, width: Any) -> Any:
        """Break where each script may be broken, and order what runs from right to left."""
        source = "".join(getattr(frag, "text", "") for frag in self.frags)
        if source and (self.style.backColor or SPECIAL.search(source)):
            self.frags = [piece for word in _getFragWords(self.frags) for piece in pieces(word)]
        broken = super().breakLines(width)
        if self.style.bidi and broken.lines:
            starts = [line.sFW for line in broken.lines]
            for line, (start, end) in zip(broken.lines, pairwise([*starts, None]), strict=True):
                line.words = in_visual_order(self.frags[start:end], self.style.rtl)
        return broken

    def draw(self) -> None:
        """Paint the text and what is beside it."""
        style = self.style
        self.canv.setFillColor(RULE)
        for bar, joined in style.bars:
            x = self.width - bar - 2.5 if style.rtl else bar
            self.canv.rect(x, 0, 2.5, self.height + style.spaceBefore * joined, stroke=0, fill=1)
        style.bulletAnchor, style.bulletIndent = "end", style.indent - 7
        if style.rtl and self.bulletText:  # ReportLab would move the text
            self.canv.setFillColor(INK)
            self.canv.setFont("Text", BODY)
            top = self.height - pdfmetrics.getAscent("Text", BODY)
            self.canv.drawString(self.width - style.indent + 7, top, self.bulletText)
            self.bulletText = None
        super().draw()


def pieces(word: Any) -> Iterator[Any]:
    """The parts of a word between which a line may break, shaped."""
    text = "".join(part for _, part in word[1:])
    frags = [frag for frag, part in word[1:] for _ in part]
    if not text:
        yield word
    for chunk in CHUNK.finditer(text):
        start, end = chunk.span()
        edges = {start, end, *(i for i in range(start + 1, end) if frags[i] is not frags[i - 1])}
        edges.update(start + edge for match in SHAPED.finditer(chunk[0]) for edge in match.span())
        piece = type(word)([0.0]) if end == len(text) else [0.0]
        for left, right in pairwise(sorted(edges)):
            frag, part = frags[left], text[left:right]
            font = pdfmetrics.getFont(frag.fontName)
            if isinstance(font, Face) and SHAPED.match(part):
                width, part = font.shape(part, frag.fontSize)
            else:
                width = font.stringWidth(part, frag.fontSize)
            piece[0] += width
            piece.append((frag, part))
        yield piece


def in_visual_order(words: list[Any], rtl: bool) -> list[Any]:
    """The fragments of a line from left to right: the Unicode Bidirectional Algorithm in brief.

    It orders whole words, each of the direction of its letters.
    """
    words = [word for word in words if any(part for _, part in word[1:])]
    kinds, strong = [], rtl
    for word in words:
        text = "".join(part for _, part in word[1:])
        if RIGHT_TO_LEFT.search(text) or any(map(str.isalpha, text)):
            strong = RIGHT_TO_LEFT.search(text) is not None
        kinds.append(strong if strong == rtl or any(map(str.isalnum, text)) else rtl)
    runs = []
    for backwards, group in groupby(zip(kinds, words, strict=True), lambda pair: pair[0]):
        run = [word[:0:-1] if backwards else word[1:] for _, word in group]
        runs.append(run[::-1] if backwards else run)
    ordered = [word for run in runs[:: -1 if rtl else 1] for word in run]
    line = [pair for word in ordered for pair in (*word, (word[-1][0], " "))]
    return [frag.clone(text=part) for frag, part in line[:-1] if part]


class Composer:
    """Turns tokens into flowables; its state is what encloses the token at hand."""

    def __init__(self, language: str) -> None:
        for family, files in FACES.items():
            names = [family + look for look in ("", "-Bold", "-Italic", "-BoldItalic")]
            for name, file in zip(names, files, strict=True):
                pdfmetrics.registerFont(load(name, file).fresh())
            pdfmetrics.registerFontFamily(family, *names)
        for name in CID_FONTS:
            pdfmetrics.registerFont(UnicodeCIDFont(name))
            pdfmetrics.registerFontFamily(name, *[name] * 4)
        first = PREFERRED.get(language, "STSong-Light")
        self.fonts = (*FACES, *sorted(CID_FONTS, key=lambda name: name != first))
        self.reset()

    def reset(self) -> None:
        """Forget what encloses the text."""
        self.lefts = [0.0]  # the indent of each enclosing list item and quote
        self.lists: list[int | None] = []  # the next number of each enclosing list, None: a bullet
        self.mark = ""  # a number or a bullet for the next text
        self.bars: list[tuple[float, bool]] = []  # of quotes; True if it started above the text

    def story(self, markdown: str) -> list[Any]:
        """The flowables of a draft; a construct that cannot be set is set as source."""
        markdown = markdown.replace("\0", "")  # the parser would make it a visible U+FFFD
        if any(len(re.findall(p, markdown, re.MULTILINE)) > limit for p, limit in TOO_MUCH):
            return self.code(markdown)
        source, out, headed = markdown.split("\n"), list[Any](), False
        for construct in constructs(parser().parse(markdown)):
            first, last = construct[0].map or (0, 0)
            try:
                if any(len(token.content) > ENDLESS and token.children for token in construct):
                    flowables = self.code("\n".join(source[first:last]))
                else:
                    flowables = self.compose(construct)
                for flowable in flowables:
                    flowable.wrap(WIDTH, HEIGHT)
            except Exception:  # what nobody has tried defeats the layout; words must not be lost
                log.warning("Lines %d to %d are set as plain text", first + 1, last, exc_info=True)
                self.reset()
                flowables = self.code("\n".join(source[first:last]))
            if construct[0].type == "heading_open" and not headed:
                out.append(platypus.CondPageBreak(COMPANY))
            headed = construct[0].type == "heading_open"
            out += flowables
        return out

    def compose(self, tokens: list[Token]) -> list[Any]:
        """The flowables of one top-level construct."""
        out: list[Any] = []
        for position, token in enumerate(tokens):
            kind = token.type
            if self.mark and kind in ("hr", "table_open", "blockquote_open", "list_item_open"):
                out.append(self.text("\xa0", space=3))  # a line for a mark that these cannot take
            match kind:
                case "paragraph_open":
                    markup = self.inline(tokens[position + 1])
                    out.append(self.text(markup, space=3 if token.hidden else 7))
                case "heading_open":
                    content, size = tokens[position + 1], HEADINGS[token.tag]
                    heading = self.text(self.inline(content, bold=True), size, size * 1.1)
                    title = " ".join(heading.style.source.split())[:120]
                    heading.style.entry = int(token.tag[1]), title
                    out.append(heading)
                case "fence" | "code_block":
                    out += self.code(token.content)
                case "html_block":
                    lines = BREAK.sub("\n", token.content.strip("\n"))
                    out.append(self.text(self.escaped(lines), space=7))
                case "hr":
                    out.append(rule(12))
                case "bullet_list_open":
                    self.lists.append(None)
                case "ordered_list_open":
                    self.lists.append(int(token.attrs.get("start", 1)))
                case "bullet_list_close" | "ordered_list_close":
                    self.lists.pop()
                case "list_item_open":
                    number = self.lists[-1]
                    self.mark = (
                        BULLETS[(len(self.lists) - 1) % 2] if number is None else f"{number}."
                    )
                    self.enter(max(INDENT, 7 * len(self.mark)))  # more than a digit is wide
                    self.lists[-1] = None if number is None else number + 1
                case "blockquote_open":
                    self.bars = [*self.bars, (self.lefts[-1] + 4, False)]
                    self.enter(INDENT)
                case "list_item_close":
                    if self.mark:
                        out.append(self.text("\xa0", space=3))
                    self.lefts.pop()
                case "blockquote_close":
                    self.lefts.pop()
                    self.bars = self.bars[:-1]
                case "table_open":
                    rows = takewhile(lambda t: t.type != "table_close", tokens[position:])
                    out += self.table(list(rows))
        return out

    def enter(self, width: float) -> None:
        """Enter a quote or a list item."""
        self.lefts.append(min(self.lefts[-1] + width, DEEPEST))

    def inline(self, token: Token, bold: bool = False) -> str:
        """The markup of a paragraph, a heading or a table cell."""
        depth = Counter({"strong": int(bold)})
        out = href = ""
        for child in token.children or []:
            text = child.content
            match child.type:
                case "softbreak":
                    text = " "
                case "hardbreak":
                    text = "\n"
                case "html_inline":
                    text = "\n" if BREAK.fullmatch(text) else text
                case "image":
                    text = " ".join(filter(None, [text, f"({child.attrGet('src')})"]))
                case "link_open":
                    href = str(child.attrGet("href"))
                case "link_close":
                    href = ""
                case _:
                    depth[child.tag] += child.nesting
            tags = [name for tag, name in TAGS.items() if depth[tag]]
            markup = self.escaped(text, tags, code=child.type == "code_inline")
            if text and LIVE.match(href):
                markup = f"<a href={quoteattr(href)} color='{LINK}'>{markup}</a>"
            out += markup
        return out

    def escaped(self, text: str, tags: Sequence[str] = (), code: bool = False) -> str:
        """Text as ReportLab's markup, each stretch in a font that has it."""
        fonts = self.fonts[1::-1] + self.fonts[2:] if code else self.fonts
        out = ""
        for name, group in groupby(printable(text), lambda char: font_of(char, fonts) or fonts[0]):
            part = escape("".join(group)).replace("\n", "<br/>")
            for tag in tags:  # within the font, which would end them
                part = f"<{tag}>{part}</{tag}>"
            out += part if name == "Text" else f'<font name="{name}">{part}</font>'
        return out

    def text(self, markup: str, size: float = BODY, space: float = 0, **look: Any) -> Text:
        """A text where the draft has arrived, with the mark that waits for one."""
        style = ParagraphStyle("", fontName="Text", fontSize=size, textColor=INK, spaceBefore=space)
        style.leading = size * (1.25 if size > BODY else 1.42)
        style.bulletFontName, style.bulletFontSize = "Text", BODY
        style.__dict__.update(look)
        text = Text(markup, style, self.mark or None)
        source = "".join(getattr(frag, "text", "") for frag in text.frags)
        if self.mark and not source.strip():
            text = Text("\xa0", style, self.mark)  # an empty item has a mark too
        pad, indent = PADDING * ("backColor" in look), self.lefts[-1]
        bidi = RIGHT_TO_LEFT.search(source) is not None
        kinds = map(unicodedata.bidirectional, source)
        rtl = not pad and next((k for k in kinds if k in ("L", "R", "AL")), "L") != "L"
        style.rightIndent, style.leftIndent = (indent, 0) if rtl else (pad, indent + pad)
        style.alignment = look.get("alignment", 2 if rtl else 0)
        style.__dict__.update(source=source, entry=None, bidi=bidi, rtl=rtl, indent=indent)
        style.bars = self.bars
        self.bars, self.mark = [(x, True) for x, _ in self.bars], ""
        return text

    def code(self, content: str) -> list[Any]:
        """Code or source, with its own line breaks."""
        out: list[Any] = []
        portions = PORTION.findall(content.rstrip("\n").expandtabs(4)) or [""]
        for portion in portions:
            lines = re.sub("^$", "\xa0", portion.removesuffix("\n"), flags=re.MULTILINE)
            plain = len(portions) > MANY and portion.isascii()
            markup = "" if plain else self.escaped(lines.replace(" ", "\xa0"), code=True)
            top, bottom = not out, len(out) == len(portions) - 1
            look = {"backColor": SHADE, "leading": CODE * 1.5, "spaceAfter": 13 * bottom}
            look["borderPadding"] = PADDING * top, PADDING, PADDING * bottom, PADDING
            text = self.text(markup, CODE, 13 * top, **look)
            if plain:  # set in a tenth of the time
                text.style.fontName = "Code"
                text = platypus.Preformatted(printable(portion), text.style, maxLineLength=88)
            out.append(text)
        return out

    def table(self, tokens: list[Token]) -> list[Any]:
        """The rows of a table, columns as wide as their text needs."""
        cells: list[list[Text]] = []
        left, bars = self.lefts[-1], self.bars
        self.lefts, self.bars = [*self.lefts, 0.0], []
        for before, token in pairwise(tokens):
            if token.type == "tr_open":
                cells.append([])
            if token.type == "inline":
                cell = self.text(self.inline(token, before.type == "th_open"), SMALL)
                side = str(before.attrGet("style")).removeprefix("text-align:")
                sides = {"left": 0, "center": 1, "right": 2}
                cell.style.alignment = sides.get(side, cell.style.alignment)
                cells[-1].append(cell)
        self.lefts, self.bars = self.lefts[:-1], bars
        if rtl := cells[0][0].style.rtl:  # the first column is then the rightmost
            cells = [row[::-1] for row in cells]
        widths = share(cells[:SAMPLE], WIDTH - left)
        out: list[Any] = [platypus.Indenter(left)]
        for start in range(1, max(len(cells), 2), ROWS):
            rows = [cells[0], *cells[start : start + ROWS]]
            table = platypus.LongTable(rows, widths, repeatRows=1, splitInRow=1)
            table.hAlign = "RIGHT" if rtl else "LEFT"
            table.setStyle(TABLE_STYLE)
            table.spaceBefore = table.spaceAfter = 10
            out.append(table)
        return [*out, platypus.Indenter(-left)]


def share(rows: list[list[Text]], room: float) -> list[float]:
    """Widths of columns: as their text needs, or else at least their longest words, if they fit."""
    least, wanted = [], []
    for column in zip(*rows, strict=True):
        for cell in column:
            cell.wrap(ENDLESS, ENDLESS)  # as if it were not wrapped
        space = 2 * PADDING + 0.1  # as sums of widths are not exact
        wanted.append(max(max([0, *cell.getActualLineWidths0()]) for cell in column) + space)
        least.append(min(max(cell.minWidth() for cell in column) + space, room / 2, wanted[-1]))
    if sum(wanted) <= room:
        return wanted
    if sum(least) >= room:
        return [room * width / sum(least) for width in least]
    spare = (room - sum(least)) / (sum(wanted) - sum(least))
    return [low + spare * (width - low) for low, width in zip(least, wanted, strict=True)]


def rule(space: float) -> platypus.HRFlowable:
    """A line across the page."""
    return platypus.HRFlowable("100%", 0.7, color=RULE, spaceBefore=space, spaceAfter=space / 2)


def parser() -> MarkdownIt:
    """A parser of its own for each draft, as MarkdownIt fills caches while it works."""
    markdown = MarkdownIt("commonmark", {"maxNesting": NESTING_LIMIT + 10})
    markdown.enable(["table", "strikethrough"])
    markdown.block.ruler.before("table", "too_deep", too_deep)
    return markdown


def too_deep(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A block rule that takes what is nested too deep as it stands; the parser would drop it."""
    if state.level < NESTING_LIMIT:
        return False
    token = state.push("code_block", "code", 0)
    token.content = state.getLines(start, end, state.blkIndent, False)
    state.line = end
    return True


def constructs(tokens: list[Token]) -> Iterator[list[Token]]:
    """The tokens of each top-level construct."""
    construct: list[Token] = []
    for token in tokens:
        construct.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield construct
            construct = []

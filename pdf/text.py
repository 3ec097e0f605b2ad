"""A paragraph of any script: where its lines may break, and in which order they read."""

import re
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

from reportlab import platypus  # type: ignore[import-untyped]
from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.platypus.paragraph import _getFragWords  # type: ignore[import-untyped]

from pdf.fonts import RIGHT_TO_LEFT, RTL, Face

BODY = 10.5  # points
INK, RULE = "#212126", "#ccccd4"
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
INDIC = "\u0900-\u0dff\u0e00-\u0e7f\u200c\u200d"
SHAPED = re.compile(rf"(?:[^\w{RTL}]*[{RTL}]+)+[^\w{RTL}]*|[{INDIC}]+")
SPECIAL = re.compile(f"[{RTL}{INDIC}{WIDE}]")


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

"""Paints lines, and ties what it paints to the document's structure."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from reportlab.lib.colors import HexColor

from beyond.pdf.fonts import choose_families, get_face, split_by_family
from beyond.pdf.lines import Line
from beyond.pdf.parts import Box, Part
from beyond.pdf.tags import Element, paint_as

FAINT, LINK, RULE, SHADE = "#6b6b75", "#084d9e", "#ccccd4", "#f4f4f6"
TIGHT = 0.08  # ems; with more between two letters, readers see a space
UNSEEN = 3  # the rendering mode of invisible text, ISO 32000-1, 9.3.6


def color(name: str) -> Any:
    """ReportLab's colour for a CSS colour such as #084d9e."""
    return HexColor(name)


class Voice(NamedTuple):
    """What tells a screen reader how to read a part aloud."""

    link: str = ""  # as in the part's look
    is_code: bool = False  # within a line
    language: str = ""


class Painter:
    """Paints the lines of one text. Its attributes are the state of the current text object."""

    def __init__(self, canvas: Any, element: Element | None, in_columns: bool) -> None:
        self.canvas, self.in_columns = canvas, in_columns  # in code, each part is placed
        self.whole = self.element = element  # of the text, and of the current part
        self.link: Element | None = None
        self.voice = Voice()  # of that part
        self.begin()

    def begin(self) -> None:
        """Begin a text object in its initial state."""
        self.text = self.canvas.beginText()
        self.font: tuple[Any, float] | None = None
        self.fill = ""
        self.rise = 0.0
        self.moved = True  # whether the next part must be placed

    def paint(self, lines: Iterable[Line], x: float, y: float) -> None:
        """Paint lines downwards from a top left corner, in points."""
        for line in lines:
            y -= line.ascent
            self.moved = True
            for at, part in line.parts:
                if part.box:
                    self.end()
                    self.paint_box(x + at, y, part.box)
                else:
                    self.paint_part(x + at, y, part)
            y -= line.descent
        self.end()

    def end(self) -> None:
        """Paint the current text object as content of its element."""
        if self.font is None:
            return
        if self.rise:
            self.text.setRise(0)
        with self.canvas.tags.mark(self.element, self.voice.language):
            self.canvas.drawText(self.text)
        self.begin()

    def paint_part(self, x: float, y: float, part: Part) -> None:
        """Add a part to the text object."""
        look = part.look
        voice = Voice(look.link, look.code and not self.in_columns, look.language)
        if voice != self.voice:
            self.end()
            self.enter(voice)
        if self.moved or self.in_columns:
            self.text.setTextOrigin(x, y)
            self.moved = False
        if (part.font, look.size) != self.font:
            self.font = part.font, look.size
            self.text.setFont(part.font.fontName, look.size)
        if look.color != self.fill:
            self.fill = look.color
            self.text.setFillColor(color(look.color))
        self.raise_to(look.rise)
        if look.is_decorated:
            self.decorate(x, y, part)
        self.show(part)

    def raise_to(self, rise: float) -> None:
        """Raise what follows to `rise` points above the base line."""
        if rise != self.rise:
            self.rise = rise
            self.text.setRise(rise)

    def enter(self, voice: Voice) -> None:
        """Choose the element of a part with another voice than the last part."""
        element, link = self.whole, voice.link
        if link != self.voice.link:
            if element and link.startswith("#") and element.kind != "Reference":
                element = element.add("Reference")
            self.link = element.add("Link") if element and link else None
        element = self.link or element
        if element and voice.is_code:
            element = element.add("Code")
        self.element, self.voice = element, voice

    def show(self, part: Part) -> None:
        """Add the glyphs of a part, with the spacing that fills its line."""
        if part.glyphs:
            for raised, glyphs in part.glyphs:
                self.raise_to(part.look.rise + raised * part.look.size)
                self.text.textOut(glyphs)
            return
        if part.spacing:
            self.text.setCharSpace(part.spacing)
        spread = part.spacing > TIGHT * part.look.size or len(part.shown) > len(part.source)
        if spread and part.font.is_han:
            paint_as(self.text, part.shown, part.source)
        else:
            self.text.textOut(part.shown)
        if part.spacing:
            self.text.setCharSpace(0)
            self.moved = True

    def paint_box(self, x: float, y: float, box: Box) -> None:
        """Paint a formula, and its source as invisible text that people can find and copy."""
        source = " ".join(box.source.split())
        element = None
        if self.whole and source:  # a formula without a source is decoration
            element = self.whole.add(box.kind)
            element.alt = source
        families = split_by_family(source, choose_families(source))
        parts = [(get_face(family), shown) for family, shown in families]
        width = sum(font.measure_text(shown, 1) for font, shown in parts)
        with self.canvas.tags.mark(element):
            box.draw(self.canvas, x, y)
            text = self.canvas.beginText(x, y)
            text.setTextRenderMode(UNSEEN)
            for font, shown in parts:
                text.setFont(font.fontName, box.width / max(0.1, width))
                text.textOut(shown)
            text.setTextRenderMode(0)
            self.canvas.drawText(text)

    def decorate(self, x: float, y: float, part: Part) -> None:
        """Paint a part's frame and lines, and make it a link or the target of one."""
        look, end, canvas = part.look, x + part.width, self.canvas
        if look.framed and part.source.strip():
            with canvas.tags.mark(None):
                canvas.setStrokeColor(color(RULE))
                canvas.setLineWidth(0.6)
                bottom, height = y - look.size * 0.28, look.size * 1.2
                canvas.roundRect(x + 0.8, bottom, part.width - 1.6, height, 2)
        for wanted, height in ((look.strike, 0.28), (look.underline, -0.14)):
            if wanted:
                with canvas.tags.mark(None):
                    canvas.setStrokeColor(color(look.color))
                    canvas.setLineWidth(look.size * 0.06)
                    canvas.line(x, y + look.size * height, end, y + look.size * height)
        if look.anchor:
            canvas.tags.anchors[look.anchor] = canvas.getPageNumber()
            canvas.bookmarkHorizontal(look.anchor, 0, y + look.size * 1.4)
        if self.link:
            area = (x, y - look.size * 0.25 + look.rise, end, y + look.size + look.rise)
            canvas.tags.add_link(self.link, area, look.link, part.source)

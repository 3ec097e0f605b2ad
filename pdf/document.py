"""Markdown to pages: markdown-it-py's tokens become ReportLab's flowables."""

import io
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise, takewhile
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token
from reportlab import platypus, rl_config  # type: ignore[import-untyped]
from reportlab.lib.pagesizes import letter  # type: ignore[import-untyped]
from reportlab.lib.styles import ParagraphStyle  # type: ignore[import-untyped]

from pdf.fonts import RIGHT_TO_LEFT, font_of, printable, register
from pdf.text import BODY, INK, RULE, Text

TITLE = "Research Report"
NESTING_LIMIT = 40  # block levels; what lies deeper is set as source
MARGIN = 72.0  # points, as all lengths here
WIDTH, HEIGHT = letter[0] - 2 * MARGIN, letter[1] - 2 * MARGIN
INDENT = 22.0  # of a list item or a quote
DEEPEST = WIDTH / 2  # the indent of no text exceeds this, however deep the list
PADDING = 5.0  # inside code blocks and table cells
COMPANY = 130.0  # left on the page for headings and what follows
SMALL, TINY = 9.5, 8.5
CODE = 8.75  # Cascadia Mono looks larger than FiraGO
HEADINGS = {"h1": 19.0, "h2": 15.5, "h3": 13.0, "h4": 11.5, "h5": 10.5, "h6": 10.5}
FAINT, LINK, SHADE = "#6b6b75", "#084d9e", "#f4f4f6"
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

rl_config.useA85 = 0  # ASCII85 only makes the pages larger, and is slow to write
log = logging.getLogger(__name__)


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


class Composer:
    """Turns tokens into flowables; its state is what encloses the token at hand."""

    def __init__(self, language: str) -> None:
        self.fonts = register(language)
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

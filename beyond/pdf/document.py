"""Markdown's tokens to pages."""

import io
import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise, product, takewhile, zip_longest
from typing import Any
from urllib.parse import unquote

from markdown_it.token import Token
from reportlab import platypus, rl_config  # type: ignore[import-untyped]

from beyond.markdown import Draft, get_words
from beyond.markdown.source import DISPLAYED
from beyond.markdown.sources import split_constructs
from beyond.paper import SIZES
from beyond.pdf.bidi import is_rtl
from beyond.pdf.code import make_code_lines
from beyond.pdf.fonts import RIGHT_TO_LEFT, get_face, replace_unprintable
from beyond.pdf.formulas import Formula, find_tag, set_formula
from beyond.pdf.pictures import read_picture
from beyond.pdf.tables import NARROW_PADDING, Table, align_numbers, fits, share_width
from beyond.pdf.tags import Element, Tags, describe
from beyond.pdf.text import FAINT, HALF_PAGE, LINK, PADDING, RULE, Style, Text, color
from beyond.pdf.words import BODY, CODE_SCALE, HAN, INK, RAISED_SCALE, Box, Look, Word, make_words

TITLE = "Research Report"
PRINTED_TOPIC_LIMIT = 300  # characters; a longer topic would push the report off its first page
TITLE_SIZE = 24.0
OUTSIDE = 10  # tokens before a title: "Here is your report:"
EDGE = 40.0  # the least room under a rule: two lines
TITLE_LIMIT = 120  # characters of a heading in the outline and of the document's title
WIDTH, HEIGHT = 432.0, 648.0  # points, as all lengths here; some 80 characters a line
WIDER = 36.0  # how much more a wide table may take
INDENT = 24.0  # of a list item or a quote
LONG = 8 * HEIGHT  # a report that is longer has a table of contents and running heads
ENTRIES = 26  # of a table of contents: as many as stand on the first page
LEAD = 60.0  # a higher text before the first heading stands below the table of contents
NUMBERS = 36.0  # the room for the page numbers in it
DEEPEST = WIDTH / 2  # the indent of no text exceeds this, however deep the list
SMALL, TINY = 9.5, 8.5  # the topic and the day of approval, the page number
SOURCES = 9.0  # the text of sources and footnotes
CELLS = (9.5, 8.5, 7.5)  # sizes of the text in tables: the largest in which no word breaks
CODE = 8.75  # 82 characters in a line
FORMULAS = 10_000  # characters of LaTeX in a draft: each takes up to a millisecond to set
HEADINGS = {"h1": 19.0, "h2": 15.5, "h3": 13.0, "h4": 11.5, "h5": 10.5, "h6": 10.5}
BULLETS = "•\u2013"
UNMARKED = {"hr", "table_open", "blockquote_open", "bullet_list_open", "ordered_list_open"}
LIVE = re.compile("(https?://|mailto:)", re.IGNORECASE)
Run = tuple[str, Look] | Box

rl_config.useA85 = 0  # ASCII85 makes pages larger and takes time
log = logging.getLogger(__name__)


class TooMuchWorkError(Exception):
    """A draft takes more CPU time than it may."""


class Report(platypus.BaseDocTemplate):  # type: ignore[misc]
    """Pages with their numbers, and what a reader's software shows about the document.

    The class relies on three internals of ReportLab, which a test in tests/test_pdf_fonts.py holds:
    a page begins with `_preamble`, fonts are in "BasicFonts", and `_endBuild` ends the last page.
    """

    def __init__(
        self, out: io.BytesIO, paper: str, approved: date | None, structure: Element, **about: Any
    ) -> None:
        self.approved, self.structure = approved, structure
        self.head: Text | None = None  # above each page but the first
        size = SIZES[paper]
        about |= {"author": "", "creator": "durable-research-reports"}
        self.about = about
        super().__init__(out, pagesize=size, displayDocTitle=True, invariant=1, **about)
        self.left, self.foot = (size[0] - WIDTH) / 2, (size[1] - HEIGHT) / 2
        frame = platypus.Frame(self.left, self.foot, WIDTH, HEIGHT, 0, 0, 0, 0)
        template = platypus.PageTemplate(frames=[frame], onPage=self.begin, onPageEnd=self.finish)
        self.addPageTemplates(template)

    def begin(self, canvas: Any, _: object) -> None:
        """Prepare the document."""
        if self.page == 1:  # no font is named that is not embedded, such as ReportLab's Helvetica
            canvas.tags = Tags(canvas, self.structure, self.about["lang"])
            describe(canvas, self.approved, self.about)
            canvas._preamble = ""
            canvas._doc.idToObject["BasicFonts"].dict.pop("F1")
            if self.approved:
                canvas.setDateFormatter(lambda *_: f"D:{self.approved:%Y%m%d}000000Z")

    def finish(self, canvas: Any, _: object) -> None:
        """Print the title and the page number; the number of pages is known at the end."""
        if self.head and self.page > 1:
            self.head.paint(canvas, self.left, self.pagesize[1] - self.foot / 2 + TINY / 2)
        with canvas.tags.mark(None):
            canvas.setFillColor(FAINT)
            canvas.setFont(get_face("Text").fontName, TINY)
            canvas.drawRightString(self.pagesize[0] / 2, self.foot / 2 + 4, f"{self.page} /")
            canvas.doForm("pages")

    def _endBuild(self) -> None:
        canvas = self.canv
        for name in sorted(canvas.tags.wanted - canvas.tags.anchors.keys()):
            # To a note in a construct that is set as it stands.
            canvas.bookmarkHorizontal(name, 0, 0)
        for number, entry in enumerate(canvas.tags.entries):
            canvas.beginForm(f"entry{number}")
            entry.print_page(canvas)
            canvas.endForm()
        canvas.beginForm("pages")
        canvas.setFillColor(FAINT)
        canvas.setFont(get_face("Text").fontName, TINY)
        canvas.drawString(self.pagesize[0] / 2 + 2, self.foot / 2 + 4, str(self.page))
        canvas.endForm()
        super()._endBuild()


def make_front(
    title: Text | None, topic: str, approved: date | None, rtl: bool, structure: Element
) -> list[Any]:
    """What stands above the draft: its title or else the topic; the topic as asked, and the day."""
    out: list[Any] = []

    def add(text: str, look: Look, before: float, kind: str = "P") -> None:
        element = structure.add(kind)
        style = Style(leading=look.size * 1.4, before=before, rtl=rtl, element=element)
        out.append(Text(make_words([(text, look)]), style))

    add(TITLE, Look(TINY, FAINT, bold=True), 0)
    if title:
        out.append(title)
    elif topic:
        add(topic, Look(TITLE_SIZE, bold=True), 16, "H1")
    if topic and title:
        add(topic, Look(SMALL + 1, FAINT), 14)
    if approved:
        add(f"{approved}", Look(TINY, FAINT), 4)
    return [*out, Rule(16)]


def make_head(title: str) -> Text:
    """The title as it stands above each page of a long report: in one line."""
    words = make_words([(title, Look(TINY, FAINT))])
    head = Text(words, Style(leading=TINY * 1.4, rtl=is_rtl(title)))
    if head.natural_width > WIDTH:
        return make_head(title.removesuffix("…")[:-4].rstrip() + "…")
    head.wrap(WIDTH, 0)
    return head


def measure(flowables: Sequence[Any]) -> float:
    """About how many points of a page's height flowables take up."""
    return float(sum(f.wrap(WIDTH, HEIGHT)[1] + f.getSpaceBefore() for f in flowables))


class Rule(platypus.Flowable):  # type: ignore[misc]
    """A line across the page, which is not seen at the edge of one."""

    def __init__(self, space: float) -> None:
        super().__init__()
        self.spaceBefore, self.spaceAfter = space, space / 2

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """The size in points in the room that is left on a page."""
        self.width, self.seen = width, EDGE < height < HEIGHT - 0.1
        return width, 0.7

    def draw(self) -> None:
        """Paint the line."""
        if self.seen:
            with self.canv.tags.mark(None):
                self.canv.setFillColor(RULE)
                self.canv.rect(0, 0, self.width, 0.7, stroke=0, fill=1)


class Entry(Text):
    """A line of the table of contents, whose page number is painted when it is known."""

    def __init__(self, words: list[Word], style: Style, goal: str) -> None:
        super().__init__(words, style)
        self.goal = goal

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """The size in points beside the page number."""
        return super().wrap(width - NUMBERS, height)

    def draw(self) -> None:
        """Paint the title and, at the other side, the page."""
        canvas, style = self.canv, self.style
        self.paint(canvas, NUMBERS if style.rtl else style.left, self.height)
        x, y = 0 if style.rtl else self.width, self.height - self.lines[0].ascent
        assert style.element
        link = style.element.add("Link")
        canvas.tags.add_link(link, (x, y, x + NUMBERS, self.height), f"#{self.goal}", self.source)
        canvas.saveState()
        canvas.translate(x, y)
        with canvas.tags.mark(link):
            canvas.doForm(f"entry{len(canvas.tags.entries)}")
        canvas.restoreState()
        canvas.tags.entries.append(self)

    def print_page(self, canvas: Any) -> None:
        """Paint the number of the page."""
        canvas.setFillColor(INK)
        canvas.setFont(get_face("Text").fontName, self.style.size)
        draw, x = (canvas.drawString, 0) if self.style.rtl else (canvas.drawRightString, NUMBERS)
        draw(x, 0, str(canvas.tags.anchors.get(self.goal, "")))


class Composer:
    """Turns tokens into flowables; its state is what encloses the token at hand."""

    def __init__(self, check_work: Callable[[], None], structure: Element, language: str) -> None:
        self.check_work = check_work  # raises TooMuchWorkError
        self.language = language
        self.structure = structure
        self.leave()
        self.rtl = False  # whether most letters of the draft run from right to left
        self.formulas: set[str] = set()
        self.formula_length = 0
        self.headings: set[str] = set()  # the names of all
        self.places: Counter[str] = Counter()  # how many headings have each name
        self.entries: list[tuple[int, str, str, list[Token]]] = []  # outlines and titles of all
        self.ranks: list[int] = []  # of the heading above and of those that enclose it

    def leave(self) -> None:
        """Leave what encloses the text."""
        self.lefts = [0.0]  # the indent of each enclosing list item and quote
        self.lists: list[int | None] = []  # the next number of each enclosing list, None: a bullet
        self.size = BODY  # of the text
        self.inside = [self.structure]  # the element of each enclosing construct
        self.mark = ""  # a number or a bullet for the next text
        self.label: Element | None = None  # what that is in the structure
        self.bars: list[float] = []  # of the enclosing quotes, from the left
        self.joined = 0  # how many of these stand beside the text above, too

    def compose(self, draft: Draft) -> list[Any]:
        """The flowables of a draft; a construct that cannot be set is set as it stands."""
        self.above = len(self.structure.kids)
        self.entries.clear()
        paragraphs = (token for before, token in pairwise(draft.tokens) if before.tag == "p")
        self.listed = sum(make_slug(get_words(token)) in self.headings for token in paragraphs)
        letters = "".join(token.content for token in draft.tokens)
        self.rtl = len(RIGHT_TO_LEFT.findall(letters)) * 2 > sum(map(str.isalpha, letters))
        out: list[Any] = []
        for construct in split_constructs(draft.tokens):
            elements = len(self.structure.kids)
            if construct[0].type == "heading_open":
                while out and isinstance(out[-1], Rule):
                    out.pop()
            try:
                flowables = self.compose_construct(construct)
                for flowable in flowables:
                    flowable.wrap(WIDTH, HEIGHT)
            except TooMuchWorkError:
                raise
            except Exception:  # of any kind: no word of a draft is lost to a fault in its layout
                # Footnotes come from all over the draft, so each token tells its own lines.
                lines = sorted({n for token in construct for n in range(*(token.map or (0, 0)))})
                first, last = min(lines, default=0) + 1, max(lines, default=0) + 1
                log.warning("Lines %d to %d are set as they stand", first, last, exc_info=True)
                self.leave()
                del self.structure.kids[elements:]
                flowables = [self.make_code("\n".join(draft.lines[n] for n in lines))]
                flowables[0].wrap(WIDTH, HEIGHT)
            out += flowables if out or construct[0].type != "hr" else []
        while out and isinstance(out[-1], Rule):
            out.pop()
        if len(out) > 1 and isinstance(out[-1], Text) and isinstance(out[-2], Text):
            out[-2].style.keeps |= len(out[-1].lines) == 1  # no page has one line alone
        return keep_together(out)

    def make_title(self, draft: Draft) -> Text | None:
        """The heading that is the title of the draft, which leaves the draft; None if it has none.

        A title stands first, or after a few words of the model as the only heading of level 1.
        """
        places = [n for n, token in enumerate(draft.tokens) if token.type == "heading_open"]
        self.headings = {self.name_place(get_words(draft.tokens[n + 1])) for n in places}
        self.places.clear()
        if not places:
            return None
        first, *others = (draft.tokens[place].tag for place in places)
        if places[0] and (first != "h1" or first in others or places[0] > OUTSIDE):
            return None
        opening, content = draft.tokens[places[0] : places[0] + 2]
        text = self.make_heading(opening, content, TITLE_SIZE)
        del draft.tokens[places[0] : places[0] + 3]
        return text

    def compose_construct(self, tokens: list[Token]) -> list[Any]:
        """The flowables of one top-level construct."""
        out: list[Any] = []
        for position, token in enumerate(tokens):
            kind = token.type
            if self.mark and kind in UNMARKED:
                # These cannot have the mark beside them, so it gets a line of its own.
                out.append(self.make_text([("\xa0", Look())], before=3))
            match kind:
                case "paragraph_open":
                    # In a tight list, after its first text.
                    close = (token.hidden and out) or self.size < BODY
                    out += self.make_paragraph(tokens[position + 1], 3 if close else 7)
                case "heading_open":
                    out.append(self.make_heading(token, tokens[position + 1]))
                case "fence" | "code_block":
                    out.append(self.make_code(token.content, token.info))
                case "hr":
                    out.append(Rule(12))
                case "bullet_list_open" | "ordered_list_open":
                    ordered = kind == "ordered_list_open"
                    self.lists.append(int(token.attrs.get("start", 1)) if ordered else None)
                    self.size = SOURCES if token.meta.get("sources") else self.size
                    numbering = "Decimal" if ordered else "Disc"
                    entries = f"/A<</O/List/ListNumbering/{numbering}>>"
                    self.inside.append(self.inside[-1].add("L", entries))
                case "bullet_list_close" | "ordered_list_close":
                    self.lists.pop()
                    self.size = self.size if self.lists else BODY
                    self.inside.pop()
                case "list_item_open":
                    item = self.inside[-1].add("LI")
                    self.label = item.add("Lbl")
                    body = item.add("LBody")
                    note = token.meta.get("note", "")
                    self.inside.append(body.add("Note", name=note) if note else body)
                    number = self.lists[-1]
                    bullet = BULLETS[(len(self.lists) - 1) % 2]
                    mark = bullet if number is None else f"{number}."
                    self.mark = token.meta.get("mark", mark)
                    self.enter(max(INDENT, 6 * len(self.mark.strip("[].")) + 12))
                    self.lists[-1] = None if number is None else number + 1
                case "blockquote_open":
                    definition = bool(token.meta.get("definition"))
                    self.inside.append(self.inside[-1].add("Div" if definition else "BlockQuote"))
                    if not definition:
                        self.bars = [*self.bars, self.lefts[-1] + 4]
                    self.enter(INDENT)
                case "list_item_close":
                    if self.mark:
                        out.append(self.make_text([("\xa0", Look())], before=3))
                    self.lefts.pop()
                    self.inside.pop()
                case "blockquote_close":
                    self.inside.pop()
                    self.lefts.pop()
                    if not token.meta.get("definition"):
                        self.bars = self.bars[:-1]
                    self.joined = min(self.joined, len(self.bars))
                case "table_open":
                    rows = takewhile(lambda t: t.type != "table_close", tokens[position:])
                    out.append(self.make_table(list(rows)))
        return out

    def enter(self, width: float) -> None:
        """Enter a quote or a list item."""
        self.lefts.append(min(self.lefts[-1] + width, DEEPEST))

    def make_paragraph(self, token: Token, before: float) -> list[Text]:
        """A paragraph; the formulas that it displays stand apart, in the middle."""
        children = list(token.children or [])
        if self.mark and children and children[0].content[:1] in ("☐", "☑"):
            self.mark = children[0].content[0]
            children[0] = replace(children[0], content=children[0].content[2:])
        out: list[Text] = []
        lines: list[Token] = []

        def flush() -> None:
            nonlocal before
            if trimmed := strip_breaks(lines):
                runs = self.make_runs(trimmed, Look(self.size))
                out.append(self.make_text(runs, self.size, before))
                out[-1].style.keeps = introduces(trimmed)
                before = 7
            lines.clear()

        for child, following in zip_longest(children, children[1:]):
            if not (child.meta.get("formula") and child.content.startswith(DISPLAYED)):
                lines.append(child)
                continue
            flush()
            if out:
                out[-1].style.keeps = True
            made = self.make_formula(child.content, BODY, True)
            if not made:
                out.append(self.make_code(child.content))
                continue
            runs: list[Run] = [made.shrink_to(WIDTH - self.lefts[-1], HALF_PAGE)]
            if following and (end := re.match(r"[.,;:]\s*", following.content)):
                runs.append((end[0].strip(), Look()))  # the sentence ends in the formula
                following.content = following.content[end.end() :]
            if number := find_tag(child.content):
                runs.append((f"\xa0\xa0\xa0\xa0{number}", Look()))
            out.append(self.make_text(runs, before=before, align="center"))
            before = 7
        flush()
        return out or [self.make_text([], before=before)]

    def make_formula(self, source: str, size: float, displayed: bool) -> Formula | None:
        """A formula, as long as there are not more of them than a draft has time for."""
        if source not in self.formulas:
            self.formulas.add(source)
            self.formula_length += len(source)
        return set_formula(source, size, displayed) if self.formula_length < FORMULAS else None

    def make_heading(self, token: Token, content: Token, size: float = 0) -> Text:
        """A heading and its entry in the outline, under the nearest one of a higher rank."""
        size, rank = size or HEADINGS[token.tag], int(token.tag[1])
        runs = self.make_runs(content.children or [], Look(size, bold=True))
        title = get_words(content)
        self.ranks = [*(other for other in self.ranks if other < rank), rank]
        kind = f"H{len(self.ranks)}"  # no level is left out
        text = self.make_text(runs, size=size, before=size * 1.1, kind=kind)
        text.style.keeps = True
        entry = replace_unprintable(title)[:TITLE_LIMIT]
        text.style.outline = len(self.ranks) - 1, entry, self.name_place(title)
        self.entries.append((*text.style.outline, content.children or []))
        return text

    def name_place(self, title: str) -> str:
        """The name of a heading, to which a table of contents may link as on GitHub."""
        slug = make_slug(title)
        self.places[slug] += 1
        return f"{slug}-{number}" if (number := self.places[slug] - 1) else slug

    def add_contents(self, body: list[Any]) -> list[Any]:
        """The body of a long report with a table of contents, unless the draft has one itself.

        It has two levels, or one if two are too many for the first page.
        """
        if not self.entries or self.listed > len(self.entries) / 2:
            return body
        levels = [level for level, *_ in self.entries]
        top = min(levels)
        deepest = top + (sum(level <= top + 1 for level in levels) <= ENTRIES)
        # A line between the title and the first heading stands above: "By an author".
        alone = any(isinstance(part, platypus.CondPageBreak) for part in body[1:2])
        alone = alone and measure(body[:1]) < LEAD
        lead = body[:1] if alone else []
        toc = Element("TOC", self.structure)
        self.structure.kids.insert(self.above + len(lead), toc)
        entries = []
        for level, title, goal, children in self.entries:
            if level <= deepest:
                look = Look(BODY if level == top else SMALL, link=f"#{goal}")
                style = Style(
                    leading=look.size * 1.4,
                    before=5 if level == top else 3,
                    left=(level - top) * INDENT,
                    size=look.size,
                    rtl=self.rtl,
                    whole=True,
                    element=toc.add("TOCI").add("Reference"),
                )
                entries.append(Entry(make_words(self.make_runs(children, look)), style, goal))
                if measure(entries[-1:]) > LEAD:
                    entries[-1] = Entry(make_words([(title, look)]), style, goal)
        return [*lead, *entries, Rule(16), *body[len(lead) :]]

    def make_runs(self, children: Sequence[Token], look: Look | None = None) -> list[Run]:
        """The runs of a paragraph, a heading or a table cell."""
        self.check_work()
        look = look or Look()
        depth: Counter[str] = Counter()
        out: list[Run] = []
        href = ""
        for child in children:
            text, meta = child.content, child.meta
            match child.type:
                case "softbreak":
                    text = " "
                case "hardbreak":
                    text = "\n"
                case "image":
                    address = str(child.attrGet("src") or "")
                    if picture := read_picture(address, text):
                        out.append(picture.shrink_to(WIDTH - self.lefts[-1] - INDENT, HALF_PAGE))
                        continue
                    remote = LIVE.match(address)
                    text = text or (address.rpartition("/")[2] if remote else "")
                    href = href or (address if remote else "")
                case "link_open":
                    href = str(child.attrGet("href"))
                    opened = len(out)
                case "link_close" if self.size < BODY and LIVE.match(href):
                    shown = "".join(run[0] for run in out[opened:] if isinstance(run, tuple))
                    known = href.removesuffix("/").endswith(shown.removesuffix("/"))
                    text = "" if known else f" ({href})"
                case _:
                    depth[child.tag] += child.nesting
            if meta.get("formula") and (box := self.make_formula(text, look.size, False)):
                out.append(box.shrink_to(WIDTH - self.lefts[-1] - INDENT, HALF_PAGE))
                continue
            looks = {tag for tag in depth if depth[tag] > 0} | set(meta.get("looks", ()))
            now = look
            if child.type == "code_inline":
                now = now._replace(code=True, size=look.size * CODE_SCALE)
                text = text.replace("\n", " ")
            if looks:
                now = self.apply_looks(now, looks)
            if meta.get("color"):
                now = now._replace(color=color(meta["color"]))
            goto = f"#{meta['goto']}" if "goto" in meta else href if LIVE.match(href) else ""
            if href[:1] == "#" and unquote(href[1:]) in self.headings:
                goto = f"#{unquote(href[1:])}"
            if goto and text:
                now = now._replace(color=LINK, link=goto)
            if "anchor" in meta:
                now = now._replace(anchor=meta["anchor"])
            if child.type == "image":
                now = now._replace(framed=True)
                if href == address:
                    href = ""
            if now.framed and text.strip():
                text = f"\xa0{text}\xa0"
            if text or now.anchor:
                text = "\u00ad".join(map(replace_unprintable, text.split("\u00ad")))  # soft hyphens
                out.append((text, now))
            if child.type == "link_close":
                href = ""
        return out

    def apply_looks(self, look: Look, names: set[str]) -> Look:
        """A look with the looks that names of HTML elements stand for."""
        if "sub" in names or "sup" in names:
            rise = look.size * (-0.18 if "sub" in names else 0.36)
            look = look._replace(size=look.size * RAISED_SCALE, rise=rise)
        return look._replace(
            bold=look.bold or "strong" in names,
            italic=look.italic or "em" in names,
            strike="s" in names,
            underline="u" in names,
            framed="kbd" in names,
        )

    def make_text(
        self,
        runs: Sequence[Run],
        size: float = BODY,
        before: float = 0,
        align: str = "",
        kind: str = "P",
    ) -> Text:
        """A text as deep as the draft is at this point, with the mark that waits for one."""
        if not any(not isinstance(run, tuple) or run[0].strip() for run in runs):
            runs = [("\xa0", Look(size))] if self.mark else runs
        source = "".join(run[0] for run in runs if isinstance(run, tuple))
        style = Style(
            size=size,
            leading=size * (1.25 if size > BODY else 1.42),
            whole=self.size < BODY,
            before=before,
            left=self.lefts[-1],
            align=align,
            bars=self.bars,
            joined=self.joined,
            mark=self.mark,
            element=self.inside[-1].add(kind),
            label=self.label,
            rtl=self.rtl or is_rtl(source),
            language=self.language,
            flush=size == BODY and len(HAN.findall(source)) * 3 > len(source),  # Han is wider
        )
        self.joined, self.mark = len(self.bars), ""
        return Text(make_words(runs), style)

    def make_code(self, content: str, info: str = "") -> Text:
        """Code or source, with its own line breaks. `info` begins with its language."""
        self.check_work()
        style = Style(
            leading=CODE * 1.5,
            before=9,
            after=9,
            left=self.lefts[-1],
            bars=self.bars,
            joined=self.joined,
            mark=self.mark,
            shaded=True,
            whole=True,
            element=self.inside[-1].add("P").add("Code"),
            label=self.label,
        )
        self.joined, self.mark = len(self.bars), ""
        return Text(make_code_lines(content.strip("\n"), CODE, info), style)

    def make_cell(
        self, opening: Token, token: Token, size: float, row: Element, scope: str
    ) -> Text:
        """A cell of a table; its scope counts if it is a header."""
        head = opening.type == "th_open"
        runs = self.make_runs(token.children or [], Look(size, bold=head, figures=True))
        source = "".join(run[0] for run in runs if isinstance(run, tuple))
        wide, tall = opening.meta.get("span", (1, 1))
        scope = f"/Scope/{scope}" if head else ""
        spans = f"/ColSpan {wide}/RowSpan {tall}" if (wide, tall) != (1, 1) else ""
        entries = f"/A<</O/Table{scope}{spans}>>" if scope or spans else ""
        style = Style(
            leading=size * 1.38,
            align=str(opening.attrGet("style") or "").removeprefix("text-align:"),
            rtl=is_rtl(source),
            element=row.add("TH" if head else "TD", entries),
            columns=wide,
            language=self.language,
        )
        return Text(make_words(runs), style)

    def make_table(self, tokens: list[Token]) -> Table:
        """A table, columns as wide as their text needs."""
        room, padding = WIDTH - self.lefts[-1], PADDING
        head = takewhile(  # in HTML, a header that spans rows leaves empty cells below it
            lambda pair: pair[0].type != "td_open" or (pair[0].meta and not pair[1].content),
            pairwise(tokens),
        )
        heads = max(1, sum(token.type == "tr_open" for token, _ in head) - 1)
        for size in CELLS:
            cells: list[list[Text]] = []
            spanned: dict[tuple[int, int], Text] = {}
            table_element = Element("Table", self.inside[-1])
            for before, token in pairwise(tokens):
                if token.type == "tr_open":
                    cells.append([])
                    row = table_element.add("TR")
                if token.type != "inline":
                    continue
                at, column = len(cells) - 1, len(cells[-1])
                if (at, column) in spanned:
                    cells[-1].append(spanned[at, column])
                    continue
                scope = "Column" if at < heads else "Row"
                cell = self.make_cell(before, token, size, row, scope)
                cells[-1].append(cell)
                wide, tall = before.meta.get("span", (1, 1))
                for y, x in product(range(tall), range(wide)):
                    style = replace(cell.style, covered="above" if y else "left")
                    spanned[at + y, column + x] = Text(cell.words, style)
            if fits(cells, room, padding):
                break
        else:
            room, padding = room + WIDER, NARROW_PADDING
        self.inside[-1].kids.append(table_element)
        align_numbers(cells)
        table = Table(
            cells, share_width(cells, room, padding), self.lefts[-1], cells[0][0].style.rtl
        )
        table.padding, table.heads = padding, heads
        table.bars, self.joined = self.bars, len(self.bars)
        return table


def make_slug(title: str) -> str:
    """The name of a heading in an address."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def introduces(children: Sequence[Token]) -> bool:
    """Whether a paragraph ends in a colon, or is bold throughout: a heading in all but name."""
    text = "".join(child.content for child in children).rstrip()
    kinds = [child.type for child in children]
    bold = kinds[:1] == ["strong_open"] and kinds.index("strong_close") == len(kinds) - 1
    return bold or text.endswith((":", "\uff1a"))


def keep_together(flowables: Sequence[Any]) -> list[Any]:
    """The flowables, with page breaks before those that would end a page without what follows."""
    out: list[Any] = []
    held: list[Text] = []
    for flowable in flowables:
        if isinstance(flowable, Text) and flowable.style.keeps:
            held.append(flowable)
            continue
        if held:
            needed = sum(text.height + text.spaceBefore for text in held) + flowable.spaceBefore
            if isinstance(flowable, Table):
                needed += flowable.least_height
            elif isinstance(flowable, Text):
                whole = flowable.style.whole and flowable.height <= HALF_PAGE
                needed += flowable.measure_to(len(flowable.lines) if whole else 3)
            out += [platypus.CondPageBreak(min(needed, HEIGHT * 0.75)), *held]
            held = []
        out.append(flowable)
    return out + held


def strip_breaks(children: Sequence[Token]) -> list[Token]:
    """The children without line breaks and blanks around them."""

    def is_blank(child: Token) -> bool:
        return child.type.endswith("break") or (
            child.type == "text" and not child.content.strip() and "anchor" not in child.meta
        )

    seen = [place for place, child in enumerate(children) if not is_blank(child)]
    return list(children[seen[0] : seen[-1] + 1]) if seen else []

"""Markdown in, PDF bytes out.

`prepare` makes a draft printable, a `Composer` turns its blocks into flowables, and `Pages` places
these on paper. A flowable is what ReportLab places: a `Text`, a `Table` or a `Rule`.
"""

import io
from datetime import date
from functools import partial
from threading import Lock
from typing import Any

from beyond import markdown as drafts
from beyond.markdown.emoji import replace_emoji_in_line
from beyond.pdf.bidi import is_rtl
from beyond.pdf.compose import Composer, Place
from beyond.pdf.pages import (
    KICKER,
    LONG,
    TITLE_LIMIT,
    Pages,
    Rule,
    add_heights,
    count_lead,
    keep_together,
    make_contents,
    make_front,
    make_head,
    shorten,
)
from beyond.pdf.prepare import make_printable, prepare
from beyond.pdf.tags import Element

one_at_a_time = Lock()  # ReportLab registers fonts for the whole process


def render(
    markdown: str,
    *,
    topic: str = "",
    workflow_id: str = "",
    approved: date | None = None,
    paper: str = "letter",
) -> bytes:
    """Return a Markdown draft as a PDF report.

    Any text can be rendered, whatever its characters, size or nesting. Equal arguments give equal
    bytes. Nothing is fetched, and no file is read but the fonts.

    `topic`, if it is one short line: title and subject of a draft that has no title
    `workflow_id`: the document's only keyword
    `approved`: the day of the person's decision, printed under the title; the document's date
    `paper`: a key of `beyond.paper.SIZES`. Any other raises KeyError.
    """
    topic = read_topic(topic)
    with one_at_a_time:
        draft = prepare(drafts.read(markdown))
        structure = Element("Document")
        composer = Composer(draft, structure, topic)
        kicker = KICKER if draft.english else ""
        title = shorten(composer.title or draft.title or kicker or draft.opening)
        rtl = is_rtl(title)
        front = make_front(kicker, composer.make_title(), approved, rtl, structure)
        above = len(structure.kids)
        body = keep_together(composer.compose())
        out = io.BytesIO()
        report = Pages(
            out,
            paper,
            approved,
            structure,
            title=title,
            subject="" if composer.heading else topic,
            keywords=make_printable(workflow_id),
            lang=draft.language,
        )
        if add_heights(body) > LONG:
            report.head = make_head(title, rtl)
            if composer.entries and not composer.has_contents:
                add_contents(body, above, composer)
        report.build(front + body)
        return out.getvalue()


def read_topic(topic: str) -> str:
    """The topic as a title; "" if it is none, but instructions to the model."""
    topic = topic.strip()
    title = make_printable(replace_emoji_in_line(topic))
    return title if len(topic.splitlines()) == 1 and len(title) <= TITLE_LIMIT else ""


def add_contents(body: list[Any], above: int, composer: Composer) -> None:
    """Insert a table of contents near the beginning of the body.

    `above` is how many of the structure's elements are above the body.
    """
    lead, structure = count_lead(body), composer.structure
    toc = Element("TOC", structure)
    structure.kids.insert(above + lead, toc)
    runs = partial(composer.make_runs, place=Place(structure))
    contents = make_contents(composer.entries, runs, toc, composer.draft.rtl)
    body[lead:lead] = [*contents, Rule(16)]

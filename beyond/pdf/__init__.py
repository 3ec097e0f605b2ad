"""Markdown in, PDF bytes out."""

import io
from datetime import date
from threading import Lock

from beyond import markdown as drafts
from beyond.markdown.emoji import replace_emoji_in_line
from beyond.pdf import words
from beyond.pdf.bidi import is_rtl
from beyond.pdf.document import (
    LONG,
    PRINTED_TOPIC_LIMIT,
    TITLE,
    TITLE_LIMIT,
    Composer,
    Report,
    make_front,
    make_head,
    measure,
)
from beyond.pdf.fonts import detect_language, get_loaded_faces, replace_unprintable
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
    """Set a Markdown draft as a PDF report on a paper of `beyond.paper.SIZES`.

    Any text comes out, whatever its characters, size or nesting, and equal arguments give equal
    bytes. Nothing is fetched, and nothing is read but the fonts. `topic` is printed under the title
    and is the document's subject; `workflow_id` is its only keyword; `approved`, the day of the
    person's decision, is printed under the topic and is the document's date.
    """
    topic = replace_emoji_in_line(" ".join(topic.split()))
    if len(topic) > PRINTED_TOPIC_LIMIT:
        topic = topic[: PRINTED_TOPIC_LIMIT - 1] + "…"
    topic = replace_unprintable(topic)
    with one_at_a_time:
        if any([font.forget() for font in get_loaded_faces()]):
            words.forget()
        draft = drafts.read(markdown)
        structure = Element("Document")
        language = detect_language(markdown)
        composer = Composer(structure, language)
        heading = composer.make_title(draft)
        title = (draft.title if heading else topic) or draft.title or TITLE
        asked = "" if heading and topic == draft.title else topic
        front = make_front(heading, asked, approved, is_rtl(title), structure)
        title = replace_unprintable(title)[:TITLE_LIMIT]
        body = composer.compose(draft)
        out = io.BytesIO()
        report = Report(
            out,
            paper,
            approved,
            structure,
            title=title,
            subject=topic,
            keywords=replace_unprintable(workflow_id),
            lang=language,
        )
        if measure(body) > LONG:
            report.head = make_head(title)
            body = composer.add_contents(body)
        report.build(front + body)
        return out.getvalue()

"""Markdown in, PDF bytes out."""

import io
import logging
from threading import Lock

from pdf.document import FAINT, TITLE, Composer, Report, rule
from pdf.fonts import guess_language, printable

TOPIC_LIMIT = 300  # characters; a longer topic would push the report off its first page

log = logging.getLogger(__name__)
one_at_a_time = Lock()  # ReportLab registers fonts for the whole process


def render(markdown: str, *, topic: str = "", workflow_id: str = "") -> bytes:
    """Set a Markdown draft as a PDF report on letter paper.

    Any text comes out, whatever its characters, size or nesting, and equal arguments give equal
    bytes. Nothing is fetched or read. `topic` is printed under the title and is the document's
    subject; `workflow_id` is its only keyword. What cannot be set as Markdown is set as plain text.
    """
    topic = " ".join(topic.split())
    topic = printable(topic if len(topic) <= TOPIC_LIMIT else topic[: TOPIC_LIMIT - 1] + "…")
    language = guess_language(markdown + topic)
    about = {"subject": topic, "keywords": printable(workflow_id), "lang": language}
    with one_at_a_time:
        for compose in (Composer.story, Composer.code):
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

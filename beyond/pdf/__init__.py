"""Markdown in, PDF bytes out."""

import io
import logging
import math
import time
from collections.abc import Callable
from datetime import date
from threading import Lock

from beyond import markdown as drafts
from beyond.markdown.emoji import line_with_signs
from beyond.pdf import words
from beyond.pdf.document import (
    TITLE,
    TITLE_LIMIT,
    TOPIC_LIMIT,
    Composer,
    Report,
    TooMuchWork,
    front,
)
from beyond.pdf.fonts import language, loaded, printable

log = logging.getLogger(__name__)
one_at_a_time = Lock()  # ReportLab registers fonts for the whole process


def render(
    markdown: str,
    *,
    topic: str = "",
    workflow_id: str = "",
    approved: date | None = None,
    plain: bool = False,
    work_limit: float = math.inf,
) -> bytes:
    """Set a Markdown draft as a PDF report on letter paper.

    Any text comes out, whatever its characters, size or nesting, and equal arguments give equal
    bytes. Nothing is fetched, and nothing is read but the fonts. `topic` is printed under the title
    and is the document's subject; `workflow_id` is its only keyword; `approved`, the day of the
    person's decision, is printed under the topic and is the document's date. `plain` sets the draft
    as source, and so does Markdown that takes more than `work_limit` seconds of CPU. Raises
    TooMuchWork where the source takes more than that, too.
    """
    topic = line_with_signs(" ".join(topic.split()))
    topic = printable(topic if len(topic) <= TOPIC_LIMIT else topic[: TOPIC_LIMIT - 1] + "…")
    with one_at_a_time:
        if any([font.forget() for font in loaded()]):
            words.forget()
        for read in (drafts.as_source,) if plain else (drafts.read, drafts.as_source):
            check_work = _work_check(work_limit)
            try:
                return _rendered(read(markdown), markdown, topic, workflow_id, approved, check_work)
            except Exception:  # a draft must not be lost to what nobody has tried
                if read is drafts.as_source:
                    raise
                log.warning("The draft is set as plain text", exc_info=True)
        raise AssertionError("the loop returns or raises")


def _work_check(limit: float) -> Callable[[], None]:
    """What raises TooMuchWork when this thread has worked that many seconds from now on.

    CPU time, because neither a busy machine nor a slow disk is the draft's fault.
    """
    end = time.thread_time() + limit

    def check() -> None:
        if time.thread_time() > end:
            raise TooMuchWork

    return check


def _rendered(
    draft: drafts.Draft,
    markdown: str,
    topic: str,
    workflow_id: str,
    approved: date | None,
    check_work: Callable[[], None],
) -> bytes:
    title = printable(draft.title or topic or TITLE)
    about = {"title": title[:TITLE_LIMIT], "subject": topic, "keywords": printable(workflow_id)}
    out = io.BytesIO()
    report = Report(out, approved, lang=language(markdown) or None, **about)
    report.beforePage = check_work
    report.build(front(topic, approved) + Composer(check_work).story(draft))
    return out.getvalue()

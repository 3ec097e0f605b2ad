"""The Activities: everything that touches the world outside the Workflow."""

import asyncio
import contextvars
import functools
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import date, timedelta
from types import ModuleType
from typing import Any

from temporalio import activity
from temporalio.converter import default
from temporalio.exceptions import ApplicationError

import calls
from beyond import llm
from beyond import reports_dir as folder
from models import PAYLOAD_LIMIT, LLMCallInput, PDFGenerationInput

# The time budget of one LLM call. Reasoning models think for minutes, and a call that is cut off
# is paid for all the same, so the limit is generous; heartbeats, not this limit, reveal a dead
# Worker. The HTTP client gives up first, so that the error names the provider.
LLM_HTTP_TIMEOUT = timedelta(minutes=9, seconds=30)
LLM_START_TO_CLOSE_TIMEOUT = timedelta(minutes=10)
HEARTBEAT_INTERVAL = timedelta(seconds=3)
HEARTBEAT_TIMEOUT = timedelta(seconds=10)  # survives two lost heartbeats

# A PDF waits for its turn in the Worker, behind any number of others. Heartbeats say that it does;
# they are rarer than those of a call, because a thousand may wait.
PDF_START_TO_CLOSE_TIMEOUT = timedelta(days=1)
PDF_HEARTBEAT_INTERVAL = timedelta(seconds=10)
PDF_HEARTBEAT_TIMEOUT = timedelta(seconds=30)
# One renders, because it keeps a core busy; the others write to the disk.
PDF_THREADS = 4

# An answer that is no completion is asked for again until this attempt; then the person decides.
UNUSABLE_ANSWER_ATTEMPTS = 3
# CPU seconds for a draft as Markdown, and as many as plain text, which it becomes beyond them: ten
# times what the worst draft of 1 MB takes, because slower machines exist.
PDF_WORK_LIMIT = 120
# Attempts that may die at work on a PDF, as they do where a draft uses up the memory, before it is
# set as plain text, and as many again before it goes back to the person.
MOST_DEATHS = 3

_pdf_threads = ThreadPoolExecutor(PDF_THREADS, thread_name_prefix="pdf")


@activity.defn
async def llm_call(input: LLMCallInput) -> dict[str, Any]:
    """Asks the model that `LLM_MODEL` names, once; Temporal owns the retries.

    Returns the provider's answer in the OpenAI shape. Raises ApplicationError: retryable where
    asking again can help, non-retryable otherwise, with a sentence for a person as the message.
    """
    if not activity.in_activity():
        return await _answer(input)
    async with _heartbeats():
        retry_unusable = activity.info().attempt < UNUSABLE_ANSWER_ATTEMPTS
        return await calls.shared(lambda: _answer(input, retry_unusable))


async def _answer(input: LLMCallInput, retry_unusable: bool = True) -> dict[str, Any]:
    answer = await llm.complete(input, LLM_HTTP_TIMEOUT, retry_unusable=retry_unusable)
    size = default().payload_converter.to_payload(answer).ByteSize()
    if size > PAYLOAD_LIMIT:
        raise ApplicationError(
            f"the answer has {size / 1e6:.1f} MB, "
            f"and a report holds at most {PAYLOAD_LIMIT / 1e6}; ask for a shorter one",
            type="AnswerTooLarge",
            non_retryable=True,
        )
    return answer


@activity.defn
def create_pdf(input: PDFGenerationInput) -> str:
    """Writes the approved text as a PDF into `REPORTS_DIR` and returns the file's name.

    The name is `input.filename`, or with -1, -2, … where reports of that name exist. A retry finds
    the file that an earlier attempt finished. Raises ApplicationError: non-retryable for a name
    that cannot be a file and for a text that takes too long, retryable (with the reason) where the
    disk refuses.
    """
    info = activity.info() if activity.in_activity() else None
    workflow_id = (info and info.workflow_id) or ""
    try:
        approved = date.fromisoformat(input.approved) if input.approved else None
    except ValueError:
        raise ApplicationError(
            f"{input.approved!r} is no date: write 2025-12-31", type="BadDate", non_retryable=True
        ) from None
    pdf = _pdf_module()
    try:
        content = pdf.render(
            input.content,
            topic=input.topic,
            workflow_id=workflow_id,
            approved=approved,
            plain=_deaths() >= MOST_DEATHS,
            work_limit=PDF_WORK_LIMIT,
        )
    except pdf.TooMuchWork:
        raise _unprintable("takes too long to set as pages") from None
    is_first = info and info.attempt == 1 and input.is_first
    return folder.place(
        content,
        input.filename,
        reuse=bool(workflow_id),
        search=bool(workflow_id) and not is_first,
    )


@activity.defn(name="create_pdf")
async def create_pdf_in_turn(input: PDFGenerationInput) -> str:
    """What the Worker runs as `create_pdf`: its heartbeats go on while it waits for a thread.

    They carry how many attempts have died at work. Raises ApplicationError, non-retryable where
    neither Markdown nor plain text was survived.
    """
    deaths = _deaths()
    if deaths >= 2 * MOST_DEATHS:
        raise _unprintable("ends every Worker that sets it")
    loop = asyncio.get_running_loop()

    def work() -> str:
        if activity.info().attempt > 1:  # a first one that dies at once need not be counted
            loop.call_soon_threadsafe(activity.heartbeat, deaths + 1)
        return create_pdf(input)

    job = _pdf_threads.submit(contextvars.copy_context().run, work)
    future = asyncio.wrap_future(job)
    try:
        while not future.done():
            await asyncio.wait({future}, timeout=PDF_HEARTBEAT_INTERVAL.total_seconds())
            if not future.done():
                activity.heartbeat(deaths + job.running())
        return future.result()
    except ApplicationError:
        activity.heartbeat(deaths)
        raise
    except asyncio.CancelledError:
        if calls.attempt_is_lost():  # the next one says how it ended
            activity.raise_complete_async()
        raise
    finally:
        job.cancel()  # leaves the line; what has begun goes on, and the next attempt finds its file


def _unprintable(why: str) -> ApplicationError:
    return ApplicationError(
        f"this draft {why}; ask for another one", type="Unprintable", non_retryable=True
    )


@functools.cache
def _pdf_module() -> ModuleType:
    from beyond import (
        pdf,  # here, because ReportLab takes long to import, and only create_pdf needs it
    )

    return pdf


def _deaths() -> int:
    """How many attempts have died while they worked on this PDF, as their heartbeats tell."""
    details = activity.info().heartbeat_details if activity.in_activity() else ()
    return int(details[0]) if details else 0


@asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Shows Temporal every few seconds that this Worker lives, and lets it cancel the call."""

    async def beat() -> None:
        # The start of a first attempt is a sign of life. A later one may hear of a cancellation.
        if activity.info().attempt == 1:
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()

"""The Activities: everything that touches the world outside the Workflow."""

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

import llm
from models import LLMCallInput, PDFGenerationInput

# The time budget of one LLM call. Reasoning models think for minutes, and a call that is cut off
# is paid for all the same, so the limit is generous; heartbeats, not this limit, reveal a dead
# Worker. The HTTP client gives up first, so that the error names the provider.
LLM_HTTP_TIMEOUT = timedelta(minutes=9, seconds=30)
LLM_START_TO_CLOSE_TIMEOUT = timedelta(minutes=10)
HEARTBEAT_INTERVAL = timedelta(seconds=3)
HEARTBEAT_TIMEOUT = timedelta(seconds=10)  # survives two lost heartbeats

# A page takes well under a second; the rest of the time is for waiting behind other reports
# in the Worker's thread pool.
PDF_START_TO_CLOSE_TIMEOUT = timedelta(seconds=30)


@activity.defn
async def llm_call(input: LLMCallInput) -> dict[str, Any]:
    """Asks the model that `LLM_MODEL` names, once; Temporal owns the retries.

    Returns the provider's answer in the OpenAI shape. Raises ApplicationError: retryable where
    asking again can help, non-retryable otherwise, with a sentence for a person as the message.
    """
    async with _heartbeats():
        return await llm.complete(input, LLM_HTTP_TIMEOUT)


@activity.defn
def create_pdf(input: PDFGenerationInput) -> str:
    """Writes the approved text as a PDF into `REPORTS_DIR` and returns the file's name.

    The name is `input.filename`, or with -1, -2, … where reports of that name exist. A retry finds
    the file that an earlier attempt finished. Raises ApplicationError: non-retryable for a name
    that cannot be a file, retryable (with the reason) where the disk refuses.
    """
    import pdf  # here, because ReportLab takes long to import, and only this Activity needs it

    workflow_id = activity.info().workflow_id or "" if activity.in_activity() else ""
    name = Path(input.filename)
    target = reports_dir() / name
    if not name.name or "\0" in input.filename or target.is_dir():
        raise ApplicationError(
            f"{input.filename!r} cannot be the name of a report", type="BadName", non_retryable=True
        )
    try:
        approved = date.fromisoformat(input.approved) if input.approved else None
    except ValueError:
        raise ApplicationError(
            f"{input.approved!r} is no date: write 2025-12-31", type="BadDate", non_retryable=True
        ) from None
    content = pdf.render(
        input.content, topic=input.topic, workflow_id=workflow_id, approved=approved
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        written = _place(content, target, reuse=bool(workflow_id))
    except OSError as error:
        raise ApplicationError(
            f"the report cannot be written to {target.parent.resolve()}: {error.strerror or error}",
            type=type(error).__name__,
        ) from None
    return str(name.with_name(written.name))


def reports_dir() -> Path:
    """The folder that `REPORTS_DIR` names, or the working directory."""
    return Path(os.environ.get("REPORTS_DIR") or ".").expanduser()


@asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Shows Temporal every few seconds that this Worker lives, and lets it cancel the call."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_INTERVAL.total_seconds())

    beating = asyncio.create_task(beat()) if activity.in_activity() else None
    try:
        yield
    finally:
        if beating:
            beating.cancel()


def _place(content: bytes, target: Path, *, reuse: bool) -> Path:
    """Puts a finished file at the first free name, so that no reader ever sees half of it.

    With `reuse`, a file of the same bytes counts as an earlier attempt's. Raises OSError.
    """
    digest = hashlib.sha256(content).hexdigest()[:16]
    if reuse:
        for stale in target.parent.glob(f".{digest}-*.tmp"):  # of an attempt that was killed
            stale.unlink(missing_ok=True)
    temporary = target.parent / f".{digest}-{uuid.uuid4()}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        for number in count():
            candidate = target.with_stem(f"{target.stem}-{number}") if number else target
            try:
                os.link(temporary, candidate)  # unlike a rename, never overwrites
                return candidate
            except FileExistsError:
                if reuse and _holds(candidate, content):
                    return candidate
    finally:
        temporary.unlink(missing_ok=True)
    raise AssertionError("count() does not end")


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False

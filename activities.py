"""The Activities: everything that touches the world outside the Workflow, and the time it gets."""

import asyncio
import time
from datetime import date, timedelta
from typing import Any

from temporalio import activity
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.workflow import ActivityCancellationType, ActivityConfig

from beyond import llm
from beyond.heartbeats import HEARTBEAT_TIMEOUT, raise_if_cancelled, send_heartbeats
from beyond.llm.settings import get_model
from beyond.llm.writing import Writing
from beyond.paper import find_paper
from beyond.pdf_process import PDFProcess
from beyond.reports_dir import BadNameError, ReportsDirError, place_report
from models import LLMCallInput, PDFGenerationInput

# Deep research takes tens of minutes, and providers bill a call that is cut off, so the limit is
# generous. Heartbeats, not this limit, reveal a dead Worker. The call times out a minute before
# Temporal's limit, so that the error says why.
LLM_TIME_LIMIT = timedelta(hours=1)
LLM_START_TO_CLOSE_TIMEOUT = LLM_TIME_LIMIT + timedelta(minutes=1)
# Includes the wait in the Worker, where any number of PDFs may be ahead.
PDF_START_TO_CLOSE_TIMEOUT = timedelta(days=1)
# Ten times what the slowest draft of 1 MB takes, because slow and busy machines need longer.
PDF_RENDER_LIMIT = timedelta(minutes=3)
# How often to ask if answers are unusable, late or cut off; then the person decides.
UNUSABLE_ANSWER_ATTEMPTS = 3

# Retries never wait longer than this, so a report continues within a minute of any outage's end.
RETRY_UNTIL_DONE = RetryPolicy(maximum_interval=timedelta(minutes=1))
# Waits 1 s and 2 s. A passing fault is over by then; the status shows a lasting one to the person.
RETRY_TWICE = RetryPolicy(maximum_attempts=3)

LLM_CALL_OPTIONS = ActivityConfig(
    start_to_close_timeout=LLM_START_TO_CLOSE_TIMEOUT,
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RETRY_UNTIL_DONE,
    # A cancelled report ends when its call has been stopped, not before.
    cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
)
PDF_OPTIONS_UNTIL_DONE = ActivityConfig(
    start_to_close_timeout=PDF_START_TO_CLOSE_TIMEOUT,
    heartbeat_timeout=HEARTBEAT_TIMEOUT,
    retry_policy=RETRY_UNTIL_DONE,
    priority=Priority(priority_key=4),  # behind the drafts, whose priority is 3
)
PDF_OPTIONS_AT_FIRST = PDF_OPTIONS_UNTIL_DONE | ActivityConfig(retry_policy=RETRY_TWICE)

# One PDF at a time, because each keeps a core busy.
_pdf_turn = asyncio.Semaphore(1)
_pdf_process = PDFProcess()


@activity.defn
async def llm_call(input: LLMCallInput) -> dict[str, Any]:
    """Asks the model that `LLM_MODEL` names, once; Temporal owns the retries.

    Returns the provider's answer in the OpenAI shape. Raises ApplicationError: retryable if asking
    again can help, non-retryable otherwise, with a sentence for a person as the message.
    """
    attempt = activity.info().attempt if activity.in_activity() else 1
    began = time.monotonic()
    writing = Writing()
    async with send_heartbeats(writing.make_live_draft):
        answer = await llm.complete(
            input, LLM_TIME_LIMIT, writing, is_last_attempt=attempt >= UNUSABLE_ANSWER_ATTEMPTS
        )
    activity.logger.info(
        "%s answered in %.1f s%s", get_model(), time.monotonic() - began, _count_tokens(answer)
    )
    return answer


def _count_tokens(answer: dict[str, Any]) -> str:
    match answer:
        case {"usage": {"prompt_tokens": asked, "completion_tokens": answered}} if answered:
            return f", {asked} tokens in, {answered} out"
    return ""  # a demo model reports none


@activity.defn
def create_pdf(input: PDFGenerationInput) -> str:
    """Writes the approved text as a PDF into `REPORTS_DIR` and returns the file's name.

    This is a plain function, as in the tutorial; the Worker runs `create_pdf_in_turn`. The name is
    `input.filename`. If another file has that name, the report's ID is added to it. Raises
    ApplicationError: non-retryable if no file can have the name, retryable (with the reason) if the
    file cannot be written.
    """
    # Imported here, because ReportLab loads slowly and the Worker renders in another process.
    from beyond import pdf

    arguments = _describe_pdf(input)
    return _place_pdf(pdf.render(**arguments), input.filename, arguments["workflow_id"])


@activity.defn(name="create_pdf")
async def create_pdf_in_turn(input: PDFGenerationInput) -> str:
    """What the Worker runs as `create_pdf`: it renders in another process, one PDF at a time.

    Sends heartbeats while it waits and renders. Raises ApplicationError as `create_pdf` does; also
    a non-retryable one if rendering exceeds `PDF_RENDER_LIMIT`, and a retryable one if the other
    process exits. Raises CancelledError, without writing a file, if the report was discarded or
    this attempt was replaced.
    """
    arguments = _describe_pdf(input)
    async with send_heartbeats(), _pdf_turn:
        try:
            content = await _pdf_process.render(PDF_RENDER_LIMIT, **arguments)
        except TimeoutError:
            raise ApplicationError(
                "this draft takes too long to lay out as a PDF; ask for another one",
                type="Unprintable",
                non_retryable=True,
            ) from None
        except OSError as error:
            raise ApplicationError(str(error), type=type(error).__name__) from None
        await raise_if_cancelled()
        name = await asyncio.to_thread(
            _place_pdf, content, input.filename, arguments["workflow_id"]
        )
    activity.logger.info("Wrote %s", name)
    return name


async def start_pdf_process() -> None:
    """Starts the process that renders PDFs, so that the first PDF does not wait for its fonts."""
    async with _pdf_turn:
        await _pdf_process.start()


def _describe_pdf(input: PDFGenerationInput) -> dict[str, Any]:
    """Returns the arguments for `beyond.pdf.render`."""
    return {
        "markdown": input.content,
        "topic": input.topic,
        "workflow_id": (activity.info().workflow_id if activity.in_activity() else None) or "",
        "approved": date.fromisoformat(input.approved) if input.approved else None,
        "paper": find_paper(),
    }


def _place_pdf(content: bytes, filename: str, workflow_id: str) -> str:
    try:
        return place_report(content, filename, workflow_id)
    except BadNameError as error:
        raise ApplicationError(str(error), type="BadName", non_retryable=True) from None
    except ReportsDirError as error:
        raise ApplicationError(str(error), type="ReportsDir") from None

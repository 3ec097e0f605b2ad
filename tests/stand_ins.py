"""Activities that stand in for ours where the Workflow alone is under test."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support import (
    StartedReport,
    edit,
    start_report,
    status_when,
    worker_here,
)
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from models import LLMCallInput, PDFGenerationInput


class StandIns:
    """Activities that answer at once, with no more than the tutorial's payloads.

    `outcomes` are drafts and failures for the next calls; after them, drafts are numbered.
    `pdf_failures` are for the next PDFs. With `pdfs_by_hand`, the test completes them.
    """

    def __init__(self) -> None:
        self.calls: list[LLMCallInput] = []
        self.pdfs: list[PDFGenerationInput] = []
        self.outcomes: deque[str | Exception] = deque()
        self.pdf_failures: deque[Exception] = deque()
        self.pdfs_by_hand = False
        self.go_on = asyncio.Event()  # clear it, and calls last until it is set again
        self.go_on.set()
        self.task_queue = ""

    @activity.defn
    async def llm_call(self, input: LLMCallInput) -> dict[str, Any]:
        self.calls.append(input)
        while not self.go_on.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.02)
        outcome = self.outcomes.popleft() if self.outcomes else f"Text {len(self.calls)}"
        if isinstance(outcome, Exception):
            raise outcome
        return {"choices": [{"message": {"content": outcome}}]}

    @activity.defn
    async def create_pdf(self, input: PDFGenerationInput) -> str:
        self.pdfs.append(input)
        if self.pdf_failures:
            raise self.pdf_failures.popleft()
        if self.pdfs_by_hand:
            activity.raise_complete_async()
        return input.filename


@asynccontextmanager
async def stand_ins_of(client: Client) -> AsyncIterator[StandIns]:
    functions = StandIns()
    async with worker_here(client, functions.llm_call, functions.create_pdf) as queue:
        functions.task_queue = queue
        try:
            yield functions
        finally:
            functions.go_on.set()  # a Worker waits for its calls, also after a test that failed


async def during_a_call(client: Client, stand_ins: StandIns, topic: str = "bees") -> StartedReport:
    """A report whose next call lasts until `stand_ins.go_on` is set."""
    stand_ins.go_on.clear()
    number = len(stand_ins.calls) + 1
    report = await start_report(client, topic, stand_ins.task_queue)
    await status_when(report, lambda _: len(stand_ins.calls) == number)
    return report


async def hold_a_call(report: StartedReport, stand_ins: StandIns, instruction: str) -> None:
    """Starts the call for the report's next draft, which lasts until `stand_ins.go_on` is set."""
    stand_ins.go_on.clear()
    number = len(stand_ins.calls) + 1
    await edit(report, instruction)
    await status_when(report, lambda _: len(stand_ins.calls) == number)


def refusal(message: str = "no") -> ApplicationError:
    return ApplicationError(message, type="BadRequestError", non_retryable=True)

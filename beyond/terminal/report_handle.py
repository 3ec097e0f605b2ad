"""The requests that the dialogue makes about one report."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowFailureError, WorkflowQueryFailedError
from temporalio.service import RPCError

from beyond.process import RefusedError
from models import ReportStatus, UserDecisionSignal

T = TypeVar("T")


@dataclass
class ReportHandle:
    """The requests about one report. starter.py defines them.

    Each raises RPCError if the server does not answer or refuses. `draft`, `earlier_draft` and
    `status` are Queries: if no Worker answers in time, they raise RPCError; if the Workflow cannot
    answer, WorkflowQueryFailedError; and if it is paused, ValueError. `decide` sends a Signal, and
    `discard` cancels the report. `describe` needs no Worker. `result` waits for the report's end,
    and raises WorkflowFailureError if the report did not succeed.
    """

    id: str  # the Workflow ID
    draft: Callable[[], Awaitable[str]]
    earlier_draft: Callable[[], Awaitable[str]]
    status: Callable[[], Awaitable[ReportStatus]]
    decide: Callable[[UserDecisionSignal], Awaitable[None]]
    discard: Callable[[], Awaitable[None]]
    describe: Callable[[], Awaitable[DescribeWorkflowExecutionResponse]]
    result: Callable[[], Awaitable[str]]


async def with_payloads(request: Callable[[], Awaitable[T]]) -> T:
    """Makes a request that encodes or decodes payloads. Raises RefusedError if that fails."""
    try:
        return await request()
    except (RPCError, RefusedError, WorkflowFailureError, WorkflowQueryFailedError):
        raise
    except Exception as error:  # a codec or a converter may raise anything
        raise RefusedError(
            f"A payload cannot be encoded or decoded: {error}. "
            "Give this program the codec and the key that the others have."
        ) from None

"""What the terminal can ask of one report on the server, and tell it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from models import ReportStatus, UserDecisionSignal


@dataclass
class ReportHandle:
    """What the dialogue can ask of a report on the server, and tell it. starter.py says how.

    Each raises RPCError if the server does not answer or refuses. `draft` and `status`, which a
    Worker answers, also raise WorkflowQueryFailedError, and `result` WorkflowFailureError.
    """

    id: str
    draft: Callable[[], Awaitable[str]]
    earlier_draft: Callable[[], Awaitable[str]]
    status: Callable[[], Awaitable[ReportStatus]]
    decide: Callable[[UserDecisionSignal], Awaitable[None]]
    discard: Callable[[], Awaitable[None]]
    describe: Callable[[], Awaitable[DescribeWorkflowExecutionResponse]]
    result: Callable[[], Awaitable[str]]

"""How a report ended: its result and its PDF, or why there is none."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import FailureError

from beyond.reports_dir import ReportsDirError, find_reports_dir
from beyond.terminal.screen import Screen


async def show_result(
    screen: Screen,
    workflow_id: str,
    status: WorkflowExecutionStatus,
    ask_result: Callable[[], Awaitable[str]],
    open_pdf: bool,
) -> int:
    """Shows what the Workflow returned, and its PDF if it is on this machine, or why it failed.

    Returns the exit code. `ask_result` returns the Workflow's result or raises
    WorkflowFailureError.
    """
    try:
        result = await ask_result()
    except WorkflowFailureError as failure:
        cause = failure.cause
        reason = cause.message if isinstance(cause, FailureError) else cause
        ended = {
            "CANCELED": "was cancelled",
            "TERMINATED": f"was terminated: {reason}",
            "TIMED_OUT": "ran out of time",
        }
        screen.say_error(f"The report {ended.get(status.name, f'failed: {reason}')}")
        return 1
    screen.say_unwrapped(f"Result: {result}")
    if path := find_pdf(workflow_id, result):
        screen.show_file(path, open_pdf)
    return 0


def find_pdf(workflow_id: str, result: str) -> Path | None:
    """Returns the path of the report's PDF if it is in the starter's own REPORTS_DIR, or None.

    `result` is the sentence that the Workflow returned, which ends with the file's name.
    """
    try:
        path = (find_reports_dir() / name_pdf(result)).resolve()
        # Another report's file may have this name; ours contains the Workflow ID.
        return path if path.is_file() and workflow_id.encode() in path.read_bytes() else None
    except (OSError, ReportsDirError):  # the PDF is elsewhere, then
        return None


def name_pdf(result: str) -> str:
    """Returns the name of the PDF, the end of the sentence that the Workflow returned."""
    return result.rpartition(": ")[2]

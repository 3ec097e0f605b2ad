"""The reports that the server knows: find one, list the open ones, discard one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path

from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from beyond.process import RefusedError
from beyond.reports_dir import SHORT_ID, find_reports_dir
from beyond.terminal.progress import NO_WORKER
from beyond.terminal.screen import Screen
from models import INSTRUCTIONS_MARK, WORKFLOW_ID_PREFIX, WORKFLOW_TYPE, Phase, ReportStatus

SUMMARY_LIMIT = 200  # characters of the topic that the Web UI and --list show
CANCEL_TIMEOUT = 10  # seconds; a Worker cancels at once
QUERIES_AT_ONCE = 20  # for the list; if no Worker answers the first ones, no more are sent
CANDIDATES = 5  # Workflow IDs that are named if a part belongs to several
REPORTS = f"WorkflowType = '{WORKFLOW_TYPE}'"
OPEN_ONES = f"{REPORTS} AND ExecutionStatus = 'Running'"
LIST_THEM = "List the open ones with: uv run starter.py --list"

QueryStatus = Callable[[str], Awaitable[ReportStatus]]  # by Workflow ID


@dataclass
class OpenReport:
    """A row of the list. `number` counts the open reports from the oldest, beginning with 1."""

    number: int
    workflow_id: str
    started: datetime


def summarize(topic: str) -> str:
    """The topic on one line, for the Web UI and the list."""
    return " ".join(topic.split())[:SUMMARY_LIMIT]


async def find_report(client: Client, wanted: str) -> str:
    """Returns the Workflow ID of a report, from its ID, a part of it, or its number in the list.

    Looks through the ended reports only if no open one has that part. Raises RefusedError.
    """
    wanted = wanted.strip()
    if not wanted:
        raise RefusedError(f"Which report? Give its number or its Workflow ID. {LIST_THEM}")
    try:
        description = await client.get_workflow_handle(wanted).describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    else:
        if description.workflow_type != WORKFLOW_TYPE:
            raise RefusedError(f"{wanted} is a {description.workflow_type}, not a report.")
        return wanted
    reports = await _list_open(client)
    found = [one for one in reports if str(one.number) == wanted]
    ids = [one.workflow_id for one in found]
    may_be_part = not (wanted.isdecimal() and len(wanted) < SHORT_ID)  # but the number of a row
    if not ids and may_be_part:
        ids = [one.workflow_id for one in reports if wanted in one.workflow_id]
    if not ids and may_be_part:
        every = [one.id async for one in client.list_workflows(REPORTS)]
        ids = list(dict.fromkeys(id for id in every if wanted in id))  # a report may have many runs
    if len(ids) > 1:
        raise RefusedError(
            f"{wanted} is part of {len(ids)} Workflow IDs: {', '.join(ids[:CANDIDATES])}"
            f"{', …' if len(ids) > CANDIDATES else '.'}"
        )
    if not ids:
        raise RefusedError(f"There is no report with the Workflow ID {wanted}. {LIST_THEM}")
    return ids[0]


async def find_latest_report(client: Client) -> str:
    """Returns the Workflow ID of the open report that was started last. Raises RefusedError."""
    if not (reports := await _list_open(client)):
        raise RefusedError("No report is open. Start one with: uv run starter.py")
    return reports[-1].workflow_id


def find_pdf(workflow_id: str, result: str) -> Path | None:
    """The report's PDF, if its Worker wrote it into the folder that REPORTS_DIR names here."""
    try:
        path = (find_reports_dir() / result.rpartition(": ")[2]).resolve()
        # A file of that name may be another report's; only its own names this one.
        return path if path.is_file() and workflow_id.encode() in path.read_bytes() else None
    except (OSError, ApplicationError):  # the report has its PDF, wherever it is
        return None


async def confirm_discard(screen: Screen) -> bool:
    """Whether the person says yes. Raises LeaveError."""
    return (
        await screen.ask("Discard this report for good? Type 'yes': ", ["yes"])
    ).strip() == "yes"


async def discard_report(client: Client, screen: Screen, wanted: str) -> None:
    """Cancels an open report when the person says yes. Raises RefusedError, and LeaveError."""
    workflow_id = await find_report(client, wanted)
    report = client.get_workflow_handle(workflow_id)
    if (await report.describe()).status != WorkflowExecutionStatus.RUNNING:
        raise RefusedError(f"{workflow_id} has ended already: there is nothing to discard.")
    screen.say(f"{workflow_id}: {await _read_topic(client, workflow_id)}")
    if not await confirm_discard(screen):
        screen.say("Nothing is discarded.")
        return
    await report.cancel()
    try:
        await asyncio.wait_for(report.result(), CANCEL_TIMEOUT)
    except TimeoutError:
        screen.say(f"The report ends as soon as a Worker runs. {NO_WORKER}")
    except WorkflowFailureError:
        screen.say("The report is discarded.")
    else:
        raise RefusedError(f"{workflow_id} has ended meanwhile: there is nothing to discard.")


async def list_reports(client: Client, screen: Screen, query_status: QueryStatus) -> None:
    """Shows the open reports, those that wait for a decision first."""
    open_ones = await _list_open(client)
    statuses: list[ReportStatus | None] = []
    answered = False
    while len(statuses) < len(open_ones):
        batch = open_ones[len(statuses) : len(statuses) + QUERIES_AT_ONCE]
        answers = await asyncio.gather(*(_try_query(query_status, one) for one in batch))
        statuses += [status for _, status in answers]
        # A report that cannot answer says nothing about the Worker that answers for another one.
        answered = answered or any(by_worker for by_worker, _ in answers)
        if not answered:
            screen.say_error(f"{NO_WORKER} (until then, phases and drafts are unknown)")
            break
    rows: list[tuple[bool, int, tuple[str, ...]]] = []
    for one, status in zip_longest(open_ones, statuses):
        if status:
            topic = status.prompt.partition(INSTRUCTIONS_MARK)[0]
            phase, draft = status.phase.value, str(status.draft)
        else:
            topic = await _read_topic(client, one.workflow_id)
            phase, draft = "?", "?"
        age = _format_age(datetime.now(UTC) - one.started)
        row: tuple[str, ...] = (one.workflow_id, summarize(topic), age, phase, draft)
        if screen.terminal:  # a script needs whole IDs, and a person a row a line
            row = str(one.number), summarize(topic), age, phase, draft, _shorten_id(one.workflow_id)
        rows.append((phase != Phase.WAITING, one.number, row))
    if rows:
        rows.sort()
        header = ["Workflow ID", "Topic", "Age", "Phase", "Draft"]
        if screen.terminal:
            header = ["#", "Topic", "Age", "Phase", "Draft", "ID"]
        screen.table(header, [row for *_, row in rows], cut=["Topic", "Phase"])
    else:
        screen.say("No report is open. Start one with: uv run starter.py")


async def _try_query(
    query_status: QueryStatus, one: OpenReport
) -> tuple[bool, ReportStatus | None]:
    """Whether there is a Worker for the report, and the report's status if it gives one."""
    try:
        return True, await query_status(one.workflow_id)
    except WorkflowQueryFailedError:
        return True, None
    except RPCError as error:
        # A Workflow that fails has its Worker, too: only silence says that there is none.
        return error.status == RPCStatusCode.FAILED_PRECONDITION, None


async def _read_topic(client: Client, workflow_id: str) -> str:
    """The topic as the starter noted it for the Web UI, or ""."""
    description = await client.get_workflow_handle(workflow_id).describe()
    return await description.static_summary() or ""


async def _list_open(client: Client) -> list[OpenReport]:
    """The oldest first, so that a new one changes no number."""
    found = [(one.start_time, one.id) async for one in client.list_workflows(OPEN_ONES)]
    return [OpenReport(number, id, time) for number, (time, id) in enumerate(sorted(found), 1)]


def _shorten_id(workflow_id: str) -> str:
    """What tells one report from the others, short enough to type."""
    return workflow_id.removeprefix(WORKFLOW_ID_PREFIX).partition("-")[0] or workflow_id


def _format_age(age: timedelta) -> str:
    seconds = max(age.total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"

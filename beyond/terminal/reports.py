"""The reports that the server knows: find one, list the open ones, discard one."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import zip_longest
from pathlib import Path

from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from beyond.reports_dir import reports_dir
from beyond.server.connection import Refused
from beyond.terminal.progress import NO_WORKER
from beyond.terminal.screen import Screen
from models import WORKFLOW_ID_PREFIX, Phase, ReportStatus
from workflow import GenerateReportWorkflow

QUERY_TIMEOUT = timedelta(seconds=3)  # for which a Query waits for a Worker
PATIENT_QUERY_TIMEOUT = timedelta(seconds=10)  # where a person has asked: a Worker may be busy
SUMMARY_LIMIT = 200  # characters of the topic that the Web UI and --list show
CANCEL_POLLS, CANCEL_POLL_INTERVAL = 20, 0.5  # seconds; a Worker cancels at once
QUERIES_AT_ONCE = 20  # for the list; if no Worker answers the first ones, no more are sent
SHORT_ID = 8  # characters of the list's IDs
CANDIDATES = 5  # Workflow IDs that are named where a part belongs to several
REPORTS = f"WorkflowType = '{GenerateReportWorkflow.__name__}'"
OPEN_ONES = f"{REPORTS} AND ExecutionStatus = 'Running'"
LIST_THEM = "List the open ones with: uv run starter.py --list"

ReportHandle = WorkflowHandle[GenerateReportWorkflow, str]


@dataclass
class OpenReport:
    """A row of the list. `number` counts the open reports from the oldest, beginning with 1."""

    number: int
    workflow_id: str
    started: datetime


async def find_report(client: Client, wanted: str) -> ReportHandle:
    """Finds a report by its Workflow ID, its number in the list, or a part of its ID.

    Looks through the ended reports only if no open one has that part. Raises Refused.
    """
    wanted = wanted.strip()
    if not wanted:
        raise Refused(f"Which report? Give its number or its Workflow ID. {LIST_THEM}")
    report = client.get_workflow_handle_for(GenerateReportWorkflow.run, wanted)
    try:
        description = await report.describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    else:
        if description.workflow_type != GenerateReportWorkflow.__name__:
            raise Refused(f"{wanted} is a {description.workflow_type}, not a report.")
        return report
    reports = await _open_reports(client)
    found = [one for one in reports if str(one.number) == wanted]
    ids = [one.workflow_id for one in found]
    may_be_part = not (wanted.isdecimal() and len(wanted) < SHORT_ID)  # but the number of a row
    if not ids and may_be_part:
        ids = [one.workflow_id for one in reports if wanted in one.workflow_id]
    if not ids and may_be_part:
        every = [one.id async for one in client.list_workflows(REPORTS)]
        ids = list(dict.fromkeys(id for id in every if wanted in id))  # a report may have many runs
    if len(ids) > 1:
        raise Refused(
            f"{wanted} is part of {len(ids)} Workflow IDs: {', '.join(ids[:CANDIDATES])}"
            f"{', …' if len(ids) > CANDIDATES else '.'}"
        )
    if not ids:
        raise Refused(f"There is no report with the Workflow ID {wanted}. {LIST_THEM}")
    return client.get_workflow_handle_for(GenerateReportWorkflow.run, ids[0])


async def latest_report(client: Client) -> ReportHandle:
    """Finds the open report that was started last. Raises Refused if none is open."""
    if not (reports := await _open_reports(client)):
        raise Refused("No report is open. Start one with: uv run starter.py")
    return client.get_workflow_handle_for(GenerateReportWorkflow.run, reports[-1].workflow_id)


def pdf_here(workflow_id: str, result: str) -> Path | None:
    """The report's PDF, if its Worker wrote it into the folder that REPORTS_DIR names here."""
    try:
        path = (reports_dir() / result.rpartition(": ")[2]).resolve()
        # A file of that name may be another report's; only its own names this one.
        return path if path.is_file() and workflow_id.encode() in path.read_bytes() else None
    except (OSError, ApplicationError):  # the report has its PDF, wherever it is
        return None


async def discard_report(client: Client, screen: Screen, wanted: str) -> None:
    """Cancels an open report when the person says yes. Raises Refused, and Leave."""
    report = await find_report(client, wanted)
    if (await report.describe()).status != WorkflowExecutionStatus.RUNNING:
        raise Refused(f"{report.id} has ended already: there is nothing to discard.")
    screen.say(await _topic(client, report.id))
    question = f"Discard {report.id} for good? Type 'yes': "
    if (await screen.ask(question, ("yes",))).strip() != "yes":
        screen.say("Nothing is discarded.")
        return
    await report.cancel()
    for _ in range(CANCEL_POLLS):
        status = (await report.describe()).status
        if status == WorkflowExecutionStatus.CANCELED:
            screen.say("The report is discarded.")
            return
        if status != WorkflowExecutionStatus.RUNNING:
            raise Refused(f"{report.id} has ended meanwhile: there is nothing to discard.")
        await asyncio.sleep(CANCEL_POLL_INTERVAL)
    screen.say(f"The report ends as soon as a Worker runs. {NO_WORKER}")


async def list_reports(client: Client, screen: Screen) -> None:
    """Shows the open reports, those that wait for a decision first."""
    open_ones = await _open_reports(client)
    statuses: list[ReportStatus | None] = []
    answered = False
    while len(statuses) < len(open_ones):
        batch = open_ones[len(statuses) : len(statuses) + QUERIES_AT_ONCE]
        answers = await asyncio.gather(*(_status(client, one) for one in batch))
        statuses += [status for _, status in answers]
        # A report that cannot answer says nothing about the Worker that answers for another one.
        answered = answered or any(by_worker for by_worker, _ in answers)
        if not answered:
            screen.say_error(f"{NO_WORKER} (until then, phases and drafts are unknown)")
            break
    rows: list[tuple[bool, int, tuple[str, ...]]] = []
    for one, status in zip_longest(open_ones, statuses):
        if status:
            topic = status.prompt.partition("\n\nAdditional instructions: ")[0]
            phase, draft = status.phase.value, str(status.draft)
        else:
            topic = await _topic(client, one.workflow_id)
            phase, draft = "?", "?"
        age = _age(datetime.now(UTC) - one.started)
        topic = " ".join(topic.split())[:SUMMARY_LIMIT]
        row: tuple[str, ...] = (one.workflow_id, topic, age, phase, draft)
        if screen.terminal:  # a script needs whole IDs, and a person a row a line
            row = str(one.number), topic, age, phase, draft, _own_part(one.workflow_id)
        rows.append((phase != Phase.WAITING, one.number, row))
    if rows:
        rows.sort()
        header = ["Workflow ID", "Topic", "Age", "Phase", "Draft"]
        if screen.terminal:
            header = ["#", "Topic", "Age", "Phase", "Draft", "ID"]
        screen.table(header, [row for *_, row in rows], cut=["Topic", "Phase"])
    else:
        screen.say("No report is open. Start one with: uv run starter.py")


async def _status(client: Client, one: OpenReport) -> tuple[bool, ReportStatus | None]:
    """Whether there is a Worker for the report, and the report's status if it gives one."""
    report = client.get_workflow_handle_for(GenerateReportWorkflow.run, one.workflow_id)
    ask = partial(report.query, GenerateReportWorkflow.get_report_status)
    try:
        return True, await ask(rpc_timeout=QUERY_TIMEOUT)
    except WorkflowQueryFailedError:
        return True, None
    except RPCError as error:
        # A Workflow that fails has its Worker, too: only silence says that there is none.
        return error.status == RPCStatusCode.FAILED_PRECONDITION, None


async def _topic(client: Client, workflow_id: str) -> str:
    """The topic as the starter noted it for the Web UI, on one line, or ""."""
    description = await client.get_workflow_handle(workflow_id).describe()
    return " ".join((await description.static_summary() or "").split())


async def _open_reports(client: Client) -> list[OpenReport]:
    """The oldest first, so that a new one changes no number."""
    found = [(one.start_time, one.id) async for one in client.list_workflows(OPEN_ONES)]
    return [OpenReport(number, id, time) for number, (time, id) in enumerate(sorted(found), 1)]


def _own_part(workflow_id: str) -> str:
    """What tells one report from the others, short enough to type."""
    return workflow_id.removeprefix(WORKFLOW_ID_PREFIX).partition("-")[0] or workflow_id


def _age(age: timedelta) -> str:
    seconds = max(age.total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"

"""The reports that the server knows: find one, list them, discard one."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.errordetails.v1 import WorkflowNotReadyFailure
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryRequest,
    ListWorkflowExecutionsRequest,
    ListWorkflowExecutionsResponse,
)
from temporalio.client import Client, WorkflowFailureError, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from beyond.process import RefusedError
from beyond.server.connection import NO_SERVER, retry_until_answered
from beyond.terminal.ending import name_pdf
from beyond.terminal.progress import (
    DESCRIBE_TIMEOUT,
    WORKER_IS_SILENT,
    explain_missing_worker,
    is_open,
    is_paused,
)
from beyond.terminal.report_handle import with_payloads
from beyond.terminal.screen import Screen
from beyond.terminal.words import YES_OR_NO, means_yes
from models import (
    INSTRUCTIONS_MARK,
    WORKFLOW_ID_PREFIX,
    WORKFLOW_TYPE,
    GenerateReportInput,
    ReportStatus,
)

CANCEL_TIMEOUT = 10  # seconds; if a Worker runs, a report is cancelled in less than one
SUMMARY_LIMIT = 200  # characters of the topic that the Web UI and --list show
# Their reports are queried together; if no Worker answers, no later page's are.
ROWS_PER_PAGE = 20
CANDIDATES = 5  # Workflow IDs in the error if a part belongs to several
REPORTS = f"WorkflowType = '{WORKFLOW_TYPE}'"
OPEN_ONES = f"{REPORTS} AND CloseTime IS NULL"
# A run that continued as new is not the end of its report: another run follows.
ENDED_ONES = f"{REPORTS} AND CloseTime IS NOT NULL AND ExecutionStatus != 'ContinuedAsNew'"
NONE_OPEN = "No report is open."
LIST_THEM = "--list shows the open ones."
# The tutorial spells it both ways.
TUTORIAL_PREFIXES = re.compile("generate-(research|reserach)-report-workflow-")
UUID = re.compile(r"([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The widths of a row's cells, in columns. A PDF's name is as long as research_pdf-1a2b3c4d.pdf.
AGE_WIDTH, PHASE_WIDTH, LAST_WIDTHS = 6, 12, {"Draft": 5, "PDF": 25}
NARROWEST_PHASE, NARROWEST_TOPIC, NARROWEST_ID = 4, 9, 8
UNKNOWN, FAILING = "?", "FAILING"  # the phase if no Worker answers, or if it answers with an error

QueryStatus = Callable[[str], Awaitable[ReportStatus]]  # takes a Workflow ID


class Row(NamedTuple):
    """A report in the list, as texts. `last` is the draft's number or the name of the PDF."""

    workflow_id: str
    topic: str
    age: str
    phase: str
    last: str


# One report.


async def describe_report(
    client: Client, workflow_id: str, run_id: str = ""
) -> DescribeWorkflowExecutionResponse:
    """Returns what the server knows of a report's latest run, or of `run_id`, without a Worker.

    Raises RPCError, with the status NOT_FOUND if there is no such Workflow.
    (WorkflowHandle.describe would raise ValueError for a paused one.)
    """
    request = DescribeWorkflowExecutionRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
    )
    # Without the SDK's retries, which would hide that the server limits requests.
    return await client.workflow_service.describe_workflow_execution(
        request, timeout=DESCRIBE_TIMEOUT
    )


async def read_topic(client: Client, workflow_id: str, run_id: str = "") -> str:
    """Returns the topic on one line, from the summary in the Web UI or from the Workflow's input.

    Returns "" if there is none, and "?" if it is encrypted or not a report's. Raises RPCError.
    """
    description = await describe_report(client, workflow_id, run_id)
    summary = description.execution_config.user_metadata.summary
    try:
        if summary.data:
            [topic] = await with_payloads(partial(client.data_converter.decode, [summary], [str]))
            return summarize(topic)
        return summarize(await with_payloads(partial(_read_input, client, workflow_id, run_id)))
    except RefusedError:
        return UNKNOWN


async def _read_input(client: Client, workflow_id: str, run_id: str) -> str:
    """Returns the topic of a report that a Schedule or another program has started, or ""."""
    request = GetWorkflowExecutionHistoryRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        maximum_page_size=1,
    )
    answer = await client.workflow_service.get_workflow_execution_history(request, retry=True)
    started = answer.history.events[0].workflow_execution_started_event_attributes
    if not started.input.payloads:
        return ""
    [value] = await client.data_converter.decode(started.input.payloads[:1], [GenerateReportInput])
    return cut_instructions(value.prompt)


def cut_instructions(prompt: str) -> str:
    """Returns the topic, which is what comes before the instructions in a prompt."""
    return prompt.partition(INSTRUCTIONS_MARK)[0]


async def introduce_report(client: Client, screen: Screen, workflow_id: str) -> None:
    """Tells a person who comes back to a report its ID and topic. Raises RPCError."""
    topic = await read_topic(client, workflow_id)
    screen.say(f"Report {shorten_id(workflow_id)}{': ' if topic else ''}{topic}")


def summarize(topic: str) -> str:
    """Returns the topic on one line of at most `SUMMARY_LIMIT` characters."""
    return " ".join(topic.split())[:SUMMARY_LIMIT]


def shorten_id(workflow_id: str) -> str:
    """Returns the part of a Workflow ID that tells reports apart.

    If the starter began the report, that is eight characters, which a person can type.
    """
    own = TUTORIAL_PREFIXES.sub("", workflow_id)
    uuid = UUID.fullmatch(own)
    return uuid[1] if uuid and own != workflow_id else own


async def confirm_discard(screen: Screen) -> bool:
    """Whether the person says yes. A pipe is asked, too. Raises LeaveError."""
    confirmed = means_yes(await screen.ask("Discard this report for good? [y/N] ", YES_OR_NO))
    if not confirmed:
        screen.say("Nothing was discarded.")
    return confirmed


async def discard_report(client: Client, screen: Screen, wanted: str) -> None:
    """Cancels an open report if the person confirms it. `wanted` is its ID or a part of that.

    Raises RefusedError if there is no such open report, LeaveError, and RPCError.
    """
    ask = partial(retry_until_answered, client, say=screen.say)
    workflow_id = await ask(partial(find_report, client, wanted))
    description = await ask(partial(describe_report, client, workflow_id))
    if not is_open(description):
        raise RefusedError(f"{workflow_id} has ended already: there is nothing to discard.")
    await ask(partial(introduce_report, client, screen, workflow_id))
    if not await confirm_discard(screen):
        return
    report = client.get_workflow_handle(workflow_id)
    await ask(report.cancel)
    if is_paused(description):
        screen.say("The report ends when somebody unpauses it.")
        return
    try:
        await asyncio.wait_for(ask(report.result), CANCEL_TIMEOUT)
    except TimeoutError:
        reason = await explain_missing_worker(client, description.workflow_execution_info)
        screen.say(f"The report ends as soon as a Worker answers. {reason}".rstrip())
    except WorkflowFailureError:
        screen.say("The report is discarded.")
    else:
        raise RefusedError(f"{workflow_id} has just ended: there is nothing to discard.")


# Finding one.


async def find_report(client: Client, wanted: str) -> str:
    """Returns the Workflow ID of a report, from its ID or a part of it.

    Raises RefusedError if there is no such report or more than one, and RPCError.
    """
    wanted = wanted.strip()
    if not wanted:
        raise RefusedError(f"Which report? Give its Workflow ID or a part of it. {LIST_THEM}")
    try:
        kind = (await describe_report(client, wanted)).workflow_execution_info.type.name
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    else:
        if kind != WORKFLOW_TYPE:
            raise RefusedError(f"{wanted} is a {kind}, not a report.")
        return wanted
    ids = await _search(client, wanted)
    if len(ids) > 1:
        raise RefusedError(
            f"{wanted} is part of {len(ids)} Workflow IDs. Choose one: "
            f"{', '.join(map(shorten_id, ids[:CANDIDATES]))}"
            f"{', …' if len(ids) > CANDIDATES else '.'}"
        )
    if not ids:
        raise RefusedError(f"There is no report with the Workflow ID {wanted}. {LIST_THEM}")
    return ids[0]


async def find_latest_report(client: Client) -> str:
    """Returns the Workflow ID of the open report that was started last.

    Raises RefusedError if no report is open, and RPCError.
    """
    latest = (await _list_page(client, OPEN_ONES, size=1)).executions
    if not latest:
        raise RefusedError(NONE_OPEN)
    return latest[0].execution.workflow_id


async def _search(client: Client, part: str) -> list[str]:
    """Returns the Workflow IDs that contain `part`, of open reports if there are any.

    UUIDs that begin with it come first, because the server finds them; otherwise this reads the IDs
    of all reports.
    """
    queries = [OPEN_ONES, ENDED_ONES]
    if re.fullmatch("[0-9a-f-]+", part):
        begins = f"WorkflowId STARTS_WITH '{WORKFLOW_ID_PREFIX}{part}'"
        queries = [f"{OPEN_ONES} AND {begins}", f"{ENDED_ONES} AND {begins}", *queries]
    for query in queries:
        found = await _list_ids(client, query)
        if ids := list(dict.fromkeys(id for id in found if part in id)):  # runs share an ID
            return ids
    return []


async def _list_ids(client: Client, query: str) -> list[str]:
    ids, token = list[str](), b""
    while True:
        page = await _list_page(client, query, size=1000, token=token)
        ids += [one.execution.workflow_id for one in page.executions]
        token = page.next_page_token
        if not token:
            return ids


async def _list_page(
    client: Client, query: str, size: int = ROWS_PER_PAGE, token: bytes = b""
) -> ListWorkflowExecutionsResponse:
    """Returns up to `size` Workflows, the newest first. `token` comes from the page before.

    (Client.list_workflows would raise ValueError at a paused one.)
    """
    request = ListWorkflowExecutionsRequest(
        namespace=client.namespace, page_size=size, next_page_token=token, query=query
    )
    return await client.workflow_service.list_workflow_executions(request, retry=True)


# Listing.


async def list_reports(
    client: Client, screen: Screen, query_status: QueryStatus, *, ended: bool, every: bool
) -> None:
    """Shows the newest open or ended reports, or `every` one, a row each. Raises RPCError."""
    ask = partial(retry_until_answered, client, say=screen.say_error)
    condition = ENDED_ONES if ended else OPEN_ONES
    last_column = "PDF" if ended else "Draft"
    read = partial(_read_ended, client) if ended else partial(_read_open, client, query_status)
    shown, token, worker_answers = 0, b"", True
    while not shown or (every and token):
        page = await ask(partial(_list_page, client, condition, token=token))
        token = page.next_page_token
        if not page.executions:
            break
        if not shown:
            widths = _choose_widths(screen, page.executions, last_column)
            screen.show_row(["ID", "Topic", "Age", "Phase", last_column], widths)
        phases = set()
        for reading in [asyncio.create_task(ask(partial(read, one))) for one in page.executions]:
            row = await reading
            own_id = shorten_id(row.workflow_id) if screen.terminal else row.workflow_id
            screen.show_row([own_id, *row[1:]], widths)
            if row.topic != UNKNOWN:  # an unreadable report says nothing about Workers
                phases.add(row.phase)
        if worker_answers and phases == {UNKNOWN}:
            worker_answers, read = False, partial(_read_open, client, None)
            reason = await explain_missing_worker(client, page.executions[0]) or WORKER_IS_SILENT
            screen.say_error(f"Phases and drafts are unknown. {reason}")
        shown += len(page.executions)
    total = (await ask(partial(client.count_workflows, condition))).count
    if not shown:
        screen.say("No report has ended yet." if ended else NONE_OPEN)
    elif total > shown and not every:
        screen.say(f"… and {total - shown:,} more. --all shows them, too.")


async def _read_open(
    client: Client, query_status: QueryStatus | None, one: WorkflowExecutionInfo
) -> Row:
    """Returns an open report's row. Without `query_status`, it asks no Worker.

    Raises RPCError if the server does not answer, or limits requests.
    """
    workflow_id = one.execution.workflow_id
    phase, draft, topic = UNKNOWN, UNKNOWN, ""
    if one.status == Status.WORKFLOW_EXECUTION_STATUS_PAUSED:  # it answers no Query
        phase = "PAUSED"
    elif query_status:
        try:
            status = await with_payloads(partial(query_status, workflow_id))
        except WorkflowQueryFailedError:
            phase = FAILING
        except RPCError as error:
            if _says_that_it_fails(error):
                phase = FAILING
            elif error.status in NO_SERVER | {RPCStatusCode.RESOURCE_EXHAUSTED}:
                raise  # unlike a timeout, it says nothing about a Worker
        except RefusedError:
            topic = UNKNOWN
        else:
            phase, draft = status.phase.value, str(status.draft)
            topic = summarize(cut_instructions(status.prompt))
    topic = topic or await read_topic(client, workflow_id)
    return Row(workflow_id, topic, _format_age(one.start_time), phase, draft)


def _says_that_it_fails(error: RPCError) -> bool:
    """Whether the server refuses a Query because a Workflow Task of the report has failed.

    Without these details, the same status means that no Worker has polled lately.
    """
    status = error.grpc_status
    return any(detail.Is(WorkflowNotReadyFailure.DESCRIPTOR) for detail in status.details)


async def _read_ended(client: Client, one: WorkflowExecutionInfo) -> Row:
    workflow_id, run_id = one.execution.workflow_id, one.execution.run_id
    end = Status.Name(one.status).removeprefix("WORKFLOW_EXECUTION_STATUS_")
    topic, pdf = await read_topic(client, workflow_id, run_id), ""
    if one.status == Status.WORKFLOW_EXECUTION_STATUS_COMPLETED:
        report = client.get_workflow_handle(workflow_id, run_id=run_id, result_type=str)
        try:
            pdf = name_pdf(await with_payloads(report.result))
        except RefusedError:
            pdf = UNKNOWN
    return Row(workflow_id, topic, _format_age(one.close_time), end, pdf)


def _choose_widths(
    screen: Screen, page: Sequence[WorkflowExecutionInfo], last: str
) -> Sequence[int]:
    """Returns the widths of all cells but the last. The topic gets what the others leave.

    If a long ID, which another program gave its report, leaves too little, Phase is cut first, and
    then the ID.
    """
    id_width = max(len(shorten_id(one.execution.workflow_id)) for one in page)
    phase = PHASE_WIDTH
    left = screen.columns - AGE_WIDTH - LAST_WIDTHS[last] - 4 * screen.GAP
    if left - id_width - phase < NARROWEST_TOPIC:
        phase = NARROWEST_PHASE
    id_width = min(id_width, max(left - phase - NARROWEST_TOPIC, NARROWEST_ID))
    return id_width, max(left - id_width - phase, NARROWEST_TOPIC), AGE_WIDTH, phase


def _format_age(since: Timestamp) -> str:
    seconds = max((datetime.now(UTC) - since.ToDatetime(UTC)).total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"

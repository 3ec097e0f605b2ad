"""The reports that the server knows: find one, list the open ones."""

from datetime import UTC, datetime, timedelta
from functools import partial

from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from connection import Refused
from models import Phase
from progress import NO_WORKER
from screen import Screen
from workflow import GenerateReportWorkflow

QUERY_TIMEOUT = timedelta(seconds=3)  # for which a Query waits for a Worker
SUMMARY_LIMIT = 200  # characters of the topic that the Web UI and --list show

ReportHandle = WorkflowHandle[GenerateReportWorkflow, str]


async def find_report(client: Client, workflow_id: str) -> ReportHandle:
    """Raises Refused if there is no report with that Workflow ID."""
    report = client.get_workflow_handle_for(GenerateReportWorkflow.run, workflow_id)
    try:
        description = await report.describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        raise Refused(
            f"There is no report with the Workflow ID {workflow_id}. "
            "List the open ones with: uv run starter.py --list"
        ) from None
    if description.workflow_type != GenerateReportWorkflow.__name__:
        raise Refused(f"{workflow_id} is a {description.workflow_type}, not a report.")
    return report


async def list_reports(client: Client, screen: Screen) -> None:
    """Shows the open reports, those that wait for a decision first."""
    worker_answers = True
    rows = []
    query = f"WorkflowType = '{GenerateReportWorkflow.__name__}' AND ExecutionStatus = 'Running'"
    async for execution in client.list_workflows(query):
        report = client.get_workflow_handle_for(GenerateReportWorkflow.run, execution.id)
        status = None
        if worker_answers:
            ask = partial(report.query, GenerateReportWorkflow.get_report_status)
            try:
                status = await ask(rpc_timeout=QUERY_TIMEOUT)
            except WorkflowQueryFailedError:  # which says nothing about the other reports
                pass
            except RPCError:
                worker_answers = False
                screen.say_error(f"{NO_WORKER} (until then, phases and drafts are unknown)")
        if status:
            topic = status.prompt.partition("\n\nAdditional instructions: ")[0]
            phase, draft = status.phase.value, str(status.draft)
        else:
            topic = await (await report.describe()).static_summary() or ""
            phase, draft = "?", "?"
        age = _age(datetime.now(UTC) - execution.start_time)
        row = execution.id, " ".join(topic.split())[:SUMMARY_LIMIT], age, phase, draft
        rows.append((phase != Phase.WAITING, execution.start_time, row))
    if rows:
        rows.sort()
        screen.table(("Workflow ID", "Topic", "Age", "Phase", "Draft"), [row for *_, row in rows])
    else:
        screen.say("No report is open. Start one with: uv run starter.py")


def _age(age: timedelta) -> str:
    seconds = max(age.total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"

"""What the starter shows of a report that ends, fails or continues as new."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from loopback_llm import LoopbackLLM, Reply
from starters import Begin, OpenStarter, piped
from support import RESULT, StartedReport, report_of, reset, start_report, worker_here
from temporalio import workflow
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    PauseActivityRequest,
)
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities import create_pdf, llm_call
from beyond.terminal.progress import NO_WORKER, Progress, is_open
from models import TASK_QUEUE, WORKFLOW_ID_PREFIX, GenerateReportInput
from workflow import GenerateReportWorkflow


@pytest.mark.usefixtures("worker")
async def test_a_kept_report_shows_a_link_to_its_file(
    reports: Path, open_starter: OpenStarter
) -> None:
    starter = open_starter("bees")
    starter.keep()
    path = reports / "research_pdf.pdf"
    starter.sees(f"File: {path}")
    assert starter.ends() == 0
    assert path.read_bytes().startswith(b"%PDF")
    opening, closing = starter.links
    assert f";{path.as_uri()}\x1b" in opening
    assert closing == "\x1b]8;;\x1b\\"


@pytest.mark.usefixtures("worker")
async def test_a_file_of_another_report_is_not_shown(
    tmp_path: Path, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path))
    (tmp_path / "research_pdf.pdf").write_bytes(b"%PDF of an earlier report")
    starter = open_starter("bees")
    starter.keep()
    starter.sees_result()
    assert starter.ends() == 0
    assert "File:" not in starter.text
    assert not starter.links


@pytest.mark.usefixtures("worker")
def test_a_reports_folder_of_an_unknown_user_hides_the_file_but_not_the_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REPORTS_DIR", "~nobody-of-that-name/reports")
    done = piped("keep\n", "bees")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"Result: {RESULT}\n")


@pytest.mark.usefixtures("worker")
async def test_a_report_that_is_reset_is_followed(llm: LoopbackLLM, begin: Begin) -> None:
    """The new draft has the same number as the one that the screen shows."""
    llm.replies += [Reply(text="the first text"), Reply(text="the second text")]
    starter, report = begin()
    starter.sees("the first text")
    starter.asked_to_decide()
    await reset(report)
    starter.sees("the second text")
    starter.keep()
    starter.sees_result()
    assert starter.ends() == 0


async def test_a_report_that_continues_as_new_is_followed(
    client: Client, llm: LoopbackLLM, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beyond.event_history.CONTINUE_AFTER", 3)
    async with worker_here(client, llm_call, create_pdf, task_queue=TASK_QUEUE):
        starter = open_starter()
        report = report_of(client, await asyncio.to_thread(starter.begin))
        first_run = (await report.describe()).run_id
        for number in (1, 2, 3):
            await asyncio.to_thread(starter.edit, f"wish {number}")
            await asyncio.to_thread(starter.sees, f"Draft {number + 1}")
        assert (await report.describe()).run_id != first_run
        await asyncio.to_thread(starter.keep)
        await asyncio.to_thread(starter.sees_result)
        assert await asyncio.to_thread(starter.ends) == 0
    assert re.findall(r"^Draft \d$", starter.text, re.M) == [
        f"Draft {number}" for number in (1, 2, 3, 4)
    ]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda report: report.cancel(), "The report was cancelled\n"),
        (
            lambda report: report.terminate(reason="too\x1b[2J dear"),
            "The report was terminated: too[2J dear\n",
        ),
    ],
    ids=["cancelled", "terminated"],
)
async def test_a_report_that_is_stopped_ends_the_starter_with_one_sentence(
    end: Callable[[StartedReport], Awaitable[None]],
    said: str,
    begin: Begin,
) -> None:
    starter, report = begin()
    starter.begins_to_decide("kee")
    await end(report)
    assert starter.ends() == 1
    assert starter.errors == said


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("host", "cure"),
    [
        (
            "127.0.0.1",
            " Next time, let the server keep its reports: "
            "temporal server start-dev --db-filename temporal.db",
        ),
        ("0.0.0.0", ""),  # counts as another machine's, so no dev server is suggested
    ],
)
async def test_a_report_that_the_server_has_lost_ends_the_starter_with_one_sentence(
    host: str,
    cure: str,
    client: Client,
    open_starter: OpenStarter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = client.service_client.config.target_host.rpartition(":")[2]
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"{host}:{port}")
    starter = open_starter()
    workflow_id = starter.begin()
    starter.asked_to_decide()
    request = DeleteWorkflowExecutionRequest(namespace=client.namespace)
    request.workflow_execution.workflow_id = workflow_id
    await client.workflow_service.delete_workflow_execution(request)
    assert starter.ends() == 1
    assert starter.errors == f"The server has no report {workflow_id} any more.{cure}\n"


@pytest.mark.usefixtures("worker")
async def test_a_report_that_runs_out_of_time_ends_the_starter(
    client: Client, open_starter: OpenStarter
) -> None:
    report = await client.start_workflow(
        GenerateReportWorkflow.run,
        GenerateReportInput("bees"),
        id=f"{WORKFLOW_ID_PREFIX}{uuid4()}",
        task_queue=TASK_QUEUE,
        execution_timeout=timedelta(seconds=15),
    )
    starter = open_starter("--workflow-id", report.id)
    starter.asked_to_decide()
    assert starter.ends() == 1
    assert starter.errors == "The report ran out of time\n"


@workflow.defn(name=GenerateReportWorkflow.__name__)
class Failing:
    @workflow.query
    def get_research_result(self) -> str:
        return ""

    @workflow.run
    async def run(self, input: GenerateReportInput) -> str:
        raise ApplicationError(input.prompt, type="SomeError")


@asynccontextmanager
async def report_of_another_workflow(
    client: Client, kind: type, topic: str = "bees"
) -> AsyncIterator[StartedReport]:
    """A report whose Worker runs that Workflow instead of ours."""
    worker = Worker(
        client,
        task_queue=str(uuid4()),
        workflows=[kind],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        yield await start_report(client, topic, worker.task_queue)


async def test_a_failed_report_is_reported_with_its_reason(
    client: Client, open_starter: OpenStarter
) -> None:
    async with report_of_another_workflow(client, Failing, "the\x1b[31m reason") as report:
        starter = open_starter("--workflow-id", report.id)
        assert await asyncio.to_thread(starter.ends) == 1
    assert starter.errors == "The report failed: the[31m reason\n"


@workflow.defn(name=GenerateReportWorkflow.__name__)
class Unfit:
    """A newly deployed Workflow that does not replay the report's history."""

    @workflow.run
    async def run(self, input: GenerateReportInput) -> str:
        raise RuntimeError("it does not fit")


async def test_the_live_line_says_that_the_workflow_fails(
    client: Client, open_starter: OpenStarter
) -> None:
    async with report_of_another_workflow(client, Unfit) as report:
        starter = open_starter("--workflow-id", report.id)
        line = re.compile(r"… \d+ s \(attempt \d, the Workflow fails: see the Worker's log\)")
        await asyncio.to_thread(starter.sees, line)
        done = await asyncio.to_thread(piped, "", "--list")
        assert re.search(rf"^{report.id}\t.*\tFAILING\t\?$", done.stdout, re.M)
    assert NO_WORKER not in starter.text


def test_a_paused_report_is_open_and_the_live_line_says_so() -> None:
    """Servers have this status since 1.30; the SDK does not know it."""
    description = DescribeWorkflowExecutionResponse()
    description.workflow_execution_info.status = WorkflowExecutionStatus.Value(
        "WORKFLOW_EXECUTION_STATUS_PAUSED"
    )
    assert is_open(description)
    progress = Progress()
    progress.update(description)
    assert progress.is_paused
    assert progress.line() == "Waiting for the Worker, paused… 0 s"


@pytest.mark.usefixtures("worker")
async def test_the_live_line_says_that_a_call_is_paused(
    llm: LoopbackLLM, client: Client, open_starter: OpenStarter
) -> None:
    llm.default = Reply(status=500, headers={"retry-after": "60"})
    starter = open_starter("bees")
    workflow_id = starter.started()
    starter.sees("attempt 2")
    request = PauseActivityRequest(namespace=client.namespace, type="llm_call")
    request.execution.workflow_id = workflow_id
    await client.workflow_service.pause_activity(request)
    starter.sees(re.compile(r"Researching, paused… \d+ s \(attempt 2, "))

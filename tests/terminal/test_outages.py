"""What the starter does without a Worker or a server."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from starters import KEPT, OpenStarter, piped
from support import (
    OwnServer,
    StartWorker,
    decisions_on,
    draft_of,
    edit,
    eventually,
    free_port,
    report_of,
    start_report,
    waiting,
    worker_here,
)
from temporalio.api.enums.v1 import (
    PendingWorkflowTaskState,
    TimeoutType,
    WorkflowExecutionStatus,
)
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionResponse,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities import llm_call
from beyond.server.dev_server import start_server
from beyond.terminal import progress
from beyond.terminal.progress import NO_WORKER, POLLED_LATELY, explain_missing_worker
from beyond.terminal.reports import describe_report
from models import TASK_QUEUE, UserDecision
from workflow import GenerateReportWorkflow


@pytest.fixture(autouse=True)
def demo_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without LiteLLM, Workers start at once."""
    monkeypatch.setenv("LLM_MODEL", "offline/demo")


async def test_a_missing_worker_is_reported_and_does_not_freeze_the_prompt(
    away_from_the_worker: Client,
    open_starter: OpenStarter,
    start_worker: StartWorker,
) -> None:
    assert NO_WORKER == 'No Worker is polling Task Queue "research". Start one: uv run worker.py'
    starter = open_starter("bees")
    report = report_of(away_from_the_worker, starter.started())
    starter.sees(NO_WORKER)
    worker = start_worker()
    starter.sees("A Worker has picked it up.")
    starter.asked_to_decide()  # it goes on by itself
    assert starter.text.count(NO_WORKER) == 1

    worker.kill()
    worker.wait()
    starter.types("query")
    starter.sees(NO_WORKER)
    starter.asked_to_decide()
    await edit(report, "unseen")  # a task that nobody takes
    starter.presses("ed")
    starter.line_is("Your decision (query/keep/edit): ed")
    starter.sees(NO_WORKER)
    starter.types("it")
    starter.sees("(optional):")
    starter.types("mine")
    starter.sees("Signal sent to regenerate research")
    start_worker()
    starter.sees("mine")
    starter.asked_to_decide()


async def test_a_missing_worker_is_reported_while_a_report_waits_for_its_person(
    away_from_the_worker: Client,
    open_starter: OpenStarter,
    start_worker: StartWorker,
) -> None:
    worker = start_worker()
    report = await start_report(away_from_the_worker, "bees")
    await waiting(report, draft=1)
    worker.kill()
    worker.wait()
    starter = open_starter("--workflow-id", report.id)
    starter.sees(re.compile("Waiting for the Worker… [0-2] s"))  # not since the report began
    starter.sees(NO_WORKER, timeout=10)
    start_worker()
    starter.sees("A Worker has picked it up.")
    starter.asked_to_decide()
    assert starter.text.count(NO_WORKER) == 1


async def test_another_worker_takes_over_before_a_killed_one_is_missed(
    away_from_the_worker: Client,
    open_starter: OpenStarter,
    start_worker: StartWorker,
) -> None:
    """The server hands a report's tasks to the Worker that knows it, until that one is silent."""
    killed = start_worker()
    starter = open_starter("bees")
    starter.asked_to_decide()
    start_worker()
    await asyncio.sleep(POLLED_LATELY.total_seconds())  # so that the other one seems to be idle
    killed.kill()
    killed.wait()
    starter.types("keep")
    starter.sees_result()
    assert NO_WORKER not in starter.text


@asynccontextmanager
async def versioned_worker(client: Client, version: str) -> AsyncIterator[WorkerDeploymentVersion]:
    deployment = WorkerDeploymentVersion("research", version)
    worker = Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[GenerateReportWorkflow],
        activities=[llm_call],
        deployment_config=WorkerDeploymentConfig(
            version=deployment,
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.PINNED,
        ),
    )
    async with worker:
        yield deployment


async def test_a_worker_whose_version_is_not_current_is_not_reported_as_missing(
    away_from_the_worker: Client, open_starter: OpenStarter
) -> None:
    client = away_from_the_worker
    async with versioned_worker(client, "v1"):
        starter = open_starter("bees")
        workflow_id = await asyncio.to_thread(starter.started)
        command = "set-current-version --deployment-name research --build-id v1"
        await asyncio.to_thread(starter.sees, command)
        assert NO_WORKER not in starter.text
        await make_current(client, "v1")
        await asyncio.to_thread(starter.asked_to_decide)
    async with versioned_worker(client, "v2"):
        starter = open_starter("--workflow-id", workflow_id)
        await asyncio.to_thread(starter.sees, "The report needs version v1 of research")
        assert NO_WORKER not in starter.text
        starter = open_starter("wasps")  # a new one needs the current version
        await asyncio.to_thread(starter.sees, "The report needs version v1 of research")
    assert NO_WORKER not in starter.text


async def make_current(client: Client, version: str) -> None:
    """Raises RPCError as long as the server does not know the version."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name="research", build_id=version
    )
    await client.workflow_service.set_worker_deployment_current_version(request)


@pytest.mark.parametrize(
    ("interval", "polls", "missing"),
    [(0.1, 20, False), (1, 5, False), (1, 6, True), (10, 4, False), (10, 5, True)],
)
def test_a_worker_is_missing_after_several_polls_over_several_seconds(
    interval: float, polls: int, missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The polls after a decision are too quick to tell, and those to a slow server too few."""
    untaken = DescribeWorkflowExecutionResponse()
    untaken.pending_workflow_task.state = (
        PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
    )
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    watched = progress.Progress()
    for number in range(polls):
        clock.now = number * interval
        watched.update(untaken)
    assert watched.worker_is_missing == missing


async def test_a_worker_that_polls_is_not_missing_however_long_a_task_waits(
    away_from_the_worker: Client,
) -> None:
    """Its queue may be long. Another program's Worker may poll, too."""
    client = away_from_the_worker
    report = await start_report(client, "bees")
    info = (await describe_report(client, report.id)).workflow_execution_info
    assert await explain_missing_worker(client, info) == NO_WORKER
    async with worker_here(client, task_queue=TASK_QUEUE):
        await eventually(lambda: asks_for_no_worker(client, info))


async def asks_for_no_worker(client: Client, info: WorkflowExecutionInfo) -> bool:
    return await explain_missing_worker(client, info) == ""


def test_a_paused_report_does_not_hide_that_its_worker_is_missing() -> None:
    untaken = DescribeWorkflowExecutionResponse()
    untaken.pending_workflow_task.state = (
        PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
    )
    paused = DescribeWorkflowExecutionResponse()
    paused.workflow_execution_info.status = WorkflowExecutionStatus.Value(
        "WORKFLOW_EXECUTION_STATUS_PAUSED"
    )
    watched = progress.Progress()
    for description in (*[untaken] * 5, paused):
        watched.update(description)
    assert watched.task_is_untaken


def test_a_lost_heartbeat_is_not_blamed_on_the_worker() -> None:
    """The server may have been away, not the Worker."""
    description = DescribeWorkflowExecutionResponse()
    activity = description.pending_activities.add()
    activity.activity_type.name = "llm_call"
    activity.attempt = 2
    lost = activity.last_failure.timeout_failure_info
    lost.timeout_type = TimeoutType.TIMEOUT_TYPE_HEARTBEAT
    watched = progress.Progress()
    watched.update(description)
    assert watched.line() == ("Researching… 0 s (attempt 2, the last attempt lost contact)")


@pytest.mark.usefixtures("away_from_the_worker")
async def test_a_query_waits_for_a_worker_that_is_busy(
    open_starter: OpenStarter, start_worker: StartWorker
) -> None:
    worker = start_worker()
    starter = open_starter("bees")
    starter.asked_to_decide()
    worker.send_signal(signal.SIGSTOP)
    starter.types("query")
    await asyncio.sleep(5)
    worker.send_signal(signal.SIGCONT)
    starter.sees("Research Result:")
    starter.sees("Your instructions")
    assert NO_WORKER not in starter.text


def test_without_a_server_the_starter_names_its_address_and_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unused_port = free_port()
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{unused_port}")
    started = time.monotonic()
    done = piped("bees\n")
    assert time.monotonic() - started < 30
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        rf"Temporal is not reachable at 127\.0\.0\.1:{unused_port} \(.+\)\. "
        r"Start it with: temporal server start-dev --db-filename temporal\.db\n",
        done.stderr,
    )


async def test_a_server_that_goes_away_and_comes_back_loses_nothing(
    own_server: OwnServer, open_starter: OpenStarter, start_worker: StartWorker
) -> None:
    await own_server.start()
    start_worker()
    starter = open_starter()
    workflow_id = starter.begin()
    starter.begins_to_decide("kee")
    own_server.kill()
    starter.sees(f"Temporal is not reachable at {own_server.address}; trying again")
    starter.line_is("Your decision (query/keep/edit): kee")
    starter.types("p")
    starter.watch_for(2)
    assert "Signal sent" not in starter.text
    client = await own_server.start()
    starter.sees("Temporal is reachable again")
    starter.sees("Signal sent to keep research and create PDF")
    starter.sees_result()
    assert starter.ends() == 0
    [kept] = await decisions_on(report_of(client, workflow_id))
    assert kept.decision == UserDecision.KEEP
    assert starter.text.count("Temporal is not reachable") == 1


async def test_a_report_whose_worker_has_long_gone_is_not_listed_as_failing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server answers a Query with an error if no Worker polled for 20 seconds, here for one."""
    port, window = free_port(), 'matching.queryPollerUnavailableWindow="1s"'
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{port}")
    options = [f"--dynamic-config-value={window}"]
    async with await start_server(tmp_path / "log", port, extra_args=options) as environment:
        async with worker_here(environment.client, llm_call, task_queue=TASK_QUEUE):
            report = await start_report(environment.client, "bees")
            await waiting(report, draft=1)
        await asyncio.sleep(2)
        with pytest.raises(RPCError, match="no poller seen"):
            await draft_of(report)
        done = await asyncio.to_thread(piped, "", "--list")
    assert done.returncode == 0
    assert done.stdout.endswith("\t?\t?\n")


async def test_ctrl_c_ends_the_starter_while_the_server_is_away(
    own_server: OwnServer, open_starter: OpenStarter
) -> None:
    await own_server.start()
    starter = open_starter("bees")
    starter.started()
    own_server.kill()
    starter.sees("Temporal is not reachable")
    starter.presses("\x03")
    starter.sees(KEPT)
    assert starter.ends() == 130

"""What the tests share: a Worker to start, and a report's Signals, Queries and Event History."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import psutil
from loopback_llm import LoopbackLLM
from machine import PROJECT
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryRejectedError,
)
from temporalio.common import QueryRejectCondition, RawValue
from temporalio.converter import default as default_converter
from temporalio.exceptions import ApplicationError
from temporalio.service import GrpcCompression
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from beyond.payloads import DATA_CONVERTER
from beyond.server.dev_server import UI_PORT_OFFSET, start_server
from models import (
    TASK_QUEUE,
    WORKFLOW_ID_PREFIX,
    GenerateReportInput,
    Phase,
    ReportStatus,
    UserDecision,
    UserDecisionSignal,
)
from workflow import GenerateReportWorkflow

StartedReport = WorkflowHandle[GenerateReportWorkflow, str]

KEY = "sk-loopback-secret"
RESULT = "Successfully created research report PDF: research_pdf.pdf"
# Seconds that anything may take on a slow machine. Shorter than pytest's limit for a test, which
# cannot say what was missing.
PATIENCE = 90
RECORDED_LIMIT = 5  # Signals and Activities, so that the history of a long report is short


# A report continues as new after this many Signals and Activities.
CONTINUE_SOON = "from beyond import event_history as h; h.CONTINUE_AFTER = {}"
# Temporal notices in 8 seconds, not in 20, that a Worker is away.
NOTICE_SOON = (
    "from beyond import heartbeats as h; "
    "h.HEARTBEAT_INTERVAL, h.HEARTBEAT_TIMEOUT = (h.timedelta(seconds=n) for n in (2, 8))"
)


class WorkerProcess(subprocess.Popen[bytes]):
    """worker.py as a person starts it. `log` has its output.

    `first` is Python that runs before, such as `CONTINUE_SOON`.
    """

    def __init__(self, folder: Path, project: Path = PROJECT, *, first: str = "") -> None:
        self.log_file = folder / f"worker-{uuid4()}.log"
        command = [sys.executable, str(project / "worker.py")]
        if first:
            start = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); {first}; import worker"
            command = [sys.executable, "-c", f"{start}; worker.main()"]
        with self.log_file.open("wb") as output:
            super().__init__(command, stdout=output, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_until_polling(self) -> "WorkerProcess":
        deadline = time.monotonic() + PATIENCE
        while "Worker is polling" not in self.log:
            assert self.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)
        return self


StartWorker = Callable[..., WorkerProcess]
Answer = Callable[[socket.socket], object]
Serve = Callable[..., int]


class OwnServer:
    """A server for one test, which can kill it and start it again with its database."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.started: list[WorkflowEnvironment] = []
        self._database, self._log = folder / "temporal.db", folder / "server.log"

    async def start(self) -> Client:
        self.started.append(await start_server(self._log, self.port, self._database))
        return self.started[-1].client

    def kill(self) -> None:
        """Kills the server, and waits until its process has ended."""
        [server] = [
            process
            for process in psutil.Process().children(recursive=True)
            if f"--port {self.port} " in f"{' '.join(process.cmdline())} "
        ]
        server.kill()
        while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.05)


async def client_of(other: Client, namespace: str = "default") -> Client:
    """Returns a Client for the server of `other` that connects as our programs do, uncompressed."""
    address = other.service_client.config.target_host
    return await Client.connect(address, namespace=namespace, grpc_compression=GrpcCompression.NONE)


@activity.defn(dynamic=True)
async def unknown_activity(_: Sequence[RawValue]) -> NoReturn:
    """Fails a report that calls an Activity which the test's Worker lacks, and names it."""
    asked_for = activity.info()
    reason = f"the test's Worker does not know the Activity {asked_for.activity_type}"
    assert asked_for.workflow_id
    await activity.client().get_workflow_handle(asked_for.workflow_id).terminate(reason=reason)
    raise ApplicationError(reason, non_retryable=True)


@asynccontextmanager
async def worker_here(
    client: Client,
    *functions: Callable[..., Any],
    task_queue: str = "",
    activities_at_once: int = 4,
) -> AsyncIterator[str]:
    """Yields a Task Queue with a Worker in this process, which has imported LiteLLM before.

    Without `functions`, the Worker polls for no Activities. With some, any other Activity fails.
    """
    with ThreadPoolExecutor(activities_at_once) as threads:
        worker = Worker(
            Client(
                client.service_client, namespace=client.namespace, data_converter=DATA_CONVERTER
            ),
            task_queue=task_queue or str(uuid4()),
            workflows=[GenerateReportWorkflow],
            activities=[*functions, unknown_activity] if functions else [],
            activity_executor=threads,
            max_concurrent_activities=activities_at_once,
            max_heartbeat_throttle_interval=timedelta(seconds=1),
        )
        async with worker:
            yield worker.task_queue


async def start_report(client: Client, topic: str, task_queue: str = TASK_QUEUE) -> StartedReport:
    return await client.start_workflow(
        GenerateReportWorkflow.run,
        GenerateReportInput(topic),
        id=f"{WORKFLOW_ID_PREFIX}{uuid4()}",
        task_queue=task_queue,
    )


async def begin_call(
    client: Client, llm: LoopbackLLM, topic: str, task_queue: str = TASK_QUEUE
) -> StartedReport:
    """Starts a report, and waits for its call, which lasts until `llm.go_on` is set."""
    llm.go_on.clear()
    report = await start_report(client, topic, task_queue)
    await eventually(lambda: llm.in_flight == 1)
    return report


def report_of(client: Client, workflow_id: str) -> StartedReport:
    return client.get_workflow_handle_for(GenerateReportWorkflow.run, workflow_id)


async def keep(report: StartedReport, draft: int = 0) -> None:
    decision = UserDecisionSignal(UserDecision.KEEP, draft=draft)
    await report.signal(GenerateReportWorkflow.user_decision_signal, decision)


async def edit(report: StartedReport, instruction: str = "", draft: int = 0) -> None:
    decision = UserDecisionSignal(UserDecision.EDIT, instruction, draft)
    await report.signal(GenerateReportWorkflow.user_decision_signal, decision)


async def undo(report: StartedReport, draft: int = 0) -> None:
    decision = UserDecisionSignal(UserDecision.UNDO, draft=draft)
    await report.signal(GenerateReportWorkflow.user_decision_signal, decision)


async def correct(report: StartedReport, text: str, draft: int = 0) -> None:
    decision = UserDecisionSignal(UserDecision.CORRECT, draft=draft, text=text)
    await report.signal(GenerateReportWorkflow.user_decision_signal, decision)


async def stop(report: StartedReport) -> None:
    decision = UserDecisionSignal(UserDecision.STOP)
    await report.signal(GenerateReportWorkflow.user_decision_signal, decision)


async def draft_of(report: StartedReport) -> str:
    return await report.query(GenerateReportWorkflow.get_research_result)


async def status_when(
    report: StartedReport, wanted: Callable[[ReportStatus], bool]
) -> ReportStatus:
    """Waits for a status that is as wanted, and returns it. Fails if the report was terminated."""
    status, answered = None, time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    status = await report.query(
                        GenerateReportWorkflow.get_report_status,
                        reject_condition=QueryRejectCondition.NOT_COMPLETED_CLEANLY,
                    )
                except WorkflowQueryRejectedError as error:
                    if error.status == WorkflowExecutionStatus.CONTINUED_AS_NEW:  # just now
                        continue
                    await report.result()
                    raise
                if wanted(status):
                    return status
                answered = time.monotonic()
                await asyncio.sleep(0.1)
    except TimeoutError:
        ago = time.monotonic() - answered
        last = f"The last status, {ago:.1f} s ago, was {status}."
        raise AssertionError(f"{last}\n{await where_it_stands(report)}") from None


async def waiting(report: StartedReport, draft: int) -> ReportStatus:
    """Waits until the report waits for a decision on that draft, and returns its status."""
    return await status_when(report, lambda s: s.phase == Phase.WAITING and s.draft == draft)


async def listed(client: Client, number: int) -> None:
    """Waits until the server lists so many open reports."""

    async def all_listed() -> bool:
        return (await client.count_workflows("ExecutionStatus = 'Running'")).count == number

    await eventually(all_listed)


async def is_running(report: StartedReport) -> bool:
    return (await report.describe()).status == WorkflowExecutionStatus.RUNNING


async def decisions_on(report: StartedReport) -> list[UserDecisionSignal]:
    """The payloads of the Signals in the Event History."""
    kind = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    signals = [
        event.workflow_execution_signaled_event_attributes.input.payloads
        for event in (await report.fetch_history()).events
        if event.event_type == kind
    ]
    decode = default_converter().decode
    return [(await decode(payloads, [UserDecisionSignal]))[0] for payloads in signals]


async def events_of(report: StartedReport, kind: "EventType.ValueType") -> list[HistoryEvent]:
    return [event for event in (await report.fetch_history()).events if event.event_type == kind]


async def attempts_of(report: StartedReport) -> list[int]:
    """The number of attempts of each of its Activities, in their order."""
    started = await events_of(report, EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED)
    return [event.activity_task_started_event_attributes.attempt for event in started]


async def reset(report: StartedReport, task: int = 0) -> None:
    """Resets the report to one of its Workflow Tasks, counted from 0; -1 is the last."""
    tasks = await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    client = report._client
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=report.id),
            workflow_task_finish_event_id=tasks[task].event_id,
            request_id=str(uuid4()),
        )
    )


async def where_it_stands(report: StartedReport) -> str:
    """What the server knows of a report, for the reader of a failed test."""
    raw = (await report.describe()).raw_description
    kinds = [
        EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        for event in (await report.fetch_history()).events
    ]
    pending = [*raw.pending_activities, raw.pending_workflow_task]
    told = " ".join(f"{one}".replace("\n", " ") for one in pending)
    run = raw.workflow_execution_info.execution.run_id
    last = ", ".join(kinds[-8:])
    return f"{report.id}, run {run}: {len(kinds)} events, the last {last}; pending: {told}"


async def metadata_of(report: StartedReport) -> WorkflowMetadata:
    """The metadata that the Web UI queries from a Workflow."""
    metadata: WorkflowMetadata = await report.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return metadata


def free_port() -> int:
    """A free port whose Web UI's port is free, too."""
    while True:
        with socket.socket() as probe, socket.socket() as ui:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            try:
                ui.bind(("127.0.0.1", port + UI_PORT_OFFSET))
            except (OSError, OverflowError):
                continue
            return port


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], progress: Callable[[], object] = lambda: None
) -> None:
    """Waits for the condition, up to PATIENCE after the last change of `progress`."""
    so_far, deadline = progress(), time.monotonic() + PATIENCE
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        if progress() != so_far:
            so_far, deadline = progress(), time.monotonic() + PATIENCE
        assert time.monotonic() < deadline, f"it does not hold; the progress so far: {so_far}"
        await asyncio.sleep(0.1)

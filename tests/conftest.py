"""A real Temporal dev server for each test process, real Workers, and a model on loopback."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from loopback_llm import LoopbackLLM
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

import activities
import connection
import local
from models import (
    TASK_QUEUE,
    WORKFLOW_ID_PREFIX,
    GenerateReportInput,
    LLMCallInput,
    PDFGenerationInput,
    Phase,
    ReportStatus,
    UserDecision,
    UserDecisionSignal,
)
from workflow import GenerateReportWorkflow

PROJECT = Path(__file__).parent.parent
KEY = "sk-loopback-secret"
RESULT = "Successfully created research report PDF: research_pdf.pdf"
SUGGEST_AT = 40  # events, at which `short_server` suggests continue-as-new
PATIENCE = 60  # seconds that anything may take on a slow machine before the test fails

EXIT_STATUS = pytest.StashKey[int]()

Report = WorkflowHandle[GenerateReportWorkflow, str]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Gets the Temporal CLI once, before several test processes want it, and where it is seen.

    The first run on a machine may have to build it, which takes minutes.
    """

    async def start_and_stop() -> None:
        async with await local.start_server():
            pass

    if not hasattr(session.config, "workerinput"):  # which only the test processes have
        asyncio.run(start_and_stop())


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WorkflowEnvironment]:
    folder = tmp_path_factory.mktemp("server")
    database, log = folder / "temporal.db", folder / "server.log"
    async with await local.start_server(database=database, log=log) as environment:
        yield environment


@pytest.fixture(scope="session")
async def short_server() -> AsyncIterator[Client]:
    """A server that wants short histories."""
    setting = f"limit.historyCount.suggestContinueAsNew={SUGGEST_AT}"
    options = ["--dynamic-config-value", setting]
    async with await local.start_server(extra_args=options) as environment:
        yield environment.client


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The developer's own settings reach no test, and no test writes into the project."""
    for name in os.environ:
        if name.startswith(("TEMPORAL_", "LLM_", "REPORTS_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "no-temporal.toml"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def client(
    server: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """A Client of the test server, which the processes of the test use, too."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.client.service_client.config.target_host)
    yield server.client
    async for report in server.client.list_workflows("ExecutionStatus = 'Running'"):
        try:
            await server.client.get_workflow_handle(report.id).terminate("the test is over")
        except RPCError:  # it has ended meanwhile
            continue


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackLLM]:
    with LoopbackLLM() as model:
        monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
        monkeypatch.setenv("LLM_API_KEY", KEY)
        yield model


class WorkerProcess(subprocess.Popen[bytes]):
    """worker.py as a person starts it; its output is in `log`."""

    def __init__(self, folder: Path) -> None:
        self.log_file = folder / f"worker-{uuid4()}.log"
        with self.log_file.open("wb") as output:
            command = [sys.executable, str(PROJECT / "worker.py")]
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


@pytest.fixture
def start_worker(client: Client, tmp_path: Path) -> Iterator[Callable[[], WorkerProcess]]:
    """Call it for each Worker that the test wants; all are killed at its end."""
    workers: list[WorkerProcess] = []

    def start() -> WorkerProcess:
        workers.append(WorkerProcess(tmp_path))
        return workers[-1].wait_until_polling()

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


@asynccontextmanager
async def worker_here(client: Client, *functions: Callable[..., Any]) -> AsyncIterator[str]:
    """Yields a Task Queue with a Worker in this process, which has imported LiteLLM before."""
    with ThreadPoolExecutor(4) as threads:
        worker = Worker(
            client,
            task_queue=str(uuid4()),
            workflows=[GenerateReportWorkflow],
            activities=functions,
            activity_executor=threads,
            max_concurrent_activities=4,
            max_heartbeat_throttle_interval=timedelta(seconds=1),
        )
        async with worker:
            yield worker.task_queue


@pytest.fixture
async def task_queue(client: Client, llm: LoopbackLLM) -> AsyncIterator[str]:
    """A Task Queue with the real Activities."""
    async with worker_here(client, activities.llm_call, activities.create_pdf) as queue:
        yield queue


class StandIns:
    """Activities that answer at once, with no more than the tutorial's payloads.

    `outcomes` are drafts and failures for the next calls; after them, drafts are numbered.
    `pdf_failures` are for the next PDFs.
    """

    def __init__(self) -> None:
        self.calls: list[LLMCallInput] = []
        self.pdfs: list[PDFGenerationInput] = []
        self.outcomes: deque[str | Exception] = deque()
        self.pdf_failures: deque[Exception] = deque()
        self.go_on = asyncio.Event()  # clear it, and calls last until it is set again
        self.go_on.set()
        self.task_queue = ""

    @activity.defn
    async def llm_call(self, input: LLMCallInput) -> dict[str, Any]:
        self.calls.append(input)
        while not self.go_on.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.02)
        outcome = self.outcomes.popleft() if self.outcomes else f"Text {len(self.calls)}"
        if isinstance(outcome, Exception):
            raise outcome
        return {"choices": [{"message": {"content": outcome}}]}

    @activity.defn
    async def create_pdf(self, input: PDFGenerationInput) -> str:
        self.pdfs.append(input)
        if self.pdf_failures:
            raise self.pdf_failures.popleft()
        return input.filename


@asynccontextmanager
async def stand_ins_of(client: Client) -> AsyncIterator[StandIns]:
    functions = StandIns()
    async with worker_here(client, functions.llm_call, functions.create_pdf) as queue:
        functions.task_queue = queue
        yield functions


@pytest.fixture
async def stand_ins(client: Client) -> AsyncIterator[StandIns]:
    """For tests of the Workflow alone: a Task Queue with its Worker and these Activities."""
    async with stand_ins_of(client) as functions:
        yield functions


async def start_report(client: Client, topic: str, task_queue: str = TASK_QUEUE) -> Report:
    return await client.start_workflow(
        GenerateReportWorkflow.run,
        GenerateReportInput(topic),
        id=f"{WORKFLOW_ID_PREFIX}{uuid4()}",
        task_queue=task_queue,
    )


async def keep(report: Report, draft: int = 0) -> None:
    decision = UserDecisionSignal(UserDecision.KEEP, draft=draft)
    await report.signal(GenerateReportWorkflow.user_decision_signal, decision)


async def edit(report: Report, instruction: str = "", draft: int = 0) -> None:
    decision = UserDecisionSignal(UserDecision.EDIT, instruction, draft)
    await report.signal(GenerateReportWorkflow.user_decision_signal, decision)


async def draft_of(report: Report) -> str:
    return await report.query(GenerateReportWorkflow.get_research_result)


async def status_when(report: Report, wanted: Callable[[ReportStatus], bool]) -> ReportStatus:
    """The first status that is as wanted."""
    deadline = time.monotonic() + PATIENCE
    while True:
        status = await report.query(GenerateReportWorkflow.get_report_status)
        if wanted(status):
            return status
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.1)


async def waiting(report: Report, draft: int) -> ReportStatus:
    """The status when the report waits for a decision on that draft."""
    return await status_when(report, lambda s: s.phase == Phase.WAITING and s.draft == draft)


def free_port() -> int:
    """A port that is free together with the one of its Web UI."""
    while True:
        with socket.socket() as probe, socket.socket() as ui:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            try:
                ui.bind(("127.0.0.1", port + local.UI_PORT_OFFSET))
            except (OSError, OverflowError):
                continue
            return port


async def eventually(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[EXIT_STATUS] = exitstatus


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends as the app's processes do: the SDK's threads can crash the interpreter's teardown."""
    if EXIT_STATUS in config.stash:
        connection.exit_process(int(config.stash[EXIT_STATUS]))

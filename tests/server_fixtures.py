"""A real Temporal dev server for each test process, real Workers, and a model on loopback."""

import fcntl
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from loopback_llm import LoopbackLLM
from machine import PROJECT
from stand_ins import StandIns, stand_ins_of
from starters import Begin, OpenLocal, OpenStarter, Starter, left_behind
from support import (
    KEY,
    Answer,
    OwnServer,
    Serve,
    StartedReport,
    StartWorker,
    WorkerProcess,
    client_of,
    eventually,
    free_port,
    report_of,
    start_report,
    waiting,
    where_it_stands,
    worker_here,
)
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

import activities
from beyond.server.dev_server import start_server

# The namespace of the Worker that tests share. In the default namespace, tests start their own.
SHARED = "with-a-worker"


@pytest.fixture(scope="session", autouse=True)
async def temporal_cli(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Gets the Temporal CLI while the other test processes wait: a build takes minutes, once.

    Autouse, because `starter.py --local` would build it, too.
    """
    with (tmp_path_factory.getbasetemp().parent / "temporal-cli.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shutil.which("temporal"):
            async with await start_server(tmp_path_factory.mktemp("cli") / "server.log"):
                pass


@pytest.fixture(scope="session")
async def server(
    temporal_cli: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    """Keeps reports in memory, which is several times as fast as a file, for half the CPU."""
    log = tmp_path_factory.mktemp("server") / "server.log"
    async with await start_server(log, extra_args=["--namespace", SHARED]) as environment:
        yield await client_of(environment.client)


@pytest.fixture(autouse=True)
def forget_gateways_without_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beyond.llm.streams._failed_streams", {})


@pytest.fixture(scope="session")
async def shared_client(server: Client) -> Client:
    """A Client of the namespace where the shared Worker polls."""
    return await client_of(server, SHARED)


@pytest.fixture
def client_of_the_test(request: pytest.FixtureRequest, server: Client) -> Client:
    if "worker" not in request.fixturenames:
        return server
    shared: Client = request.getfixturevalue("shared_client")
    return shared


@pytest.fixture
async def client(
    client_of_the_test: Client, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """A Client of the test server, which the processes of the test use, too.

    With the fixture `worker`, it uses the namespace of the shared Worker. A failed test prints the
    state of its open reports.
    """
    client = client_of_the_test
    monkeypatch.setenv("TEMPORAL_ADDRESS", client.service_client.config.target_host)
    if client.namespace == SHARED:
        monkeypatch.setenv("TEMPORAL_NAMESPACE", SHARED)
    yield client
    async for open_one in client.list_workflows("ExecutionStatus = 'Running'"):
        report = report_of(client, open_one.id)
        try:
            told = await where_it_stands(report)
            request.node.add_report_section("teardown", "an open report", told)
            await report.terminate("the test is over")
        except RPCError:  # it has ended meanwhile
            continue


@pytest.fixture
async def own_server(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OwnServer]:
    """A server to start. The processes of the test then use it instead of the shared one."""
    own = OwnServer(tmp_path)
    monkeypatch.setenv("TEMPORAL_ADDRESS", own.address)
    yield own
    for environment in own.started:
        await environment.shutdown()


@pytest.fixture
async def away_from_the_worker(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """A Client of a separate namespace, where no Worker polls."""
    name = f"test-{uuid4()}"
    request = RegisterNamespaceRequest(namespace=name)
    request.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
    await client.workflow_service.register_namespace(request)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", name)
    own = await client_of(client, name)

    async def usable() -> bool:
        try:
            await own.count_workflows()
        except RPCError:
            return False
        return True

    await eventually(usable)
    yield own


@pytest.fixture(scope="session")
def model() -> Iterator[LoopbackLLM]:
    with LoopbackLLM() as model:
        yield model


@pytest.fixture
def llm(
    model: LoopbackLLM, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LoopbackLLM]:
    """The model of the test process, reset for each test."""
    model.reset()
    model.start()  # after a test that stopped it
    monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
    monkeypatch.setenv("LLM_API_KEY", KEY)
    yield model
    request.node.add_report_section("teardown", "the model", str(model))
    model.go_on.set()


@pytest.fixture
def start_worker(
    client: Client, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[StartWorker]:
    """A function that starts a Worker. All of them are killed at the end of the test."""
    workers: list[WorkerProcess] = []

    def start(project: Path = PROJECT, *, first: str = "") -> WorkerProcess:
        workers.append(WorkerProcess(tmp_path, project, first=first))
        return workers[-1].wait_until_polling()

    yield start
    for worker in workers:
        request.node.add_report_section("teardown", "a Worker", worker.log[-2000:])
        worker.kill()
        worker.wait()


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the shared Worker's reports."""
    return tmp_path_factory.mktemp("worker") / "disk" / "reports"


@pytest.fixture(scope="session")
async def shared_worker(
    shared_client: Client, model: LoopbackLLM, reports: Path
) -> AsyncIterator[WorkerProcess]:
    """One Worker for the test process, because LiteLLM takes seconds to import.

    The import may take more than a minute on a busy machine, so no test's limit includes it.
    """
    folder = reports.parent.parent
    settings = {
        "TEMPORAL_ADDRESS": shared_client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": shared_client.namespace,
        "TEMPORAL_CONFIG_FILE": str(folder / "no-temporal.toml"),
        "LLM_MODEL": "openai/gpt-4o",
        "LLM_API_KEY": KEY,
        "OPENAI_BASE_URL": model.base_url,
        "REPORTS_DIR": str(reports),
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        environment.chdir(folder)
        worker = WorkerProcess(folder)
    worker.wait_until_polling()
    model.reset()
    model.start()  # after a test that stopped it
    first = await start_report(shared_client, "the Worker imports LiteLLM")
    await waiting(first, draft=1)
    await first.terminate()
    yield worker
    worker.kill()
    worker.wait()


@pytest.fixture
def worker(
    client: Client,
    llm: LoopbackLLM,
    shared_worker: WorkerProcess,
    reports: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The shared Worker. The starter looks for PDFs in the folder where it writes them."""
    for old in reports.glob("*"):
        old.unlink()
    monkeypatch.setenv("REPORTS_DIR", str(reports))


@pytest.fixture
async def task_queue(client: Client, llm: LoopbackLLM) -> AsyncIterator[str]:
    """A Task Queue with the real Activities."""
    async with worker_here(client, activities.llm_call, activities.create_pdf) as queue:
        yield queue


@pytest.fixture
async def stand_ins(client: Client) -> AsyncIterator[StandIns]:
    """The Activities of a Worker for tests of the Workflow alone, with its Task Queue."""
    async with stand_ins_of(client) as functions:
        yield functions


@pytest.fixture
async def first_draft(client: Client, stand_ins: StandIns) -> StartedReport:
    """A report about bees whose first draft waits for a decision."""
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    return report


@pytest.fixture
def open_starter() -> Iterator[OpenStarter]:
    """A function that runs starter.py. Starters that still run at the end are killed."""
    starters: list[Starter] = []

    def start(*arguments: str, columns: int = 200) -> Starter:
        starters.append(Starter(*arguments, columns=columns))
        return starters[-1]

    yield start
    for starter in starters:
        starter.close()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Sets an address for the test's server: a free port whose Web UI's port is free, too."""
    port = free_port()
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{port}")
    return port


@pytest.fixture
def open_local(tmp_path: Path) -> Iterator[OpenLocal]:
    """Call it with further arguments of `starter.py --local`, which runs in `tmp_path`."""
    starters: list[Starter] = []

    def start(*arguments: str) -> Starter:
        starters.append(Starter("--local", *arguments))
        return starters[-1]

    yield start
    for starter in starters:
        starter.close()
    for process in left_behind(tmp_path):
        process.kill()
        process.wait()


@pytest.fixture
def begin(client: Client, open_starter: OpenStarter) -> Begin:
    """A function that starts a report about bees. Returns the starter and the report."""

    def start() -> tuple[Starter, StartedReport]:
        starter = open_starter()
        return starter, report_of(client, starter.begin())

    return start


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Call it with what is done to each connection, and for TLS with its context; has the port."""
    listeners: list[socket.socket] = []

    def accept(listener: socket.socket, answer: Answer, context: ssl.SSLContext | None) -> None:
        while True:
            try:
                connection, _ = listener.accept()
                with context.wrap_socket(connection, True) if context else connection as stream:
                    answer(stream)
            except OSError:
                if listener.fileno() < 0:
                    return

    def start(answer: Answer, context: ssl.SSLContext | None = None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=accept, args=[listener, answer, context], daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, and that of its authority, which no machine trusts."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "extensions").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority "
        "-addext subjectAltName=DNS:localhost",
        "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem "
        "-extfile extensions",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder

"""worker.py as a person starts it: settings, connection, shutdown."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from loopback_llm import LoopbackLLM, Reply
from machine import PROJECT
from support import (
    PATIENCE,
    RESULT,
    StartWorker,
    WorkerProcess,
    begin_call,
    events_of,
    eventually,
    keep,
    start_report,
    waiting,
)
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.service import GrpcCompression

from beyond.server import connection
from models import TASK_QUEUE, GenerateReportInput
from workflow import GenerateReportWorkflow

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
STOPPING = "Stopping when the calls in progress are done"


def run_worker() -> subprocess.CompletedProcess[str]:
    """Runs a Worker that refuses to start, until it exits."""
    command = [sys.executable, str(PROJECT / "worker.py")]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


async def ended(worker: WorkerProcess) -> int:
    await eventually(lambda: worker.poll() is not None)
    return worker.returncode


# Settings.


async def test_a_report_waits_for_a_worker_with_the_settings_of_dot_env(
    client: Client,
    llm: LoopbackLLM,
    start_worker: StartWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Worker prints what is wrong with the key, and nothing else, before it polls."""
    monkeypatch.delenv("LLM_API_KEY")
    monkeypatch.setenv("LLM_MODEL", "openai/from-the-environment")
    report = await start_report(client, "bees")
    worker = WorkerProcess(tmp_path)
    assert await ended(worker) == 1
    [line] = worker.log.splitlines()
    assert line.startswith("LLM_API_KEY (or OPENAI_API_KEY) is not set")
    assert line.endswith("or set LLM_MODEL=offline/demo for a demo.")
    assert not llm.calls
    (tmp_path / ".env").write_text(
        "LLM_MODEL=offline/demo\nLLM_API_KEY=key-from-dot-env\nREPORTS_DIR=here\n"
    )
    start_worker()  # the environment wins
    assert (await waiting(report, draft=1)).error == ""
    await keep(report)
    assert await report.result() == RESULT
    assert [call.key for call in llm.calls] == ["Bearer key-from-dot-env"]
    assert (tmp_path / "here" / "research_pdf.pdf").exists()


def test_a_byte_order_mark_in_dot_env_is_ignored(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PAPER=legal\n", encoding="utf-8-sig")
    assert run_worker().stderr == "PAPER=legal is not a size of paper: write letter or a4\n"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "REPORTS_DIR",
            "/proc/nope",
            "No PDF can be written to /proc/nope: No such file or directory. "
            "Change to another folder, or name one in REPORTS_DIR.\n",
        ),
        (
            "TEMPORAL_ADDRESS",
            "127.0.0.1:1",
            "Temporal is not reachable at 127.0.0.1:1 (Connection refused). "
            "Start it with: temporal server start-dev --db-filename temporal.db\n",
        ),
        (
            "TEMPORAL_PROFILE",
            "nope",
            "The Temporal settings cannot be read: Profile 'nope' not found\n",
        ),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    worker = run_worker()
    assert (worker.stdout, worker.stderr, worker.returncode) == ("", told, 1)


# Connection.


@pytest.fixture
def connected_with(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments with which the app calls the SDK's `connect`."""
    options: dict[str, Any] = {}

    async def connect(**given: Any) -> None:
        options.update(given)

    monkeypatch.setattr(Client, "connect", connect)
    return options


async def test_without_settings_the_connection_is_the_tutorials(
    connected_with: dict[str, Any],
) -> None:
    await connection.connect()
    assert connected_with == {
        "target_host": "localhost:7233",
        "namespace": "default",
        "grpc_compression": GrpcCompression.NONE,
    }


async def test_address_namespace_and_api_key_reach_the_connection(
    connected_with: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "eu.example.com:7233")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "reports.a1b2c")
    monkeypatch.setenv("TEMPORAL_API_KEY", "temporal-key")
    await connection.connect()
    assert connected_with["target_host"] == "eu.example.com:7233"
    assert connected_with["namespace"] == "reports.a1b2c"
    assert connected_with["api_key"] == "temporal-key"
    assert "grpc_compression" not in connected_with  # the SDK's default is to compress
    assert connected_with.get("tls", True)  # the SDK's default with an API key


async def test_a_profile_of_temporal_toml_reaches_the_connection(
    connected_with: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / "temporal.toml"
    settings.write_text(
        '[profile.cloud]\naddress = "cloud.example.com:7233"\nnamespace = "reports"\n'
        'api_key = "temporal-key"\n[profile.cloud.tls]\nserver_name = "other.example.com"\n'
    )
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(settings))
    monkeypatch.setenv("TEMPORAL_PROFILE", "cloud")
    await connection.connect()
    tls = connected_with.pop("tls")
    assert tls.domain == "other.example.com"
    assert connected_with == {
        "target_host": "cloud.example.com:7233",
        "namespace": "reports",
        "api_key": "temporal-key",
    }


async def test_the_worker_says_what_it_polls(
    client: Client, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    address = client.service_client.config.target_host
    assert re.match(
        rf'{TIME} Worker is polling Task Queue "research" at {address} \(namespace default\)\. '
        r"Press Ctrl-C to stop\.\n",
        start_worker().log,
    )


def test_connecting_to_a_silent_server_times_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{silent.getsockname()[1]}")
        silent.settimeout(PATIENCE)
        worker = WorkerProcess(tmp_path)
        connected, _ = silent.accept()
        asked = time.monotonic()
        assert worker.wait(PATIENCE) == 1
        assert time.monotonic() - asked < 30
        connected.close()
    assert worker.log.endswith(
        "(no answer). Start it with: temporal server start-dev --db-filename temporal.db\n"
    )


def test_an_unknown_namespace_is_refused_without_a_traceback(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nope")
    worker = run_worker()
    assert worker.stderr.startswith("There is no namespace nope at ")
    assert "Traceback" not in worker.stderr
    assert worker.returncode == 1


# Shutdown.


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
async def test_a_stopped_worker_finishes_its_call(
    client: Client, llm: LoopbackLLM, start_worker: StartWorker, number: signal.Signals
) -> None:
    """The tutorial's Worker cancels its call, and the next Worker pays for it again."""
    worker = start_worker()
    report = await begin_call(client, llm, "bees")
    worker.send_signal(number)
    await eventually(lambda: STOPPING in worker.log)
    if number == signal.SIGHUP:
        worker.send_signal(number)  # both the shell and the system send one
    if number == signal.SIGTERM:
        with pytest.raises(subprocess.TimeoutExpired):
            # Longer than Temporal waits for a heartbeat: the Worker must still send them.
            await asyncio.to_thread(worker.wait, 12)
    llm.go_on.set()
    assert await ended(worker) == 0
    assert "Traceback" not in worker.log
    completed = await events_of(report, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    assert len(completed) == len(llm.calls) == 1


async def test_a_worker_that_is_stopped_twice_abandons_its_call(
    client: Client, llm: LoopbackLLM, start_worker: StartWorker
) -> None:
    worker = start_worker()
    await begin_call(client, llm, "bees")
    worker.terminate()
    await eventually(lambda: STOPPING in worker.log)
    worker.terminate()
    assert await ended(worker) == -signal.SIGTERM
    await eventually(lambda: llm.calls[-1].abandoned)


def test_a_worker_beside_a_starter_stops_when_its_standard_input_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    command = [sys.executable, str(PROJECT / "worker.py"), "--stop-with-stdin"]
    worker = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert re.search(rf"^{TIME} Stopping when", worker.stdout, re.MULTILINE)
    assert worker.returncode == 0


# The log.


async def test_the_log_has_one_line_for_each_report_call_and_pdf(
    client: Client, llm: LoopbackLLM, start_worker: StartWorker
) -> None:
    worker = start_worker()
    llm.replies.append(Reply(status=500, text="busy\nand more", headers={"retry-after": "1"}))
    report = await start_report(client, "bees")
    await waiting(report, draft=1)
    begun, failed, answered = [line.partition(": ")[2] for line in worker.log.splitlines()[1:]]
    assert begun == "The report begins."
    assert failed.startswith("llm_call, attempt 1: Completing activity as failed: InternalServer")
    assert re.fullmatch(
        r"llm_call, attempt 2: openai/gpt-4o answered in \d+\.\d s, \d+ tokens in, \d+ out",
        answered,
    )
    assert worker.log.count(report.id) == 3
    await keep(report)
    await report.result()
    await eventually(lambda: f"{report.id}: User approved the research." in worker.log)
    assert f"{report.id}: create_pdf, attempt 1: Wrote research_pdf.pdf\n" in worker.log


async def test_a_workflow_id_redraws_no_terminal_and_forges_no_line_of_the_log(
    client: Client, llm: LoopbackLLM, start_worker: StartWorker
) -> None:
    worker = start_worker()
    workflow_id = f"{uuid4()}\x1b]0;title\x07\nforged"
    report = await client.start_workflow(
        GenerateReportWorkflow.run,
        GenerateReportInput("bees"),
        id=workflow_id,
        task_queue=TASK_QUEUE,
    )
    await waiting(report, draft=1)
    assert "]0;title forged: The report begins.\n" in worker.log
    assert "\x1b" not in worker.log
    assert "\nforged" not in worker.log

"""Each change of docs/PRODUCTION.md, applied to a copy of the project that runs with it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from urllib.request import urlopen

import pytest
from machine import PROJECT
from support import PATIENCE, StartWorker, eventually, free_port, report_of
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from beyond.terminal.reports import describe_report

PAGE = (PROJECT / "docs" / "PRODUCTION.md").read_text()
PATCHES = PROJECT / "docs" / "patches"
DIALOGUE = "why do zebras hum?\nedit\nmention lions\nundo\nkeep\n"

Change = Callable[[str], Path]


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Change:
    """A function that applies what is below a heading of the page to a copy of the project."""
    monkeypatch.setenv("LLM_MODEL", "offline/demo")

    def apply(heading: str) -> Path:
        copy = tmp_path / "project"
        shutil.copytree(PROJECT / "beyond", copy / "beyond")
        for file in PROJECT.glob("*.py"):
            shutil.copy(file, copy)
        section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        for name, code in re.findall(r"`(\S+\.py)`:\n\n```python\n(.*?)```", section, re.S):
            (copy / name).write_text(code)
        for name in re.findall(r"`git apply docs/patches/(\S+)`", section):
            command = ["git", "apply", str(PATCHES / name)]
            subprocess.run(command, cwd=copy, check=True)
        return copy

    return apply


def run_starter(project: Path, typed: str, *arguments: str, code: int = 0) -> str:
    """Returns the starter's output or, if it should exit with code 1, its error."""
    command = [sys.executable, str(project / "starter.py"), *arguments]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert code or not done.stderr
    return done.stderr if code else done.stdout


def start_starter(project: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Returns the process and the ID of the report that it starts."""
    command = [sys.executable, str(project / "starter.py"), "why do zebras hum?"]
    starter = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert starter.stdout
    said = next(line for line in starter.stdout if b"Workflow ID" in line).decode()
    return starter, said.split("Workflow ID: ")[1].split(",")[0]


def test_production_md_shows_each_patch_as_it_is() -> None:
    shown = re.findall(r"```diff\n(.*?)```", PAGE, re.S)
    assert sorted(shown) == sorted(patch.read_text() for patch in PATCHES.glob("*.patch"))


@pytest.mark.parametrize(
    "order", [*permutations(sorted(path.name for path in PATCHES.glob("*.patch")))], ids=" ".join
)
def test_the_patches_apply_together_in_any_order(order: tuple[str], tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "beyond", tmp_path / "beyond")
    shutil.copy(PROJECT / "worker.py", tmp_path)
    for name in order:
        subprocess.run(["git", "apply", str(PATCHES / name)], cwd=tmp_path, check=True)


def test_the_program_of_production_md_gets_the_name_of_the_pdf(
    change: Change, start_worker: StartWorker, client: Client
) -> None:
    project = change("From your own program")
    program = project / "own_program.py"
    address = client.service_client.config.target_host
    program.write_text(program.read_text().replace("localhost:7233", address))
    start_worker(project)
    command = [sys.executable, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    # The SDK's threads can crash as the interpreter exits: see exit_process.
    assert "Traceback" not in done.stderr
    assert "# What makes tardigrades so tough?" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Successfully created research report PDF: ")


def test_the_metrics_of_production_md_are_served(change: Change, start_worker: StartWorker) -> None:
    project, port = change("Metrics"), free_port()
    worker = project / "worker.py"
    worker.write_text(worker.read_text().replace(":9464", f":{port}"))
    start_worker(project)
    run_starter(project, DIALOGUE)
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        metrics = answer.read().decode()
    for name in re.findall(r"`(temporal_\w+)`", PAGE):
        if not name.endswith("failed"):  # which shows after the first failure
            assert name in metrics


async def test_encryption_hides_topic_and_instructions_in_the_event_history(
    change: Change, start_worker: StartWorker, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYLOAD_KEY", "0123456789abcdef" * 4)
    project = change("Encryption")
    start_worker(project)
    said = run_starter(project, DIALOGUE)
    assert "Result: Successfully created" in said
    assert "mention lions" in said
    found = re.search(r"Workflow ID: (\S+),", said)
    assert found
    history = await report_of(client, found[1]).fetch_history()
    stored = b"".join(event.SerializeToString() for event in history.events)
    for clear in (b"zebras", b"lions", b"demo", b"research_pdf"):
        assert clear not in stored

    async def listed() -> bool:
        return "why do zebras hum?" in run_starter(project, "", "--list", "--ended")

    await eventually(listed)


def test_encryption_with_a_wrong_key_or_none_is_refused_in_one_sentence(
    change: Change, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = change("Encryption")
    monkeypatch.delenv("PAYLOAD_KEY", raising=False)
    none = run_starter(project, "", "--list", code=1)
    monkeypatch.setenv("PAYLOAD_KEY", "no key")
    assert run_starter(project, "", "--list", code=1) == none
    assert none.startswith("PAYLOAD_KEY holds no key")
    monkeypatch.setenv("PAYLOAD_KEY", "0123456789abcdef" * 4)
    start_worker(project)
    starter, workflow_id = start_starter(project)
    with starter:
        starter.kill()
    monkeypatch.setenv("PAYLOAD_KEY", "fedcba9876543210" * 4)
    assert run_starter(project, "", "--workflow-id", workflow_id, code=1) == (
        "What Temporal holds was encrypted with another key. Set that one in PAYLOAD_KEY.\n"
    )
    row = run_starter(project, "", "--list").splitlines()[1].split("\t")
    assert [row[column] for column in (0, 1, 3, 4)] == [workflow_id, "?", "?", "?"]


async def test_encryption_hides_the_draft_that_is_being_written(
    change: Change, start_worker: StartWorker, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYLOAD_KEY", "0123456789abcdef" * 4)
    project = change("Encryption")
    monkeypatch.setenv("LLM_MODEL", "offline/slow-demo")
    start_worker(project)
    starter, workflow_id = start_starter(project)
    seen: list[bytes] = []

    async def is_sent() -> bool:
        for activity in (await describe_report(client, workflow_id)).pending_activities:
            seen.extend(payload.data for payload in activity.heartbeat_details.payloads)
        return bool(seen)

    with starter:
        await eventually(is_sent)
        starter.kill()
    assert b"words" not in seen[0]


async def test_a_report_runs_on_the_version_that_is_current(
    change: Change, start_worker: StartWorker, away_from_the_worker: Client
) -> None:
    client = away_from_the_worker
    project = change("Worker Versioning")
    start_worker(project)
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace,
        deployment_name="research",
        build_id="v1",
        ignore_missing_task_queues=True,
    )

    async def is_current() -> bool:
        try:
            await client.workflow_service.set_worker_deployment_current_version(request)
        except RPCError:  # the server has not heard of the Worker yet
            return False
        return True

    await eventually(is_current)
    said = run_starter(project, DIALOGUE)
    assert "Result: Successfully created" in said
    found = re.search(r"Workflow ID: (\S+),", said)
    assert found
    info = (await report_of(client, found[1]).describe()).raw_description.workflow_execution_info
    assert info.versioning_info.deployment_version.build_id == "v1"

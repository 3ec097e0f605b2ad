"""The server of `--local`: started or joined, with a Temporal CLI from somewhere."""

import os
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM
from platformdirs import user_cache_path
from starters import STARTER, OpenLocal, data_in, left_behind, write_script
from support import free_port
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from beyond.data_dir import APP
from beyond.server import dev_server
from beyond.server.connection import TemporalUnreachableError

# The server.


def test_the_server_that_a_killed_starter_left_behind_runs_the_next_demo(
    port: int, open_local: OpenLocal
) -> None:
    """A killed starter's server goes on running if no terminal closes."""
    command = [sys.executable, STARTER, "--local", "bees"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as killed:
        assert killed.stdout
        said = next(line for line in killed.stdout if "Workflow ID" in line)
        killed.kill()
    again = open_local("--workflow-id", said.split("Workflow ID: ")[1].split(",")[0])
    again.sees("Joining the server at")
    again.keep()
    again.sees_result()
    assert again.ends() == 0


async def test_the_local_server_keeps_ended_reports_for_ten_years(
    port: int, open_local: OpenLocal
) -> None:
    starter = open_local()
    starter.asked("Enter your research topic or question:")
    client = await Client.connect(f"127.0.0.1:{port}")
    request = DescribeNamespaceRequest(namespace=client.namespace)
    config = (await client.workflow_service.describe_namespace(request)).config
    assert config.workflow_execution_retention_ttl.ToTimedelta() > timedelta(days=3650)


def test_a_second_starter_joins_the_server_of_the_first(
    port: int, open_local: OpenLocal, tmp_path: Path
) -> None:
    first = open_local("bees")
    first.sees("dev server is running")
    second = open_local()
    second.sees(f"Joining the server at 127.0.0.1:{port}. It does not stop with this starter.")
    second.asked("Enter your research topic or question:")
    first.asked_to_decide()
    for starter in (second, first):
        starter.leave()
    assert left_behind(tmp_path) == []


@pytest.fixture
def slow_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Temporal CLI that takes longer than the SDK's 5 s to start the server."""
    real = shutil.which("temporal") or user_cache_path(APP) / "temporal"
    write_script(tmp_path / "bin" / "temporal", f'sleep 6; exec "{real}" "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


@pytest.mark.usefixtures("slow_cli")
def test_local_waits_for_a_server_that_is_slow_to_start(
    port: int, open_local: OpenLocal, tmp_path: Path
) -> None:
    starter = open_local()
    starter.asked("Enter your research topic or question:")
    starter.leave()
    assert left_behind(tmp_path) == []


async def test_a_server_that_does_not_start_is_reported_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev_server, "QUICK_START", timedelta(seconds=1))
    monkeypatch.setattr(dev_server, "START_TIMEOUT", timedelta(seconds=2))
    cli = write_script(tmp_path / "bin" / "temporal", "echo the reason; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    log = tmp_path / "server.log"
    log.write_text("of yesterday\n")
    with pytest.raises(TemporalUnreachableError) as error:
        await dev_server.start_server(log)
    told = f"Temporal's dev server did not start: the reason. The Temporal CLI is {cli}"
    assert str(error.value) == f"{told}, its log {log}."
    assert capfd.readouterr().out == (  # long before that
        "Temporal's dev server has not started yet: the reason. Waiting up to 2 s.\n"
    )
    assert log.read_text() == "of yesterday\nthe reason\n"
    cli.write_text("no program")
    with pytest.raises(TemporalUnreachableError, match="did not start: Exec format error"):
        await dev_server.start_server(log)


async def test_somebody_elses_server_gets_no_demo_until_it_is_asked_for(
    client: Client, open_local: OpenLocal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = open_local()
    starter.sees("No model is configured, so --local starts no Worker for this server.")
    setting = starter.sees(re.compile(r"If none runs, set (LLM_MODEL) \((\S+) for canned text\)"))
    starter.asked("Enter your research topic or question:")
    assert left_behind(tmp_path) == []
    monkeypatch.setenv(setting[1], setting[2])
    starter = open_local("bees")
    starter.sees("Offline demo.")


@pytest.mark.parametrize("offset", [0, dev_server.UI_PORT_OFFSET], ids=["server", "Web UI"])
def test_a_taken_port_is_reported_with_the_cure(
    offset: int, open_local: OpenLocal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    taken = port + offset
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{port}")
    with LoopbackLLM(taken):
        starter = open_local()
        starter.sees(f"Port {taken} is taken. Waiting in case a server is starting there.")
        assert starter.ends() == 1
    assert starter.errors == (
        f"Port {taken} is taken by another program. Stop that program, or choose "
        "another port with TEMPORAL_ADDRESS=localhost:PORT.\n"
    )
    assert left_behind(tmp_path) == []


async def test_a_server_that_answers_is_used_and_not_stopped(
    client: Client, open_local: OpenLocal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    starter = open_local("bees")
    workflow_id = starter.started()
    starter.keep()
    starter.sees_result()
    assert starter.ends() == 0
    assert "dev server is running" not in starter.text
    assert left_behind(tmp_path) == []
    assert list(data_in(tmp_path).glob("*.db")) == []
    assert (await client.get_workflow_handle(workflow_id).describe()).close_time


# The Temporal CLI.


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, on a machine with nothing on PATH and no way to the internet."""
    for name in ("XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    return user_cache_path("durable-research-reports", ensure_exists=True)


@pytest.fixture
def started_with(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The CLIs that the SDK was told to start; None is its own download, which fails."""
    paths: list[str | None] = []

    async def start_local(*, dev_server_existing_path: str | None, **_: object) -> str:
        paths.append(dev_server_existing_path)
        if not dev_server_existing_path:
            raise RuntimeError("no way to the internet")
        return "a server"

    monkeypatch.setattr(WorkflowEnvironment, "start_local", start_local)
    return paths


unix_only = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@unix_only
async def test_the_temporal_cli_on_path_takes_precedence_over_the_cache(
    cache: Path, tmp_path: Path, started_with: list[str | None]
) -> None:
    in_cache = write_script(cache / "temporal", "")
    await dev_server.start_server(tmp_path / "server.log")
    on_path = write_script(tmp_path / "bin" / "temporal", "")
    await dev_server.start_server(tmp_path / "server.log")
    assert started_with == [str(in_cache), str(on_path)]


@unix_only
async def test_without_a_download_the_temporal_cli_is_built_with_go(
    cache: Path,
    tmp_path: Path,
    started_with: list[str | None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    build = 'echo "$@" > "$GOBIN/arguments"; echo progress >&2; mkdir -p "$GOCACHE" "$GOMODCACHE"; '
    build += 'echo "$GOCACHE $GOMODCACHE" > "$GOBIN/caches"; '
    build += 'PATH=/bin:/usr/bin cp "$0" "$GOBIN/temporal"'
    write_script(tmp_path / "bin" / "go", build)
    await dev_server.start_server(tmp_path / "server.log")
    assert started_with == [None, str(cache / "temporal")]
    assert (cache / "arguments").read_text() == f"install {dev_server.CLI_SOURCE}\n"
    said = capfd.readouterr()
    assert "4 GB of disk" in said.out
    assert said.out.startswith("Building the Temporal CLI with Go, once, into ")
    assert said.err == ""
    caches = (cache / "caches").read_text().split()
    assert len(caches) == 2
    assert not any(map(os.path.exists, caches))


async def test_without_any_temporal_cli_one_error_names_each_way(
    cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(TemporalUnreachableError) as raised:
        await dev_server.start_server(tmp_path / "server.log")
    message = str(raised.value)
    for way in ("none on PATH", f"none in {cache}", "no download (", "no build with Go"):
        assert way in message
    assert "Install it from https://docs.temporal.io/cli" in message

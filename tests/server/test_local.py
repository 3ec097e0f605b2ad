"""`starter.py --local`: one command on a fresh machine, and nothing left behind."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from loopback_llm import LoopbackLLM
from platformdirs import user_cache_path
from pypdf import PdfReader
from starters import STARTER, OpenStarter, Starter, write_script
from support import PATIENCE, free_port, start_report
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from beyond.data_dir import APP
from beyond.llm.settings import has_model
from beyond.process import RefusedError
from beyond.server import dev_server, local
from beyond.server.connection import TemporalUnreachableError
from beyond.terminal.progress import NO_WORKER

DEMO = "OFFLINE DEMO: no model is configured"
COME_BACK = re.compile(r"Come back to it with: uv run starter\.py --local --workflow-id (\S+)$")

OpenLocal = Callable[..., Starter]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Sets an address for the test's server: a free port whose Web UI's port is free, too."""
    port = free_port()
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{port}")
    return port


def left_behind(folder: Path) -> list[psutil.Process]:
    """The servers and Workers that run in the folder."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if process.info["cwd"] == str(folder) and re.search(r"worker\.py|start-dev", command):
            found.append(process)
    return found


def workers(folder: Path) -> list[psutil.Process]:
    return [
        process for process in left_behind(folder) if "worker.py" in " ".join(process.cmdline())
    ]


def data(folder: Path) -> Path:
    return folder / "data" / APP


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


def test_one_command_leads_to_a_demo_pdf_and_leaves_no_process_behind(
    port: int, open_local: OpenLocal, tmp_path: Path
) -> None:
    starter = open_local()
    starter.sees(DEMO)
    starter.sees(f"Temporal's dev server is running. Web UI: http://localhost:{port + 1000}")
    starter.begin("why do cats purr?")
    starter.sees("Offline demo.")
    starter.sees("why do cats purr?")
    with socket.create_connection(("127.0.0.1", port + 1000), timeout=5):
        pass  # the Web UI answers
    starter.edit("mention lions")
    starter.sees("Draft 2")
    starter.sees("mention lions")
    starter.asked_to_decide()
    starter.presses("\x03")
    workflow_id = starter.sees(COME_BACK)[1]
    assert starter.ends() == 130
    assert left_behind(tmp_path) == []
    log = (data(tmp_path) / "worker.log").read_text()
    assert re.search(r"offline/demo answered in \d\.\d s$", log, re.MULTILINE)
    kept = {path.name for path in data(tmp_path).iterdir()}
    assert kept >= {f"demo-{port}.db", "server.log", "worker.log"}
    assert data(tmp_path).stat().st_mode & 0o777 == 0o700

    again = open_local("--workflow-id", workflow_id)
    again.sees("Draft 2")
    again.sees("mention lions")
    again.keep()
    again.sees_result()
    assert again.ends() == 0
    pages = PdfReader(tmp_path / "research_pdf.pdf").pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    for words in ("Offline demo", "why do cats purr?", "mention lions"):
        assert words in text
    assert left_behind(tmp_path) == []


def test_the_report_of_a_killed_starter_can_be_kept_by_the_next(
    port: int, open_local: OpenLocal, tmp_path: Path
) -> None:
    killed = open_local("bees")
    workflow_id = killed.started()
    killed.asked_to_decide()
    [worker] = workers(tmp_path)
    killed.process.kill(signal.SIGKILL)
    worker.wait(timeout=PATIENCE)  # it notices by itself
    killed.close()
    again = open_local("--workflow-id", workflow_id)
    again.sees("Draft 1")
    again.keep()
    again.sees_result()
    assert again.ends() == 0
    assert workers(tmp_path) == []


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


def test_sigterm_stops_server_and_worker(port: int, open_local: OpenLocal, tmp_path: Path) -> None:
    starter = open_local("bees")
    starter.asked_to_decide()
    assert len(left_behind(tmp_path)) == 2
    starter.process.kill(signal.SIGTERM)
    starter.sees(COME_BACK)
    assert starter.ends() == 143
    assert left_behind(tmp_path) == []


def test_an_error_stops_server_and_worker(port: int, open_local: OpenLocal, tmp_path: Path) -> None:
    starter = open_local("--workflow-id", "no-report")
    assert starter.ends() == 1
    assert starter.errors.startswith("There is no report with the Workflow ID no-report. ")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "LLM_API_KEY",
            "your-key-here",
            "LLM_API_KEY holds a placeholder, not a key for openai/gpt-4o. .+",
        ),
        (
            "XDG_DATA_HOME",
            "/dev/null/data",
            "--local keeps its reports and logs in a folder of your account, but cannot write to "
            ".+: Not a directory. Make it writable, or set XDG_DATA_HOME to another folder.",
        ),
        (
            "REPORTS_DIR",
            "/dev/null/folder",
            "No PDF can be written to /dev/null/folder: .+. Change to another folder, .+",
        ),
        ("TEMPORAL_ADDRESS", "localhost:abc", ".*abc.*TEMPORAL_ADDRESS.*"),
        ("TEMPORAL_ADDRESS", "localhost:65000", ".*65000.*TEMPORAL_ADDRESS.*"),
        (
            "TEMPORAL_ADDRESS",
            "temporal.invalid:7233",
            "--local is for a server on this machine, but Temporal's address is "
            "temporal.invalid:7233. Unset TEMPORAL_ADDRESS, or leave out --local.",
        ),
    ],
)
def test_a_wrong_setting_is_refused_before_the_first_question(
    port: int,
    open_local: OpenLocal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    told: str,
) -> None:
    monkeypatch.setenv(variable, value)
    starter = open_local()
    assert starter.ends() == 1
    assert re.fullmatch(f"{told}\n", starter.errors)
    assert starter.text.strip() == ""
    assert left_behind(tmp_path) == []


def test_a_worker_that_refuses_to_start_ends_the_starter_with_its_reason(
    port: int, open_local: OpenLocal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "no-such-provider/model")
    starter = open_local("bees")
    starter.sees(COME_BACK)  # the topic is not lost
    assert starter.ends() == 1
    log = re.escape(str(data(tmp_path) / "worker.log"))
    assert re.fullmatch(
        r"The Worker stopped: LLM_MODEL=no-such-provider/model does not name a provider .+ "
        rf"\(its log: {log}\)\n",
        starter.errors,
    )
    assert DEMO not in starter.text
    assert left_behind(tmp_path) == []


async def test_the_list_waits_for_the_worker_that_it_has_started(
    client: Client, open_local: OpenLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    report = await start_report(client, "bees")
    starter = open_local("--list")
    starter.sees(re.compile(r"ID.*Topic.*Age.*Phase.*Draft"))
    assert starter.ends() == 0
    assert starter.errors == ""
    assert re.search(rf"{report.id.split('-')[4]} +bees ", starter.text)


async def test_the_list_needs_no_key(
    away_from_the_worker: Client, open_local: OpenLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await start_report(away_from_the_worker, "bees", task_queue="where nobody polls")
    monkeypatch.setenv("LLM_API_KEY", "your-key-here")
    starter = open_local("--list")
    starter.sees("LLM_API_KEY holds a placeholder")
    starter.sees(re.compile(rf"{report.id.split('-')[4]} +bees +\d+ s +\? +\?"))
    assert starter.ends() == 0
    assert NO_WORKER in starter.errors


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


def test_demo_reports_are_kept_apart_from_real_ones(
    port: int, open_local: OpenLocal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo model must not write drafts of reports that a real model began."""
    with LoopbackLLM() as model, monkeypatch.context() as settings:
        settings.setenv("LLM_API_KEY", "sk-of-a-model")
        settings.setenv("OPENAI_BASE_URL", model.base_url)
        starter = open_local("bees")
        starter.asked_to_decide()
        starter.leave()
    starter = open_local("--list")
    starter.sees("Set LLM_MODEL to see your other reports.")
    starter.sees("No report is open.")
    assert starter.ends() == 0


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


def test_without_a_server_the_starter_says_how_to_see_local_reports(
    port: int, open_local: OpenLocal, open_starter: OpenStarter
) -> None:
    starter = open_local("bees")
    starter.asked_to_decide()
    starter.leave()
    starter = open_starter("--list")
    assert starter.ends() == 1
    assert starter.errors.endswith(
        "\nTo see the reports of --local: uv run starter.py --local --list\n"
    )


@pytest.mark.parametrize("again", [False, True])
def test_leaving_waits_for_a_call_in_progress_until_a_second_ctrl_c(
    again: bool,
    port: int,
    open_local: OpenLocal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LoopbackLLM() as model:
        monkeypatch.setenv("LLM_API_KEY", "sk-of-a-model")
        monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
        model.go_on.clear()
        starter = open_local("bees")
        starter.sees("Researching")
        assert model.called.wait(PATIENCE)
        starter.presses("\x03")
        starter.sees(COME_BACK)
        starter.sees("Waiting for the Worker to stop. Press Ctrl-C to end it at once.")
        if again:
            starter.presses("\x03")
        else:
            model.go_on.set()
        assert starter.ends() == 130
        model.go_on.set()
    assert left_behind(tmp_path) == []


def test_what_was_typed_is_in_the_history_after_the_worker_refused_to_start(
    port: int, open_local: OpenLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as settings:
        settings.setenv("LLM_MODEL", "no-such-provider/model")
        starter = open_local()
        starter.asked("Enter your research topic or question:")
        starter.presses("why do cats")
        assert starter.ends() == 1
        assert starter.errors.startswith("The Worker stopped: LLM_MODEL=no-such-provider/model")
    again = open_local()
    again.asked("Enter your research topic or question:")
    again.presses("\x1b[A")
    again.line_is("Enter your research topic or question: why do cats")


def test_a_report_is_found_from_any_folder(
    port: int, open_local: OpenLocal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = open_local("bees")
    starter.asked_to_decide()
    starter.presses("\x03")
    workflow_id = starter.sees(COME_BACK)[1]
    assert starter.ends() == 130
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = open_local("--workflow-id", workflow_id)
    again.sees("Draft 1")
    again.asked_to_decide()


async def test_the_worker_has_its_own_session_and_stops_with_its_caller(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    async with local.run_local():
        [worker] = workers(tmp_path)
        assert os.getsid(worker.pid) == worker.pid
    assert workers(tmp_path) == []


async def test_a_worker_that_ignores_the_end_of_its_input_is_killed(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    monkeypatch.setattr(local, "WORKER_STOP_TIMEOUT", 1)
    async with local.run_local() as polls:
        assert polls
        await polls.wait()
        [worker] = workers(tmp_path)
        worker.suspend()  # it notices nothing any more
    worker.wait(timeout=PATIENCE)


async def test_a_worker_that_ends_without_a_word_is_not_quoted(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    log = re.escape(str(data(tmp_path) / "worker.log"))
    with pytest.raises(RefusedError, match=rf"^The Worker stopped \(its log: {log}\)$"):
        async with local.run_local():
            [worker] = workers(tmp_path)
            worker.kill()
            await asyncio.sleep(PATIENCE)


def test_the_api_key_for_temporal_does_not_count_as_a_models_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEMPORAL_API_KEY", "a-key")
    assert not has_model()
    monkeypatch.setenv("GROQ_API_KEY", "another-key")
    assert has_model()


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
    assert list(data(tmp_path).glob("*.db")) == []
    assert (await client.get_workflow_handle(workflow_id).describe()).close_time


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

"""`starter.py --local`: one command on a fresh machine, and nothing left behind."""

import asyncio
import os
import re
import signal
import socket
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM
from pypdf import PdfReader
from starters import OpenLocal, OpenStarter, data_in, left_behind, workers_in
from support import PATIENCE, start_report
from temporalio.client import Client

from beyond.process import RefusedError
from beyond.server import local
from beyond.terminal.progress import NO_WORKER

DEMO = "OFFLINE DEMO: no model is configured"
COME_BACK = re.compile(r"Come back to it with: uv run starter\.py --local --workflow-id (\S+)$")


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
    log = (data_in(tmp_path) / "worker.log").read_text()
    assert re.search(r"offline/demo answered in \d\.\d s$", log, re.MULTILINE)
    kept = {path.name for path in data_in(tmp_path).iterdir()}
    assert kept >= {f"demo-{port}.db", "server.log", "worker.log"}
    assert data_in(tmp_path).stat().st_mode & 0o777 == 0o700

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
    [worker] = workers_in(tmp_path)
    killed.process.kill(signal.SIGKILL)
    worker.wait(timeout=PATIENCE)  # it notices by itself
    killed.close()
    again = open_local("--workflow-id", workflow_id)
    again.sees("Draft 1")
    again.keep()
    again.sees_result()
    assert again.ends() == 0
    assert workers_in(tmp_path) == []


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
    log = re.escape(str(data_in(tmp_path) / "worker.log"))
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
        [worker] = workers_in(tmp_path)
        assert os.getsid(worker.pid) == worker.pid
    assert workers_in(tmp_path) == []


async def test_a_worker_that_ignores_the_end_of_its_input_is_killed(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    monkeypatch.setattr(local, "WORKER_STOP_TIMEOUT", 1)
    async with local.run_local() as polls:
        assert polls
        await polls.wait()
        [worker] = workers_in(tmp_path)
        worker.suspend()  # it notices nothing any more
    worker.wait(timeout=PATIENCE)


async def test_a_worker_that_ends_without_a_word_is_not_quoted(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    log = re.escape(str(data_in(tmp_path) / "worker.log"))
    with pytest.raises(RefusedError, match=rf"^The Worker stopped \(its log: {log}\)$"):
        async with local.run_local():
            [worker] = workers_in(tmp_path)
            worker.kill()
            await asyncio.sleep(PATIENCE)

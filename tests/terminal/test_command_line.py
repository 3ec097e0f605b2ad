"""Arguments and settings of starter.py, and how wrong ones are refused."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from machine import PROJECT
from starters import OpenStarter, piped
from support import PATIENCE
from temporalio.client import Client


def test_help_shows_an_example_of_each_use() -> None:
    done = piped("", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for example in (
        "",
        ' "Why do cats purr?"',
        " --local",
        " --list",
        " --workflow-id ID",
        " --resume",
        " --discard ID",
    ):
        assert re.search(rf"^  uv run starter\.py{re.escape(example)} ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments",
    [["--nonsense"], ["--list", "bees"], ["--workflow-id"], ["--list", "--resume"], ["--all"]],
)
def test_wrong_arguments_exit_with_code_2(arguments: list[str]) -> None:
    done = piped("", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: starter.py" in done.stderr


@pytest.mark.parametrize("script", ["starter.py", "worker.py"])
def test_settings_that_are_not_utf_8_are_refused_in_one_sentence(
    script: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("LLM_MODEL=offline/demo\n", encoding="utf-16")
    command = [sys.executable, str(PROJECT / script)]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (1, b"")
    assert re.fullmatch(rb".* is not UTF-8\. Save it .*\n", done.stderr)


@pytest.mark.parametrize("script", ["starter.py", "worker.py"])
def test_a_deleted_working_directory_is_refused_in_one_sentence(
    script: str, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    command = 'cd gone && rmdir ../gone && exec "$@"'
    done = subprocess.run(
        ["/bin/sh", "-c", command, "sh", sys.executable, str(PROJECT / script)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"The working directory is gone. Change to another one.\n"


def test_an_unknown_namespace_is_refused_before_the_first_question(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nope")
    done = piped("bees\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"There is no namespace nope at {client.service_client.config.target_host}. Set another "
        "one in TEMPORAL_NAMESPACE, or create it: temporal operator namespace create nope\n"
    )


def test_the_environment_wins_over_the_settings_file(client: Client, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TEMPORAL_ADDRESS=temporal.invalid:1\n")
    assert piped("", "--list").returncode == 0


def test_what_was_printed_arrives_before_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # which would flush each line by itself
    program = "from beyond.process import exit_process; print('x' * 100, end=''); exit_process(3)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=PROJECT, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (3, b"x" * 100)


@pytest.mark.parametrize("script", ["starter.py", "worker.py"])
@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_during_the_imports_is_quiet_or_ignored(
    ignored: bool, script: str, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that Python imports first sends Ctrl-C when the import of temporalio begins."""
    (tmp_path / "sitecustomize.py").write_text("""\
import os, signal, sys
class PressesCtrlC:
    def find_spec(self, name, *_):
        if name == "temporalio":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, PressesCtrlC())
""")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("LLM_API_KEY", "your-key-here")  # the Worker would poll otherwise
    choice = signal.SIG_IGN if ignored else signal.SIG_DFL
    option = ["--list"] if script == "starter.py" else []
    done = subprocess.run(
        [sys.executable, str(PROJECT / script), *option],
        capture_output=True,
        timeout=PATIENCE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, choice),
    )
    if ignored:
        assert done.returncode == (0 if option else 1)
    else:
        assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_a_prompt_that_is_too_long_is_refused(client: Client) -> None:
    done = piped("x" * 100_001 + "\n")
    assert done.returncode == 1
    assert done.stderr == "The prompt is too long. The limit is 100,000 characters.\n"


def test_the_first_question_comes_before_slow_imports(
    client: Client, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Checks which modules are loaded when a terminal shows the first question."""
    (tmp_path / "sitecustomize.py").write_text("""\
import builtins, sys
tell = print
def watched(*arguments, **options):
    tell(*arguments, **options)
    if arguments[:1] == ("Enter your research topic or question: ",):
        slow = {"litellm", "reportlab", "rich", "prompt_toolkit", "openai", "pydantic"}
        tell("loaded:", sorted(slow & set(sys.modules)), file=sys.stderr, flush=True)
builtins.print = watched
""")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    starter = open_starter()
    starter.asked("Enter your research topic or question:")
    assert starter.errors.splitlines()[0] == "loaded: []"

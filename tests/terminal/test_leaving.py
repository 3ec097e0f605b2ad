"""A person, a signal or a closed terminal ends the starter. The report goes on."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM
from machine import PROJECT
from starters import KEPT, STARTER, Begin, OpenStarter, Starter
from support import PATIENCE, decisions_on, is_running, report_of, start_report, waiting
from temporalio.client import Client


def reach_the_live_line(starter: Starter, llm: LoopbackLLM) -> None:
    llm.go_on.clear()
    starter.begin()
    starter.sees("Researching…")
    assert llm.called.wait(PATIENCE)  # or it would come during the next test


def reach_the_decision(starter: Starter, llm: LoopbackLLM) -> None:
    starter.begin()
    starter.begins_to_decide("kee")


CTRL_C = "\x03"
CTRL_D = "\x15\x04"  # it ends the input on an empty line only: Ctrl-U empties it


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("leave", "reach", "exit_code"),
    [
        (CTRL_C, reach_the_live_line, 130),
        (CTRL_C, reach_the_decision, 130),
        (CTRL_D, reach_the_live_line, 0),
        (CTRL_D, reach_the_decision, 0),
        ("\x15quit\r", reach_the_decision, 0),
        (signal.SIGTERM, reach_the_live_line, 143),
        (signal.SIGTERM, reach_the_decision, 143),
    ],
)
async def test_keys_words_and_signals_end_only_the_starter(
    leave: str | signal.Signals,
    reach: Callable[[Starter, LoopbackLLM], None],
    exit_code: int,
    llm: LoopbackLLM,
    client: Client,
    open_starter: OpenStarter,
) -> None:
    starter = open_starter()
    reach(starter, llm)
    if isinstance(leave, str):
        starter.presses(leave)
    else:
        starter.process.kill(leave)
    workflow_id = starter.sees(re.compile(re.escape(KEPT) + r" --workflow-id (\S+)$"))[1]
    assert starter.ends() == exit_code
    assert starter.errors == ""
    report = report_of(client, workflow_id)
    assert await is_running(report)
    assert await decisions_on(report) == []


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("word", "question"),
    [
        ("edit", "Enter additional instructions (optional):"),
        ("discard", "Discard this report for good? [y/N]"),
    ],
)
async def test_ctrl_c_at_an_actions_question_goes_back_and_a_second_one_leaves(
    word: str, question: str, begin: Begin
) -> None:
    starter, report = begin()
    starter.decide(word)
    starter.asked(question)
    starter.presses("short")
    starter.line_is(f"{question} short")
    starter.presses(CTRL_C)
    starter.asked_to_decide()
    starter.presses(CTRL_C)
    starter.sees(KEPT)
    assert starter.ends() == 130
    assert await is_running(report)
    assert await decisions_on(report) == []


@pytest.mark.usefixtures("worker")
async def test_ctrl_c_before_there_is_a_report_ends_the_starter_without_a_command(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    starter.asked("Enter your research topic or question:")
    starter.presses("be")
    starter.line_is("Enter your research topic or question: be")
    starter.leave()
    assert KEPT not in starter.text
    assert starter.errors == ""
    assert llm.calls == []


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("more", "reach"),
    [(signal.SIGINT, reach_the_live_line), (signal.SIGTERM, reach_the_decision)],
)
def test_further_signals_do_not_interrupt_the_last_words(
    more: signal.Signals,
    reach: Callable[[Starter, LoopbackLLM], None],
    llm: LoopbackLLM,
    open_starter: OpenStarter,
) -> None:
    starter = open_starter()
    reach(starter, llm)
    for number in (signal.SIGHUP, more, more):
        starter.process.kill(number)
    starter.ends()
    assert starter.errors == ""


SIGNALLED_WHILE_IT_ENDS = """
import os
import starter
from beyond import process
exit_process = process.exit_process

def late_signal(result):
    os.kill(os.getpid(), {number})
    exit_process(result)

process.exit_process = late_signal
starter.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_starter_ends_leaves_its_exit_code(
    number: signal.Signals, client: Client
) -> None:
    """By then, the event loop that the signal would wake is closed."""
    script = SIGNALLED_WHILE_IT_ENDS.format(number=int(number))
    command = [sys.executable, "-c", script, "--list"]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "No report is open.\n"


@pytest.mark.usefixtures("worker")
async def test_a_closed_terminal_ends_only_the_starter(begin: Begin) -> None:
    starter, report = begin()
    starter.asked_to_decide()
    starter.close()  # finds no traceback
    assert await is_running(report)


@pytest.mark.usefixtures("worker")
async def test_a_terminal_that_is_lost_without_a_signal_ends_the_starter(
    llm: LoopbackLLM, client: Client, tmp_path: Path
) -> None:
    """The starter notices when it redraws the live line."""
    llm.go_on.clear()
    errors = tmp_path / "errors.txt"
    starter, window = without_a_controlling_terminal([STARTER, "bees"], errors)
    shown = b""
    while "Researching…".encode() not in shown:
        shown += os.read(window, 65536)
    os.close(window)
    assert starter.wait(PATIENCE) == 1
    assert errors.read_text() == "Input/output error\n"
    [report] = [one.id async for one in client.list_workflows("ExecutionStatus = 'Running'")]
    assert await is_running(report_of(client, report))


PRINTS_ON_A_CLOSED_TERMINAL = """
import asyncio
import os
from prompt_toolkit.patch_stdout import patch_stdout
from beyond.process import cancel_on_signals, run_process

async def main():
    cancel_on_signals()
    with patch_stdout():
        while os.isatty(1):
            await asyncio.sleep(0.01)
        print("Draft 2")
        await asyncio.Event().wait()

run_process(main)
"""


def test_a_text_that_a_closed_terminal_cannot_show_ends_the_process(tmp_path: Path) -> None:
    """A thread of prompt-toolkit prints it."""
    errors = tmp_path / "errors.txt"
    process, window = without_a_controlling_terminal(["-c", PRINTS_ON_A_CLOSED_TERMINAL], errors)
    os.close(window)
    assert process.wait(PATIENCE) == 143
    assert errors.read_text() == ""


def without_a_controlling_terminal(
    command: list[str], errors: Path
) -> tuple[subprocess.Popen[bytes], int]:
    """A Python process that gets no SIGHUP, and the file descriptor of its terminal."""
    window, terminal = pty.openpty()
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=terminal,
            stdout=terminal,
            stderr=stderr,
            env=os.environ | {"TERM": "xterm"},
            start_new_session=True,
            cwd=PROJECT,
        )
    os.close(terminal)
    return process, window


def test_a_reader_that_goes_away_ends_the_starter_quietly(client: Client) -> None:
    process = piped_starter("bees")
    assert process.stdout and process.stderr
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(PATIENCE), errors) == (1, b"")


@pytest.mark.usefixtures("worker")
async def test_a_reader_that_goes_away_before_a_decision_ends_the_starter(
    client: Client, llm: LoopbackLLM
) -> None:
    report = await start_report(client, "bees")
    await waiting(report, draft=1)
    process = piped_starter("--workflow-id", report.id, stdin=subprocess.PIPE)
    assert process.stdin and process.stdout and process.stderr
    while b"Your decision" not in process.stdout.readline():
        pass
    llm.go_on.clear()  # or the starter would end when it prints the next draft
    with process.stdin, process.stderr:
        process.stdout.close()
        process.stdin.write(b"edit no honey\n")
        process.stdin.flush()
        assert process.wait(PATIENCE) == 1


def piped_starter(*arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, STARTER, *arguments], stdin=stdin, stdout=pipe, stderr=pipe
    )

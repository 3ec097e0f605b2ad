"""What a person expects of a prompt, its keys and a window."""

import os
import re
import sys
from pathlib import Path

import pexpect
import pytest
from loopback_llm import LoopbackLLM, Reply
from starters import STARTER, Begin, OpenStarter, write_script
from support import PATIENCE, decisions_on, is_running, report_of
from temporalio.client import Client

from beyond.terminal.screen import Screen

pytestmark = pytest.mark.usefixtures("worker")


def test_what_is_typed_before_the_first_prompt_is_neither_shown_nor_lost(
    client: Client, open_starter: OpenStarter, llm: LoopbackLLM
) -> None:
    starter = open_starter()
    starter.sees("Welcome")
    starter.presses("be")
    starter.presses("es\r")
    starter.asked_to_decide()
    assert starter.text.count("bees") == 2  # at the prompt, and in the draft
    assert llm.calls[0].messages[-1]["content"] == "bees"


def test_ctrl_d_before_the_prompt_is_ready_ends_the_starter(open_starter: OpenStarter) -> None:
    for _ in range(5):
        starter = open_starter()
        starter.sees("Enter your research topic")
        starter.presses("\x04")
        assert starter.ends() == 0


def test_echo_and_line_mode_are_off_until_the_prompt_appears() -> None:
    """Uses a separate terminal, so that nothing else sets its modes."""
    code = "import time; from beyond.terminal.screen import Screen; "
    code += "Screen().stop_echo(); print('set'); time.sleep(60)"
    project = str(Path(STARTER).parent)
    child = pexpect.spawn(sys.executable, ["-c", code], cwd=project, timeout=PATIENCE)
    child.expect("set")
    assert not child.getecho()
    child.send("unseen\x04")
    with pytest.raises(pexpect.TIMEOUT):
        child.expect("unseen", timeout=1)
    child.close(force=True)


async def test_topics_and_instructions_are_remembered_from_run_to_run(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    first = open_starter()
    first.begin("why do cats purr?")
    first.asked_to_decide()
    first.presses("\x03")
    first.ends()
    second = open_starter()
    second.asked("Enter your research topic or question:")
    second.presses("\x1b[A")
    second.line_is("Enter your research topic or question: why do cats purr?")
    second.types("")
    second.asked_to_decide()
    asked = [call.messages[-1]["content"] for call in llm.calls]
    assert asked == ["why do cats purr?", "why do cats purr?"]


def test_a_report_is_kept_without_a_folder_for_the_history(
    open_starter: OpenStarter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    starter = open_starter()
    starter.begin()
    starter.keep()
    starter.sees_result()


def test_a_report_starts_though_its_topic_cannot_be_remembered(
    open_starter: OpenStarter, tmp_path: Path
) -> None:
    starter = open_starter()
    starter.asked("Enter your research topic or question:")
    history = tmp_path / "data" / "durable-research-reports" / "history"
    history.unlink()
    history.mkdir()
    starter.types("bees")
    starter.asked_to_decide()  # or its call would come during the next test
    assert "exception" not in starter.text


@pytest.mark.parametrize("typed", [False, True], ids=["argument", "typed"])
async def test_invalid_utf_8_becomes_replacement_characters(
    typed: bool, llm: LoopbackLLM, client: Client, open_starter: OpenStarter
) -> None:
    text = "b\udcffes 🐝"
    starter = open_starter(*([] if typed else [text]))
    if typed:
        starter.asked("Enter your research topic or question:")
        starter.process.send(os.fsencode(f"{text}\r"))
    report = report_of(client, starter.started())
    starter.asked_to_decide()
    assert llm.calls[0].messages[-1]["content"] == "b\ufffdes 🐝"
    assert await (await report.describe()).static_summary() == "b\ufffdes 🐝"


async def test_tab_completes_a_word(open_starter: OpenStarter) -> None:
    starter = open_starter("bees")
    starter.asked_to_decide()
    starter.presses("ke\t")
    starter.line_is("Your decision (query/keep/edit): keep")


@pytest.mark.parametrize(
    ("keys", "instruction"),
    [("shorter\x1b\rwith honey\r", "shorter\nwith honey"), ("\x18\x05", "of the editor")],
    ids=["Alt-Enter starts a new line", "Ctrl-X Ctrl-E opens the editor"],
)
async def test_keys_at_the_prompt_make_the_instruction(
    keys: str,
    instruction: str,
    begin: Begin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    editor = write_script(tmp_path / "editor", 'echo "of the editor" > "$1"')
    monkeypatch.setenv("VISUAL", str(editor))
    starter, report = begin()
    starter.asked_for_instructions()
    starter.presses(keys)
    starter.sees("Draft 2")
    starter.asked_to_decide()
    [decision] = await decisions_on(report)
    assert decision.additional_prompt == instruction


async def test_ctrl_z_stops_the_live_line_and_fg_continues_it(
    llm: LoopbackLLM, client: Client
) -> None:
    """Runs in a shell with job control, because without one the system does not stop a process."""
    llm.go_on.clear()
    command = f'set -m; "{sys.executable}" "{STARTER}" bees; echo STOPPED; fg'
    shell = pexpect.spawn("bash", ["-c", command], timeout=PATIENCE)
    shell.expect("Researching")
    shell.send("\x1a")
    shell.expect("STOPPED")
    llm.go_on.set()
    shell.expect("Your decision")
    shell.close(force=True)


async def test_with_stdout_in_a_file_the_questions_are_still_seen(tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    command = f'exec "{sys.executable}" "{STARTER}" > "{output}"'
    child = pexpect.spawn("/bin/sh", ["-c", command], timeout=PATIENCE)
    child.expect("Enter your research topic or question:")
    child.sendline("bees")
    child.expect("Your decision")
    child.sendline("keep")
    child.expect(pexpect.EOF)
    assert "Successfully created" in output.read_text()


async def test_in_a_wide_window_the_text_has_100_columns(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.default = Reply(text="some words " * 100)
    starter = open_starter("bees", columns=200)
    starter.asked_to_decide()
    lines = [line for line in starter.text.splitlines() if line.startswith("some words")]
    assert 90 < max(map(len, lines)) <= 100


async def test_in_a_narrow_window_sentences_break_between_words(open_starter: OpenStarter) -> None:
    starter = open_starter("bees", columns=40)
    starter.sees(re.compile("^Welcome to the Research Report\nGenerator!\nStarted", re.M))
    starter.sees("1. Type 'query' to view the current\nresearch result\n")
    starter.asked("Your decision")
    starter.types("help")
    starter.sees("quit      leave; the report waits for\nyou")
    starter.asked("Your decision")
    starter.types("maybe")
    starter.sees("Please enter either 'keep', 'edit', or\n'query'\n")


@pytest.mark.parametrize(
    ("awaited", "lines"),
    [
        ("Enter your research topic or question:", ["why do cats purr?", "and", "do lions?"]),
        ("Welcome", ["why do cats purr?", "do lions?"]),
        # prompt-toolkit reads 1,024 bytes at a time: 16 of these lines.
        ("Enter your research topic or question:", ["x" * 63] * 40),
    ],
    ids=["at the prompt", "before it is ready", "in parts"],
)
async def test_lines_pasted_without_bracketed_paste_are_one_topic(
    llm: LoopbackLLM, open_starter: OpenStarter, awaited: str, lines: list[str]
) -> None:
    starter = open_starter()
    if awaited == "Welcome":
        starter.sees(awaited)
    else:
        starter.asked(awaited)
    starter.presses("".join(f"{line}\r" for line in lines))
    starter.asked_to_decide()
    assert llm.calls[0].messages[-1]["content"].splitlines() == lines


def test_a_bell_rings_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.ring()
    assert capsys.readouterr().out == ""


async def test_a_draft_that_took_long_rings_the_bell(llm: LoopbackLLM, begin: Begin) -> None:
    llm.replies.append(Reply(delay=11))
    starter, report = begin()
    starter.edit("soon")
    assert starter.raw.count("\x07") == 1
    starter.sees("Draft 2")
    starter.asked_to_decide()
    assert starter.raw.count("\x07") == 1
    assert await is_running(report)

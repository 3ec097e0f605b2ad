"""A person corrects drafts in a real editor, and sees what has changed."""

import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM, Reply
from starters import Begin, OpenStarter, Starter, piped, write_script
from support import (
    PATIENCE,
    decisions_on,
    draft_of,
    edit,
    eventually,
    keep,
    report_of,
    start_report,
    undo,
    waiting,
)
from temporalio.client import Client

from beyond.data_dir import APP
from beyond.terminal.draft_files import NOT_TAKEN, OLDER_WORKER, Corrections
from beyond.terminal.screen import Screen
from models import DRAFT_LIMIT, Phase, ReportStatus

pytestmark = pytest.mark.usefixtures("worker")

DRAFT = "# Bees\n\nThey make honey in a hive.\n\n| a | 1 |\n\nThe end."
UseEditor = Callable[[str], None]


@pytest.fixture(autouse=True)
def draft(llm: LoopbackLLM) -> None:
    llm.default = Reply(text=DRAFT)


@pytest.fixture
def use_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UseEditor:
    """A function that makes a shell script the editor. The script gets the file as its argument."""

    def use(script: str) -> None:
        file = write_script(tmp_path / "my editor", script)
        monkeypatch.setenv("VISUAL", f"'{file}'")

    return use


@pytest.fixture
def end_editor(tmp_path: Path, use_editor: UseEditor) -> Callable[[], None]:
    """A function that ends an editor that has saved its file."""
    file = tmp_path / "go"
    use_editor(f'echo MINE >> "$1"; while ! test -e {file}; do sleep 0.1; done')
    return file.touch


def corrections(folder: Path) -> list[Path]:
    return list((folder / "data").rglob("*-draft-*.md"))


def open_editor(starter: Starter, folder: Path) -> None:
    starter.decide("correct")
    deadline = time.monotonic() + PATIENCE
    while not any("MINE" in file.read_text() for file in corrections(folder)):
        assert time.monotonic() < deadline
        starter.watch_for(0.1)


# Correcting.


async def test_a_correction_is_the_next_draft_an_edit_revises_it_and_undo_brings_it_back(
    llm: LoopbackLLM, open_starter: OpenStarter, use_editor: UseEditor, tmp_path: Path
) -> None:
    use_editor("sed -i 's/honey/wax/' \"$1\"")
    starter = open_starter("bees")
    starter.decide("changes")
    starter.sees("There is no earlier draft to compare with.")
    starter.decide("undo")
    starter.sees("There is no earlier draft to go back to.")
    starter.decide("correct")
    starter.sees("Signal sent to make your text the next draft")
    starter.sees("Draft 2")
    starter.sees("wax")
    starter.sees("Draft 2 corrects draft 1 by hand.")
    starter.sees("Draft 2: 1 of 4 paragraphs changed. Type 'changes' to see them.")
    starter.decide("ch")
    starter.sees("They make honeywax in a hive.")
    starter.sees("… 2 paragraphs as before (# Bees)")
    assert "\x1b[9;31mhoney\x1b[0m\x1b[4;32mwax" in starter.raw
    assert len(llm.calls) == 1
    assert not corrections(tmp_path)
    starter.decide("edit make it shorter")
    starter.sees("Signal sent to regenerate research")
    starter.sees("Draft 3")
    assert "wax" in llm.calls[-1].messages[-2]["content"]
    assert llm.calls[-1].messages[-1]["content"].endswith("make it shorter")
    starter.decide("undo")
    starter.sees("Signal sent to go back to the draft before")
    starter.sees("Draft 4")
    starter.sees("wax")
    starter.sees("Draft 4 is draft 2 again.")
    starter.sees("Draft 4: 1 of 4 paragraphs changed.")  # from the draft that was left
    starter.keep()
    starter.sees_result()
    assert starter.ends() == 0


@pytest.mark.parametrize(
    ("editor", "words"),
    [
        ("true", "The draft is unchanged. Nothing was sent."),
        ("false", "The editor (false) ended with exit code 1. Nothing was sent."),
        ("truncate -s 0", "There is no text. Nothing was sent."),
        ("no-such-editor", "The editor (no-such-editor) cannot be opened: "),
        ("rm", "The draft cannot be corrected: "),
        ("'unclosed", "The editor ('unclosed) cannot be opened: "),
        ("sed -i 's/$/\\r/'", "The draft is unchanged. Nothing was sent."),
        ("sed -i '1s/^/\\xef\\xbb\\xbf/'", "The draft is unchanged. Nothing was sent."),
    ],
)
async def test_an_editor_that_fails_or_changes_nothing_sends_nothing(
    begin: Begin,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    editor: str,
    words: str,
) -> None:
    monkeypatch.setenv("EDITOR", editor)
    starter, report = begin()
    starter.decide("correct")
    starter.sees(words)
    starter.asked_to_decide()
    assert not corrections(tmp_path)
    assert await decisions_on(report) == []


async def test_visual_takes_precedence_over_editor_and_windows_line_ends_are_not_sent(
    begin: Begin,
    monkeypatch: pytest.MonkeyPatch,
    use_editor: UseEditor,
) -> None:
    monkeypatch.setenv("EDITOR", "false")
    use_editor("sed -i -e 's/honey/wax/' -e 's/$/\\r/' -e '1s/^/\\xef\\xbb\\xbf/' \"$1\"")
    starter, report = begin()
    starter.decide("correct")
    starter.sees("Draft 2")
    starter.asked_to_decide()
    assert await draft_of(report) == DRAFT.replace("honey", "wax")


async def test_an_editor_that_is_killed_keeps_the_text_and_the_next_correct_goes_on_with_it(
    open_starter: OpenStarter, use_editor: UseEditor, tmp_path: Path
) -> None:
    use_editor('test -e killed && exit; touch killed; echo MINE >> "$1"; kill -9 $$')
    starter = open_starter("bees")
    starter.decide("correct")
    starter.sees(re.compile("ended with exit code -9. Nothing was sent."))
    starter.sees("Your correction of draft 1 is in ")
    assert "MINE" in corrections(tmp_path)[0].read_text()
    starter.decide("correct")
    starter.sees("Continuing with your text in ")
    starter.sees("Draft 2")
    starter.sees("MINE")
    starter.asked_to_decide()
    assert not corrections(tmp_path)


async def test_a_correction_after_somebody_elses_keep_is_kept(
    begin: Begin, tmp_path: Path, end_editor: Callable[[], None]
) -> None:
    starter, report = begin()
    open_editor(starter, tmp_path)
    await keep(report, draft=1)
    await report.result()
    end_editor()
    starter.sees("Your correction of draft 1 is in ")
    starter.sees_result()
    assert starter.ends() == 0
    assert "MINE" in corrections(tmp_path)[0].read_text()


async def test_two_starters_correct_one_draft_and_neither_text_is_lost(
    client: Client, open_starter: OpenStarter, use_editor: UseEditor, tmp_path: Path
) -> None:
    use_editor('cat "$1" > seen.txt; echo FIRST >> "$1"; while ! test -e go; do sleep 0.1; done')
    first = open_starter()
    report = report_of(client, first.begin())
    first.decide("correct")
    await eventually(lambda: any("FIRST" in file.read_text() for file in corrections(tmp_path)))
    use_editor('echo SECOND >> "$1"')
    second = open_starter("--workflow-id", report.id)
    second.decide("correct")
    second.sees("Continuing with your text in ")
    second.sees("Draft 2")
    assert await draft_of(report) == f"{DRAFT}\nFIRST\nSECOND"
    (tmp_path / "go").touch()
    first.sees("Draft 2")
    first.asked_to_decide()


@pytest.mark.parametrize("how", ["hangup", "SIGTERM"])
async def test_the_starter_ends_with_its_terminal_under_the_editor_and_keeps_the_text(
    open_starter: OpenStarter, tmp_path: Path, end_editor: Callable[[], None], how: str
) -> None:
    starter = open_starter()
    starter.begin()
    open_editor(starter, tmp_path)
    began = time.monotonic()
    if how == "hangup":
        starter.close()
    else:
        starter.process.kill(signal.SIGTERM)
        starter.sees("Your correction of draft 1 is in ")
        starter.ends()
    assert time.monotonic() - began < 15
    assert "MINE" in corrections(tmp_path)[0].read_text()


@pytest.mark.parametrize(
    ("editor", "words", "kept"),
    [
        (
            'yes word | head -c 1000000 >> "$1"',
            f"The text is too long; the limit is {DRAFT_LIMIT:,} bytes as JSON. Nothing was sent.",
            b"word\n" * 1000,
        ),
        ("printf 'caf\\351' > \"$1\"", "The file is not UTF-8. Nothing was sent.", b"caf\xe9"),
    ],
    ids=["too long", "not UTF-8"],
)
async def test_a_correction_that_cannot_be_sent_is_kept(
    open_starter: OpenStarter,
    use_editor: UseEditor,
    tmp_path: Path,
    editor: str,
    words: str,
    kept: bytes,
) -> None:
    use_editor(editor)
    starter = open_starter("bees")
    starter.decide("correct")
    starter.sees(words)
    starter.sees("Your correction of draft 1 is in ")
    assert kept in corrections(tmp_path)[0].read_bytes()


async def test_correct_says_why_if_its_folder_cannot_be_written_to(
    open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null/data")
    starter = open_starter("bees")
    starter.decide("correct")
    starter.sees("The draft cannot be corrected: ")
    starter.asked_to_decide()


async def test_a_correction_behind_an_edit_of_somebody_else_waits_and_is_kept(
    llm: LoopbackLLM, begin: Begin, tmp_path: Path, end_editor: Callable[[], None]
) -> None:
    starter, report = begin()
    open_editor(starter, tmp_path)
    llm.go_on.clear()
    await edit(report, "x", draft=1)
    await eventually(lambda: llm.in_flight == 1)
    end_editor()
    starter.sees("Signal sent to make your text the next draft")
    starter.watch_for(2)
    assert "older version" not in starter.text
    llm.go_on.set()
    starter.sees("Draft 1 was not corrected: draft 2 is the current one.")
    starter.sees("Your correction of draft 1 is in ")
    assert "MINE" in corrections(tmp_path)[0].read_text()
    assert (await decisions_on(report))[-1].draft == 1


def test_if_an_older_worker_ignores_a_correction_the_starter_says_so_and_keeps_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data" / APP
    folder.mkdir(parents=True)
    file = folder / "12345678-draft-1.md"
    file.write_text("MINE\n")
    correcting = Corrections(Screen(), "generate-research-report-workflow-12345678-0")
    correcting.sent = 1
    correcting.follow(ReportStatus(Phase.RESEARCHING, 1, "bees", "", DRAFT))
    assert capsys.readouterr().out == ""
    correcting.follow(ReportStatus(Phase.WAITING, 1, "bees", "", DRAFT))
    assert capsys.readouterr().out == f"{OLDER_WORKER}\nYour correction of draft 1 is in {file}\n"
    correcting.sent = 1
    correcting.follow(ReportStatus(Phase.WAITING, 1, "bees", "Incorrect API key provided.", DRAFT))
    assert capsys.readouterr().out == f"{NOT_TAKEN}\nYour correction of draft 1 is in {file}\n"
    correcting.clean_up("MINE")
    assert not file.exists()


@pytest.mark.parametrize(
    ("editor", "keys"),
    [("nano -I", ["MINE\r", "\x18", "y", "\r"]), ("vim -u NONE -N", ["OMINE", "\x1b", ":wq\r"])],
    ids=["nano", "vim"],
)
async def test_a_real_editor_saves_a_correction_although_its_window_is_resized(
    begin: Begin,
    monkeypatch: pytest.MonkeyPatch,
    editor: str,
    keys: list[str],
) -> None:
    if not shutil.which(editor.split()[0]):
        pytest.skip("it is not installed")
    monkeypatch.setenv("EDITOR", f"env TERM=vt100 {editor}")  # which pyte can read
    starter, report = begin()
    starter.decide("correct")
    starter.watch_for(2)
    starter.process.setwinsize(30, 100)
    for key in keys:
        starter.watch_for(1)  # an editor that is still drawing loses keys
        starter.presses(key)
    starter.watch_for(1)
    await waiting(report, draft=2)
    assert await draft_of(report) == f"MINE\n{DRAFT}"


# Changes.


async def test_without_colour_and_in_a_pipe_changes_are_marked_with_brackets(
    begin: Begin,
    use_editor: UseEditor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    use_editor('sed -i s/honey/wax/ "$1"')
    starter, report = begin()
    starter.decide("correct")
    starter.sees("Draft 2: ")
    starter.decide("changes")
    starter.sees("They make [-honey-]{+wax+} in a hive.")
    done = piped("correct\nchanges\nkeep\n", "--workflow-id", report.id)
    assert "There is no terminal for an editor. Nothing was sent." in done.stdout
    assert "They make [-honey-]{+wax+} in a hive." in done.stdout
    starter.sees_result()


async def test_coming_back_shows_the_last_decision_and_its_changes(
    client: Client, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    report = await start_report(client, "bees")
    await waiting(report, draft=1)
    llm.default = Reply(text=DRAFT.replace("honey", "wax"))
    await edit(report, "no honey", draft=1)
    await waiting(report, draft=2)
    starter = open_starter("--workflow-id", report.id)
    starter.sees('Draft 2 revises draft 1: "no honey".')
    starter.sees("Draft 2: 1 of 4 paragraphs changed.")
    starter.asked_to_decide()
    await undo(report, draft=2)
    starter.sees("Draft 3 is draft 1 again.")

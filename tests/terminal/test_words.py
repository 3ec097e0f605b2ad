"""The words of the dialogue that the tutorial does not have."""

import re
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM, Reply
from starters import Begin, OpenStarter, piped
from support import RESULT, decisions_on, is_running
from temporalio.client import Client, WorkflowExecutionStatus

from beyond.terminal.words import CHOICES
from models import UserDecision

pytestmark = pytest.mark.usefixtures("worker")
WORDS = (
    "query", "changes", "keep", "edit", "correct", "undo", "save", "discard", "quit",
)  # fmt: skip
MENU_LINE = (
    "Research is complete! Type query, changes, keep, edit, correct, undo, save, discard, help "
    "or quit."
)


async def test_the_menu_is_shown_once_and_is_one_line_after_that(open_starter: OpenStarter) -> None:
    starter = open_starter("bees")
    starter.sees(CHOICES)
    starter.decide("query")
    starter.sees(MENU_LINE)
    starter.edit("shorter")
    starter.sees("Draft 2")
    starter.sees(f"{MENU_LINE}\nYour decision")
    assert starter.text.count(CHOICES) == 1


async def test_an_unknown_word_gets_the_tutorials_sentence_and_a_new_prompt(
    open_starter: OpenStarter,
) -> None:
    starter = open_starter("bees")
    for word in ("maybe", "", "keeper", "4"):
        starter.decide(word)
        starter.sees("Please enter either 'keep', 'edit', or 'query'")
    starter.asked_to_decide()
    assert MENU_LINE not in starter.text


async def test_unique_prefixes_work_and_an_ambiguous_one_asks_which(begin: Begin) -> None:
    starter, report = begin()
    for word, told in (
        ("q", "'q' can mean query or quit."),
        ("c", "'c' can mean changes or correct."),
        ("keep it", "Please enter either 'keep', 'edit', or 'query'"),
    ):
        starter.decide(word)
        starter.sees(told)
    starter.decide("Que")
    starter.sees("Research Result:")
    starter.decide("e")
    starter.asked("Enter additional instructions (optional):")
    starter.types("shorter")
    starter.sees("Draft 2")
    starter.decide("Edit  In the style of Twain")
    starter.sees("Draft 3")
    starter.decide("k")
    starter.sees_result()
    assert [(one.decision, one.additional_prompt) for one in await decisions_on(report)] == [
        (UserDecision.EDIT, "shorter"),
        (UserDecision.EDIT, "In the style of Twain"),
        (UserDecision.KEEP, ""),
    ]


async def test_help_explains_each_word(open_starter: OpenStarter) -> None:
    starter = open_starter("bees", columns=80)
    for word in ("help", "?"):
        starter.decide(word)
        for explained in WORDS:
            starter.sees(re.compile(rf"^{explained} +\w", re.MULTILINE))
    starter.asked_to_decide()


async def test_an_edit_without_instructions_has_to_be_confirmed(
    llm: LoopbackLLM, begin: Begin
) -> None:
    starter, report = begin()
    starter.asked_to_decide()
    for keys in ("\r", "n\r", "\x03"):
        starter.types("edit")
        starter.asked("Enter additional instructions (optional):")
        starter.types("")
        starter.asked("Write a new draft from the same prompt? [y/N]")
        starter.presses(keys)
        starter.asked_to_decide()  # back in the menu
    assert await decisions_on(report) == []
    assert len(llm.calls) == 1


async def test_in_a_script_an_edit_without_instructions_needs_no_confirmation(
    llm: LoopbackLLM, client: Client
) -> None:
    done = piped("bees\nedit\n\nkeep\n")
    assert done.returncode == 0
    assert len(llm.calls) == 2
    assert "[y/N]" not in done.stdout


async def test_save_writes_the_draft_and_never_over_another_file(
    llm: LoopbackLLM, begin: Begin, tmp_path: Path
) -> None:
    llm.default = Reply(text="# Bees")
    starter, report = begin()
    starter.decide("save")
    own = report.id.removeprefix("generate-research-report-workflow-")[:8]
    file = tmp_path / f"{own}-draft-1.md"
    starter.sees(f"Saved as {file}")
    assert file.read_text() == "# Bees\n"
    file.write_text("mine")
    starter.decide("s")
    starter.sees(f"The file {file} exists already. Nothing was saved.")
    assert file.read_text() == "mine"
    starter.keep()
    starter.sees(RESULT)


async def test_a_report_is_discarded_after_one_yes(begin: Begin) -> None:
    starter, report = begin()
    starter.decide("discard")
    starter.asked("Discard this report for good? [y/N]")
    starter.types("")
    starter.sees("Nothing was discarded.")
    starter.asked_to_decide()
    assert await is_running(report)
    starter.types("d")
    starter.asked("Discard this report for good? [y/N]")
    starter.types("Yes")
    starter.sees("The report is discarded.")
    assert starter.ends() == 0
    assert starter.errors == ""
    assert (await report.describe()).status == WorkflowExecutionStatus.CANCELED


async def test_a_refused_topic_can_be_discarded(llm: LoopbackLLM, begin: Begin) -> None:
    llm.default = Reply(status=400, text="not this topic")
    starter, report = begin()
    starter.sees("not this topic")
    starter.decide("discard")
    starter.asked("[y/N]")
    starter.types("y")
    assert starter.ends() == 0
    assert (await report.describe()).status == WorkflowExecutionStatus.CANCELED

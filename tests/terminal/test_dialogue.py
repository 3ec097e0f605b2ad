"""A person at a terminal answers what the starter asks, with a real Worker behind it."""

import re
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM, Reply
from starters import Begin, OpenStarter
from support import PATIENCE, decisions_on, edit, eventually, keep

from beyond.terminal.topic import DEFAULT_PROMPT
from beyond.terminal.words import CHOICES, LINE
from models import WORKFLOW_ID_PREFIX, UserDecision, UserDecisionSignal

pytestmark = pytest.mark.usefixtures("worker")


async def test_the_dialogue_is_the_tutorials_word_for_word(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    starter.sees("Welcome to the Research Report Generator!\n")
    starter.asked("Enter your research topic or question:")
    starter.types("bees")
    starter.sees(
        re.compile(rf"Started workflow\. Workflow ID: {WORKFLOW_ID_PREFIX}[0-9a-f-]{{36}}, RunID ")
    )
    starter.sees(f"{LINE}\nResearch is complete!\n{CHOICES}\n{LINE}\n")
    starter.decide("query")
    starter.sees("Research Result:")
    starter.sees("bees")
    starter.edit("shorter")
    starter.sees("Additional instructions: shorter")
    starter.decide("maybe")
    starter.sees("Please enter either 'keep', 'edit', or 'query'")
    starter.keep()
    starter.sees_result()
    assert starter.ends() == 0
    assert starter.errors == ""
    asked = [call.messages[-1]["content"] for call in llm.calls]
    assert asked == ["bees", "bees\n\nAdditional instructions: shorter"]


def test_the_choices_are_the_tutorials() -> None:
    assert CHOICES == (
        "1. Type 'query' to view the current research result\n"
        "2. Type 'keep' to approve the research and create PDF\n"
        "3. Type 'edit' to modify the research"
    )


async def test_the_choices_can_be_given_by_number(open_starter: OpenStarter) -> None:
    starter = open_starter("bees")
    starter.decide("1")
    starter.sees("Research Result:")
    starter.decide("3")
    starter.asked("Enter additional instructions (optional):")
    starter.types("")
    starter.asked("Write a new draft from the same prompt? [y/N]")
    starter.types("y")
    starter.sees("Signal sent to regenerate research")
    starter.sees("Draft 2")
    starter.decide(" 2 ")
    starter.sees_result()
    assert starter.ends() == 0


async def test_an_empty_topic_takes_the_default(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    starter.begin("  ")
    starter.asked_to_decide()
    assert f"No prompt entered. Using default: {DEFAULT_PROMPT}\n" in starter.text
    assert llm.calls[0].messages[-1]["content"] == DEFAULT_PROMPT
    assert DEFAULT_PROMPT == "Give me 5 fun and fascinating facts about tardigrades."


async def test_a_topic_on_the_command_line_skips_the_first_question(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    starter = open_starter("why", "do", "cats", "purr?")
    starter.asked_to_decide()
    assert "Enter your research topic" not in starter.text
    assert llm.calls[0].messages[-1]["content"] == "why do cats purr?"


async def test_a_refused_key_is_reported_with_advice_and_without_a_draft(
    llm: LoopbackLLM, begin: Begin
) -> None:
    llm.replies.append(Reply(status=401))
    starter, report = begin()
    starter.sees("Draft 1 failed: openai/gpt-4o: ")
    starter.sees(
        "check LLM_API_KEY and restart the Worker (with --local, the starter). "
        "Type 'edit' to try again."
    )
    starter.sees("Type query, edit, discard, help or quit.")
    starter.asked_to_decide()
    assert "Research is complete!" not in starter.text
    starter.types("query")
    starter.sees("Draft 1 failed: openai/gpt-4o: ")
    starter.sees("Research Result: Not yet available")
    starter.decide("keep")
    starter.sees("There is no draft to keep yet. Type 'edit' to try again.")
    assert await decisions_on(report) == []
    starter.edit("")
    starter.sees(f"Research is complete!\n{CHOICES}\n")


async def test_a_refused_instruction_is_reported_with_advice(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    starter = open_starter("bees")
    starter.asked_to_decide()
    llm.replies.append(Reply(status=400, text="not this"))
    starter.types("edit")
    starter.sees("(optional):")
    starter.types("something bad")
    starter.sees('The instruction "something bad" was dropped.')
    starter.sees("Type 'edit' to ask again, or 'keep' to take draft 1.")
    starter.keep()
    starter.sees_result()


async def test_a_cut_off_draft_is_reported_with_advice(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.replies.append(Reply(text="Half of", finish_reason="length"))
    starter = open_starter("bees")
    starter.sees("Half of")
    starter.sees("Draft 1 is cut off: the model reached its token limit.")
    starter.sees("Type 'edit' to ask again, or 'keep' to take draft 1.")


async def test_a_live_line_counts_the_seconds_of_the_research(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.go_on.clear()
    starter = open_starter("bees")
    started = starter.sees(re.compile(r"Researching… (\d+) s$"))
    later = "|".join(str(int(started[1]) + seconds) for seconds in range(2, PATIENCE))
    starter.sees(re.compile(rf"^Researching… ({later}) s$", re.MULTILINE))
    llm.go_on.set()
    starter.asked_to_decide()
    assert "Researching" not in starter.text  # the line has gone


async def test_the_live_line_says_why_and_when_a_call_is_retried(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    wait = {"retry-after": "5"}
    llm.replies.extend([Reply(status=500), Reply(status=503, text="busy", headers=wait)])
    starter = open_starter("bees")
    starter.sees(
        re.compile(r"Researching… \d+ s \(attempt 3, openai/gpt-4o: busy.*, next try in [1-4] s\)")
    )
    starter.asked_to_decide()
    assert "attempt" not in starter.text
    assert len(llm.calls) == 3


async def test_s_stops_a_draft_and_the_instruction_can_be_typed_again(
    llm: LoopbackLLM, begin: Begin
) -> None:
    starter, report = begin()
    starter.asked_to_decide()
    llm.replies.append(Reply(delay=PATIENCE))
    starter.types("edit")
    starter.asked("Enter additional instructions (optional):")
    starter.types("make it worse")
    starter.sees(re.compile(r"^Press s to stop\.\nResearching… \d+ s$", re.MULTILINE))
    starter.presses("s")
    starter.sees("Draft 2 was stopped. Type 'edit' to ask again, or 'keep' to take draft 1.")
    await eventually(lambda: llm.calls[1].abandoned)
    starter.asked_for_instructions()
    starter.presses("\x1b[A")
    starter.line_is("Enter additional instructions (optional): make it worse")
    starter.types("!")
    starter.sees("Draft 2 revises draft 1")
    kinds = [decision.decision for decision in await decisions_on(report)]
    assert kinds == [UserDecision.EDIT, UserDecision.STOP, UserDecision.EDIT]


async def test_s_stops_a_first_draft_and_the_starter_says_how_to_try_again(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.replies.append(Reply(delay=PATIENCE))
    starter = open_starter("bees")
    starter.sees("Press s to stop.")
    starter.presses("s")
    starter.sees("Draft 1 was stopped. Type 'edit' to try again.")
    starter.asked_to_decide()


async def test_a_disk_error_is_reported_and_the_pdf_follows_when_it_is_fixed(
    reports: Path, open_starter: OpenStarter
) -> None:
    starter = open_starter("bees")
    starter.asked_to_decide()
    disk, aside = reports.parent, reports.parent.with_name("aside")
    disk.mkdir(exist_ok=True)
    disk.rename(aside)
    disk.touch()  # a file, so that no folder can be below it
    starter.types("keep")
    reason = "the report cannot be written to"
    starter.sees(re.compile(rf"Creating the PDF… \d+ s \(attempt \d, {reason}"))
    starter.sees(f"The PDF was not created: {reason}")
    disk.unlink()
    aside.rename(disk)
    starter.sees_result()
    assert starter.ends() == 0


async def test_a_decision_carries_the_number_of_the_draft_on_the_screen(begin: Begin) -> None:
    starter, report = begin()
    starter.edit(" shorter ")
    starter.sees("Draft 2")
    starter.write_afresh()
    starter.sees("Draft 3")
    starter.keep()
    starter.sees_result()
    assert await decisions_on(report) == [
        UserDecisionSignal(UserDecision.EDIT, "shorter", draft=1),
        UserDecisionSignal(UserDecision.EDIT, "", draft=2),
        UserDecisionSignal(UserDecision.KEEP, draft=3),
    ]


async def test_somebody_elses_keep_ends_the_starter(begin: Begin) -> None:
    starter, report = begin()
    starter.begins_to_decide("edi")
    await keep(report, draft=1)
    starter.sees_result()
    assert starter.ends() == 0


async def test_somebody_elses_edit_shows_its_draft_above_what_is_being_typed(begin: Begin) -> None:
    starter, report = begin()
    starter.begins_to_decide("kee")
    await edit(report, "with honey")
    starter.sees("Draft 2")
    starter.sees("Additional instructions: with honey")
    starter.line_is("Your decision (query/keep/edit): kee")
    starter.types("p")
    starter.sees_result()
    assert starter.ends() == 0
    theirs, ours = await decisions_on(report)
    assert theirs.additional_prompt == "with honey"
    assert ours == UserDecisionSignal(UserDecision.KEEP, draft=2)


async def test_nobody_approves_a_draft_that_was_not_shown(llm: LoopbackLLM, begin: Begin) -> None:
    starter, report = begin()
    starter.asked_to_decide()
    llm.go_on.clear()
    await edit(report, "with honey")
    starter.sees("Somebody else has decided on draft 1.")
    starter.types("keep")
    starter.sees("Signal sent to keep")
    llm.go_on.set()
    starter.sees("Draft 2")
    starter.sees("with honey")
    starter.sees("Draft 1 was not kept: draft 2 is the current one.")
    starter.keep()
    starter.sees_result()
    assert [decision.draft for decision in await decisions_on(report)] == [0, 1, 2]


async def test_somebody_elses_stale_keep_is_reported(begin: Begin) -> None:
    starter, report = begin()
    starter.asked_to_decide()
    await keep(report, draft=7)
    starter.sees("Draft 7 was not kept: draft 1 is the current one.")
    starter.sees("Your decision (query/keep/edit):")


async def test_only_a_refused_topic_is_replaced(
    llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.replies += [Reply(status=401), Reply(status=400, text="not this topic")]
    starter = open_starter("bees")
    starter.edit("shorter")
    starter.sees("not this topic")
    starter.decide("edit")
    starter.asked("The model refused this topic. Enter another topic:")
    starter.types("wasps")
    starter.sees("Research is complete!")
    asked = [call.messages[-1]["content"] for call in llm.calls]
    assert asked == ["bees", "bees\n\nAdditional instructions: shorter", "wasps"]

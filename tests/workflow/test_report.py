"""The rules of decisions, on a `Report` without a server. Failures are in test_failed_drafts.py."""

import pytest
from play import REFUSED, Play

from beyond.report import (
    CARRY_LIMIT,
    NO_EARLIER_DRAFT,
    NO_TEXT,
    TEXT_TOO_LONG,
    TEXT_TOO_LONG_BESIDE_PROMPT,
    UNDO_LIMIT,
    Report,
)
from models import INSTRUCTIONS_MARK as MORE
from models import LLMCallInput, PDFGenerationInput, Phase, UserDecision, UserDecisionSignal

TOO_LATE = "The {} did not count: draft {} was already approved."


# What the tutorial does.


def test_a_report_is_drafted_edited_and_kept() -> None:
    play = Play().start()
    assert (play.report.draft, play.report.status().prompt) == ("Text 1", "bees")
    play.send("EDIT: shorter")
    assert play.prompts == ["bees", "bees + shorter"]
    play.send("KEEP")
    assert play.approved == PDFGenerationInput("Text 2", topic="bees", approved="2026-01-02")
    assert play.report.phase == Phase.CREATING_PDF
    assert play.report.finish("research_pdf.pdf") == "research_pdf.pdf"
    status = play.report.status()
    assert (status.phase, status.draft, status.text) == (Phase.DONE, 2, "Text 2")


def test_an_edit_revises_the_draft_that_was_read() -> None:
    play = Play().start().send("EDIT 1: as a poem").send("EDIT 2: shorter")
    second, third = play.calls[1:]
    assert (second.draft_prompt, second.draft) == ("bees", "Text 1")
    assert (third.draft_prompt, third.draft) == (second.prompt, "Text 2")


@pytest.mark.parametrize("empty", ["EDIT", "EDIT:  \n"])
def test_an_empty_edit_asks_again_with_the_same_prompt(empty: str) -> None:
    play = Play().start().send("EDIT: shorter").send(empty)
    assert play.calls[2] == LLMCallInput(f"bees{MORE}shorter")


# The order of decisions.


def test_edits_that_wait_together_are_one_call() -> None:
    play = Play().wait_with("EDIT: add sources", "EDIT", "EDIT: shorter").start()
    assert play.prompts == ["bees", "bees + add sources + shorter"]


@pytest.mark.parametrize(
    ("decisions", "approved", "prompts"),
    [
        (["UNDO", "UNDO", "KEEP"], "Text 1", []),
        (["EDIT: x", "UNDO", "KEEP"], "Text 3", ["bees + a + b + x"]),
        (["UNDO", "EDIT: x", "KEEP", "EDIT: y"], "Text 4", ["bees + a + x"]),
        (["EDIT: x", "KEEP 3", "EDIT: y", "KEEP"], "Text 5", ["bees + a + b + x", "…"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_decisions_without_a_number_are_handled_one_after_the_other(
    decisions: list[str], approved: str, prompts: list[str]
) -> None:
    play = Play().start().send("EDIT: a").send("EDIT: b").send(*decisions)
    assert play.approved
    assert play.approved.content == approved
    expected = [prompt.replace("…", "bees + a + b + x + y") for prompt in prompts]
    assert play.prompts[3:] == expected


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        ("KEEP 1", "Draft 1 was not kept: draft 2 is the current one."),
        ("KEEP -1", "Draft -1 was not kept: draft 2 is the current one."),
        ("UNDO 1", "Draft 1 was not undone: draft 2 is the current one."),
        ("CORRECT 1: Mine", "Draft 1 was not corrected: draft 2 is the current one."),
        ("CORRECT 2:  \n", f"Draft 2 was not corrected: {NO_TEXT}."),
        (f"CORRECT 2: {'é' * 200_000}", f"Draft 2 was not corrected: {TEXT_TOO_LONG}."),
    ],
    ids=lambda value: value[:15],
)
def test_the_status_says_why_a_decision_does_not_count(decision: str, told: str) -> None:
    """In the tutorial, KEEP during a regeneration approved a text that nobody had read."""
    play = Play().start().send("EDIT 1: shorter", decision)
    assert (play.error, play.report.draft, play.approved) == (told, "Text 2", None)
    assert play.send("EDIT: x").error == ""
    assert play.send("KEEP 3").approved


def test_an_edit_for_an_older_draft_counts() -> None:
    play = Play().start().send("EDIT 1: shorter").send("EDIT 1: add sources")
    assert play.prompts[2] == "bees + shorter + add sources"
    assert play.calls[2].draft == "Text 2"
    assert play.error == ""


def test_after_the_approval_nothing_changes_the_draft() -> None:
    play = Play().start().send("KEEP", "EDIT: too late", "KEEP")
    assert play.error == TOO_LATE.format("EDIT", 1)
    for word in ("UNDO", "CORRECT", "STOP"):
        assert play.report.add(UserDecisionSignal(UserDecision(word), text="Mine")) != ""
        assert play.error == TOO_LATE.format(word, 1)
    assert play.report.add(UserDecisionSignal(UserDecision.KEEP)) != ""
    assert play.error == TOO_LATE.format("STOP", 1)
    assert (len(play.calls), play.report.has_decisions()) == (1, False)


def test_a_signal_without_a_decision_is_ignored() -> None:
    report = Play().start().report
    assert report.add(None) == "a Signal that is not a decision"
    assert report.add(UserDecisionSignal(UserDecision.WAIT)) == "WAIT"
    assert not report.has_decisions()


# CORRECT.


def test_a_correction_is_the_next_draft_and_answers_the_same_prompt() -> None:
    play = Play().start().send("EDIT: a").send("CORRECT 2: My text")
    status = play.report.status()
    assert (status.draft, status.text, status.prompt) == (3, "My text", f"bees{MORE}a")
    assert status.earlier_drafts == 2
    assert play.report.earlier_draft == "Text 2"
    assert len(play.calls) == 2
    play.send("EDIT: b")
    assert (play.calls[2].draft, play.calls[2].draft_prompt) == ("My text", f"bees{MORE}a")
    play.send("UNDO", "UNDO")
    assert play.report.draft == "Text 2"
    play.send("CORRECT: My text", "KEEP")
    assert play.approved
    assert play.approved.content == "My text"


def test_a_correction_too_long_for_the_next_run_does_not_count() -> None:
    topic = "蜂" * 99_000
    play = Play(topic=topic).start().send(f"CORRECT: {'x' * 990_000}")
    assert play.error == f"Draft 1 was not corrected: {TEXT_TOO_LONG_BESIDE_PROMPT}."
    play.send(f"CORRECT: {'x' * 600_000}")
    assert (play.error, play.report.number) == ("", 2)
    assert play.report.can_be_carried()


# Which decision led to a draft.


def test_the_status_says_which_decision_led_to_the_draft() -> None:
    play = Play().start()
    assert play.report.status().origin == ""
    for decision, origin in [
        ("EDIT: shorter", 'Draft 2 revises draft 1: "shorter".'),
        ("EDIT", "Draft 3 was written from the same prompt."),
        ("CORRECT: Mine", "Draft 4 corrects draft 3 by hand."),
        ("UNDO", "Draft 5 is draft 3 again."),
        ("UNDO", "Draft 6 is draft 2 again."),
    ]:
        assert play.send(decision).report.status().origin == origin
    carried = Report(play.report.carried())
    assert carried.status().origin == "Draft 6 is draft 2 again."


# UNDO.


def test_undo_goes_back_and_gives_the_text_a_new_number() -> None:
    play = Play().start().send("EDIT: a").send("EDIT: b").send("UNDO 3")
    status = play.report.status()
    assert (status.draft, status.text, status.prompt) == (4, "Text 2", f"bees{MORE}a")
    assert status.earlier_drafts == 1
    play.send("UNDO").send("UNDO")
    assert (play.report.draft, play.error) == ("Text 1", NO_EARLIER_DRAFT)
    play.send("EDIT: c")
    assert (play.calls[3].draft, play.prompts[3]) == ("Text 1", "bees + c")


def test_undo_goes_back_at_most_ten_drafts() -> None:
    play = Play().start()
    for _ in range(UNDO_LIMIT + 2):
        play.send("EDIT")
    assert play.report.status().earlier_drafts == UNDO_LIMIT


# A new run.


def test_a_new_run_keeps_the_state_of_the_last_one() -> None:
    play = Play("Text 1", REFUSED).start().send("EDIT: x").send("KEEP 7")
    play.wait_with("EDIT: y", "KEEP")
    again = Report(play.report.carried())
    assert again.status() == play.report.status()
    play.report = again
    assert play.send().approved
    assert play.prompts[2:] == ["bees + y"]


def test_stale_decisions_are_carried_with_the_number_minus_one() -> None:
    """Histories of earlier versions have this number."""
    play = Play("Text 1", REFUSED).start()
    play.wait_with("EDIT: x")
    assert play.report.next_decision() == UserDecision.EDIT
    call = play.report.revision()
    assert call
    play.wait_with("KEEP", "KEEP 1", "UNDO", "EDIT 1: y")
    play.report.refuse(call, *REFUSED)
    carried = play.report.carried()
    assert [decision.draft for decision in carried.carried.decisions] == [-1, 1, 0, -1]
    play.report = Report(carried)
    assert play.report.carried() == carried
    assert play.send().approved  # by the KEEP with a number
    assert play.error == "The EDIT did not count: draft 1 was already approved."


def test_a_run_handles_decisions_that_the_next_one_has_no_room_for() -> None:
    many = Play().start().wait_with(*["EDIT: x"] * (CARRY_LIMIT + 1))
    assert not many.report.can_be_carried()
    assert many.send().report.can_be_carried()
    much = Play().start().wait_with(*["EDIT: " + "x" * 500_000] * 6)
    assert not much.report.can_be_carried()


def test_the_next_run_gets_as_many_earlier_drafts_as_fit() -> None:
    play = Play(*(letter * 700_000 for letter in "abcd")).start()
    for _ in range(3):
        play.send("EDIT")
    carried = play.report.carried().carried
    assert (carried.draft[0], [draft.text[0] for draft in carried.earlier]) == ("d", ["c"])

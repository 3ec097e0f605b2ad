"""What follows a draft that fails or is stopped, on a `Report` without a server."""

from typing import Any

import pytest
from loopback_llm import answer
from play import NO_CREDIT, REFUSED, Play

from beyond.report import (
    INSTRUCTIONS_TOO_LONG,
    KEPT_BEHIND_A_FAILURE,
    NO_DRAFT,
    NO_DRAFT_TO_CORRECT,
    NO_EARLIER_DRAFT,
    NOTHING_TO_STOP,
    PROMPT_TOO_LONG,
    QUOTE_LIMIT,
    Report,
)
from beyond.report.state import json_size
from models import DRAFT_LIMIT, PAYLOAD_LIMIT, GenerateReportInput, Phase

# Calls that fail.


def test_a_failed_edit_keeps_the_draft_and_quotes_the_instruction() -> None:
    play = Play("Text 1", REFUSED).start().send("EDIT: a whole book")
    status = play.report.status()
    assert (status.draft, status.text, status.prompt) == (1, "Text 1", "bees")
    assert status.error == ('Draft 2 failed: not this. The instruction "a whole book" was dropped.')
    assert not status.topic_refused
    play.send("EDIT: a page")
    assert (play.prompts[2], play.error) == ("bees + a page", "")


def test_a_keep_that_comes_after_the_failure_counts() -> None:
    play = Play("Text 1", REFUSED).start().send("EDIT: x").send("KEEP")
    assert (bool(play.approved), play.error) == (True, "")


def test_a_long_instruction_is_quoted_in_part() -> None:
    play = Play("Text 1", REFUSED).start().send(f"EDIT: {'x' * 300}")
    assert f'"{"x" * QUOTE_LIMIT}…" was dropped' in play.error


@pytest.mark.parametrize(
    ("message", "told"),
    [
        *[("say no", "say no."), ("say no.", "say no."), ("say no...", "say no.")],
        *[("and why?", "and why?"), ("and more…", "and more…")],
        ("'x'", "BadRequestError: 'x'."),  # as the text of Python's KeyError
    ],
)
def test_an_error_ends_with_one_full_stop(message: str, told: str) -> None:
    play = Play(("BadRequestError", message)).start()
    assert play.error == f"Draft 1 failed: {told}"


@pytest.mark.parametrize(
    ("decisions", "draft", "approved"),
    [
        (["EDIT: x", "KEEP"], "Text 2", ""),
        (["EDIT: x", "KEEP 2"], "Text 2", "Text 2"),  # whoever says 2 means draft 2
        (["UNDO", "EDIT: x", "KEEP"], "Text 1", ""),
        (["EDIT: x", "KEEP", "EDIT: y", "KEEP"], "Text 4", ""),
        (["EDIT: x", "UNDO", "KEEP"], "Text 1", ""),
        (["EDIT: x", "EDIT: y", "KEEP"], "Text 2", ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_keep_without_a_number_behind_an_edit_that_failed_does_not_count(
    decisions: list[str], draft: str, approved: str
) -> None:
    play = Play("Text 1", "Text 2", REFUSED).start().send("EDIT").send(*decisions)
    assert play.report.draft == draft
    assert (play.approved.content if play.approved else "") == approved
    if not approved:
        assert KEPT_BEHIND_A_FAILURE in play.error


def test_a_correction_without_a_number_behind_an_edit_that_failed_counts() -> None:
    play = Play("Text 1", REFUSED).start().send("EDIT: x", "CORRECT: Mine")
    assert (play.report.draft, play.error) == ("Mine", "")


def test_an_edit_that_is_too_long_fails() -> None:
    play = Play("x" * 1_000_000).start().wait_with("EDIT: " + "y" * 1_000_000, "KEEP").send()
    assert play.error == f"{INSTRUCTIONS_TOO_LONG} {KEPT_BEHIND_A_FAILURE}"
    assert (len(play.calls), play.report.phase) == (1, Phase.WAITING)


def test_the_status_of_the_longest_draft_fits_into_a_payload() -> None:
    """The prompt grows with each EDIT, here by many long instructions."""
    play = Play(*["short"] * 9, "x" * (DRAFT_LIMIT - 100)).start()
    for _ in range(9):
        play.send("EDIT: " + "y" * 200_000)
    assert play.error.startswith(INSTRUCTIONS_TOO_LONG)
    play.outcomes = ["x" * DRAFT_LIMIT]
    play.send("EDIT")
    assert play.report.draft == "x" * DRAFT_LIMIT
    assert json_size(play.report.status()) <= PAYLOAD_LIMIT


@pytest.mark.parametrize(
    "wrong",
    [None, "", "text", [], {}, {"choices": []}, answer(""), answer(" \n"), answer(7)],
    ids=repr,
)
def test_an_answer_without_text_is_a_failure(wrong: Any) -> None:
    play = Play().start()
    play.wait_with("EDIT: x")
    play.report.next_decision()
    call = play.report.revision()
    assert call
    play.report.accept(call, wrong)
    assert play.error.startswith("Draft 2 failed: the answer contains no text.")
    assert play.report.draft == "Text 1"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("length", "the model reached its token limit"),
        ("content_filter", "the provider's content filter stopped the model"),
        ("insufficient_system_resource", 'the provider says "insufficient_system_resource"'),
    ],
)
def test_the_status_says_why_a_draft_is_cut_off(reason: str, words: str) -> None:
    report = Report(GenerateReportInput("bees"))
    report.accept(report.first_call(), answer("Half", reason))
    assert report.status().error == f"Draft 1 is cut off: {words}."


# A topic that fails.


def test_an_edit_after_a_refused_topic_replaces_it() -> None:
    play = Play(REFUSED, REFUSED, topic="a forbidden thing").start()
    assert play.report.status().topic_refused
    play.send("EDIT: another one")
    assert play.report.status().prompt == "a forbidden thing"  # taken back, like any instruction
    play.send("EDIT: bees", "EDIT: in verse").send("EDIT: shorter").send("KEEP")
    assert play.prompts == [
        "a forbidden thing",
        "another one",
        "bees + in verse",
        "bees + in verse + shorter",
    ]
    assert play.approved
    assert play.approved.topic == "bees"


def test_an_edit_behind_an_undo_replaces_a_refused_topic() -> None:
    play = Play(REFUSED).start().send("UNDO", "EDIT: wasps")
    assert play.prompts == ["bees", "wasps"]


def test_an_edit_that_came_before_the_refusal_does_not_replace_the_topic() -> None:
    play = Play(REFUSED).wait_with("EDIT: shorter").start()
    assert play.prompts == ["bees", "bees + shorter"]


def test_after_a_passing_failure_an_edit_keeps_all_instructions() -> None:
    play = Play(NO_CREDIT, NO_CREDIT, NO_CREDIT).start()
    assert not play.report.status().topic_refused
    play.send("EDIT: with a table")
    assert play.error == "Draft 1 failed: no credit."
    play.send("EDIT").send("EDIT: short")
    table = "bees + with a table"
    assert play.prompts == ["bees", table, table, f"{table} + short"]


def test_a_new_topic_is_kept_if_its_call_fails_for_another_reason() -> None:
    play = Play(REFUSED, NO_CREDIT).start().send("EDIT: wasps").send("EDIT")
    assert play.prompts == ["bees", "wasps", "wasps"]


def test_a_replacement_topic_has_the_same_length_limit() -> None:
    play = Play(REFUSED).start().send("EDIT: " + "x" * 100_001)
    assert (play.error, len(play.calls)) == (PROMPT_TOO_LONG, 1)


def test_a_decision_without_a_draft_gets_the_reason() -> None:
    play = Play(NO_CREDIT).start()
    for decision, told in (
        ("UNDO", NO_EARLIER_DRAFT),
        ("KEEP", NO_DRAFT),
        ("CORRECT: Mine", NO_DRAFT_TO_CORRECT),
    ):
        assert play.send(decision).error == f"Draft 1 failed: no credit. {told}"


# STOP.


def test_a_stopped_revision_leaves_the_draft_and_its_prompt() -> None:
    play = Play().start().wait_with("EDIT: worse", "KEEP")
    play.report.next_decision()
    call = play.report.revision()
    assert call
    play.wait_with("STOP")
    play.report.refuse(call, "", "cancelled")
    status = play.send().report.status()
    assert (status.draft, status.text, status.prompt) == (1, "Text 1", "bees")
    assert status.error == f"Draft 2 was stopped. {KEPT_BEHIND_A_FAILURE}"
    assert (play.send("EDIT: better").prompts[1], play.error) == ("bees + better", "")


def test_after_a_stopped_first_draft_an_edit_asks_with_the_same_topic() -> None:
    play = Play()
    call = play.report.first_call()
    play.wait_with("STOP")
    play.report.refuse(call, "BadRequestError", "cancelled")
    assert play.error == "Draft 1 was stopped."
    assert not play.report.status().topic_refused
    assert play.send("EDIT").prompts == ["bees"]


def test_a_stop_when_nothing_is_being_written_does_not_count() -> None:
    play = Play().start().send("STOP")
    assert play.error == NOTHING_TO_STOP
    assert play.send("EDIT: x").error == ""


def test_a_draft_that_arrives_before_its_stop_is_kept() -> None:
    play = Play()
    call = play.report.first_call()
    play.wait_with("STOP")
    play.report.accept(call, answer("Text"))
    assert (play.report.draft, play.error) == ("Text", "")
    assert play.send("EDIT: x").report.number == 2

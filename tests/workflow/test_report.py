"""The rules of decisions, on a `Report` without a server."""

from typing import Any

import pytest

from beyond.report import (
    CARRY_LIMIT,
    INSTRUCTIONS_TOO_LONG,
    KEPT_BEHIND_A_FAILURE,
    NO_DRAFT,
    NO_DRAFT_TO_CORRECT,
    NO_EARLIER_DRAFT,
    NO_TEXT,
    NOTHING_TO_STOP,
    PROMPT_TOO_LONG,
    QUOTE_LIMIT,
    TEXT_TOO_LONG,
    TEXT_TOO_LONG_BESIDE_PROMPT,
    UNDO_LIMIT,
    Report,
)
from beyond.report.state import json_size
from models import (
    DRAFT_LIMIT,
    PAYLOAD_LIMIT,
    GenerateReportInput,
    LLMCallInput,
    PDFGenerationInput,
    Phase,
    UserDecision,
    UserDecisionSignal,
)
from models import INSTRUCTIONS_MARK as MORE

TOO_LATE = "The {} did not count: draft {} was already approved."


def answer(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, "finish_reason": finish_reason}]}


class Play:
    """Does with a report what the Workflow does, with a model that `outcomes` scripts.

    An outcome is a draft or a failure, as kind and message. Without outcomes, drafts are numbered.
    """

    def __init__(self, *outcomes: str | tuple[str, str], topic: str = "bees") -> None:
        self.report = Report(GenerateReportInput(topic))
        self.outcomes = list(outcomes)
        self.calls: list[LLMCallInput] = []
        self.approved: PDFGenerationInput | None = None

    def start(self) -> "Play":
        self._call(self.report.first_call())
        self._decide()
        return self

    def send(self, *decisions: str) -> "Play":
        """Adds decisions such as "KEEP", "KEEP 2" or "EDIT: make it shorter", and takes them."""
        self.wait_with(*decisions)
        self._decide()
        return self

    def wait_with(self, *decisions: str) -> "Play":
        for text in decisions:
            words, _, instruction = text.partition(": ")
            word, _, number = words.partition(" ")
            signal = UserDecisionSignal(UserDecision(word), draft=int(number or 0))
            if signal.decision == UserDecision.CORRECT:
                signal.text = instruction
            else:
                signal.additional_prompt = instruction
            self.report.add(signal)
        return self

    def _decide(self) -> None:
        while decision := self.report.next_decision():
            if decision == UserDecision.KEEP:
                self.approved = self.report.approve("2026-01-02")
            elif call := self.report.revision():
                self._call(call)

    def _call(self, call: LLMCallInput) -> None:
        self.calls.append(call)
        outcome = self.outcomes.pop(0) if self.outcomes else f"Text {len(self.calls)}"
        if isinstance(outcome, str):
            self.report.accept(call, answer(outcome))
        else:
            self.report.refuse(call, *outcome)

    @property
    def prompts(self) -> list[str]:
        return [call.prompt.replace(MORE, " + ") for call in self.calls]

    @property
    def error(self) -> str:
        return self.report.status().error


REFUSED = "BadRequestError", "not this"
NO_CREDIT = "QuotaError", "no credit"


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


# Failures.


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
    [None, "", "text", [], {}, {"choices": []}, answer(""), answer(" \n"), answer(7)],  # type: ignore[arg-type]
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


def test_a_new_topic_outlives_a_failure_that_is_not_its_own() -> None:
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


def test_a_correction_without_a_number_behind_an_edit_that_failed_counts() -> None:
    play = Play("Text 1", REFUSED).start().send("EDIT: x", "CORRECT: Mine")
    assert (play.report.draft, play.error) == ("Mine", "")


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


# The PDF.


def test_a_pdf_that_fails_for_good_gives_the_report_back() -> None:
    play = Play().start().send("KEEP")
    play.report.pdf_failed("OSError", "the disk is full", is_final=False)
    status = play.report.status()
    assert status.phase == Phase.CREATING_PDF
    assert status.error == "The PDF was not created: the disk is full."
    play.report.pdf_failed("Unprintable", "too long", is_final=True)
    assert play.report.phase == Phase.WAITING
    play.send("EDIT: shorter").send("KEEP")
    assert play.report.finish("x.pdf") == "x.pdf"
    assert play.error == ""


def test_a_pdf_without_a_name_gives_the_report_back() -> None:
    play = Play().start().send("KEEP")
    assert play.report.finish(None) == ""
    assert (play.report.phase, bool(play.error)) == (Phase.WAITING, True)


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

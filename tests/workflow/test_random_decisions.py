"""Random decisions against the rules as a person would state them, one decision at a time."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from beyond.report import CHANGE_DRAFT, UNDO_LIMIT, Report
from models import INSTRUCTIONS_MARK as MORE
from models import (
    GenerateReportInput,
    LLMCallInput,
    PDFGenerationInput,
    Phase,
    UserDecision,
    UserDecisionSignal,
)

KINDS = st.sampled_from([UserDecision.KEEP, *[UserDecision.EDIT] * 2, *CHANGE_DRAFT])


@dataclass
class Expected:
    """What the report should know: the text and prompt of each draft by number, and what waits."""

    topic: str = "bees"
    prompt: str = "bees"
    number: int = 0
    text: str = ""
    earlier: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[UserDecisionSignal] = field(default_factory=list)
    spoiled: list[bool] = field(default_factory=list)  # of those: an EDIT before it has failed
    topic_refused: bool = False
    asked: str = ""  # the prompt of the call in progress
    approved: str = ""

    def take(self) -> str:
        """Takes decisions until one asks for something: "call", "pdf" or, if none does, ""."""
        while self.waiting:
            decision, spoiled = self.waiting.pop(0), self.spoiled.pop(0)
            right = decision.draft in (0, self.number)
            if decision.decision == UserDecision.EDIT:
                texts = [decision.additional_prompt]
                while self.waiting and self.waiting[0].decision == UserDecision.EDIT:
                    texts.append(self.waiting.pop(0).additional_prompt)
                    self.spoiled.pop(0)
                texts = [text for text in texts if text]
                replaces = texts and self.topic_refused and not spoiled
                self.asked = texts.pop(0) if replaces else self.prompt
                self.asked += "".join(MORE + text for text in texts)
                return "call"
            if decision.decision == UserDecision.UNDO:
                if right and self.earlier:
                    self.text, self.prompt = self.earlier.pop()
                    self.number += 1
            elif decision.decision == UserDecision.CORRECT:
                if right and self.number and decision.text:
                    self.remember()
                    self.text = decision.text
                    self.number += 1
            elif right and self.number and not (spoiled and not decision.draft):
                self.approved = self.text
                self.waiting, self.spoiled = [], []
                return "pdf"
        return ""

    def remember(self) -> None:
        self.earlier = [*self.earlier, (self.text, self.prompt)][-UNDO_LIMIT:]

    def answer(self, text: str) -> None:
        if self.number:
            self.remember()
        self.text, self.prompt, self.topic_refused = text, self.asked, False
        self.number += 1

    def fail(self, *, prompt_refused: bool) -> None:
        if not self.number:
            self.topic_refused = prompt_refused
            if not prompt_refused:
                self.prompt = self.asked
        self.spoiled = [True] * len(self.waiting)


class Decisions(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.report = Report(GenerateReportInput("bees"))
        self.expected = Expected(asked="bees")
        self.call: LLMCallInput | None = self.report.first_call()
        self.pdf: PDFGenerationInput | None = None
        self.stopped = False
        self.drafts = 0
        self.instructions = 0

    @rule(kind=KINDS, ago=st.sampled_from([None, 0, 0, 1, -1]), says=st.booleans())
    def send(self, kind: UserDecision, ago: int | None, says: bool) -> None:
        """Sends a decision without a number, or on the current, an earlier or a later draft."""
        number = 0 if ago is None else max(self.expected.number - ago, 0)
        self.instructions += 1
        instruction = f"rule {self.instructions}" if says and kind == UserDecision.EDIT else ""
        text = f"Corrected {self.instructions}" if says and kind == UserDecision.CORRECT else ""
        decision = UserDecisionSignal(kind, instruction, number, text)
        ignored = self.report.add(decision)
        assert bool(ignored) == bool(self.pdf)
        if not ignored:
            self.expected.waiting.append(decision)
            self.expected.spoiled.append(False)

    @precondition(lambda self: not self.call and not self.pdf)
    @rule()
    def take(self) -> None:
        """Takes what waits, as a Workflow Task does."""
        wanted = self.expected.take()
        decision = self.report.next_decision()
        if decision == UserDecision.EDIT:
            self.call = self.report.revision()
            assert wanted == "call"
            assert self.call
            assert self.call.prompt == self.expected.asked
            assert self.call.draft in ("", self.expected.text)
        elif decision == UserDecision.KEEP:
            self.pdf = self.report.approve("2026-01-02")
            assert wanted == "pdf"
            assert self.pdf.content == self.expected.approved
        else:
            assert wanted == ""

    @precondition(lambda self: self.call)
    @rule(outcome=st.sampled_from(["", "", "", "BadRequestError", "QuotaError"]))
    def end_call(self, outcome: str) -> None:
        assert self.call
        if self.stopped and outcome:
            self.report.refuse(self.call, outcome, "cancelled")
            self.expected.fail(prompt_refused=False)
            assert self.report.status().error == f"Draft {self.expected.number + 1} was stopped."
        elif outcome:
            self.report.refuse(self.call, outcome, "no")
            self.expected.fail(prompt_refused=outcome == "BadRequestError")
            assert self.report.status().error
        else:
            self.drafts += 1
            text = f"Text {self.drafts}"
            self.report.accept(self.call, {"choices": [{"message": {"content": text}}]})
            self.expected.answer(text)
        self.call, self.stopped = None, False

    @rule()
    def stop(self) -> None:
        """A STOP counts only while the model writes; even then, the draft may arrive first."""
        ignored = self.report.add(UserDecisionSignal(UserDecision.STOP))
        assert bool(ignored) == (not self.call)
        self.stopped = bool(self.call)

    @precondition(lambda self: self.pdf)
    @rule()
    def lose_pdf(self) -> None:
        """The draft cannot become a PDF, so the person decides again."""
        self.report.pdf_failed("Unprintable", "no", is_final=True)
        self.pdf = None

    @precondition(lambda self: not self.call and not self.pdf)
    @rule()
    def continue_in_a_new_run(self) -> None:
        self.report = Report(self.report.carried())

    @invariant()
    def the_status_is_as_expected(self) -> None:
        status, expected = self.report.status(), self.expected
        assert (status.draft, status.text) == (expected.number, expected.text)
        assert self.report.draft == status.text
        assert self.report.earlier_draft == (expected.earlier[-1][0] if expected.earlier else "")
        assert status.prompt == expected.prompt
        assert status.earlier_drafts == len(expected.earlier)
        assert status.topic_refused == expected.topic_refused
        if self.pdf:
            assert status.phase == Phase.CREATING_PDF
        else:
            is_busy = self.call or expected.waiting
            assert status.phase == (Phase.RESEARCHING if is_busy else Phase.WAITING)


TestRandomDecisions = Decisions.TestCase
TestRandomDecisions.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)

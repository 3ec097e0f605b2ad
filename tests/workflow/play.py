"""Plays a report without a server, for tests of its rules."""

from loopback_llm import answer

from beyond.report import Report
from models import INSTRUCTIONS_MARK as MORE
from models import (
    GenerateReportInput,
    LLMCallInput,
    PDFGenerationInput,
    UserDecision,
    UserDecisionSignal,
)


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

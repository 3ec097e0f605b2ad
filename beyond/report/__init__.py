"""A report: its topic, its drafts, what people decide on them, and what they are told.

Nothing here knows Temporal. The Workflow asks a `Report` what to do next, does it, and tells it
how that ended.
"""

import json
from dataclasses import asdict, replace
from itertools import takewhile
from typing import Any

from beyond.report.decisions import (
    BEHIND_A_FAILURE,
    explain_late,
    explain_refusal,
    is_edit,
)
from models import (
    INSTRUCTIONS_MARK,
    PAYLOAD_LIMIT,
    PROMPT_LIMIT,
    ContinuedReport,
    EarlierDraft,
    GenerateReportInput,
    LLMCallInput,
    PDFGenerationInput,
    Phase,
    ReportState,
    ReportStatus,
    UserDecision,
    UserDecisionSignal,
)

# A run of the Workflow ends after so many Signals and Activities, or bytes of them, and the report
# goes on in a new one. Each adds at most 6 events to the history, which makes 12,000 and 8 MB, and
# the last step at most 4 MB more. Temporal ends a Workflow at 51,200 events or 50 MB.
CONTINUE_AFTER = 2_000
CONTINUE_AFTER_BYTES = 8_000_000
CARRY_LIMIT = 1_000  # decisions; a run that has more works through them first
UNDO_LIMIT = 10  # drafts
QUOTE_LIMIT = 200  # characters of an instruction that the status quotes
PDF_TOPIC_LIMIT = 1_000  # characters; create_pdf prints fewer

PROMPT_TOO_LONG = f"The prompt is too long: {PROMPT_LIMIT:,} characters are the most."
INSTRUCTIONS_TOO_LONG = "With the draft, the instructions are too long. Send shorter ones."
WRONG_INPUT = 'A report starts with one JSON object as its input: {"prompt": "your topic"}'
# How llm_call names an error if the provider refuses the prompt itself.
PROMPT_REFUSALS = {
    "BadRequestError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "UnprocessableEntityError",
}
# What a model's finish_reason says of a draft that is not whole.
CUT_OFF = {
    "length": "the model reached its token limit",
    "content_filter": "the provider's content filter stopped the model",
}


class Report:
    """What a report knows, in the contract's words:

    - Decisions are taken in the order of their arrival, as if each had come when the one before it
      was done.
    - EDITs that wait together, with no other decision between them, are one call to the model.
    - A decision without a number is about the draft that is current when its turn comes.
    - A KEEP or UNDO whose number is not the current draft's does not count, nor does a KEEP without
      a number behind an EDIT that failed. The status says so. An EDIT for an older draft counts.
    - After a KEEP that counts, nothing changes the draft.
    """

    def __init__(self, input: ContinuedReport | GenerateReportInput | None) -> None:
        self.problem = ""  # why the report cannot start
        self.phase = Phase.RESEARCHING
        self._topic = input.prompt if input else ""
        self._state = ReportState(self._topic)
        self._new_topic, self._instructions = self._topic, ""  # of the call in progress
        self._steps = self._bytes = 0  # Signals and Activities of this run
        if isinstance(input, ContinuedReport):
            self._state, self.phase = input.carried, Phase.WAITING
        elif not input:
            self.problem = WRONG_INPUT
        elif len(input.prompt) > PROMPT_LIMIT:
            self.problem = PROMPT_TOO_LONG

    @property
    def draft(self) -> str:
        return self._state.draft

    @property
    def number(self) -> int:
        """The number of the current draft, 0 before the first."""
        return self._state.number

    @property
    def _error(self) -> str:
        return f"{self._state.error} {self._state.refusal}".strip()

    def status(self) -> ReportStatus:
        """The answer to the Query. It leaves the text out if Temporal could not carry it."""
        state = self._state
        status = ReportStatus(
            phase=self.phase,
            draft=state.number,
            prompt=state.prompt,
            error=self._error,
            text=state.draft,
            earlier_drafts=len(state.earlier),
            topic_refused=state.topic_refused,
        )
        return status if _measure(status) <= PAYLOAD_LIMIT else replace(status, text="")

    def explain_decisions(self) -> str:
        """Says in Markdown, for the Web UI, how to decide on a report that waits."""
        edit = '`{"decision": "EDIT", "additional_prompt": "make it shorter"}`'
        answers, waiting = edit, "The report waits"
        if self.number:
            answers = f'`{{"decision": "KEEP", "draft": {self.number}}}` or {edit}'
            waiting = f"Draft {self.number} waits"
        error = self._error.encode(errors="replace").decode()  # may quote half a character
        return f"{error}\n\n{waiting} for the Signal `user_decision_signal`: {answers}"

    # Decisions.

    def add(self, decision: UserDecisionSignal | None) -> str:
        """Queues a decision. Returns why it is ignored instead, or ""."""
        self._count(decision)
        if not decision:
            return "a Signal that is not a decision"
        if decision.decision == UserDecision.WAIT:
            return "WAIT"
        if self.phase in (Phase.CREATING_PDF, Phase.DONE):
            self._state.refusal = explain_late(decision, self.number) or self._state.refusal
            return "a decision: the draft is approved"
        self._state.decisions.append(decision)
        return ""

    def has_decisions(self) -> bool:
        return bool(self._state.decisions)

    def next_decision(self) -> UserDecision | None:
        """Takes the next KEEP or UNDO that counts, or tells that an EDIT is next.

        None if no decision is left that counts.
        """
        state = self._state
        while state.decisions:
            if is_edit(state.decisions[0]):
                return UserDecision.EDIT
            decision = state.decisions.pop(0)
            state.refusal = explain_refusal(decision, state)
            if not state.refusal:
                return decision.decision
        return None

    # Drafts.

    def first_call(self) -> LLMCallInput:
        return self._begin(LLMCallInput(self._topic))

    def revision(self) -> LLMCallInput | None:
        """Takes the EDITs that wait together, and returns what to ask the model.

        With instructions, the model revises the draft; without, it writes a new one. None if the
        EDITs fail because they are too long.
        """
        state = self._state
        edits = list(takewhile(is_edit, state.decisions))
        del state.decisions[: len(edits)]
        instructions = [text for edit in edits if (text := edit.additional_prompt.strip())]
        self._instructions, self._new_topic = "; ".join(instructions), self._topic
        prompt = state.prompt
        if instructions and state.topic_refused and edits[0].draft != BEHIND_A_FAILURE:
            prompt = self._new_topic = instructions.pop(0)
        call = LLMCallInput(prompt + "".join(INSTRUCTIONS_MARK + text for text in instructions))
        if self._instructions and self.number:
            call.draft, call.draft_prompt = state.draft, state.prompt
        if len(self._new_topic) > PROMPT_LIMIT:
            self._fail(PROMPT_TOO_LONG)
        elif _measure(call) > PAYLOAD_LIMIT:
            self._fail(INSTRUCTIONS_TOO_LONG)
        else:
            return self._begin(call)
        return None

    def accept(self, call: LLMCallInput, answer: Any) -> None:
        """Makes the model's answer the current draft. It is in the OpenAI shape, or anything."""
        self._bytes += _measure(answer)
        match answer:
            case {"choices": [{"message": {"content": str(text)}, **choice}, *_]} if text.strip():
                state = self._state
                if state.number:
                    state.earlier.append(EarlierDraft(state.draft, state.prompt))
                    del state.earlier[:-UNDO_LIMIT]
                self._topic = self._new_topic
                state.draft, state.prompt, state.topic_refused = text, call.prompt, False
                state.number += 1
                self.phase = Phase.WAITING
                if cause := _explain_end(choice.get("finish_reason")):
                    state.error = f"Draft {state.number} is cut off: {cause}."
            case _:
                self.refuse(call, "", "the answer holds no text")

    def refuse(self, call: LLMCallInput, kind: str, reason: str) -> None:
        """Keeps the current draft, and says why there is no new one. `kind` is the error's name."""
        state = self._state
        if self.number or kind in PROMPT_REFUSALS:
            state.topic_refused = not self.number
            taken_back = self._instructions
        else:  # the prompt is not at fault: an EDIT asks with it again
            self._topic, state.prompt, state.topic_refused = self._new_topic, call.prompt, False
            taken_back = ""
        self._fail(_sentence(f"Draft {self.number + 1} failed", explain_failure(kind, reason)))
        if taken_back:
            state.error += f' The instruction "{_quote(taken_back)}" was taken back.'

    def undo(self) -> None:
        """Goes back to the draft before, whose text gets a number of its own."""
        state = self._state
        earlier = state.earlier.pop()
        state.draft, state.prompt = earlier.text, earlier.prompt
        state.number += 1
        state.error = ""

    # The PDF.

    def approve(self, day: str) -> PDFGenerationInput:
        """Returns what to print. What waits behind the KEEP comes too late."""
        state = self._state
        self.phase, state.error = Phase.CREATING_PDF, ""
        waiting, state.decisions = state.decisions, []
        for decision in waiting:
            state.refusal = explain_late(decision, self.number) or state.refusal
        topic = self._topic[:PDF_TOPIC_LIMIT]
        approved = PDFGenerationInput(content=state.draft, topic=topic, approved=day)
        self._count(approved)
        return approved

    def miss_pdf(self, kind: str, reason: str, *, for_good: bool) -> None:
        """Says why there is no PDF. If there will be none, the person decides again."""
        self._state.error = _sentence("The PDF was not created", explain_failure(kind, reason))
        if for_good:
            self.phase = Phase.WAITING

    def finish(self, pdf_filename: str | None) -> str:
        """Returns the name of the PDF, or "" if somebody ended its Activity by hand without one."""
        if not pdf_filename:
            self.miss_pdf("", "create_pdf returned no file name", for_good=True)
            return ""
        self.phase, self._state.error = Phase.DONE, ""
        return pdf_filename

    # Going on in a new run.

    def is_long(self) -> bool:
        """Whether the report is to go on in a new run.

        False while its state is too large to hand over: working through it makes it smaller.
        """
        return (
            (self._steps >= CONTINUE_AFTER or self._bytes >= CONTINUE_AFTER_BYTES)
            and len(self._state.decisions) <= CARRY_LIMIT
            and _measure(self._carry(earlier=[])) <= PAYLOAD_LIMIT
        )

    def carried(self) -> ContinuedReport:
        """What the next run begins with: as many of the earlier drafts as fit."""
        earlier = self._state.earlier
        while _measure(self._carry(earlier)) > PAYLOAD_LIMIT:
            earlier = earlier[1:]
        return self._carry(earlier)

    def _carry(self, earlier: list[EarlierDraft]) -> ContinuedReport:
        return ContinuedReport(self._topic, replace(self._state, earlier=earlier))

    def _begin(self, call: LLMCallInput) -> LLMCallInput:
        self.phase = Phase.RESEARCHING
        self._state.error = self._state.refusal = ""
        self._count(call)
        return call

    def _fail(self, error: str) -> None:
        """Ends an EDIT or the first call without a draft: what waits behind it came too early."""
        self.phase = Phase.WAITING
        self._state.error, self._state.refusal = error, ""
        for decision in self._state.decisions:
            keeps = decision.decision == UserDecision.KEEP
            if is_edit(decision) or (keeps and not decision.draft):
                decision.draft = BEHIND_A_FAILURE

    def _count(self, payload: Any) -> None:
        """Counts a Signal, or an Activity by what it gets."""
        self._steps += 1
        self._bytes += _measure(payload)


def explain_failure(kind: str, reason: str) -> str:
    """What a person reads of an error: its words. A single one says nothing without the kind."""
    return reason if " " in reason else ": ".join(filter(None, (kind, reason)))


def _explain_end(finish_reason: object) -> str:
    """Why a draft is not whole, in words, or "". Old answers and stand-ins may give no reason."""
    if finish_reason in (None, "stop"):
        return ""
    return CUT_OFF.get(str(finish_reason), f'the provider says "{finish_reason}"')


def _measure(payload: Any) -> int:
    """The bytes of a payload as JSON, which Temporal writes in ASCII."""
    return len(json.dumps(payload, default=asdict))


def _quote(instructions: str) -> str:
    if len(instructions) <= QUOTE_LIMIT:
        return instructions
    return instructions[:QUOTE_LIMIT] + "…"


def _sentence(*parts: str) -> str:
    text = ": ".join(filter(None, parts))
    return text if text.endswith(("!", "?", "…")) else text.rstrip(" .") + "."

"""A report: its topic, its drafts, the decisions on them, and what to tell the person.

The Workflow asks a `Report` what to do next, does it, and reports the outcome. Nothing here calls
Temporal; but a report can be reset, and a long one continues as new.
"""

from dataclasses import replace
from itertools import takewhile
from typing import Any

from beyond.report.state import (
    ContinuedReport,
    EarlierDraft,
    QueuedDecision,
    ReportState,
    json_size,
    pack_decisions,
    unpack_decisions,
)
from models import (
    DRAFT_LIMIT,
    INSTRUCTIONS_MARK,
    PAYLOAD_LIMIT,
    PROMPT_LIMIT,
    GenerateReportInput,
    LLMCallInput,
    PDFGenerationInput,
    Phase,
    ReportStatus,
    UserDecision,
    UserDecisionSignal,
)

# Bytes. The status and the next run's input hold a draft and its prompt, which each EDIT lengthens.
LONGEST_PROMPT = PAYLOAD_LIMIT - DRAFT_LIMIT
CARRY_LIMIT = 1_000  # decisions in the queue; with more, a run handles some before it ends
UNDO_LIMIT = 10  # drafts
QUOTE_LIMIT = 200  # characters of an instruction that the status quotes
PDF_TOPIC_LIMIT = 1_000  # characters; create_pdf prints a topic of at most 120

PROMPT_TOO_LONG = f"The prompt is too long. The limit is {PROMPT_LIMIT:,} characters."
INSTRUCTIONS_TOO_LONG = "Together with the draft, the instructions are too long. Send shorter ones."
NO_DRAFT = "There is no draft to keep yet."
NO_EARLIER_DRAFT = "There is no earlier draft to go back to."
NO_DRAFT_TO_CORRECT = "There is no draft to correct yet."
NOTHING_TO_STOP = "Nothing was stopped: no draft is being written."
NO_TEXT = "there is no text"
TEXT_TOO_LONG = f"the text is too long; the limit is {DRAFT_LIMIT:,} bytes as JSON"
TEXT_TOO_LONG_BESIDE_PROMPT = "together with its long prompt, the text is too long"
# These decisions bring the next draft without a call to the model.
CHANGE_DRAFT = UserDecision.UNDO, UserDecision.CORRECT
# For a decision that does not count: what to say if there is no draft and, if the decision is for
# another draft, the verb for "Draft 1 was not …".
REFUSALS = {
    UserDecision.KEEP: (NO_DRAFT, "kept"),
    UserDecision.UNDO: (NO_EARLIER_DRAFT, "undone"),
    UserDecision.CORRECT: (NO_DRAFT_TO_CORRECT, "corrected"),
}
KEPT_BEHIND_A_FAILURE = "The draft was not kept: the EDIT before the KEEP failed."
UNREAD = "The draft was not {}: the report was reset, and this draft is a new one."
WRONG_INPUT = 'A report needs one JSON object as its input: {"prompt": "your topic"}'
# The types of llm_call's errors that mean that the provider refuses the prompt itself.
PROMPT_REFUSALS = {
    "BadRequestError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "UnprocessableEntityError",
}
# What a model's finish_reason means if it is not "stop".
CUT_OFF = {
    "length": "the model reached its token limit",
    "content_filter": "the provider's content filter stopped the model",
}


class Report:
    """A report's state, and the rules for decisions:

    - Decisions are handled in the order in which they arrive, one after the other.
    - EDITs that wait together, with no other decision between them, become one call to the model.
    - A decision without a number is about the draft that is current when its turn comes.
    - A KEEP, UNDO or CORRECT for a draft that is not current does not count. Nor does a KEEP
      without a number that waited behind an EDIT that failed, nor a CORRECT whose text is empty or
      too long. The status says so. An EDIT for an older draft counts, and so does a CORRECT without
      a number that waited behind an EDIT that failed.
    - A STOP takes effect at once. It does not count if no draft is being written.
    - After a KEEP that counts, nothing changes the draft.
    """

    def __init__(self, input: ContinuedReport | GenerateReportInput | None) -> None:
        self.problem = ""  # why the report cannot start
        self.phase = Phase.RESEARCHING
        self._topic = input.prompt if input else ""
        self._state = ReportState(self._topic)
        self._queue: list[QueuedDecision] = []
        self._new_topic, self._instructions = self._topic, ""  # of the call in progress
        self.is_stopped = False  # the call in progress, or that is about to begin
        if isinstance(input, ContinuedReport):
            self._state, self.phase = replace(input.carried, decisions=[]), Phase.WAITING
            self._queue = unpack_decisions(input.carried.decisions)
        elif not input:
            self.problem = WRONG_INPUT
        elif len(input.prompt) > PROMPT_LIMIT:
            self.problem = PROMPT_TOO_LONG

    @property
    def draft(self) -> str:
        """The text of the current draft, "" before the first."""
        return self._state.draft

    @property
    def number(self) -> int:
        """The number of the current draft, 0 before the first."""
        return self._state.number

    @property
    def earlier_draft(self) -> str:
        """The text that UNDO would bring back, or "" if there is none."""
        return self._state.earlier[-1].text if self._state.earlier else ""

    @property
    def error(self) -> str:
        """What went wrong in the last step, in one or two sentences for the person, or ""."""
        return f"{self._state.error} {self._state.refusal}".strip()

    def status(self) -> ReportStatus:
        """Returns the answer to the Query `get_report_status`."""
        state = self._state
        # A decision waits here only while the report continues as new: the person has decided.
        is_decided = self.phase == Phase.WAITING and self._queue
        return ReportStatus(
            phase=Phase.RESEARCHING if is_decided else self.phase,
            draft=state.number,
            prompt=state.prompt,
            error=self.error,
            text=state.draft,
            earlier_drafts=len(state.earlier),
            topic_refused=state.topic_refused,
            origin=state.origin,
        )

    # Decisions.

    def add(self, decision: UserDecisionSignal | None, *, was_reset: bool = False) -> str:
        """Queues a decision, or notes a STOP. If it ignores the decision, returns why, else "".

        `was_reset`: after a reset, Temporal delivers old decisions, but nobody read the new drafts.
        """
        if not decision:
            return "a Signal that is not a decision"
        if decision.decision == UserDecision.WAIT:
            return "WAIT"
        if self.phase in (Phase.CREATING_PDF, Phase.DONE):
            self._state.refusal = _explain_late(decision, self.number) or self._state.refusal
            return "a decision: the draft is approved"
        if decision.decision == UserDecision.STOP:
            if self.phase != Phase.RESEARCHING:
                self._state.refusal = NOTHING_TO_STOP
                return "a STOP: no draft is being written"
            self.is_stopped = True
            return ""
        is_stale = was_reset and decision.draft > self.number
        self._queue.append(QueuedDecision(decision, is_stale))
        return ""

    def has_decisions(self) -> bool:
        """Whether decisions wait in the queue."""
        return bool(self._queue)

    def next_decision(self) -> UserDecision | None:
        """Returns the next KEEP that counts, or EDIT if one comes first, or None without either.

        Carries out the UNDOs and CORRECTs before it. Takes a KEEP out of the queue; `revision`
        takes out an EDIT.
        """
        while self._queue:
            self.change_draft()
            if self._queue and _is_edit(self._queue[0]):
                return UserDecision.EDIT
            if self._queue and self._take():
                return UserDecision.KEEP
        return None

    def change_draft(self) -> None:
        """Carries out the UNDOs and CORRECTs at the head of the queue."""
        while self._queue and self._queue[0].decision.decision in CHANGE_DRAFT:
            if decision := self._take():
                if decision.decision == UserDecision.UNDO:
                    self._undo()
                else:
                    self._correct(decision.text)

    def _take(self) -> UserDecisionSignal | None:
        """Takes the next decision, which must not be an EDIT. Returns None if it does not count."""
        queued = self._queue.pop(0)
        self._state.refusal = self._explain_refusal(queued)
        return None if self._state.refusal else queued.decision

    def _explain_refusal(self, queued: QueuedDecision) -> str:
        """Returns why a KEEP, UNDO or CORRECT does not count, or "" if it does."""
        decision, number = queued.decision, self.number
        without_draft, done = REFUSALS[decision.decision]
        if not number:
            return without_draft
        if queued.is_stale:
            return UNREAD.format(done) if decision.draft else KEPT_BEHIND_A_FAILURE
        if decision.draft not in (0, number):
            return f"Draft {decision.draft} was not {done}: draft {number} is the current one."
        if decision.decision == UserDecision.UNDO and not self._state.earlier:
            return NO_EARLIER_DRAFT
        if decision.decision == UserDecision.CORRECT and (fault := self._find_fault(decision.text)):
            return f"Draft {number} was not corrected: {fault}."
        return ""

    def _find_fault(self, text: str) -> str:
        """Returns why a CORRECT with this text does not count, or ""."""
        # The next run's input must have room for it.
        state = replace(self._state, draft=text, earlier=[])
        fits = json_size(ContinuedReport(self._topic, state)) <= PAYLOAD_LIMIT
        return find_fault(text) or ("" if fits else TEXT_TOO_LONG_BESIDE_PROMPT)

    # Drafts.

    def first_call(self) -> LLMCallInput:
        """Returns what to ask the model for the first draft."""
        return self._begin(LLMCallInput(self._topic))

    def revision(self) -> LLMCallInput | None:
        """Takes the EDITs at the head of the queue, and returns what to ask the model.

        With instructions, the model revises the draft; without, it writes a new one. If the
        instructions are too long, the EDITs fail and this returns None.
        """
        state = self._state
        edits = list(takewhile(_is_edit, self._queue))
        del self._queue[: len(edits)]
        texts = [edit.decision.additional_prompt.strip() for edit in edits]
        instructions = [text for text in texts if text]
        self._instructions, self._new_topic = "; ".join(instructions), self._topic
        prompt = state.prompt
        if instructions and state.topic_refused and not edits[0].is_stale:
            prompt = self._new_topic = instructions.pop(0)
        call = LLMCallInput(prompt + "".join(INSTRUCTIONS_MARK + text for text in instructions))
        if self._instructions and self.number:
            call.draft, call.draft_prompt = state.draft, state.prompt
        if len(self._new_topic) > PROMPT_LIMIT:
            self._fail(PROMPT_TOO_LONG)
        elif json_size(call) > PAYLOAD_LIMIT or json_size(call.prompt) > LONGEST_PROMPT:
            self._fail(INSTRUCTIONS_TOO_LONG)
        else:
            return self._begin(call)
        return None

    def accept(self, call: LLMCallInput, answer: Any) -> None:
        """Makes the model's answer the current draft. One that is not in the OpenAI shape fails."""
        match answer:
            case {"choices": [{"message": {"content": str(text)}, **choice}, *_]} if text.strip():
                state = self._state
                origin = "was written from the same prompt"
                if self._instructions:
                    origin = f'revises draft {state.number}: "{_quote(self._instructions)}"'
                self._remember_draft()
                self._set_draft(text, call.prompt, origin if state.number else "")
                self._topic, state.topic_refused = self._new_topic, False
                self.phase, self.is_stopped = Phase.WAITING, False
                if cause := _explain_end(choice.get("finish_reason")):
                    state.error = f"Draft {state.number} is cut off: {cause}."
            case _:
                self.refuse(call, "", "the answer contains no text")

    def refuse(self, call: LLMCallInput, kind: str, reason: str) -> None:
        """Keeps the current draft, and notes why the call failed. `kind` is the error's type."""
        state, was_stopped = self._state, self.is_stopped
        if self.number or (kind in PROMPT_REFUSALS and not was_stopped):
            state.topic_refused = not self.number
            taken_back = self._instructions
        else:  # the prompt is not at fault, so the next EDIT extends it
            self._topic, state.prompt, state.topic_refused = self._new_topic, call.prompt, False
            taken_back = ""
        if was_stopped:
            self.is_stopped = False
            self._fail(f"Draft {self.number + 1} was stopped.")
            return
        self._fail(_sentence(f"Draft {self.number + 1} failed", explain_failure(kind, reason)))
        if taken_back:
            state.error += f' The instruction "{_quote(taken_back)}" was dropped.'

    def _undo(self) -> None:
        """Goes back to the previous draft, whose text gets the next number."""
        earlier = self._state.earlier.pop()
        which = f"draft {earlier.number}" if earlier.number else "an earlier draft"
        self._set_draft(earlier.text, earlier.prompt, f"is {which} again")

    def _correct(self, text: str) -> None:
        """Makes the person's own text the next draft, for the same prompt."""
        self._remember_draft()
        self._set_draft(text, self._state.prompt, f"corrects draft {self.number} by hand")

    def _remember_draft(self) -> None:
        """Keeps the current draft, if there is one, for UNDO."""
        state = self._state
        if state.number:
            state.earlier.append(EarlierDraft(state.draft, state.prompt, state.number))
            del state.earlier[:-UNDO_LIMIT]

    def _set_draft(self, text: str, prompt: str, origin: str) -> None:
        state = self._state
        state.draft, state.prompt, state.error = text, prompt, ""
        state.number += 1
        state.origin = f"Draft {state.number} {origin}." if origin else ""

    # The PDF.

    def approve(self, day: str) -> PDFGenerationInput:
        """Returns what to print, and refuses the decisions that waited behind the KEEP.

        `day` is an ISO date, YYYY-MM-DD.
        """
        state = self._state
        self.phase, state.error = Phase.CREATING_PDF, ""
        for queued in self._queue:
            state.refusal = _explain_late(queued.decision, self.number) or state.refusal
        self._queue = []
        topic = self._topic[:PDF_TOPIC_LIMIT]
        return PDFGenerationInput(content=state.draft, topic=topic, approved=day)

    def pdf_failed(self, kind: str, reason: str, *, is_final: bool) -> None:
        """Notes why there is no PDF. If no retry follows (`is_final`), the person decides again."""
        self._state.error = _sentence("The PDF was not created", explain_failure(kind, reason))
        if is_final:
            self.phase = Phase.WAITING

    def finish(self, pdf_filename: str | None) -> str:
        """Returns the PDF's name, or "" if somebody completed the Activity manually without one."""
        if not pdf_filename:
            self.pdf_failed("", "create_pdf returned no file name", is_final=True)
            return ""
        self.phase, self._state.error = Phase.DONE, ""
        return pdf_filename

    # Continuing as new.

    def can_be_carried(self) -> bool:
        """Whether the next run's input has room. If not, this run handles some decisions first."""
        waiting = sum(queued.size for queued in self._queue)  # bytes; may be megabytes
        return (
            len(self._queue) <= CARRY_LIMIT
            and waiting <= PAYLOAD_LIMIT
            and json_size(self._carry([])) <= PAYLOAD_LIMIT
        )

    def carried(self) -> ContinuedReport:
        """Returns the next run's input, with as many of the earlier drafts as fit."""
        room = PAYLOAD_LIMIT - json_size(self._carry([]))
        earlier: list[EarlierDraft] = []
        for draft in reversed(self._state.earlier):
            room -= json_size(draft) + len(", ")
            if room < 0:
                break
            earlier.insert(0, draft)
        return self._carry(earlier)

    def _carry(self, earlier: list[EarlierDraft]) -> ContinuedReport:
        decisions = pack_decisions(self._queue)
        return ContinuedReport(
            self._topic, replace(self._state, decisions=decisions, earlier=earlier)
        )

    def _begin(self, call: LLMCallInput) -> LLMCallInput:
        self.phase = Phase.RESEARCHING
        self._state.error = self._state.refusal = ""
        return call

    def _fail(self, error: str) -> None:
        """Ends an EDIT or the first call without a draft."""
        self.phase = Phase.WAITING
        self._state.error, self._state.refusal = error, ""
        for queued in self._queue:
            keeps = queued.decision.decision == UserDecision.KEEP
            if _is_edit(queued) or (keeps and not queued.decision.draft):
                queued.is_stale = True


def find_fault(text: str) -> str:
    """Returns why a person's own text cannot be a draft, or ""."""
    if not text.strip():
        return NO_TEXT
    return TEXT_TOO_LONG if json_size(text) > DRAFT_LIMIT else ""


def explain_failure(kind: str, reason: str) -> str:
    """Returns `reason` for a person to read. If it is one word, the error's type comes first."""
    return reason if " " in reason else ": ".join(filter(None, (kind, reason)))


def _is_edit(queued: QueuedDecision) -> bool:
    return queued.decision.decision == UserDecision.EDIT


def _explain_late(decision: UserDecisionSignal, number: int) -> str:
    """Returns why a decision after the approval does not count, or "" for a second KEEP."""
    if decision.decision == UserDecision.KEEP:
        return ""
    return f"The {decision.decision} did not count: draft {number} was already approved."


def _explain_end(finish_reason: object) -> str:
    """Returns why a draft is incomplete, or "". Old answers and stand-ins may have no reason."""
    if finish_reason in (None, "stop"):
        return ""
    return CUT_OFF.get(str(finish_reason), f'the provider says "{finish_reason}"')


def _quote(instructions: str) -> str:
    return instructions if len(instructions) <= QUOTE_LIMIT else f"{instructions[:QUOTE_LIMIT]}…"


def _sentence(*parts: str) -> str:
    text = ": ".join(filter(None, parts))
    return text if text.endswith(("!", "?", "…")) else text.rstrip(" .") + "."

"""The Workflow: draft, wait for a person, then revise or create the PDF.

All of it is replayed from the Event History, so it has no I/O, no clock and no environment.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

from temporalio import workflow
from temporalio.common import Priority, RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from activities import (
        HEARTBEAT_TIMEOUT,
        LLM_START_TO_CLOSE_TIMEOUT,
        PDF_HEARTBEAT_TIMEOUT,
        PDF_START_TO_CLOSE_TIMEOUT,
        create_pdf,
        llm_call,
    )
    from beyond.report.decisions import DecisionQueue
    from beyond.report.payloads import decision_in, draft_in, filename_in, input_in, undecoded
    from models import (
        PAYLOAD_LIMIT,
        PROMPT_LIMIT,
        PROMPT_TOO_LONG,
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
        digest_of,
    )

# After an outage of hours, a report goes on within a minute.
RETRY_UNTIL_DONE = RetryPolicy(maximum_interval=timedelta(minutes=1))
# About three seconds: a passing fault is over by then, and a lasting one is for the person to see.
RETRY_TWICE = RetryPolicy(maximum_attempts=3)
# Behind a draft, whose priority is 3: it is handed out before the PDFs that wait at the server.
PDF_PRIORITY = Priority(priority_key=4)

CARRY_LIMIT = 1000  # decisions; to decode many more takes longer than the SDK lets a Workflow run
UNDO_LIMIT = 10  # drafts
QUOTE_LIMIT = 200  # characters of an instruction that the status quotes
TOPIC_LIMIT = 1000  # characters of the prompt that create_pdf gets; the PDF prints fewer

WRONG_INPUT = 'A report starts with one JSON object as its input: {"prompt": "your topic"}'
# What a model's finish_reason says of a draft that is not whole.
CUT_OFF = {
    "length": "the model reached its token limit",
    "content_filter": "the provider's content filter stopped the model",
}


@workflow.defn
class GenerateReportWorkflow:
    """Drafts a report, revises it until a person keeps it, and creates the PDF."""

    # With workflow.init, a Signal that arrives before run() starts finds the carried state.
    @workflow.init
    @undecoded
    def __init__(self, *payload: ContinuedReport | GenerateReportInput) -> None:
        self._report, self._phase = ReportState(""), Phase.RESEARCHING
        self._wrong_input = ""
        info = workflow.info()
        # A run that follows a reset may have to find the PDF of the run before.
        self._pdf_is_first = info.run_id == info.first_execution_run_id
        self._ignored_at = 0  # the length of the history when a Signal was last logged as ignored
        try:
            input = input_in(payload)
        except ValueError:
            self._wrong_input = WRONG_INPUT
        else:
            if isinstance(input, ContinuedReport):
                self._report, self._phase = input.carried, Phase.WAITING
            elif len(input.prompt) > PROMPT_LIMIT:
                self._wrong_input = PROMPT_TOO_LONG
            else:
                self._report.prompt = input.prompt
            self._topic = input.prompt
        self._decisions = DecisionQueue(self._report)

    @workflow.query(description="The current draft; empty before the first.")
    def get_research_result(self) -> str:
        return self._report.draft

    @workflow.query(description="The phase, the number of the current draft, its prompt, an error.")
    def get_report_status(self) -> ReportStatus:
        report = self._report
        return ReportStatus(
            self._phase,
            report.number,
            report.prompt,
            self._error(),
            digest_of(report.draft),
            len(report.earlier),
        )

    @workflow.signal(
        description='A decision: {"decision": "KEEP", "draft": 1}, or '
        '{"decision": "EDIT", "additional_prompt": "make it shorter"}.'
    )
    @undecoded
    def user_decision_signal(self, *payload: UserDecisionSignal) -> None:
        """Queues the decision."""
        try:
            decision = decision_in(payload)
        except ValueError:
            self._log_ignored("a Signal that is not a decision")
            return
        if self._phase in (Phase.CREATING_PDF, Phase.DONE):
            self._log_ignored("a decision: the draft is approved")
            self._decisions.refuse_late(decision)
        elif decision.decision == UserDecision.WAIT:
            self._log_ignored("WAIT")
        else:
            self._decisions.add(decision, draft_is_coming=self._phase == Phase.RESEARCHING)

    @workflow.run
    @undecoded
    async def run(self, *payload: ContinuedReport | GenerateReportInput) -> str:
        if self._wrong_input:
            raise ApplicationError(self._wrong_input, type="WrongInput", non_retryable=True)
        if self._phase == Phase.RESEARCHING:
            await self._research(LLMCallInput(self._report.prompt))

        while True:
            self._phase = Phase.WAITING
            workflow.set_current_details(self._how_to_decide())
            # No timeout: the report waits for its person for days or years, at no cost.
            await workflow.wait_condition(self._has_work)
            if self._should_continue_as_new():
                self._continue_as_new()

            decision = self._decisions.next()
            if decision == UserDecision.EDIT:
                await self._revise()
            elif decision == UserDecision.UNDO:
                self._undo()
            elif decision == UserDecision.KEEP:
                workflow.logger.info("User approved the research. Creating PDF...")
                if pdf_filename := await self._create_pdf():
                    self._phase = Phase.DONE
                    return f"Successfully created research report PDF: {pdf_filename}"

    async def _research(self, call: LLMCallInput, instruction: str = "") -> None:
        """Replaces the draft with the model's answer, or says in the status why it cannot."""
        self._phase = Phase.RESEARCHING
        report = self._report
        report.error = report.refusal = ""
        next_number = report.number + 1
        workflow.set_current_details(f"The model writes draft {next_number}.")
        try:
            answer = await workflow.execute_activity(
                llm_call.__name__,
                call,
                result_type=RawValue,  # somebody may complete the Activity by hand
                start_to_close_timeout=LLM_START_TO_CLOSE_TIMEOUT,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=RETRY_UNTIL_DONE,
                # A cancelled report ends when its call has been stopped, not before.
                cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=f"Draft {next_number}",
            )
            text, finish_reason = draft_in(answer)
        except (ActivityError, ValueError) as error:
            _end_if_cancelled()
            report.error = _sentence(f"Draft {next_number} failed: {_reason(error)}")
            if instruction:
                quote = instruction[:QUOTE_LIMIT] + "…" * (len(instruction) > QUOTE_LIMIT)
                report.error += f' The instruction "{quote}" was taken back.'
            return
        _end_if_cancelled()
        if report.number:
            report.earlier.append(EarlierDraft(report.draft, report.prompt))
            del report.earlier[:-UNDO_LIMIT]
        report.draft, report.prompt, report.number = text, call.prompt, next_number
        if cause := CUT_OFF.get(finish_reason):
            report.error = f"Draft {next_number} is cut off: {cause}."

    async def _revise(self) -> None:
        """Revises the draft as the EDITs say. Without instructions, the model writes it afresh."""
        workflow.logger.info("User requested research modification.")
        report = self._report
        edits = self._decisions.take_edits()
        instructions = [text for edit in edits if (text := edit.additional_prompt.strip())]
        topic, prompt, added = self._topic, report.prompt, instructions
        if instructions and not edits[0].draft:
            # Such an EDIT came when there was no draft and none was being written: the model had
            # refused the topic. The first instruction replaces it.
            topic, *added = instructions
            prompt = topic
        prompt += "".join(f"\n\nAdditional instructions: {text}" for text in added)
        call = LLMCallInput(prompt)
        if instructions and report.draft:
            call.draft, call.draft_prompt = report.draft, report.prompt
        if len(topic) > PROMPT_LIMIT:
            report.error, report.refusal = PROMPT_TOO_LONG, ""
        elif not _fits(call):
            report.error = "With the draft, the instructions are too long. Send shorter ones."
            report.refusal = ""
        else:
            await self._research(call, "; ".join(instructions))
            if report.number:
                self._topic = topic

    def _undo(self) -> None:
        """Goes back to the draft before, whose text gets a number of its own."""
        report = self._report
        earlier = report.earlier.pop()
        report.draft, report.prompt = earlier.text, earlier.prompt
        report.number += 1
        report.error = report.refusal = ""

    async def _create_pdf(self) -> str:
        """Returns the name of the PDF. If there is none, returns "" and says why in the status."""
        self._phase = Phase.CREATING_PDF
        report = self._report
        report.error = report.refusal = ""
        self._decisions.approve()
        workflow.set_current_details(f"Draft {report.number} is approved: the PDF is next.")
        approved = workflow.now().date().isoformat()
        for retry_policy in (RETRY_TWICE, RETRY_UNTIL_DONE):
            is_first, self._pdf_is_first = self._pdf_is_first, False
            try:
                answer = await workflow.execute_activity(
                    create_pdf.__name__,
                    PDFGenerationInput(
                        content=report.draft,
                        topic=self._topic[:TOPIC_LIMIT],
                        approved=approved,
                        is_first=is_first,
                    ),
                    result_type=RawValue,
                    start_to_close_timeout=PDF_START_TO_CLOSE_TIMEOUT,
                    heartbeat_timeout=PDF_HEARTBEAT_TIMEOUT,
                    retry_policy=retry_policy,
                    priority=PDF_PRIORITY,
                    summary=f"PDF of draft {report.number}",
                )
                pdf_filename = filename_in(answer)
            except (ActivityError, ValueError) as error:
                _end_if_cancelled()
                report.error = _sentence(f"The PDF was not created: {_reason(error)}")
                if not _can_be_retried(error):
                    break
            else:
                report.error = ""
                workflow.set_current_details(f"Done: {pdf_filename}")
                return pdf_filename
        return ""

    def _log_ignored(self, what: str) -> None:
        """Logs it once a Workflow Task: thousands may arrive in one, and each line takes time."""
        now = workflow.info().get_current_history_length()
        if now != self._ignored_at:
            self._ignored_at = now
            workflow.logger.warning("Ignored %s", what)

    def _error(self) -> str:
        return f"{self._report.error} {self._report.refusal}".strip()

    def _has_work(self) -> bool:
        # Signals that are ignored make the history longer, too.
        return bool(self._report.decisions) or self._should_continue_as_new()

    def _should_continue_as_new(self) -> bool:
        """False while the state is too large to hand over: working through it makes it smaller."""
        return (
            workflow.info().is_continue_as_new_suggested()
            and len(self._report.decisions) <= CARRY_LIMIT
            and _fits(ContinuedReport(self._topic, replace(self._report, earlier=[])))
        )

    def _continue_as_new(self) -> NoReturn:
        """Hands over the state, with as many of the earlier drafts as fit."""
        carried = ContinuedReport(self._topic, self._report)
        while not _fits(carried):
            del self._report.earlier[0]
        workflow.continue_as_new(carried)

    def _how_to_decide(self) -> str:
        """Says in the Web UI, in Markdown, how to decide on a report that waits."""
        report = self._report
        edit = '`{"decision": "EDIT", "additional_prompt": "make it shorter"}`'
        keep = f'`{{"decision": "KEEP", "draft": {report.number}}}`'
        answers = f"{keep} or {edit}" if report.number else edit
        waiting = f"Draft {report.number} waits" if report.number else "The report waits"
        details = f"{self._error()}\n\n{waiting} for the Signal `user_decision_signal`: {answers}"
        return details.encode(errors="replace").decode()  # the error may quote half a character


def _fits(value: LLMCallInput | ContinuedReport) -> bool:
    """Whether Temporal takes it as one payload."""
    return workflow.payload_converter().to_payload(value).ByteSize() <= PAYLOAD_LIMIT


def _end_if_cancelled() -> None:
    """Ends a report whose call ended before the cancellation reached it.

    Temporal delivers a cancellation once. Raises CancelledError.
    """
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError


def _can_be_retried(error: ActivityError | ValueError) -> bool:
    cause = error.__cause__
    return isinstance(error, ActivityError) and not (
        isinstance(cause, ApplicationError) and cause.non_retryable
    )


def _reason(error: ActivityError | ValueError) -> str:
    cause = error.__cause__
    if isinstance(cause, ApplicationError):
        return f"{cause.type}: {cause.message}"
    return str(cause or error)


def _sentence(text: str) -> str:
    return text if text.endswith(("!", "?", "…")) else text.rstrip(" .") + "."

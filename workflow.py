"""The Workflow: draft, wait for a person, then revise or create the PDF.

All of it is replayed from the Event History, so it has no I/O, no clock and no environment.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.converter import value_to_type
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from activities import (
        HEARTBEAT_TIMEOUT,
        LLM_START_TO_CLOSE_TIMEOUT,
        PDF_START_TO_CLOSE_TIMEOUT,
        create_pdf,
        llm_call,
    )
    from models import (
        NO_DRAFT,
        PROMPT_LIMIT,
        PROMPT_TOO_LONG,
        ContinuedReport,
        GenerateReportInput,
        LLMCallInput,
        PDFGenerationInput,
        Phase,
        ReportState,
        ReportStatus,
        UserDecision,
        UserDecisionSignal,
    )

# After an outage of hours, a report goes on within a minute.
RETRY_UNTIL_DONE = RetryPolicy(maximum_interval=timedelta(minutes=1))
# About three seconds: a passing fault is over by then, and a lasting one is for the person to see.
RETRY_TWICE = RetryPolicy(maximum_attempts=3)

PAYLOAD_LIMIT = 1_900_000  # bytes; at 2 MiB, Temporal would refuse the Workflow's next step
QUOTE_LIMIT = 200  # characters of an instruction that the status quotes
TOPIC_LIMIT = 1000  # characters of the prompt that create_pdf gets; the PDF prints fewer


@workflow.defn
class GenerateReportWorkflow:
    """Drafts a report, revises it until a person keeps it, and creates the PDF."""

    # With workflow.init, a Signal that arrives before run() starts finds the carried state.
    @workflow.init
    def __init__(self, input: ContinuedReport | GenerateReportInput) -> None:
        if isinstance(input, ContinuedReport):
            self._report, self._phase = input.carried, Phase.WAITING
        else:
            self._report, self._phase = ReportState(input.prompt), Phase.RESEARCHING
        self._topic = input.prompt

    @workflow.query(description="The current draft; empty before the first.")
    def get_research_result(self) -> str:
        return self._report.draft

    @workflow.query(description="The phase, the number of the current draft, its prompt, an error.")
    def get_report_status(self) -> ReportStatus:
        report = self._report
        return ReportStatus(self._phase, report.number, report.prompt, report.error)

    @workflow.signal(
        description='A decision: {"decision": "KEEP", "draft": 1}, or '
        '{"decision": "EDIT", "additional_prompt": "make it shorter"}.'
    )
    async def user_decision_signal(self, *payload: UserDecisionSignal) -> None:
        """Queues the decision. Takes any payload: an error here would wedge the Workflow."""
        try:
            [received] = payload
            decision: UserDecisionSignal = value_to_type(UserDecisionSignal, received)
        except (TypeError, ValueError):
            workflow.logger.warning("Ignored a Signal that is not a decision")
            return
        if self._phase in (Phase.CREATING_PDF, Phase.DONE):
            workflow.logger.warning("Ignored a decision: the draft is approved")
        elif decision.decision == UserDecision.WAIT:
            workflow.logger.info("Ignored WAIT")
        else:
            decision.draft = decision.draft or self._next_number()
            self._report.decisions.append(decision)

    @workflow.run
    async def run(self, input: ContinuedReport | GenerateReportInput) -> str:
        if len(input.prompt) > PROMPT_LIMIT:
            raise ApplicationError(PROMPT_TOO_LONG, non_retryable=True)
        if self._phase == Phase.RESEARCHING:
            await self._research(LLMCallInput(input.prompt))

        while True:
            self._phase = Phase.WAITING
            workflow.set_current_details(self._how_to_decide())
            # No timeout: the report waits for its person for days or years, at no cost.
            await workflow.wait_condition(self._has_work)
            if self._should_continue_as_new():
                workflow.continue_as_new(ContinuedReport(self._topic, self._report))

            if self._report.decisions[0].decision == UserDecision.EDIT:
                await self._revise(self._take_edits())
            elif self._may_keep(self._report.decisions.pop(0)):
                workflow.logger.info("User approved the research. Creating PDF...")
                if pdf_filename := await self._create_pdf():
                    self._phase = Phase.DONE
                    return f"Successfully created research report PDF: {pdf_filename}"

    async def _research(self, call: LLMCallInput, instruction: str = "") -> None:
        """Replaces the draft with the model's answer, or says in the status why it cannot."""
        self._phase = Phase.RESEARCHING
        report = self._report
        report.error = ""
        next_number = report.number + 1
        workflow.set_current_details(f"The model writes draft {next_number}.")
        try:
            answer = await workflow.execute_activity(
                llm_call,
                call,
                start_to_close_timeout=LLM_START_TO_CLOSE_TIMEOUT,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=RETRY_UNTIL_DONE,
                # A cancelled report ends when its call has been stopped, not before.
                cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=f"Draft {next_number}",
            )
        except ActivityError as error:
            _end_if_cancelled()
            report.error = f"Draft {next_number} failed: {_reason(error)}."
            if instruction:
                quote = instruction[:QUOTE_LIMIT] + "…" * (len(instruction) > QUOTE_LIMIT)
                report.error += f' The instruction "{quote}" was taken back.'
            return
        _end_if_cancelled()
        choice = answer["choices"][0]
        report.draft = choice["message"]["content"]
        report.prompt = call.prompt
        report.number = next_number
        if choice.get("finish_reason") == "length":
            report.error = f"Draft {next_number} is cut off: the model reached its token limit."

    async def _revise(self, instructions: list[str]) -> None:
        """Revises the draft as the instructions say. Without any, the model writes it afresh."""
        workflow.logger.info("User requested research modification.")
        report = self._report
        added = "".join(f"\n\nAdditional instructions: {text}" for text in instructions)
        call = LLMCallInput(report.prompt + added)
        if added and report.draft:
            call.draft, call.draft_prompt = report.draft, report.prompt
        if not _fits(call):
            report.error = "With the draft, the instructions are too long. Send shorter ones."
        else:
            await self._research(call, "; ".join(instructions))

    async def _create_pdf(self) -> str:
        """Returns the name of the PDF. If there is none, returns "" and says why in the status."""
        self._phase = Phase.CREATING_PDF
        report = self._report
        report.error = ""
        report.decisions.clear()  # they came after the approval
        workflow.set_current_details(f"Draft {report.number} is approved: the PDF is next.")
        approved = workflow.now().date().isoformat()
        for retry_policy in (RETRY_TWICE, RETRY_UNTIL_DONE):
            try:
                pdf_filename = await workflow.execute_activity(
                    create_pdf,
                    PDFGenerationInput(
                        content=report.draft,
                        topic=self._topic[:TOPIC_LIMIT],
                        approved=approved,
                    ),
                    start_to_close_timeout=PDF_START_TO_CLOSE_TIMEOUT,
                    retry_policy=retry_policy,
                    summary=f"PDF of draft {report.number}",
                )
            except ActivityError as error:
                _end_if_cancelled()
                report.error = f"The PDF was not created: {_reason(error)}."
                if isinstance(error.cause, ApplicationError) and error.cause.non_retryable:
                    break
            else:
                report.error = ""
                workflow.set_current_details(f"Done: {pdf_filename}")
                return pdf_filename
        return ""

    def _has_work(self) -> bool:
        # Signals that are ignored make the history longer, too.
        return bool(self._report.decisions) or self._should_continue_as_new()

    def _should_continue_as_new(self) -> bool:
        """False while the state is too large to hand over: working through it makes it smaller."""
        return workflow.info().is_continue_as_new_suggested() and _fits(
            ContinuedReport(self._topic, self._report)
        )

    def _next_number(self) -> int:
        """The number of the draft that a decision without a number is about."""
        being_written = self._phase == Phase.RESEARCHING
        edits_wait = any(d.decision == UserDecision.EDIT for d in self._report.decisions)
        return self._report.number + being_written + edits_wait

    def _take_edits(self) -> list[str]:
        """Takes the instructions of the EDITs that wait, up to a KEEP for the draft they make."""
        instructions: list[str] = []
        for decision in list(self._report.decisions):
            if decision.decision == UserDecision.EDIT:
                self._report.decisions.remove(decision)
                instructions.append(decision.additional_prompt.strip())
            elif decision.draft > self._report.number:
                break
        return [text for text in instructions if text]

    def _may_keep(self, keep: UserDecisionSignal) -> bool:
        """Whether the KEEP is for the current draft. If not, the status says so."""
        report = self._report
        if report.number and keep.draft == report.number:
            return True
        if report.number:
            refusal = f"Draft {keep.draft} was not kept: draft {report.number} is the current one."
        else:
            refusal = NO_DRAFT
        if refusal not in report.error:
            report.error = f"{report.error} {refusal}".strip()
        return False

    def _how_to_decide(self) -> str:
        """Says in the Web UI, in Markdown, how to decide on a report that waits."""
        report = self._report
        edit = '`{"decision": "EDIT", "additional_prompt": "make it shorter"}`'
        keep = f'`{{"decision": "KEEP", "draft": {report.number}}}`'
        answers = f"{keep} or {edit}" if report.number else edit
        waiting = f"Draft {report.number} waits" if report.number else "The report waits"
        details = f"{report.error}\n\n{waiting} for the Signal `user_decision_signal`: {answers}"
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


def _reason(error: ActivityError) -> str:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return f"{cause.type}: {cause.message}"
    return str(cause or error)

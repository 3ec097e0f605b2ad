"""The Workflow: draft, wait for a person, then revise or create the PDF.

All of it is replayed from the Event History, so it has no I/O, no clock and no environment. What
a decision means, and what the person is told, is the `Report`'s to know.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ActivityConfig

with workflow.unsafe.imports_passed_through():
    from activities import (
        LLM_CALL_OPTIONS,
        PDF_OPTIONS_AT_FIRST,
        PDF_OPTIONS_UNTIL_DONE,
        create_pdf,
        llm_call,
    )
    from beyond.report import Report
    from models import (
        ContinuedReport,
        GenerateReportInput,
        LLMCallInput,
        Phase,
        ReportStatus,
        UserDecision,
        UserDecisionSignal,
    )

# In a Workflow Task, Signals come before a cancellation. A timer makes another Task, so that a run
# never ends with a cancellation that it has not heard of.
HEAR_OUT = timedelta(milliseconds=1)


@workflow.defn
class GenerateReportWorkflow:
    """Drafts a report, revises it until a person keeps it, and creates the PDF."""

    # With workflow.init, a Signal that arrives before run() starts finds the report.
    @workflow.init
    def __init__(self, input: ContinuedReport | GenerateReportInput | None = None) -> None:
        self._report = Report(input)

    @workflow.query(description="The current draft; empty before the first.")
    def get_research_result(self) -> str:
        return self._report.draft

    @workflow.query(
        description="The phase, the current draft with its number, its prompt, an error."
    )
    def get_report_status(self) -> ReportStatus:
        return self._report.status()

    @workflow.signal(
        description='A decision: {"decision": "KEEP", "draft": 1}, or '
        '{"decision": "EDIT", "additional_prompt": "make it shorter"}.'
    )
    def user_decision_signal(self, decision: UserDecisionSignal | None = None) -> None:
        if why := self._report.add(decision):
            workflow.logger.warning("Ignored %s", why)

    @workflow.run
    async def run(self, input: ContinuedReport | GenerateReportInput | None = None) -> str:
        report = self._report
        if report.problem:
            raise ApplicationError(report.problem, type="WrongInput", non_retryable=True)
        if report.phase == Phase.RESEARCHING:
            await self._research(report.first_call())

        while True:
            decision = await self._wait_for_decision()
            if decision == UserDecision.EDIT:
                workflow.logger.info("User requested research modification.")
                if call := report.revision():
                    await self._research(call)
            elif decision == UserDecision.UNDO:
                report.undo()
            elif decision == UserDecision.KEEP:
                workflow.logger.info("User approved the research. Creating PDF...")
                if pdf_filename := await self._create_pdf():
                    workflow.set_current_details(f"Done: {pdf_filename}")
                    return f"Successfully created research report PDF: {pdf_filename}"

    async def _wait_for_decision(self) -> UserDecision:
        """Waits for a decision that counts."""
        report = self._report
        while True:
            workflow.set_current_details(report.explain_decisions())
            # No timeout: the report waits for its person for days or years, at no cost.
            await workflow.wait_condition(lambda: report.has_decisions() or report.is_long())
            if report.is_long():
                await workflow.sleep(HEAR_OUT)
                _end_if_cancelled()
                if report.is_long():
                    workflow.continue_as_new(report.carried())
            if decision := report.next_decision():
                return decision

    async def _research(self, call: LLMCallInput) -> None:
        """Replaces the draft with the model's answer, or says in the status why it cannot."""
        number = self._report.number + 1
        workflow.set_current_details(f"The model writes draft {number}.")
        try:
            answer = await workflow.execute_activity(
                llm_call, call, **LLM_CALL_OPTIONS | ActivityConfig(summary=f"Draft {number}")
            )
        except ActivityError as error:
            _end_if_cancelled()
            self._report.refuse(call, *_explain(error))
        else:
            _end_if_cancelled()
            self._report.accept(call, answer)

    async def _create_pdf(self) -> str:
        """Returns the name of the PDF. If there is none, returns "" and says why in the status."""
        report = self._report
        approved = report.approve(workflow.now().date().isoformat())
        workflow.set_current_details(f"Draft {report.number} is approved: the PDF is next.")
        # A passing fault is over after the first tries, and a lasting one is for the person to see.
        summary = ActivityConfig(summary=f"PDF of draft {report.number}")
        for options in (PDF_OPTIONS_AT_FIRST, PDF_OPTIONS_UNTIL_DONE):
            try:
                pdf_filename = await workflow.execute_activity(
                    create_pdf, approved, **options | summary
                )
            except ActivityError as error:
                _end_if_cancelled()
                report.miss_pdf(*_explain(error), for_good=_is_final(error))
                if _is_final(error):
                    break
            else:
                return report.finish(pdf_filename)
        return ""


def _end_if_cancelled() -> None:
    """Ends a report whose step ended before the cancellation reached it.

    Temporal delivers a cancellation once. Raises CancelledError.
    """
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError


def _is_final(error: ActivityError) -> bool:
    return isinstance(error.cause, ApplicationError) and error.cause.non_retryable


def _explain(error: ActivityError) -> tuple[str, str]:
    """The kind of the error, such as "BadRequestError", or "", and its message."""
    if isinstance(error.cause, ApplicationError):
        return error.cause.type or "", error.cause.message
    return "", str(error.cause or error)

"""The Workflow: draft, wait for a person, then revise or create the PDF.

All of it is replayed from the Event History, so it has no I/O, no clock and no environment. The
`Report` knows which decisions count and what to tell the person.
"""

import asyncio
from datetime import timedelta
from typing import Any

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
    from beyond.event_history import RunSize
    from beyond.report import Report
    from beyond.report.state import ContinuedReport
    from models import (
        GenerateReportInput,
        LLMCallInput,
        Phase,
        ReportStatus,
        UserDecision,
        UserDecisionSignal,
    )

# The SDK delivers Signals before a cancellation. A timer forces another Workflow Task, so that a
# cancellation that arrived with a Signal is not lost when the report continues as new.
CANCELLATION_DELAY = timedelta(milliseconds=1)


@workflow.defn
class GenerateReportWorkflow:
    """Drafts a report, revises it until a person keeps it, and creates the PDF."""

    @workflow.init
    def __init__(self, input: ContinuedReport | GenerateReportInput | None = None) -> None:
        # workflow.init passes the input of run(): a Signal handler may run before run() does, and
        # it needs the report.
        self._report = Report(input)
        self._run_size = RunSize()
        self._call: workflow.ActivityHandle[dict[str, Any]] | None = None  # to the model

    @workflow.query(description="The current draft; empty before the first.")
    def get_research_result(self) -> str:
        # A Query reads the state and must not change it: it leaves no event in the history.
        return self._report.draft

    @workflow.query(description="The draft that UNDO would bring back; empty if there is none.")
    def get_earlier_draft(self) -> str:
        # A Client and the Web UI call a Query by the method's name.
        return self._report.earlier_draft

    @workflow.query(
        description="The phase, the current draft with its number, its prompt, an error."
    )
    def get_report_status(self) -> ReportStatus:
        # A Query returns a value of any type that the data converter can encode. It also answers
        # after the Workflow has ended.
        return self._report.status()

    @workflow.signal(
        description='A decision: {"decision": "KEEP", "draft": 1}, '
        '{"decision": "EDIT", "additional_prompt": "make it shorter"}, '
        '{"decision": "CORRECT", "draft": 1, "text": "the whole draft as it should be"}, '
        '{"decision": "UNDO", "draft": 2}, or {"decision": "STOP"}.'
    )
    def user_decision_signal(self, decision: UserDecisionSignal | None = None) -> None:
        # A Signal changes the state and returns nothing. It may arrive at any time, so the handler
        # only notes the decision, and run() acts on it.
        self._run_size.add_step(decision)
        info = workflow.info()
        was_reset = info.run_id != info.original_execution_run_id
        if why := self._report.add(decision, was_reset=was_reset):
            workflow.logger.warning("Ignored %s", why)
        elif self._report.is_stopped and self._call:
            self._call.cancel()

    @workflow.run
    async def run(self, input: ContinuedReport | GenerateReportInput | None = None) -> str:
        """Returns the tutorial's sentence, which ends with the name of the PDF.

        Raises ApplicationError if the input is wrong or the topic is too long.
        """
        # Replay runs this again from its first line. A step that the Event History holds returns
        # its result at once, so a new Worker continues where the old one was.
        report = self._report
        if report.problem:
            raise ApplicationError(report.problem, type="WrongInput", non_retryable=True)
        if report.phase == Phase.RESEARCHING:
            workflow.logger.info("The report begins.")
            await self._research(report.first_call())

        while True:
            decision = await self._wait_for_decision()
            if decision == UserDecision.EDIT:
                workflow.logger.info("User requested research modification.")
                if call := report.revision():
                    await self._research(call)
            elif decision == UserDecision.KEEP:
                workflow.logger.info("User approved the research. Creating PDF...")
                if pdf_filename := await self._create_pdf():
                    workflow.set_current_details(f"Done: {pdf_filename}")
                    return f"Successfully created research report PDF: {pdf_filename}"

    async def _wait_for_decision(self) -> UserDecision:
        """Waits for a decision that counts, and returns it: EDIT or KEEP."""
        report = self._report
        while True:
            workflow.set_current_details(_web_ui_details(report.number, report.error))
            # No timeout: the report waits for its person for days or years, at no cost.
            await workflow.wait_condition(lambda: report.has_decisions() or self._is_long())
            if self._is_long():
                await workflow.sleep(CANCELLATION_DELAY)
                _end_if_cancelled()
                report.change_draft()  # so that the next run need not carry long corrections
                if self._is_long():
                    workflow.continue_as_new(report.carried())
            if decision := report.next_decision():
                return decision

    def _is_long(self) -> bool:
        """Whether the report should continue as new, with an empty Event History."""
        return self._run_size.is_large() and self._report.can_be_carried()

    async def _research(self, call: LLMCallInput) -> None:
        """Makes the model's answer the next draft, or says in the status why there is none."""
        if self._report.is_stopped:  # by a STOP that arrived before a Worker ran
            self._report.refuse(call, "", "")
            return
        number = self._report.number + 1
        workflow.set_current_details(f"The model writes draft {number}.")
        self._run_size.add_step(call)
        self._call = workflow.start_activity(
            llm_call, call, **LLM_CALL_OPTIONS | ActivityConfig(summary=f"Draft {number}")
        )
        try:
            answer = await self._call
        except ActivityError as error:
            _end_if_cancelled()
            self._report.refuse(call, *_explain(error))
        else:
            _end_if_cancelled()
            self._run_size.add_result(answer)
            self._report.accept(call, answer)

    async def _create_pdf(self) -> str:
        """Returns the name of the PDF. If there is none, returns "" and says why in the status."""
        report = self._report
        approved = report.approve(workflow.now().date().isoformat())
        self._run_size.add_step(approved)
        workflow.set_current_details(f"Draft {report.number} is approved: the PDF is next.")
        # A passing fault is over after the first attempts. A lasting one shows in the status.
        summary = ActivityConfig(summary=f"PDF of draft {report.number}")
        for options in (PDF_OPTIONS_AT_FIRST, PDF_OPTIONS_UNTIL_DONE):
            try:
                pdf_filename = await workflow.execute_activity(
                    create_pdf, approved, **options | summary
                )
            except ActivityError as error:
                _end_if_cancelled()
                report.pdf_failed(*_explain(error), is_final=_is_final(error))
                if _is_final(error):
                    break
            else:
                return report.finish(pdf_filename)
        return ""


def _web_ui_details(draft: int, error: str) -> str:
    """Says in Markdown how to decide on a waiting report. `draft` is 0 if there is no draft."""
    edit = '`{"decision": "EDIT", "additional_prompt": "make it shorter"}`'
    answers, waiting = edit, "The report waits"
    if draft:
        keep = f'`{{"decision": "KEEP", "draft": {draft}}}`'
        correct = f'`{{"decision": "CORRECT", "draft": {draft}, "text": "all of the text"}}`'
        answers = f"{keep}, {edit} or {correct}"
        waiting = f"Draft {draft} waits"
    printable = error.encode(errors="replace").decode()  # it may quote half a surrogate pair
    return f"{printable}\n\n{waiting} for the Signal `user_decision_signal`: {answers}"


def _end_if_cancelled() -> None:
    """Raises CancelledError if the report was cancelled while a step was ending.

    Temporal delivers a cancellation once, and the step that got it may have ended normally.
    """
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError


def _is_final(error: ActivityError) -> bool:
    return isinstance(error.cause, ApplicationError) and error.cause.non_retryable


def _explain(error: ActivityError) -> tuple[str, str]:
    """Returns the error's type, such as "BadRequestError" or "", and its message."""
    if isinstance(error.cause, ApplicationError):
        return error.cause.type or "", error.cause.message
    return "", str(error.cause or error)

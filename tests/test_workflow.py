"""The Workflow on a real server: decisions, refused calls, long reports, cancellation.

Most of these tests are of the Workflow alone, with `StandIns` for its Activities.
"""

import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from conftest import (
    PATIENCE,
    RESULT,
    SUGGEST_AT,
    Report,
    StandIns,
    WorkerProcess,
    draft_of,
    edit,
    eventually,
    keep,
    stand_ins_of,
    start_report,
    status_when,
    waiting,
    worker_here,
)
from loopback_llm import LoopbackLLM, Reply
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import UserMetadata, WorkflowMetadata
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.converter import default as default_converter
from temporalio.exceptions import ApplicationError, CancelledError

from activities import HEARTBEAT_TIMEOUT, LLM_START_TO_CLOSE_TIMEOUT
from models import Phase
from workflow import GenerateReportWorkflow

MORE = "\n\nAdditional instructions: "


def refusal(message: str = "no") -> ApplicationError:
    return ApplicationError(message, type="BadRequestError", non_retryable=True)


async def during_a_call(client: Client, stand_ins: StandIns, topic: str = "bees") -> Report:
    """A report whose next call lasts until `stand_ins.go_on` is set."""
    stand_ins.go_on.clear()
    number = len(stand_ins.calls) + 1
    report = await start_report(client, topic, stand_ins.task_queue)
    await eventually(lambda: len(stand_ins.calls) == number)
    return report


async def hold_a_call(report: Report, stand_ins: StandIns, instruction: str) -> None:
    """Has the report's next draft made, which lasts until `stand_ins.go_on` is set."""
    stand_ins.go_on.clear()
    number = len(stand_ins.calls) + 1
    await edit(report, instruction)
    await eventually(lambda: len(stand_ins.calls) == number)


async def events_of(report: Report, kind: "EventType.ValueType") -> list[HistoryEvent]:
    return [event for event in (await report.fetch_history()).events if event.event_type == kind]


async def metadata_of(report: Report) -> WorkflowMetadata:
    """What the Web UI asks a Workflow for."""
    metadata: WorkflowMetadata = await report.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return metadata


async def test_a_report_is_drafted_kept_and_written(
    client: Client, llm: LoopbackLLM, start_worker: Callable[[], WorkerProcess]
) -> None:
    start_worker()
    report = await start_report(client, "bees")
    status = await waiting(report, draft=1)
    assert (status.prompt, status.error) == ("bees", "")
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert len(llm.calls) == 1


async def test_the_tutorials_payload_drives_a_report(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await report.signal("user_decision_signal", {"decision": "EDIT", "additional_prompt": "short"})
    await waiting(report, draft=2)
    await report.signal("user_decision_signal", {"decision": "KEEP", "additional_prompt": ""})
    assert await report.result() == RESULT
    assert [call.prompt for call in stand_ins.calls] == ["bees", f"bees{MORE}short"]
    assert stand_ins.pdfs[0].content == "Text 2"


async def test_the_event_history_of_the_tutorials_path_is_the_tutorials(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await keep(report)
    await report.result()
    an_activity = ["ACTIVITY_TASK_SCHEDULED", "ACTIVITY_TASK_STARTED", "ACTIVITY_TASK_COMPLETED"]
    names = [
        EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        for event in (await report.fetch_history()).events
    ]
    assert [name for name in names if not name.startswith("WORKFLOW_TASK")] == [
        "WORKFLOW_EXECUTION_STARTED",
        *an_activity,
        "WORKFLOW_EXECUTION_SIGNALED",
        *an_activity,
        "WORKFLOW_EXECUTION_COMPLETED",
    ]


# Decisions.


async def test_edits_during_one_call_are_applied_together(
    client: Client, stand_ins: StandIns
) -> None:
    """The tutorial keeps the last decision only: the first of two EDITs was lost."""
    report = await during_a_call(client, stand_ins)
    await edit(report, "add sources")
    await edit(report, "make it shorter")
    stand_ins.go_on.set()
    status = await waiting(report, draft=2)
    assert status.prompt == f"bees{MORE}add sources{MORE}make it shorter"
    assert [call.prompt for call in stand_ins.calls] == ["bees", status.prompt]


async def test_none_of_300_edits_is_lost(client: Client, stand_ins: StandIns) -> None:
    """In the tutorial, 244 of them were."""
    report = await start_report(client, "bees", stand_ins.task_queue)
    for number in range(300):
        await edit(report, f"instruction {number}")
    last = await status_when(
        report, lambda s: s.phase == Phase.WAITING and "instruction 299" in s.prompt
    )
    assert last.prompt == "bees" + "".join(f"{MORE}instruction {n}" for n in range(300))


async def test_an_edit_revises_the_draft_that_was_read(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await edit(report, "as a poem", draft=1)
    await waiting(report, draft=2)
    await edit(report, "shorter", draft=2)
    await waiting(report, draft=3)
    second, third = stand_ins.calls[1:]
    assert (second.draft_prompt, second.draft) == ("bees", "Text 1")
    assert (third.draft_prompt, third.draft) == (second.prompt, "Text 2")
    assert third.prompt == f"bees{MORE}as a poem{MORE}shorter"


@pytest.mark.parametrize("instruction", ["", " \n"])
async def test_an_empty_edit_asks_afresh_with_the_same_prompt(
    client: Client, stand_ins: StandIns, instruction: str
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await edit(report, "shorter")
    await waiting(report, draft=2)
    await edit(report, instruction)
    assert (await waiting(report, draft=3)).prompt == f"bees{MORE}shorter"
    assert (stand_ins.calls[2].prompt, stand_ins.calls[2].draft) == (f"bees{MORE}shorter", "")


async def test_a_keep_for_a_replaced_draft_is_not_applied(
    client: Client, stand_ins: StandIns
) -> None:
    """In the tutorial, KEEP during a regeneration approved a text that nobody had read."""
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await hold_a_call(report, stand_ins, "shorter")
    await keep(report, draft=1)
    stand_ins.go_on.set()
    status = await status_when(report, lambda s: s.phase == Phase.WAITING and bool(s.error))
    assert status.error == "Draft 1 was not kept: draft 2 is the current one."
    assert status.draft == 2
    assert not stand_ins.pdfs
    await keep(report, draft=2)
    assert await report.result() == RESULT
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 2"]


async def test_an_edit_for_an_older_draft_is_applied_to_the_current_one(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await edit(report, "shorter", draft=1)
    await waiting(report, draft=2)
    await edit(report, "add sources", draft=1)
    status = await waiting(report, draft=3)
    assert status.prompt == f"bees{MORE}shorter{MORE}add sources"
    assert status.error == ""
    assert stand_ins.calls[2].draft == "Text 2"


async def test_a_numberless_keep_during_the_first_call_approves_its_draft(
    client: Client, stand_ins: StandIns
) -> None:
    report = await during_a_call(client, stand_ins)
    await keep(report)
    stand_ins.go_on.set()
    assert await report.result() == RESULT
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 1"]


async def test_a_numberless_keep_behind_an_edit_approves_the_draft_that_the_edit_makes(
    client: Client, stand_ins: StandIns
) -> None:
    report = await during_a_call(client, stand_ins)
    await edit(report, "shorter")
    await keep(report)
    await edit(report, "too late: it comes after the approval")
    stand_ins.go_on.set()
    assert await report.result() == RESULT
    assert [call.prompt for call in stand_ins.calls] == ["bees", f"bees{MORE}shorter"]
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 2"]


async def test_a_numberless_keep_behind_a_refused_edit_approves_nothing(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.outcomes.append(refusal("too long"))
    await hold_a_call(report, stand_ins, "a whole book")
    await keep(report)
    stand_ins.go_on.set()
    status = await status_when(report, lambda s: s.phase == Phase.WAITING and "not kept" in s.error)
    assert status.error == (
        "Draft 2 failed: BadRequestError: too long. "
        'The instruction "a whole book" was taken back. '
        "Draft 2 was not kept: draft 1 is the current one."
    )
    assert not stand_ins.pdfs


async def test_a_numberless_keep_of_a_waiting_draft_approves_it(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await keep(report)
    assert await report.result() == RESULT


async def test_the_decision_word_may_be_in_lower_case(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await report.signal("user_decision_signal", {"decision": " edit "})
    await waiting(report, draft=2)
    await report.signal("user_decision_signal", {"decision": "keep"})
    assert await report.result() == RESULT


def encoded(encoding: bytes, data: bytes) -> RawValue:
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


@pytest.mark.parametrize(
    "arguments",
    [
        [],  # what the Web UI sends by default
        [None],
        [""],
        ["KEEP"],
        [7],
        [["KEEP"]],
        [{}],
        [{"decision": None}],
        [{"decision": "APPROVE"}],
        [{"decision": ["KEEP"]}],
        [{"decision": "KEEP", "draft": "1"}],
        [{"decision": "KEEP", "draft": None}],
        [{"decision": "EDIT", "additional_prompt": None}],
        [{"decision": "EDIT", "additional_prompt": ["x"]}],
        [{"decision": "KEEP"}, {"decision": "KEEP"}],
        [{"decision": "WAIT"}],
        [encoded(b"json/plain", b"")],
        [encoded(b"json/plain", b"{keep}")],
        [encoded(b"json/plain", b"\xff")],
        [encoded(b"json/plain", b'{"decision": "KEEP", "draft": 1e999}')],
        [encoded(b"json/plain", b"[" * 100_000)],
        [encoded(b"binary/plain", b"KEEP")],
        [encoded(b"binary/encrypted", b"KEEP")],
        [encoded(b"json/protobuf", b"{}")],
        [RawValue(Payload(data=b"KEEP"))],
    ],
    ids=lambda arguments: repr(arguments)[:40],
)
async def test_a_payload_that_is_no_decision_is_ignored_with_a_log_line(
    client: Client, stand_ins: StandIns, arguments: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A Signal with an empty body, the Web UI's default, used to wedge the tutorial's Workflow."""
    caplog.set_level(logging.INFO)
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await report.signal("user_decision_signal", args=arguments)
    await eventually(lambda: "Ignored" in caplog.text or "dropping the signal" in caplog.text)
    assert await waiting(report, draft=1)
    await keep(report)
    assert await report.result() == RESULT
    assert not await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


async def test_unknown_fields_of_a_decision_are_ignored(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await report.signal("user_decision_signal", {"decision": "KEEP", "mood": "good"})
    assert await report.result() == RESULT


async def test_a_signal_of_another_name_is_ignored(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await report.signal("approve", {"decision": "KEEP"})
    await waiting(report, draft=1)
    await keep(report)
    assert await report.result() == RESULT


async def test_text_that_is_no_unicode_does_not_stop_a_report(
    client: Client, stand_ins: StandIns
) -> None:
    """Half of a surrogate pair is legal in JSON, and a terminal can send one."""
    report = await start_report(client, "bees \udcfc", stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.outcomes.append(refusal())
    await edit(report, "shorter \ud83d")
    await status_when(report, lambda s: "failed" in s.error)
    assert "waits" in (await metadata_of(report)).current_details
    await keep(report)
    assert await report.result() == RESULT


async def test_decisions_after_the_approval_are_ignored_with_a_log_line(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    functions = StandIns()
    async with worker_here(client, functions.llm_call) as queue:  # nobody makes the PDF yet
        report = await start_report(client, "bees", queue)
        await waiting(report, draft=1)
        await keep(report)
        await status_when(report, lambda s: s.phase == Phase.CREATING_PDF)
        await edit(report, "too late")
        await keep(report)
        await eventually(
            lambda: caplog.text.count("Ignored a decision: the draft is approved") == 2
        )
        assert len(functions.calls) == 1


async def test_the_wait_has_no_timer(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    assert not await events_of(report, EventType.EVENT_TYPE_TIMER_STARTED)
    description = (await report.describe()).raw_description
    assert not description.pending_activities
    assert not description.execution_config.workflow_run_timeout.ToTimedelta()


async def test_queries_are_answered_before_the_first_draft_and_after_completion(
    client: Client, stand_ins: StandIns
) -> None:
    report = await during_a_call(client, stand_ins)
    status = await report.query(GenerateReportWorkflow.get_report_status)
    assert (status.phase, status.draft, status.prompt) == (Phase.RESEARCHING, 0, "bees")
    assert await draft_of(report) == ""
    await keep(report)
    stand_ins.go_on.set()
    await report.result()
    status = await report.query(GenerateReportWorkflow.get_report_status)
    assert (status.phase, status.draft, status.prompt, status.error) == (Phase.DONE, 1, "bees", "")
    assert await draft_of(report) == "Text 1"


# Calls that the model refuses for good.


async def test_a_refused_edit_keeps_the_draft_and_its_prompt(
    client: Client, stand_ins: StandIns
) -> None:
    """In the tutorial, the instruction was retried for ever, or the report failed."""
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.outcomes.append(refusal("too long"))
    await edit(report, "a whole book")
    status = await status_when(report, lambda s: s.phase == Phase.WAITING and bool(s.error))
    assert status.error == (
        'Draft 2 failed: BadRequestError: too long. The instruction "a whole book" was taken back.'
    )
    assert (status.draft, status.prompt, await draft_of(report)) == (1, "bees", "Text 1")
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 1"]


@pytest.mark.parametrize(
    ("instruction", "prompt"), [("", "bees"), ("one page", f"bees{MORE}one page")]
)
async def test_an_edit_tries_again_after_a_refusal(
    client: Client, stand_ins: StandIns, instruction: str, prompt: str
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.outcomes.append(refusal())
    await edit(report, "a whole book")
    await status_when(report, lambda s: bool(s.error))
    await edit(report, instruction)
    status = await waiting(report, draft=2)
    assert (status.prompt, status.error) == (prompt, "")


async def test_a_long_instruction_is_quoted_in_part(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.outcomes.append(refusal())
    await edit(report, "x" * 100_000)
    status = await status_when(report, lambda s: bool(s.error))
    assert '"' + "x" * 200 + '…" was taken back' in status.error


async def test_without_a_draft_keep_is_answered_by_the_status_and_edit_tries_again(
    client: Client, stand_ins: StandIns
) -> None:
    stand_ins.outcomes.append(refusal("no credit"))
    report = await start_report(client, "bees", stand_ins.task_queue)
    status = await status_when(report, lambda s: s.phase == Phase.WAITING)
    assert status.error == "Draft 1 failed: BadRequestError: no credit."
    assert "KEEP" not in (await metadata_of(report)).current_details
    for _ in range(2):  # a second KEEP adds nothing
        await keep(report)
    status = await status_when(report, lambda s: "to keep" in s.error)
    assert status.error == (
        "Draft 1 failed: BadRequestError: no credit. There is no draft to keep yet."
    )
    assert not stand_ins.pdfs
    await edit(report)
    status = await waiting(report, draft=1)
    assert (status.prompt, status.error) == ("bees", "")
    assert stand_ins.calls[1].draft == ""


async def test_a_prompt_that_temporal_could_not_carry_fails_the_report_before_any_call(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "x" * 100_001, stand_ins.task_queue)
    with pytest.raises(WorkflowFailureError) as failure:
        await report.result()
    assert "100,000 characters are the most" in str(failure.value.cause)
    assert not stand_ins.calls


async def test_an_edit_that_is_too_long_for_temporal_is_refused_in_the_status(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await edit(report, "x" * 1_000_000)
    await waiting(report, draft=2)
    await edit(report, "y" * 1_000_000)
    status = await status_when(report, lambda s: bool(s.error))
    assert status.error == "With the draft, the instructions are too long. Send shorter ones."
    assert "y" not in status.prompt
    await keep(report)
    assert await report.result() == RESULT


async def test_a_long_prompt_and_a_long_draft_become_a_pdf(
    client: Client, stand_ins: StandIns
) -> None:
    stand_ins.outcomes.append("d" * 2_040_000)
    report = await start_report(client, "é" * 100_000, stand_ins.task_queue)
    await waiting(report, draft=1)
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert stand_ins.pdfs[0].topic == "é" * 1000


async def test_a_pdf_that_is_refused_for_good_leaves_the_report_waiting(
    client: Client, stand_ins: StandIns
) -> None:
    report = await during_a_call(client, stand_ins)
    stand_ins.pdf_failures.append(ApplicationError("no", type="BadName", non_retryable=True))
    await keep(report)
    await edit(report, "too late: it comes after the approval")
    stand_ins.go_on.set()
    status = await status_when(report, lambda s: s.phase == Phase.WAITING and bool(s.error))
    assert status.error == "The PDF was not created: BadName: no."
    assert len(stand_ins.calls) == 1
    await edit(report, "shorter", draft=1)
    await waiting(report, draft=2)
    await keep(report, draft=2)
    assert await report.result() == RESULT
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 1", "Text 2"]


async def test_the_calls_limits_are_those_of_the_time_budget(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    [scheduled] = await events_of(report, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    attributes = scheduled.activity_task_scheduled_event_attributes
    assert attributes.start_to_close_timeout.ToTimedelta() == LLM_START_TO_CLOSE_TIMEOUT
    assert attributes.heartbeat_timeout.ToTimedelta() == HEARTBEAT_TIMEOUT
    assert attributes.retry_policy.maximum_interval.ToTimedelta() == timedelta(minutes=1)
    assert attributes.retry_policy.maximum_attempts == 0  # no limit


# Long reports.


@pytest.fixture
async def short(short_server: Client) -> AsyncIterator[StandIns]:
    async with stand_ins_of(short_server) as functions:
        yield functions


def any_run_of(client: Client, report: Report) -> Report:
    return client.get_workflow_handle_for(GenerateReportWorkflow.run, report.id)


async def continued_as_new(report: Report, everywhere: Report) -> bool:
    return (await everywhere.describe()).run_id != report.first_execution_run_id


async def test_a_long_report_goes_on_in_a_new_run(short_server: Client, short: StandIns) -> None:
    report = await start_report(short_server, "bees", short.task_queue)
    instructions = [f"instruction {number}" for number in range(12)]
    for number, instruction in enumerate(instructions, start=1):
        await waiting(any_run_of(short_server, report), draft=number)
        await edit(any_run_of(short_server, report), instruction, draft=number)
    everywhere = any_run_of(short_server, report)
    status = await waiting(everywhere, draft=13)
    assert await continued_as_new(report, everywhere)
    assert status.prompt == "bees" + "".join(MORE + text for text in instructions)
    assert await draft_of(everywhere) == "Text 13"
    assert short.calls[-1].draft == "Text 12"
    assert "Draft 13 waits" in (await metadata_of(everywhere)).current_details
    await keep(everywhere, draft=13)
    assert await report.result() == RESULT  # the handle of the first run follows
    assert [pdf.topic for pdf in short.pdfs] == ["bees"]


async def test_the_error_is_carried_into_the_new_run(short_server: Client, short: StandIns) -> None:
    short.outcomes.append(refusal("no credit"))
    report = await start_report(short_server, "bees", short.task_queue)
    everywhere = any_run_of(short_server, report)
    before = await status_when(everywhere, lambda s: s.phase == Phase.WAITING)
    for _ in range(SUGGEST_AT):
        await everywhere.signal("user_decision_signal", {"decision": "WAIT"})
    await eventually(lambda: continued_as_new(report, everywhere))
    assert "no credit" in before.error
    assert await everywhere.query(GenerateReportWorkflow.get_report_status) == before


async def test_undecided_signals_are_carried_into_the_new_run(
    short_server: Client, short: StandIns
) -> None:
    """Signals that arrive during the call after which the report continues as new."""
    report = await during_a_call(short_server, short)
    for number in range(SUGGEST_AT):
        await edit(report, f"instruction {number}")
    await keep(report)
    short.go_on.set()
    assert await report.result() == RESULT
    everywhere = any_run_of(short_server, report)
    assert await continued_as_new(report, everywhere)
    assert short.calls[-1].prompt.count(MORE) == SUGGEST_AT
    assert [pdf.content for pdf in short.pdfs] == ["Text 2"]


async def test_more_than_a_run_can_hand_over_is_decided_first(
    short_server: Client, short: StandIns
) -> None:
    report = await start_report(short_server, "bees", short.task_queue)
    await waiting(report, draft=1)
    short.go_on.clear()
    await edit(report, "shorter")
    await eventually(lambda: len(short.calls) == 2)
    for number in range(6):
        await edit(report, str(number) * 500_000)
    for _ in range(SUGGEST_AT):
        await report.signal("user_decision_signal", {"decision": "WAIT"})
    short.go_on.set()
    status = await status_when(report, lambda s: "too long" in s.error)
    assert (status.draft, len(short.calls)) == (2, 2)
    await keep(any_run_of(short_server, report), draft=2)
    assert await any_run_of(short_server, report).result() == RESULT


async def test_ignored_signals_alone_do_not_fill_the_history(
    short_server: Client, short: StandIns
) -> None:
    report = await start_report(short_server, "bees", short.task_queue)
    everywhere = any_run_of(short_server, report)
    await waiting(everywhere, draft=1)
    for _ in range(SUGGEST_AT):
        await everywhere.signal("user_decision_signal", {"decision": "WAIT"})
    await eventually(lambda: continued_as_new(report, everywhere))
    await keep(everywhere, draft=1)
    assert await report.result() == RESULT


# Cancellation.


async def cancelled(report: Report) -> None:
    """Cancels the report, and waits until it has ended so."""
    await report.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await report.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert (await report.describe()).status == WorkflowExecutionStatus.CANCELED


async def test_cancelling_a_report_stops_its_call(
    client: Client, llm: LoopbackLLM, task_queue: str
) -> None:
    llm.default = Reply(delay=PATIENCE)
    report = await start_report(client, "bees", task_queue)
    await eventually(lambda: llm.in_flight == 1)
    await cancelled(report)
    await eventually(lambda: llm.calls[0].abandoned)
    assert len(llm.calls) == 1
    # The report ended when its call had been stopped, not before.
    assert await events_of(report, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)


@pytest.mark.parametrize("status", [200, 400])
async def test_a_report_is_cancelled_even_if_its_call_ends_before_it_learns_of_it(
    status: int, client: Client, llm: LoopbackLLM, task_queue: str
) -> None:
    llm.default = Reply(delay=1, status=status)  # less than the time between two heartbeats
    report = await start_report(client, "bees", task_queue)
    await eventually(lambda: llm.in_flight == 1)
    await cancelled(report)


async def test_a_waiting_report_can_be_cancelled(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await cancelled(report)


# What the Web UI shows.


async def test_the_web_ui_is_told_what_the_report_waits_for_and_how_to_answer(
    client: Client, stand_ins: StandIns
) -> None:
    report = await during_a_call(client, stand_ins)
    assert (await metadata_of(report)).current_details == "The model writes draft 1."
    stand_ins.go_on.set()
    await waiting(report, draft=1)
    details = (await metadata_of(report)).current_details
    assert "Draft 1 waits for the Signal `user_decision_signal`" in details
    assert '`{"decision": "KEEP", "draft": 1}`' in details
    assert '`{"decision": "EDIT", "additional_prompt": "make it shorter"}`' in details
    await keep(report)
    await report.result()
    assert (await metadata_of(report)).current_details == "Done: research_pdf.pdf"


async def test_the_web_ui_is_told_the_error(client: Client, stand_ins: StandIns) -> None:
    stand_ins.outcomes.append(refusal("no credit"))
    report = await start_report(client, "bees", stand_ins.task_queue)
    await status_when(report, lambda s: bool(s.error))
    assert "no credit" in (await metadata_of(report)).current_details


async def test_signal_and_queries_describe_themselves(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    definition = (await metadata_of(report)).definition
    described = [*definition.signal_definitions, *definition.query_definitions]
    ours = {d.name: d.description for d in described if not d.name.startswith("__")}
    assert set(ours) == {"user_decision_signal", "get_research_result", "get_report_status"}
    assert all(ours.values())
    assert '{"decision": "KEEP", "draft": 1}' in ours["user_decision_signal"]


async def test_activities_have_summaries(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await edit(report, "shorter")
    await waiting(report, draft=2)
    await keep(report)
    await report.result()
    scheduled = await events_of(report, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    assert [await summary_of(event.user_metadata) for event in scheduled] == [
        "Draft 1",
        "Draft 2",
        "PDF of draft 2",
    ]


async def summary_of(metadata: UserMetadata) -> str:
    [summary] = await default_converter().decode([metadata.summary], [str])
    return str(summary)

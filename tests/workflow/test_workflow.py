"""The Workflow on a real server: the tutorial's path, Queries, cancellation, the Web UI."""

from datetime import timedelta
from uuid import uuid4

import pytest
from loopback_llm import LoopbackLLM, Reply
from stand_ins import StandIns, during_a_call
from support import (
    PATIENCE,
    RESULT,
    StartedReport,
    begin_call,
    draft_of,
    edit,
    events_of,
    eventually,
    keep,
    metadata_of,
    start_report,
    status_when,
    stop,
    waiting,
    worker_here,
)
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.converter import default as default_converter
from temporalio.exceptions import CancelledError

from activities import LLM_START_TO_CLOSE_TIMEOUT
from beyond.heartbeats import HEARTBEAT_TIMEOUT
from models import INSTRUCTIONS_MARK as MORE
from models import Phase
from workflow import GenerateReportWorkflow


@pytest.mark.usefixtures("worker")
async def test_a_report_is_drafted_kept_and_written(client: Client, llm: LoopbackLLM) -> None:
    report = await start_report(client, "bees")
    status = await waiting(report, draft=1)
    assert (status.prompt, status.error) == ("bees", "")
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert len(llm.calls) == 1


@pytest.mark.parametrize(
    ("editing", "keeping", "more"),
    [("EDIT", "KEEP", {}), (" edit ", "keep", {"mood": "good"})],
    ids=["as it is", "in lower case and with a further field"],
)
async def test_the_tutorials_payload_drives_a_report(
    first_draft: StartedReport,
    stand_ins: StandIns,
    editing: str,
    keeping: str,
    more: dict[str, str],
) -> None:
    for decision, text in ((editing, "short"), (keeping, "")):
        payload = {"decision": decision, "additional_prompt": text} | more
        await first_draft.signal("user_decision_signal", payload)
        await status_when(first_draft, lambda s: s.draft == 2)
    assert await first_draft.result() == RESULT
    assert [call.prompt for call in stand_ins.calls] == ["bees", f"bees{MORE}short"]
    assert stand_ins.pdfs[0].content == "Text 2"


async def test_the_event_history_of_the_tutorials_path_is_the_tutorials(
    first_draft: StartedReport,
) -> None:
    """The Workflow waits without a timer or a timeout."""
    description = (await first_draft.describe()).raw_description
    assert not description.pending_activities
    assert not description.execution_config.workflow_run_timeout.ToTimedelta()
    await keep(first_draft)
    await first_draft.result()
    an_activity = ["ACTIVITY_TASK_SCHEDULED", "ACTIVITY_TASK_STARTED", "ACTIVITY_TASK_COMPLETED"]
    names = [
        EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        for event in (await first_draft.fetch_history()).events
    ]
    assert [name for name in names if not name.startswith("WORKFLOW_TASK")] == [
        "WORKFLOW_EXECUTION_STARTED",
        *an_activity,
        "WORKFLOW_EXECUTION_SIGNALED",
        *an_activity,
        "WORKFLOW_EXECUTION_COMPLETED",
    ]


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


async def test_each_activity_has_a_summary_and_the_timeouts_of_activities_py(
    first_draft: StartedReport,
) -> None:
    await edit(first_draft, "shorter")
    await waiting(first_draft, draft=2)
    await keep(first_draft)
    await first_draft.result()
    scheduled = await events_of(first_draft, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    summaries = [await summary_of(event.user_metadata) for event in scheduled]
    assert summaries == ["Draft 1", "Draft 2", "PDF of draft 2"]
    call, _, pdf = [event.activity_task_scheduled_event_attributes for event in scheduled]
    for attributes in (call, pdf):
        assert attributes.heartbeat_timeout.ToTimedelta() == HEARTBEAT_TIMEOUT
    assert call.start_to_close_timeout.ToTimedelta() == LLM_START_TO_CLOSE_TIMEOUT
    assert call.retry_policy.maximum_interval.ToTimedelta() == timedelta(minutes=1)
    assert call.retry_policy.maximum_attempts == 0  # no limit
    # A PDF's wait for its turn does not count, and a server hands out a draft before it.
    assert pdf.start_to_close_timeout.ToTimedelta() >= timedelta(hours=12)
    assert pdf.priority.priority_key > 3  # that of a draft


async def summary_of(metadata: UserMetadata) -> str:
    [summary] = await default_converter().decode([metadata.summary], [str])
    return str(summary)


# Cancellation.


async def cancelled(report: StartedReport) -> None:
    """Cancels the report, and waits until it has ended as cancelled."""
    await report.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await report.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert (await report.describe()).status == WorkflowExecutionStatus.CANCELED


async def test_cancelling_a_report_stops_its_call(
    client: Client, llm: LoopbackLLM, task_queue: str
) -> None:
    report = await begin_call(client, llm, "bees", task_queue)
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


async def test_a_waiting_report_can_be_cancelled(first_draft: StartedReport) -> None:
    await cancelled(first_draft)


# STOP.


async def test_a_stop_ends_the_call_and_the_report_goes_on(
    client: Client, llm: LoopbackLLM, task_queue: str
) -> None:
    report = await start_report(client, "bees", task_queue)
    await waiting(report, draft=1)
    llm.replies.append(Reply(delay=PATIENCE))
    await edit(report, "worse")
    await eventually(lambda: llm.in_flight == 1)
    await stop(report)
    await stop(report)  # impatiently
    status = await status_when(report, lambda s: s.phase == Phase.WAITING)
    assert (status.draft, status.prompt, status.error) == (1, "bees", "Draft 2 was stopped.")
    await eventually(lambda: llm.calls[1].abandoned)
    assert await events_of(report, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
    await edit(report, "better")
    assert (await waiting(report, draft=2)).prompt == f"bees{MORE}better"
    assert len(llm.calls) == 3


async def test_a_stop_ends_the_retries_of_a_call(
    client: Client, llm: LoopbackLLM, task_queue: str
) -> None:
    llm.default = Reply("busy", status=503)
    report = await start_report(client, "bees", task_queue)
    await eventually(lambda: len(llm.calls) > 1)
    await stop(report)
    status = await status_when(report, lambda s: s.phase == Phase.WAITING)
    assert status.error == "Draft 1 was stopped."


async def test_a_stop_before_a_worker_runs_prevents_the_call(client: Client) -> None:
    functions, queue = StandIns(), str(uuid4())
    report = await start_report(client, "bees", queue)
    await stop(report)
    async with worker_here(client, functions.llm_call, task_queue=queue):
        status = await status_when(report, lambda s: s.phase == Phase.WAITING)
        assert status.error == "Draft 1 was stopped."
        assert not functions.calls
        await edit(report)
        assert (await waiting(report, draft=1)).prompt == "bees"


@pytest.mark.parametrize("status", [200, 400])
async def test_a_report_waits_again_if_its_call_ends_before_the_stop_arrives(
    status: int, client: Client, llm: LoopbackLLM, task_queue: str
) -> None:
    llm.default = Reply(delay=1, status=status)  # less than the time between two heartbeats
    report = await start_report(client, "bees", task_queue)
    await eventually(lambda: llm.in_flight == 1)
    await stop(report)
    ended = await status_when(report, lambda s: s.phase == Phase.WAITING)
    assert (ended.draft, ended.error) in ((1, ""), (0, "Draft 1 was stopped."))


# What the Web UI shows.


async def test_the_web_ui_shows_what_the_report_waits_for_and_how_to_decide(
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
    assert '`{"decision": "CORRECT", "draft": 1, "text": "all of the text"}`' in details
    await keep(report)
    await report.result()
    assert (await metadata_of(report)).current_details == "Done: research_pdf.pdf"


async def test_signal_and_queries_describe_themselves(first_draft: StartedReport) -> None:
    definition = (await metadata_of(first_draft)).definition
    described = [*definition.signal_definitions, *definition.query_definitions]
    ours = {d.name: d.description for d in described if not d.name.startswith("__")}
    queries = {"get_research_result", "get_report_status", "get_earlier_draft"}
    assert set(ours) == {"user_decision_signal", *queries}
    assert all(ours.values())
    assert '{"decision": "KEEP", "draft": 1}' in ours["user_decision_signal"]

"""Whatever people send from the Web UI and the CLI: no Workflow Task fails for it."""

import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from stand_ins import StandIns, hold_a_call, refusal, stand_ins_of
from support import (
    ReportHandle,
    edit,
    events_of,
    eventually,
    keep,
    metadata_of,
    status_when,
    waiting,
)
from support import start_report as start_a_report
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from beyond.report.payloads import DATA_CONVERTER
from models import Phase, ReportStatus
from workflow import WRONG_INPUT, GenerateReportWorkflow


def encoded(encoding: bytes, data: bytes) -> RawValue:
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


async def start(client: Client, queue: str, *arguments: object) -> ReportHandle:
    handle = await client.start_workflow(
        "GenerateReportWorkflow", args=arguments, id=str(uuid4()), task_queue=queue
    )
    return client.get_workflow_handle_for(GenerateReportWorkflow.run, handle.id)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [None],
        [{}],
        ["text"],
        [[]],
        [7],
        [{"prompt": None}],
        [{"prompt": ["bees"]}],
        [{"prompt": "bees", "carried": None}],
        [{"prompt": "bees"}, {"prompt": "wasps"}],
        [encoded(b"json/plain", b"{prompt}")],
        [encoded(b"json/plain", b"[" * 100_000)],
        [encoded(b"binary/encrypted", b"bees")],
        [encoded(b"binary/plain", b"bees")],
        [RawValue(Payload(data=b"bees"))],
    ],
    ids=lambda arguments: repr(arguments)[:40],
)
async def test_a_wrong_input_fails_the_report_with_the_right_one(
    client: Client, stand_ins: StandIns, arguments: list[Any]
) -> None:
    report = await start(client, stand_ins.task_queue, *arguments)
    with pytest.raises(WorkflowFailureError) as failure:
        await report.result()
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError) and cause.non_retryable
    assert str(cause) == f"WrongInput: {WRONG_INPUT}"
    assert not await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    assert not stand_ins.calls
    status = await report.query(GenerateReportWorkflow.get_report_status)
    assert status == ReportStatus(Phase.RESEARCHING, 0, "", "")


@pytest.fixture
async def as_they_come(client: Client) -> AsyncIterator[StandIns]:
    """A Worker whose Client decodes as that of worker.py does."""
    service, namespace = client.service_client, client.namespace
    async with stand_ins_of(
        Client(service, namespace=namespace, data_converter=DATA_CONVERTER)
    ) as (functions):
        yield functions


TWO = [{"prompt": "bees", "decision": "KEEP"}, encoded(b"binary/encrypted", b"bees")]


async def test_two_inputs_of_which_one_cannot_be_decoded_fail_the_report(
    client: Client, as_they_come: StandIns
) -> None:
    report = await start(client, as_they_come.task_queue, *TWO)
    with pytest.raises(WorkflowFailureError) as failure:
        await report.result()
    assert str(failure.value.cause) == f"WrongInput: {WRONG_INPUT}"
    assert not await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


async def test_two_decisions_of_which_one_cannot_be_decoded_are_one_line(
    client: Client, as_they_come: StandIns, caplog: pytest.LogCaptureFixture
) -> None:
    report = await start_a_report(client, "bees", as_they_come.task_queue)
    await waiting(report, draft=1)
    await report.signal("user_decision_signal", args=TWO)
    await eventually(lambda: "Ignored" in caplog.text)
    [line] = [line for line in caplog.text.splitlines() if line]
    assert "Ignored a Signal that is not a decision" in line
    assert (await waiting(report, draft=1)).error == ""


async def test_unknown_fields_of_the_input_are_ignored(client: Client, stand_ins: StandIns) -> None:
    report = await start(client, stand_ins.task_queue, {"prompt": "bees", "mood": "good"})
    assert (await waiting(report, draft=1)).prompt == "bees"


@pytest.mark.parametrize(
    "argument",
    [
        {"decision": "KEEP", "draft": True},
        {"decision": "KEEP", "draft": 10**300},
        {"decision": "KEEP", "draft": -1},
        {"decision": "KEEP", "draft": 1.0},
        {"decision": "KEEP", "digest": 7},
        encoded(b"json/plain", b"{keep}"),
        encoded(b"binary/encrypted", b"KEEP"),
        encoded(b"\xff", b"KEEP"),
    ],
    ids=lambda argument: repr(argument)[:40],
)
async def test_what_is_no_decision_is_ignored_with_one_line(
    client: Client, stand_ins: StandIns, argument: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    report = await start_a_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    caplog.clear()
    await report.signal("user_decision_signal", argument)
    await eventually(lambda: "Ignored" in caplog.text)
    [line] = [line for line in caplog.text.splitlines() if line]
    assert "Ignored a Signal that is not a decision" in line
    assert (await waiting(report, draft=1)).error == ""
    assert not await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


# Activities that somebody completes by hand.

ODD_ANSWERS: list[Any] = [
    None,
    "text",
    7,
    [],
    {},
    {"choices": []},
    {"choices": {"0": "x"}},
    {"choices": [{"message": None}]},
    {"choices": [{"message": {"content": None}}]},
    {"choices": [{"message": {"content": " \n"}}]},
]


async def complete_by_hand(client: Client, report: ReportHandle, value: Any) -> None:
    activity_id = (await report.describe()).raw_description.pending_activities[0].activity_id
    handle = client.get_async_activity_handle(
        workflow_id=report.id, run_id=None, activity_id=activity_id
    )
    await handle.complete(value)


def has_an_activity(report: ReportHandle) -> Any:
    async def condition() -> bool:
        return bool((await report.describe()).raw_description.pending_activities)

    return condition


@pytest.mark.parametrize("answer", ODD_ANSWERS, ids=lambda answer: repr(answer)[:40])
async def test_an_answer_that_holds_no_text_is_an_error_for_the_person(
    client: Client, answer: Any
) -> None:
    queue = str(uuid4())
    async with Worker(client, task_queue=queue, workflows=[GenerateReportWorkflow]):
        report = await start_a_report(client, "bees", queue)
        await eventually(has_an_activity(report))
        await complete_by_hand(client, report, answer)
        status = await status_when(report, lambda s: s.phase == Phase.WAITING)
        assert (status.draft, status.error) == (0, "Draft 1 failed: the answer holds no text.")
        await edit(report)
        await eventually(has_an_activity(report))
        good = {"choices": [{"message": {"content": "By hand"}, "finish_reason": ["odd"]}]}
        await complete_by_hand(client, report, good)
        assert (await waiting(report, draft=1)).error == ""
        assert not await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


@pytest.mark.parametrize(
    ("finish_reason", "error"),
    [
        ("stop", ""),
        ("length", "Draft 1 is cut off: the model reached its token limit."),
        ("content_filter", "Draft 1 is cut off: the provider's content filter stopped the model."),
    ],
)
async def test_a_draft_that_is_not_whole_is_told(
    client: Client, finish_reason: str, error: str
) -> None:
    queue = str(uuid4())
    async with Worker(client, task_queue=queue, workflows=[GenerateReportWorkflow]):
        report = await start_a_report(client, "bees", queue)
        await eventually(has_an_activity(report))
        choice = {"message": {"content": "Text 1"}, "finish_reason": finish_reason}
        await complete_by_hand(client, report, {"choices": [choice]})
        assert (await waiting(report, draft=1)).error == error


@pytest.mark.parametrize("answer", [None, "", 7, {}, ["x.pdf"]], ids=repr)
async def test_a_pdf_without_a_name_gives_the_report_back_to_the_person(
    client: Client, answer: Any
) -> None:
    stand_ins = StandIns()
    queue = str(uuid4())
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[GenerateReportWorkflow],
        activities=[stand_ins.llm_call],
    )
    async with worker:
        report = await start_a_report(client, "bees", queue)
        await waiting(report, draft=1)
        await keep(report, draft=1)
        await eventually(has_an_activity(report))
        await status_when(report, lambda s: s.phase == Phase.CREATING_PDF)
        await complete_by_hand(client, report, answer)
        status = await status_when(report, lambda s: s.phase == Phase.WAITING)
        assert status.error == "The PDF was not created: create_pdf returned no file name."
        await edit(report, "shorter")
        await waiting(report, draft=2)
        assert not await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


# What the status says.


@pytest.mark.parametrize(
    ("message", "told"),
    [("no", "no."), ("no.", "no."), ("no...", "no."), ("why?", "why?"), ("more…", "more…")],
)
async def test_an_error_ends_with_one_full_stop(
    client: Client, stand_ins: StandIns, message: str, told: str
) -> None:
    stand_ins.outcomes.append(refusal(message))
    report = await start_a_report(client, "bees", stand_ins.task_queue)
    status = await status_when(report, lambda s: bool(s.error))
    assert status.error == f"Draft 1 failed: BadRequestError: {told}"


async def test_the_status_and_the_web_ui_follow_the_pdf(client: Client) -> None:
    """No error of a draft is told of its PDF, and the Web UI says which step it is."""
    stand_ins = StandIns()
    queue = str(uuid4())
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[GenerateReportWorkflow],
        activities=[stand_ins.llm_call],
    )
    async with worker:
        report = await start_a_report(client, "bees", queue)
        await waiting(report, draft=1)
        await hold_a_call(report, stand_ins, "a whole book")
        stand_ins.outcomes.append(refusal("too long"))
        stand_ins.go_on.set()
        await status_when(report, lambda s: bool(s.error))
        await keep(report, draft=1)
        status = await status_when(report, lambda s: s.phase == Phase.CREATING_PDF)
        assert status.error == ""
        details = (await metadata_of(report)).current_details
        assert details == "Draft 1 is approved: the PDF is next."
        await report.cancel()
        with pytest.raises(WorkflowFailureError):
            await report.result()


async def test_decisions_are_taken_in_the_order_of_their_arrival(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_a_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await hold_a_call(report, stand_ins, "first")
    await keep(report, draft=2)
    await edit(report, "second")
    await keep(report, draft=3)
    stand_ins.go_on.set()
    await report.result()
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 2"]
    assert len(stand_ins.calls) == 2

"""Odd input, and Activities completed with the CLI, make no Workflow Task fail.

A payload that only another Worker can read is the exception: the report waits for that Worker.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from stand_ins import StandIns
from support import (
    RESULT,
    StartedReport,
    edit,
    events_of,
    eventually,
    is_running,
    keep,
    start_report,
    status_when,
    waiting,
    worker_here,
)
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from test_decisions import encode

from beyond.payloads import DATA_CONVERTER, ReadableCodec
from beyond.report import PROMPT_TOO_LONG, WRONG_INPUT
from models import Phase, ReportStatus
from workflow import GenerateReportWorkflow


async def start(client: Client, queue: str, *arguments: object) -> StartedReport:
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
        [{"prompt": "bees"}, {"prompt": "wasps"}],
        [encode(b"json/plain", b"{prompt}")],
        [encode(b"json/plain", b"[" * 100_000)],
        [encode(b"binary/plain", b"bees")],
        [{"prompt": "x" * 100_001}],
    ],
    ids=lambda arguments: repr(arguments)[:40],
)
async def test_a_wrong_input_fails_the_report_before_any_call_with_the_right_one(
    client: Client, stand_ins: StandIns, arguments: list[Any]
) -> None:
    report = await start(client, stand_ins.task_queue, *arguments)
    with pytest.raises(WorkflowFailureError) as failure:
        await report.result()
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError) and cause.non_retryable
    prompt = arguments[0]["prompt"] if "x" * 100_001 in str(arguments) else ""
    assert str(cause) == f"WrongInput: {PROMPT_TOO_LONG if prompt else WRONG_INPUT}"
    assert not await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    assert not stand_ins.calls
    status = await report.query(GenerateReportWorkflow.get_report_status)
    assert status == ReportStatus(Phase.RESEARCHING, 0, prompt, "")


async def test_unknown_fields_of_the_input_are_ignored(client: Client, stand_ins: StandIns) -> None:
    report = await start(client, stand_ins.task_queue, {"prompt": "bees", "mood": "good"})
    assert (await waiting(report, draft=1)).prompt == "bees"


class ReversingCodec(ReadableCodec):
    """Reads an encoding that other Workers do not know."""

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await super().decode(
            [
                Payload(metadata={"encoding": b"json/plain"}, data=payload.data[::-1])
                if payload.metadata.get("encoding") == b"binary/reversed"
                else payload
                for payload in payloads
            ]
        )


def reverse(value: dict[str, str]) -> RawValue:
    return encode(b"binary/reversed", json.dumps(value).encode()[::-1])


@pytest.mark.parametrize("unreadable", ["topic", "decision"])
async def test_a_payload_in_an_unknown_encoding_waits_for_a_worker_that_can_read_it(
    unreadable: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This happens while Workers with a codec replace those without one."""
    queue, functions = str(uuid4()), StandIns()
    topic: Any = {"prompt": "bees"}
    keeping: Any = {"decision": "KEEP"}

    async def has_failed() -> bool:
        return bool(await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED))

    async with worker_here(client, functions.llm_call, functions.create_pdf, task_queue=queue):
        if unreadable == "topic":
            report = await start(client, queue, reverse(topic))
        else:
            report, keeping = await start(client, queue, topic), reverse(keeping)
            await waiting(report, draft=1)
        await report.signal("user_decision_signal", keeping)
        await eventually(has_failed)
        assert await is_running(report)
    readable = replace(DATA_CONVERTER, payload_codec=ReversingCodec())
    monkeypatch.setattr("support.DATA_CONVERTER", readable)
    async with worker_here(client, functions.llm_call, functions.create_pdf, task_queue=queue):
        assert await report.result() == RESULT
    assert [call.prompt for call in functions.calls] == ["bees"]


async def complete_by_hand(client: Client, report: StartedReport, value: Any) -> None:
    async def is_pending() -> bool:
        return bool((await report.describe()).raw_description.pending_activities)

    await eventually(is_pending)
    activity_id = (await report.describe()).raw_description.pending_activities[0].activity_id
    handle = client.get_async_activity_handle(
        workflow_id=report.id, run_id=None, activity_id=activity_id
    )
    await handle.complete(value)


@pytest.mark.parametrize(
    "answer",
    [None, "text", {"choices": []}],
    ids=repr,
)
async def test_a_call_completed_with_the_cli_without_text_is_an_error_for_the_person(
    client: Client, answer: Any
) -> None:
    async with worker_here(client) as queue:
        report = await start_report(client, "bees", queue)
        await complete_by_hand(client, report, answer)
        status = await status_when(report, lambda s: s.phase == Phase.WAITING)
        assert (status.draft, status.error) == (0, "Draft 1 failed: the answer contains no text.")
        await edit(report)
        good = {"choices": [{"message": {"content": "By hand"}, "finish_reason": ["odd"]}]}
        await complete_by_hand(client, report, good)
        assert (await waiting(report, draft=1)).text == "By hand"
        assert not await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


@pytest.mark.parametrize("answer", [None, "", 7, {}, ["x.pdf"]], ids=repr)
async def test_a_pdf_without_a_name_gives_the_report_back_to_the_person(
    client: Client, first_draft: StartedReport, stand_ins: StandIns, answer: Any
) -> None:
    stand_ins.pdfs_by_hand = True
    await keep(first_draft, draft=1)
    await status_when(first_draft, lambda _: len(stand_ins.pdfs) == 1)
    await complete_by_hand(client, first_draft, answer)
    status = await status_when(first_draft, lambda s: s.phase == Phase.WAITING)
    assert status.error == "The PDF was not created: create_pdf returned no file name."
    await edit(first_draft, "shorter")
    await waiting(first_draft, draft=2)
    assert not await events_of(first_draft, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

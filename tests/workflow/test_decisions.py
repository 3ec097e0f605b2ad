"""Decisions as Signals to the Workflow on a real server, with `StandIns` for its Activities.

Which decisions count, and what they mean, is tested in test_report.py.
"""

import asyncio
import logging
from typing import Any
from uuid import uuid4

import pytest
from stand_ins import StandIns, during_a_call
from support import (
    RESULT,
    StartedReport,
    correct,
    edit,
    events_of,
    eventually,
    keep,
    metadata_of,
    report_of,
    reset,
    start_report,
    status_when,
    waiting,
    worker_here,
)
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.common import RawValue

from models import INSTRUCTIONS_MARK as MORE
from models import Phase
from workflow import GenerateReportWorkflow


async def test_a_correction_is_the_next_draft_and_a_query_returns_the_one_before(
    first_draft: StartedReport, stand_ins: StandIns
) -> None:
    report = first_draft
    assert await report.query(GenerateReportWorkflow.get_earlier_draft) == ""
    await correct(report, "Mine", draft=1)
    status = await waiting(report, draft=2)
    assert (status.text, status.prompt, status.earlier_drafts) == ("Mine", "bees", 1)
    assert await report.query(GenerateReportWorkflow.get_earlier_draft) == "Text 1"
    await report.signal("user_decision_signal", {"decision": "correct", "text": "Mine, too"})
    await keep(report)
    assert await report.result() == RESULT
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Mine, too"]
    assert await report.query(GenerateReportWorkflow.get_earlier_draft) == "Mine"


async def test_none_of_300_edits_beside_calls_is_lost(client: Client, stand_ins: StandIns) -> None:
    """The tutorial loses 244 of them."""
    report = await start_report(client, "bees", stand_ins.task_queue)
    for number in range(300):
        await edit(report, f"instruction {number}")
    last = await status_when(
        report, lambda s: s.phase == Phase.WAITING and "instruction 299" in s.prompt
    )
    assert last.prompt == "bees" + "".join(f"{MORE}instruction {n}" for n in range(300))


async def test_50_decisions_that_came_while_no_worker_ran_fail_no_workflow_task(
    client: Client,
) -> None:
    queue = str(uuid4())
    report = await start_report(client, "bees", queue)
    numbers = iter(range(50))

    async def send() -> None:
        for number in numbers:
            await edit(report, f"rule {number}.")

    await asyncio.gather(*(send() for _ in range(16)))
    stand_ins = StandIns()
    async with worker_here(client, stand_ins.llm_call, stand_ins.create_pdf, task_queue=queue):
        status = await waiting(report, draft=2)
        assert [status.prompt.count(f" rule {n}.") for n in range(50)] == [1] * 50
        assert len(stand_ins.calls) == 2
        assert not await events_of(report, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


async def test_decisions_during_a_call_are_handled_in_order_after_it(
    client: Client, stand_ins: StandIns
) -> None:
    """The tutorial keeps only the last decision, so it loses the first of two EDITs."""
    report = await during_a_call(client, stand_ins)
    await edit(report, "add sources")
    await edit(report, "shorter")
    await keep(report)
    await edit(report, "too late: it comes after the approval")
    await keep(report)  # a second KEEP changes nothing, so the status does not mention it
    stand_ins.go_on.set()
    assert await report.result() == RESULT
    status = await report.query(GenerateReportWorkflow.get_report_status)
    assert status.error == "The EDIT did not count: draft 2 was already approved."
    assert [call.prompt for call in stand_ins.calls] == [
        "bees",
        f"bees{MORE}add sources{MORE}shorter",
    ]
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 2"]


# What people type into the Web UI.


def encode(encoding: bytes, data: bytes) -> RawValue:
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
        [encode(b"json/plain", b"")],
        [encode(b"json/plain", b"{keep}")],
        [encode(b"json/plain", b"\xff")],
        [encode(b"json/plain", b'{"decision": "KEEP", "draft": 1e999}')],
        [encode(b"json/plain", b"[" * 100_000)],
        [encode(b"binary/plain", b"KEEP")],
        [encode(b"json/protobuf", b"{}")],
    ],
    ids=lambda arguments: repr(arguments)[:40],
)
async def test_a_payload_that_is_not_a_decision_is_ignored_with_a_log_line(
    first_draft: StartedReport, arguments: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A Signal with an empty body, the Web UI's default, used to wedge the tutorial's Workflow."""
    caplog.set_level(logging.INFO)
    caplog.clear()
    await first_draft.signal("user_decision_signal", args=arguments)
    await eventually(lambda: "Ignored" in caplog.text)
    assert len(caplog.text.splitlines()) == 1
    assert (await waiting(first_draft, draft=1)).error == ""
    await keep(first_draft)
    assert await first_draft.result() == RESULT
    assert not await events_of(first_draft, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


async def test_a_signal_of_another_name_is_ignored(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await report.signal("approve", {"decision": "KEEP"})
    await waiting(report, draft=1)
    await keep(report)
    assert await report.result() == RESULT


async def test_decisions_after_the_approval_are_refused_and_logged(
    first_draft: StartedReport, stand_ins: StandIns, caplog: pytest.LogCaptureFixture
) -> None:
    stand_ins.pdfs_by_hand = True
    await keep(first_draft)
    status = await status_when(first_draft, lambda s: s.phase == Phase.CREATING_PDF)
    assert status.error == ""
    details = (await metadata_of(first_draft)).current_details
    assert details == "Draft 1 is approved: the PDF is next."
    await edit(first_draft, "too late")
    status = await status_when(first_draft, lambda s: bool(s.error))
    assert status.error == "The EDIT did not count: draft 1 was already approved."
    await eventually(lambda: "Ignored a decision: the draft is approved" in caplog.text)
    assert len(stand_ins.calls) == 1


async def test_a_reset_approves_no_draft_that_nobody_has_read(
    client: Client, first_draft: StartedReport, stand_ins: StandIns
) -> None:
    """A reset applies the old decisions again, to drafts that the model writes anew."""
    await edit(first_draft, "shorter", draft=1)
    await waiting(first_draft, draft=2)
    await keep(first_draft, draft=2)
    assert await first_draft.result() == RESULT
    await reset(first_draft)
    status = await waiting(first_draft, draft=2)
    assert status.error == (
        "The draft was not kept: the report was reset, and this draft is a new one."
    )
    assert status.text == "Text 4"
    assert len(stand_ins.pdfs) == 1
    await keep(first_draft, draft=2)
    assert await report_of(client, first_draft.id).result() == RESULT
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 2", "Text 4"]

"""KEEP and EDIT as Signals: early, late, together, malformed.

Of the Workflow alone, with `StandIns` for its Activities.
"""

import logging
from typing import Any

import pytest
from stand_ins import StandIns, during_a_call, hold_a_call, refusal
from support import (
    MORE,
    RESULT,
    edit,
    events_of,
    eventually,
    keep,
    metadata_of,
    start_report,
    status_when,
    waiting,
    worker_here,
)
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.common import RawValue

from models import Phase
from workflow import GenerateReportWorkflow


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
    await keep(report)  # asks for nothing that has not happened
    stand_ins.go_on.set()
    assert await report.result() == RESULT
    status = await report.query(GenerateReportWorkflow.get_report_status)
    assert status.error == "The EDIT did not count: draft 2 was already approved."
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


async def test_decisions_after_the_approval_are_refused_and_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    functions = StandIns()
    async with worker_here(client, functions.llm_call) as queue:  # nobody makes the PDF yet
        report = await start_report(client, "bees", queue)
        await waiting(report, draft=1)
        await keep(report)
        await status_when(report, lambda s: s.phase == Phase.CREATING_PDF)
        await edit(report, "too late")
        status = await status_when(report, lambda s: bool(s.error))
        assert status.error == "The EDIT did not count: draft 1 was already approved."
        await keep(report)
        await eventually(
            lambda: caplog.text.count("Ignored a decision: the draft is approved") == 2
        )
        assert len(functions.calls) == 1

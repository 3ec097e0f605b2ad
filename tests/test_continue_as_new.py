"""Long reports, which go on in a new run."""

from collections.abc import AsyncIterator

import pytest
from stand_ins import StandIns, during_a_call, refusal, stand_ins_of
from support import (
    MORE,
    RESULT,
    SUGGEST_AT,
    ReportHandle,
    draft_of,
    edit,
    eventually,
    keep,
    metadata_of,
    start_report,
    status_when,
    waiting,
)
from temporalio.client import Client

from models import Phase
from workflow import GenerateReportWorkflow


@pytest.fixture
async def short(short_server: Client) -> AsyncIterator[StandIns]:
    async with stand_ins_of(short_server) as functions:
        yield functions


def any_run_of(client: Client, report: ReportHandle) -> ReportHandle:
    return client.get_workflow_handle_for(GenerateReportWorkflow.run, report.id)


async def continued_as_new(report: ReportHandle, everywhere: ReportHandle) -> bool:
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

"""Long reports continue in a new run."""

import asyncio
from uuid import uuid4

import pytest
from stand_ins import StandIns, during_a_call, refusal
from support import (
    CONTINUE_SOON,
    RESULT,
    StartedReport,
    StartWorker,
    correct,
    draft_of,
    edit,
    events_of,
    eventually,
    keep,
    metadata_of,
    report_of,
    start_report,
    status_when,
    waiting,
    worker_here,
)
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from beyond.event_history import CONTINUE_AFTER_BYTES, RunSize
from models import DRAFT_LIMIT, Phase
from models import INSTRUCTIONS_MARK as MORE
from workflow import GenerateReportWorkflow

LONG = 20  # Signals and Activities


@pytest.fixture(autouse=True)
def long_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beyond.event_history.CONTINUE_AFTER", LONG)


async def continued_as_new(report: StartedReport, everywhere: StartedReport) -> bool:
    return (await everywhere.describe()).run_id != report.first_execution_run_id


async def ignore(report: StartedReport, signals: int = LONG) -> None:
    for _ in range(signals):
        await report.signal("user_decision_signal", {"decision": "WAIT"})


async def test_a_long_report_goes_on_in_a_new_run(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    everywhere = report_of(client, report.id)
    instructions = [f"instruction {number}" for number in range(12)]
    for number, instruction in enumerate(instructions, start=1):
        await waiting(everywhere, draft=number)
        await edit(everywhere, instruction, draft=number)
    status = await waiting(everywhere, draft=13)
    await eventually(lambda: continued_as_new(report, everywhere))
    assert status.prompt == "bees" + "".join(MORE + text for text in instructions)
    assert await draft_of(everywhere) == "Text 13"
    assert stand_ins.calls[-1].draft == "Text 12"
    assert "Draft 13 waits" in (await metadata_of(everywhere)).current_details
    await keep(everywhere, draft=13)
    assert await report.result() == RESULT  # the handle of the first run follows
    assert [pdf.topic for pdf in stand_ins.pdfs] == ["bees"]


async def test_a_status_after_a_correction_does_not_say_that_the_draft_before_waits(
    client: Client, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each CORRECT makes the report continue as new, which takes another Workflow Task."""
    report = await start_report(client, "bees", stand_ins.task_queue)
    everywhere = report_of(client, report.id)
    await waiting(everywhere, draft=1)
    monkeypatch.setattr("beyond.event_history.CONTINUE_AFTER", 1)
    for number in range(1, 21):
        await correct(everywhere, f"text {number}", draft=number)
        status = await everywhere.query(GenerateReportWorkflow.get_report_status)
        assert (status.phase, status.draft) != (Phase.WAITING, number)
        await waiting(everywhere, draft=number + 1)


async def test_ignored_signals_alone_lead_to_a_new_run_which_carries_the_error(
    client: Client, stand_ins: StandIns
) -> None:
    stand_ins.outcomes.append(refusal("no credit"))
    report = await start_report(client, "bees", stand_ins.task_queue)
    everywhere = report_of(client, report.id)
    before = await status_when(everywhere, lambda s: s.phase == Phase.WAITING)
    await ignore(everywhere)
    await eventually(lambda: continued_as_new(report, everywhere))
    assert "no credit" in before.error
    assert await everywhere.query(GenerateReportWorkflow.get_report_status) == before


async def test_waiting_decisions_are_carried_into_the_new_run(
    client: Client, stand_ins: StandIns
) -> None:
    """Signals that arrive during the call after which the report continues as new."""
    report = await during_a_call(client, stand_ins)
    for number in range(LONG):
        await edit(report, f"instruction {number}")
    await keep(report)
    stand_ins.go_on.set()
    assert await report.result() == RESULT
    assert await continued_as_new(report, report_of(client, report.id))
    assert stand_ins.calls[-1].prompt.count(MORE) == LONG
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 2"]


async def test_a_cancellation_that_arrives_as_a_report_continues_as_new_counts(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK delivers Signals first, so the run used to end and the cancellation was lost."""
    monkeypatch.setattr("beyond.event_history.CONTINUE_AFTER", 2)
    functions = StandIns()
    async with worker_here(client, functions.llm_call) as queue:
        report = await start_report(client, "bees", queue)
        await waiting(report, draft=1)
    await ignore(report, signals=1)
    await report.cancel()
    async with worker_here(client, functions.llm_call, task_queue=queue):
        with pytest.raises(WorkflowFailureError):
            await report_of(client, report.id).result()
    description = await report_of(client, report.id).describe()
    assert description.status == WorkflowExecutionStatus.CANCELED


async def test_a_report_that_each_worker_replays_continues_as_new_without_a_failed_task(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a Query nor another Worker changes when a report continues as new."""
    monkeypatch.setattr("beyond.event_history.CONTINUE_AFTER", 4)
    functions = StandIns()
    queue = str(uuid4())
    report = await start_report(client, "bees", queue)
    everywhere = report_of(client, report.id)
    for number in range(1, 6):
        async with worker_here(client, functions.llm_call, task_queue=queue):
            await waiting(everywhere, draft=number)
            await draft_of(everywhere)
        await ignore(everywhere, signals=1)
        await edit(everywhere, f"rule {number}")
    async with worker_here(client, functions.llm_call, functions.create_pdf, task_queue=queue):
        status = await waiting(everywhere, draft=6)
        assert status.prompt.count(MORE) == 5
        assert await continued_as_new(report, everywhere)
        assert not await events_of(everywhere, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
        await keep(everywhere, draft=6)
        assert await everywhere.result() == RESULT


async def test_corrections_of_1_mb_make_a_report_continue_as_new(
    client: Client, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beyond.event_history.CONTINUE_AFTER", 1_000)
    report = await start_report(client, "bees", stand_ins.task_queue)
    everywhere = report_of(client, report.id)
    await waiting(everywhere, draft=1)
    runs, number = set(), 1
    for _ in range(12):  # two at a time, of which the second waits for the first
        texts = [f"{number} {turn} ".ljust(DRAFT_LIMIT - 2, "x") for turn in range(2)]
        await asyncio.gather(*(correct(everywhere, text) for text in texts))
        number += 2
        assert (await waiting(everywhere, draft=number)).error == ""
        description = await everywhere.describe()
        runs.add(description.run_id)
        assert description.raw_description.workflow_execution_info.history_size_bytes < 15_000_000
    assert len(runs) >= 3
    await keep(everywhere)
    assert await everywhere.result() == RESULT
    assert len(stand_ins.pdfs[-1].content) == DRAFT_LIMIT - 2


@pytest.mark.parametrize("decision", ["EDIT", "KEEP"])
async def test_a_decision_that_arrives_as_a_report_continues_as_new_counts(
    client: Client, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    """If a Query was in progress, the report used to get stuck or the decision was lost."""
    monkeypatch.setenv("LLM_MODEL", "offline/demo")
    first = start_worker(first=CONTINUE_SOON.format(3))
    report = await start_report(client, "bees")
    everywhere = report_of(client, report.id)
    await waiting(everywhere, draft=1)
    await ignore(everywhere, signals=1)
    first.kill()
    asking = asyncio.create_task(draft_of(everywhere))
    await everywhere.signal("user_decision_signal", {"decision": decision, "draft": 1})
    start_worker(first=CONTINUE_SOON.format(3))
    assert "bees" in await asking
    if decision == "EDIT":
        await waiting(everywhere, draft=2)
        await keep(everywhere, draft=2)
    assert await everywhere.result() == RESULT
    assert await continued_as_new(report, everywhere)
    assert not await events_of(everywhere, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


def test_ignored_signals_and_the_bytes_of_answers_make_a_run_large() -> None:
    signals, answers = RunSize(), RunSize()
    for _ in range(LONG):
        assert not signals.is_large()
        signals.add_step(None)
    assert signals.is_large()
    answers.add_result("x" * (CONTINUE_AFTER_BYTES - 2))  # and two quotation marks
    assert answers.is_large()

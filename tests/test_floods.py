"""Thousands of decisions at once. The SDK fails a Workflow Task that runs for two seconds."""

import asyncio
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

import pytest
from stand_ins import StandIns, during_a_call, stand_ins_of
from support import (
    ReportHandle,
    keep,
    start_report,
    status_when,
    waiting,
)
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import Worker

from beyond.report.decisions import DecisionQueue
from models import Phase, ReportState, UserDecision, UserDecisionSignal
from workflow import GenerateReportWorkflow

FLOOD = 3000  # a third of what the server takes, so that a slow machine takes it, too


async def flood(report: ReportHandle, decisions: Iterable[dict[str, Any]]) -> None:
    """Sends them in their order as far as the server keeps it."""
    left = iter(decisions)

    async def send() -> None:
        for decision in left:
            await report.signal("user_decision_signal", decision)

    await asyncio.gather(*(send() for _ in range(16)))


@pytest.mark.takes(6)
async def test_every_edit_that_came_while_no_worker_ran_is_in_the_prompt(client: Client) -> None:
    report = await start_report(client, "bees", "flood-without-a-worker")
    edits = ({"decision": "EDIT", "additional_prompt": f"rule {n}."} for n in range(FLOOD))
    await flood(report, edits)
    stand_ins = StandIns()
    async with Worker(
        client,
        task_queue="flood-without-a-worker",
        workflows=[GenerateReportWorkflow],
        activities=[stand_ins.llm_call, stand_ins.create_pdf],
    ):
        status = await waiting(report, draft=2)
    assert [status.prompt.count(f" rule {n}.") for n in range(FLOOD)] == [1] * FLOOD
    assert len(stand_ins.calls) == 2


async def test_keeps_for_drafts_that_never_were_are_refused_in_one_sentence(
    client: Client, stand_ins: StandIns
) -> None:
    report = await during_a_call(client, stand_ins)
    await flood(report, ({"decision": "KEEP", "draft": 100_000 + n} for n in range(FLOOD)))
    stand_ins.go_on.set()
    status = await status_when(report, lambda s: bool(s.error))
    assert status.error.count("was not kept: draft 1 is the current one.") == 1
    assert len(status.error) < 100
    await keep(report, draft=1)
    await report.result()


async def test_keeps_without_a_number_during_the_first_call_approve_its_draft_once(
    client: Client, stand_ins: StandIns
) -> None:
    report = await during_a_call(client, stand_ins)
    await flood(report, ({"decision": "KEEP"} for _ in range(FLOOD)))
    stand_ins.go_on.set()
    await report.result()
    assert (await report.describe()).status == WorkflowExecutionStatus.COMPLETED
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 1"]


async def test_what_comes_too_late_is_logged_once_a_workflow_task(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    stand_ins = StandIns()
    queue = "flood-after-the-approval"

    def worker() -> Worker:  # which makes no PDF
        return Worker(
            client,
            task_queue=queue,
            workflows=[GenerateReportWorkflow],
            activities=[stand_ins.llm_call],
        )

    async with worker():
        report = await start_report(client, "bees", queue)
        await waiting(report, draft=1)
        await keep(report, draft=1)
        await status_when(report, lambda s: s.phase == Phase.CREATING_PDF)
    await flood(report, ({"decision": "EDIT", "draft": 1} for _ in range(200)))
    async with worker():
        status = await status_when(report, lambda s: bool(s.error))
    assert status.error == "The EDIT did not count: draft 1 was already approved."
    assert caplog.text.count("Ignored a decision: the draft is approved") == 1


async def test_more_decisions_than_are_handed_over_are_worked_through_first(
    short_server: Client,
) -> None:
    async with stand_ins_of(short_server) as stand_ins:
        report = await during_a_call(short_server, stand_ins)
        await flood(report, ({"decision": "EDIT", "additional_prompt": "x"} for _ in range(1200)))
        stand_ins.go_on.set()
        everywhere = short_server.get_workflow_handle_for(GenerateReportWorkflow.run, report.id)
        status = await status_when(everywhere, lambda s: s.phase == Phase.WAITING and s.draft == 2)
    assert status.prompt.count("Additional instructions: x") == 1200
    assert len(stand_ins.calls) == 2


KINDS = {
    "edits": lambda n: UserDecisionSignal(UserDecision.EDIT, f"rule {n}"),
    "keeps": lambda n: UserDecisionSignal(UserDecision.KEEP),
    "stale keeps": lambda n: UserDecisionSignal(UserDecision.KEEP, draft=100_000 + n),
    "both": lambda n: UserDecisionSignal(UserDecision.KEEP, draft=100_000 * (n % 2)),
    "undos": lambda n: UserDecisionSignal(UserDecision.UNDO),
}


@pytest.mark.parametrize("kind", KINDS)
def test_twice_as_many_decisions_are_twice_the_work(kind: str) -> None:
    def work(number: int) -> int:
        """How many functions are called for that many decisions, generators' steps included."""
        calls = 0

        def count(_frame: FrameType, event: str, _argument: Any) -> None:
            nonlocal calls
            calls += event == "call"

        queue = DecisionQueue(ReportState("bees", "Text 1", 1))
        decisions = [KINDS[kind](n) for n in range(number)]
        sys.setprofile(count)
        try:
            for decision in decisions:
                queue.add(decision, draft_is_coming=True)
            if queue.next() == UserDecision.EDIT:
                queue.take_edits()
        finally:
            sys.setprofile(None)
        return calls

    assert work(2000) < 2.5 * work(1000)

"""Records the histories that test_replay.py replays. Not collected by default; run it with

uv run pytest tests/by_hand/record_histories.py             # all
uv run pytest tests/by_hand/record_histories.py -k keep     # some
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from loopback_llm import LoopbackLLM, Reply
from machine import PROJECT
from support import (
    RECORDED_LIMIT,
    StartedReport,
    begin_call,
    correct,
    edit,
    eventually,
    keep,
    report_of,
    start_report,
    status_when,
    stop,
    waiting,
)
from temporalio.client import Client, WorkflowFailureError

from models import WORKFLOW_ID_PREFIX, Phase
from workflow import GenerateReportWorkflow

HISTORIES = PROJECT / "tests" / "workflow" / "histories"


async def record(report: StartedReport, shape: str) -> None:
    """Writes the report's Event History, without a trace of this machine."""
    history = json.loads((await report.fetch_history()).to_json())
    text = json.dumps(scrubbed(history), indent=1, ensure_ascii=False)
    (HISTORIES / f"{shape}.json").write_text(text + "\n")


def scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "recorder" if key == "identity" else scrubbed(item)
            for key, item in value.items()
            if key != "stackTrace"
        }
    if isinstance(value, list):
        return [scrubbed(item) for item in value]
    # The name of a sticky Task Queue begins with the Worker's identity.
    return re.sub(r"\d+@[\w.-]+", "recorder", value) if isinstance(value, str) else value


async def test_keep(client: Client, task_queue: str) -> None:
    report = await start_report(client, "bees", task_queue)
    await waiting(report, draft=1)
    await keep(report, draft=1)
    await report.result()
    await record(report, "keep")


async def test_edits(client: Client, llm: LoopbackLLM, task_queue: str) -> None:
    """Two EDITs that wait together, an empty one, and Signals that are ignored."""
    report = await begin_call(client, llm, "bees", task_queue)
    await edit(report, "shorter")
    await edit(report, "in verse")
    await report.signal("user_decision_signal")
    llm.go_on.set()
    await waiting(report, draft=2)
    await edit(report, draft=2)
    await waiting(report, draft=3)
    await keep(report)
    await report.result()
    await record(report, "edits")


async def test_refused_edit(client: Client, llm: LoopbackLLM, task_queue: str) -> None:
    report = await start_report(client, "bees", task_queue)
    await waiting(report, draft=1)
    llm.replies.append(Reply("too long", status=400))
    await edit(report, "a whole book", draft=1)
    await status_when(report, lambda s: s.phase == Phase.WAITING and bool(s.error))
    await keep(report, draft=1)
    await report.result()
    await record(report, "refused_edit")


async def test_stale_keep(client: Client, llm: LoopbackLLM, task_queue: str) -> None:
    report = await start_report(client, "bees", task_queue)
    await waiting(report, draft=1)
    llm.go_on.clear()
    await edit(report, "shorter", draft=1)
    await eventually(lambda: llm.in_flight == 1)
    await keep(report, draft=1)
    llm.go_on.set()
    await status_when(report, lambda s: "not kept" in s.error)
    await keep(report, draft=2)
    await report.result()
    await record(report, "stale_keep")


async def test_continue_as_new(
    client: Client, llm: LoopbackLLM, task_queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that continues as new with undecided Signals, and the run that handles them."""
    monkeypatch.setattr("beyond.event_history.CONTINUE_AFTER", RECORDED_LIMIT)
    report = await begin_call(client, llm, "bees", task_queue)
    for number in range(3):
        await edit(report, f"instruction {number}")
    await keep(report)
    llm.go_on.set()
    await report.result()
    run = report.first_execution_run_id
    first = client.get_workflow_handle_for(GenerateReportWorkflow.run, report.id, run_id=run)
    await record(first, "continue_as_new")
    await record(report_of(client, report.id), "continued")


async def test_pdf_retry(
    client: Client, task_queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTS_DIR", "/dev/null/reports")
    report = await start_report(client, "bees", task_queue)
    await waiting(report, draft=1)
    await keep(report, draft=1)
    await status_when(report, lambda s: bool(s.error))
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path))
    await report.result()
    await record(report, "pdf_retry")


async def test_undo(client: Client, task_queue: str) -> None:
    report = await start_report(client, "bees", task_queue)
    await waiting(report, draft=1)
    await edit(report, "shorter", draft=1)
    await waiting(report, draft=2)
    await report.signal("user_decision_signal", {"decision": "UNDO", "draft": 2})
    await waiting(report, draft=3)
    await edit(report, "in verse", draft=3)
    await waiting(report, draft=4)
    await keep(report, draft=4)
    await report.result()
    await record(report, "undo")


async def test_correct(client: Client, task_queue: str) -> None:
    """A CORRECT for the current draft, one for an older draft, and one without text."""
    report = await start_report(client, "bees", task_queue)
    await waiting(report, draft=1)
    await correct(report, "# My bees", draft=1)
    await waiting(report, draft=2)
    await correct(report, "# Too late", draft=1)
    await correct(report, "")
    await edit(report, "in verse", draft=2)
    await waiting(report, draft=3)
    await keep(report, draft=3)
    await report.result()
    await record(report, "correct")


async def test_stop(client: Client, llm: LoopbackLLM, task_queue: str) -> None:
    """A STOP during the first draft, during a revision, and when nothing is being written."""
    report = await begin_call(client, llm, "bees", task_queue)
    for number in range(2):
        await stop(report)
        await status_when(report, lambda s: "was stopped" in s.error)
        await eventually(lambda: llm.in_flight == 0)
        if number == 0:
            llm.go_on.set()
            await edit(report)
            await waiting(report, draft=1)
            llm.go_on.clear()
            await edit(report, "worse")
            await eventually(lambda: llm.in_flight == 1)
    await stop(report)
    await keep(report, draft=1)
    await report.result()
    await record(report, "stop")


async def test_replaced_topic(client: Client, llm: LoopbackLLM, task_queue: str) -> None:
    llm.replies.append(Reply("not that", status=400))
    report = await start_report(client, "a forbidden thing", task_queue)
    await status_when(report, lambda s: s.phase == Phase.WAITING and bool(s.error))
    await edit(report, "bees")
    await waiting(report, draft=1)
    await keep(report, draft=1)
    await report.result()
    await record(report, "replaced_topic")


async def test_wrong_input(client: Client, task_queue: str) -> None:
    handle = await client.start_workflow(
        "GenerateReportWorkflow", "bees", id=f"{WORKFLOW_ID_PREFIX}wrong", task_queue=task_queue
    )
    report = client.get_workflow_handle_for(GenerateReportWorkflow.run, handle.id)
    with pytest.raises(WorkflowFailureError):
        await report.result()
    await record(report, "wrong_input")

"""A script conducts the dialogue through pipes."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM, Reply
from starters import CONTROLS, KEPT, STARTER, piped
from support import PATIENCE, RESULT, decisions_on, is_running, report_of
from temporalio.client import Client

from beyond.report import PROMPT_TOO_LONG
from models import PROMPT_LIMIT, UserDecision, UserDecisionSignal

pytestmark = pytest.mark.usefixtures("worker")


async def test_a_script_can_hold_the_whole_dialogue(client: Client, reports: Path) -> None:
    done = piped("topic\nedit\nshorter\nkeep\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert not CONTROLS.search(done.stdout)
    workflow_id = re.search(r"Workflow ID: (\S+),", done.stdout)
    assert workflow_id
    assert done.stdout.endswith(f"Result: {RESULT}\nFile: {reports / 'research_pdf.pdf'}\n")
    assert "Additional instructions: shorter" in done.stdout
    assert await decisions_on(report_of(client, workflow_id[1])) == [
        UserDecisionSignal(UserDecision.EDIT, "shorter", draft=1),
        UserDecisionSignal(UserDecision.KEEP, draft=2),
    ]


async def test_a_scripts_last_line_counts_without_its_end() -> None:
    done = piped("topic\nkeep")
    assert done.returncode == 0
    assert f"Result: {RESULT}\n" in done.stdout


async def test_the_end_of_a_scripts_input_leaves_the_report_running(client: Client) -> None:
    done = piped("topic\nquery\n")
    assert (done.returncode, done.stderr) == (0, "")
    came_back = re.search(re.escape(KEPT) + r" --workflow-id (\S+)\n$", done.stdout)
    assert came_back
    assert await is_running(report_of(client, came_back[1]))


async def test_a_script_reads_why_a_call_is_retried(llm: LoopbackLLM) -> None:
    llm.replies.append(Reply(status=500, headers={"retry-after": "5"}))
    done = piped("topic\nkeep\n")
    assert done.returncode == 0
    assert re.search(
        r"^Researching… \d+ s \(attempt 2, openai/gpt-4o: .*\)$", done.stdout, re.MULTILINE
    )
    assert done.stdout.count("Researching…") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
async def test_a_report_starts_though_a_stream_is_closed(
    closed: str, client: Client, tmp_path: Path
) -> None:
    command = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, STARTER, "bees"]
    done = await asyncio.to_thread(
        subprocess.run, command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, b"")
    reports = [report.id async for report in client.list_workflows("ExecutionStatus = 'Running'")]
    assert len(reports) == 1


async def test_a_script_reads_an_error_again_that_happens_again(llm: LoopbackLLM) -> None:
    llm.default = Reply(status=400, text="not this topic")
    too_long = "x" * (PROMPT_LIMIT + 1)  # to replace the topic
    done = piped(f"topic\nedit\n{too_long}\nedit\n{too_long}\n")
    assert done.returncode == 0
    assert done.stdout.count(PROMPT_TOO_LONG) == 2


async def test_a_decision_that_temporal_refuses_is_reported_and_the_dialogue_goes_on() -> None:
    too_much = "x" * 2_200_000  # characters, for a payload of at most 2 MB
    done = piped(f"topic\nedit\n{too_much}\nkeep\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Temporal refused the decision: " in done.stdout
    assert f"Result: {RESULT}\n" in done.stdout

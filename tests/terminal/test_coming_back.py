"""A person comes back to a report, or lists the open ones."""

import re
from pathlib import Path
from uuid import uuid4

import pytest
from loopback_llm import LoopbackLLM
from starters import OpenStarter, piped
from support import decisions_on, edit, keep, listed, report_of, start_report, waiting
from temporalio import workflow
from temporalio.client import Client

from beyond.terminal.reports import shorten_id


@pytest.mark.usefixtures("worker")
async def test_coming_back_to_a_running_report_shows_its_draft(
    llm: LoopbackLLM, client: Client, open_starter: OpenStarter
) -> None:
    first = open_starter()
    workflow_id = first.begin()
    first.asked_to_decide()
    first.leave()
    second = open_starter("--workflow-id", workflow_id)
    second.sees(f"Report {shorten_id(workflow_id)}: bees")
    second.sees("Draft 1")
    second.sees("bees")
    second.edit("shorter")
    second.sees("Draft 2")
    second.keep()
    second.sees_result()
    assert second.ends() == 0
    assert "Started workflow" not in second.text
    numbers = [decision.draft for decision in await decisions_on(report_of(client, workflow_id))]
    assert numbers == [1, 2]


@pytest.mark.usefixtures("worker")
async def test_a_completed_report_shows_its_draft_and_its_result(
    client: Client, reports: Path, open_starter: OpenStarter
) -> None:
    report = await start_report(client, "honey bees")
    await waiting(report, draft=1)
    await keep(report)
    await report.result()
    starter = open_starter("--workflow-id", report.id)
    assert starter.ends() == 0
    starter.sees("honey bees")
    starter.sees_result()
    starter.sees(f"File: {reports / 'research_pdf.pdf'}")
    assert "Your decision" not in starter.text


@workflow.defn
class SomethingElse:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


async def test_another_type_of_workflow_is_refused_with_its_type(
    client: Client, open_starter: OpenStarter
) -> None:
    other = await client.start_workflow(SomethingElse.run, id=str(uuid4()), task_queue="other")
    starter = open_starter("--workflow-id", other.id)
    assert starter.ends() == 1
    assert starter.errors == f"{other.id} is a SomethingElse, not a report.\n"


@pytest.mark.usefixtures("worker")
async def test_the_list_begins_with_the_newest_report(llm: LoopbackLLM, client: Client) -> None:
    waits = await start_report(client, "honey\x1b[2J bees [red]\nand more")
    await waiting(waits, draft=1)
    await edit(waits, "shorter")
    await waiting(waits, draft=2)
    ended = await start_report(client, "ended")
    await waiting(ended, draft=1)
    await keep(ended)
    await ended.result()
    llm.go_on.clear()
    works = await start_report(client, "wasps")
    await listed(client, 2)
    done = piped("", "--list")
    assert done.returncode == 0
    header, second, first = done.stdout.splitlines()
    assert header.split("\t") == ["ID", "Topic", "Age", "Phase", "Draft"]
    assert re.fullmatch(rf"{waits.id}\thoney\[2J bees \[red\] and more\t\d+ s\tWAITING\t2", first)
    assert re.fullmatch(rf"{works.id}\twasps\t\d+ s\tRESEARCHING\t0", second)


async def test_an_empty_list_says_that_no_report_is_open(away_from_the_worker: Client) -> None:
    done = piped("", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "No report is open.\n"

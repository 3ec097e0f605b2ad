"""Finding, listing and discarding reports from outside their dialogue."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from loopback_llm import LoopbackLLM
from starters import KEPT, OpenStarter, piped, write_script
from support import eventually, is_running, keep, listed, start_report, waiting
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.worker import Worker

from beyond.terminal.progress import NO_WORKER
from beyond.terminal.reports import (
    ENDED_ONES,
    ROWS_PER_PAGE,
    find_latest_report,
    find_report,
    shorten_id,
)
from models import TASK_QUEUE, WORKFLOW_ID_PREFIX, GenerateReportInput, LLMCallInput
from workflow import GenerateReportWorkflow

pytestmark = pytest.mark.usefixtures("worker")


@pytest.mark.parametrize("columns", [40, 80, 200])
async def test_the_list_shows_each_report_on_one_line_at_any_width(
    columns: int, llm: LoopbackLLM, client: Client, open_starter: OpenStarter
) -> None:
    reports = [await start_report(client, f"a topic of [red] words {'on and ' * 20}")]
    reports.append(await start_report(client, "bees"))
    for report in reports:
        await waiting(report, draft=1)
    llm.go_on.clear()
    reports.append(await start_report(client, "wasps"))
    await listed(client, 3)
    starter = open_starter("--list", columns=columns)
    assert starter.ends() == 0
    lines = starter.text.splitlines()
    assert len(lines) == 4
    assert re.match(r"ID\s+Topic\s+Age\s+Ph", lines[0])
    assert all(len(line) <= columns for line in lines)
    for line, report in zip(lines[1:], reversed(reports), strict=True):
        own_part = report.id.removeprefix(WORKFLOW_ID_PREFIX)[:8]
        phase = "RES\\w*…? +0" if line is lines[1] else "WAI\\w*…? +1"
        assert re.search(rf"^{own_part}  .* \d+ s +{phase}$", line)


async def test_the_list_shows_unknown_for_a_report_without_a_worker(client: Client) -> None:
    silent = await start_report(client, "wasps", task_queue="where nobody polls")
    report = await start_report(client, "bees")
    await waiting(report, draft=1)
    await listed(client, 2)
    done = piped("", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split("\t")[0]: line.split("\t")[3:] for line in done.stdout.splitlines()}
    assert rows[silent.id] == ["?", "?"]
    assert rows[report.id] == ["WAITING", "1"]


async def test_a_report_that_another_program_began_is_listed_with_its_topic(
    client: Client, open_starter: OpenStarter
) -> None:
    """A Schedule, for example, uses other Workflow IDs and sets no summary for the Web UI."""
    topics = {"weekly-energy-markets-2026-11-29T08:00:00Z": "bees", f"web-{uuid4()}": "wasps"}
    queues = {"bees": TASK_QUEUE, "wasps": "where nobody polls"}
    reports = [
        await client.start_workflow(
            GenerateReportWorkflow.run,
            GenerateReportInput(topic),
            id=workflow_id,
            task_queue=queues[topic],
        )
        for workflow_id, topic in topics.items()
    ]
    await waiting(reports[0], draft=1)
    await listed(client, 2)
    starter = open_starter("--list", columns=80)
    assert starter.ends() == 0
    _, wasps, bees = starter.text.splitlines()
    assert re.fullmatch(rf"{reports[0].id}  bees +\d+ s +WAI…  1", bees)
    assert re.fullmatch(rf"{reports[1].id} +wasps +\d+ s +\?     \?", wasps)


class Envelope(PayloadCodec):
    """Stands for an encryption whose key this starter lacks."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"binary/encrypted"}, data=p.SerializeToString())
            for p in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(payload.data) for payload in payloads]


@activity.defn(name="llm_call")
async def write_at_once(input: LLMCallInput) -> dict[str, Any]:
    return {"choices": [{"message": {"content": input.prompt}}]}


async def test_an_encrypted_report_is_unknown_in_the_list_and_its_dialogue_says_why(
    client: Client,
) -> None:
    converter = DataConverter(payload_codec=Envelope())
    private = Client(client.service_client, namespace=client.namespace, data_converter=converter)
    worker = Worker(
        private,
        task_queue=str(uuid4()),
        workflows=[GenerateReportWorkflow],
        activities=[write_at_once],
    )
    async with worker:
        secret = await start_report(private, "secret", worker.task_queue)
        await waiting(secret, draft=1)
        report = await start_report(client, "bees")
        await waiting(report, draft=1)
        await listed(client, 2)
        done = await asyncio.to_thread(piped, "", "--list")
        back = await asyncio.to_thread(piped, "", "--workflow-id", secret.id)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split("\t")[0]: line.split("\t") for line in done.stdout.splitlines()}
    assert rows[report.id][1] == "bees"
    assert [rows[secret.id][column] for column in (1, 3, 4)] == ["?", "?", "?"]
    assert back.returncode == 1
    assert re.fullmatch(
        r"A payload cannot be encoded or decoded: .+\. "
        r"Give this program the codec and the key that the others have\.\n",
        back.stderr,
    )
    assert back.stdout.splitlines()[1].startswith(KEPT)  # not that it is paused


async def test_an_ended_report_is_found_by_a_part_of_its_id(client: Client) -> None:
    report = await start_report(client, "bees")
    await waiting(report, draft=1)  # or its call may come during the next test
    await report.terminate(reason="too dear")
    part = report.id.removeprefix(WORKFLOW_ID_PREFIX)[:18]

    async def found() -> bool:
        ended = f"WorkflowId = '{report.id}' AND ExecutionStatus = 'Terminated'"
        return (await client.count_workflows(ended)).count == 1

    await eventually(found)
    done = piped("", "--workflow-id", part)
    assert (done.returncode, done.stderr) == (1, "The report was terminated: too dear\n")
    assert "Started workflow" not in done.stdout


async def test_a_report_is_found_by_a_part_of_its_id(client: Client) -> None:
    first, second = [await start_report(client, topic) for topic in ("bees", "wasps")]
    await waiting(first, draft=1)
    await waiting(second, draft=1)
    await listed(client, 2)
    beginning, end = first.id.split("-")[4], first.id.rpartition("-")[2]
    assert await find_report(client, f" {beginning} ") == first.id
    assert await find_report(client, end) == first.id
    assert await find_latest_report(client) == second.id


async def test_a_report_with_the_tutorials_older_spelling_is_found_by_its_own_part(
    client: Client,
) -> None:
    own = str(uuid4())
    report = await client.start_workflow(
        GenerateReportWorkflow.run,
        GenerateReportInput("bees"),
        id=f"generate-reserach-report-workflow-{own}",
        task_queue=TASK_QUEUE,
    )
    await listed(client, 1)
    assert shorten_id(report.id) == own[:8]
    assert await find_report(client, own[:8]) == report.id


async def test_the_list_shows_the_newest_and_says_how_to_see_the_others(
    away_from_the_worker: Client,
) -> None:
    """Without a Worker, the list waits once, not for each report, and then shows only topics."""
    client = away_from_the_worker
    for number in range(ROWS_PER_PAGE + 5):
        await start_report(client, f"topic {number}")
    await listed(client, ROWS_PER_PAGE + 5)
    done = piped("", "--list")
    assert done.returncode == 0
    _, *rows, more = done.stdout.splitlines()
    assert len(rows) == ROWS_PER_PAGE
    assert more == "… and 5 more. --all shows them, too."
    assert done.stderr == f"Phases and drafts are unknown. {NO_WORKER}\n"
    done = piped("", "--list", "--all")
    assert len(done.stdout.splitlines()) == 1 + ROWS_PER_PAGE + 5
    assert done.stderr.count(NO_WORKER) == 1


async def test_ended_reports_are_listed_with_their_pdfs(client: Client) -> None:
    kept, stopped = [await start_report(client, topic) for topic in ("bees", "wasps")]
    await waiting(kept, draft=1)
    await waiting(stopped, draft=1)
    await keep(kept)
    result = await kept.result()
    await stopped.terminate()
    await listed(client, 0)

    async def both_ended() -> bool:
        return (await client.count_workflows(ENDED_ONES)).count >= 2

    await eventually(both_ended)
    done = piped("", "--list", "--ended")
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = done.stdout.splitlines()
    assert header.split("\t") == ["ID", "Topic", "Age", "Phase", "PDF"]
    rows = {line.split("\t")[0]: line.split("\t")[3:] for line in lines}
    assert rows[kept.id] == ["COMPLETED", result.rpartition(": ")[2]]
    assert rows[stopped.id] == ["TERMINATED", ""]


def test_an_unknown_id_is_refused_with_the_command_that_lists_reports(client: Client) -> None:
    done = piped("", "--workflow-id", "")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Which report? Give its Workflow ID or a part of it. ")
    done = piped("", "--workflow-id", "zzz")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "There is no report with the Workflow ID zzz. --list shows the open ones.\n"
    )


async def test_a_part_of_two_ids_is_refused_with_a_longer_part_of_each(client: Client) -> None:
    for topic in ("bees", "wasps"):
        await waiting(await start_report(client, topic), draft=1)
    await listed(client, 2)
    done = piped("", "--workflow-id", "generate-research")
    assert done.returncode == 1
    told = re.fullmatch(
        r"generate-research is part of 2 Workflow IDs\. Choose one: (\w{8}), (\w{8})\.\n",
        done.stderr,
    )
    assert told
    assert "wasps" in piped("", "--workflow-id", told[1]).stdout


async def test_resume_takes_the_latest_open_report(
    client: Client, open_starter: OpenStarter
) -> None:
    for topic in ("bees", "wasps"):
        await waiting(await start_report(client, topic), draft=1)
    await listed(client, 2)
    starter = open_starter("--resume")
    starter.sees("wasps")
    starter.asked_to_decide()


async def test_discard_asks_once_and_cancels_the_report(client: Client) -> None:
    report = await start_report(client, "bees")
    await waiting(report, draft=1)
    await listed(client, 1)
    for answer in ("no", "", "yesterday"):
        done = piped(f"{answer}\n", "--discard", report.id)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Nothing was discarded." in done.stdout
    assert await is_running(report)
    done = piped("Y\n", "--discard", report.id.split("-")[4])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("The report is discarded.\n")
    assert (await report.describe()).status == WorkflowExecutionStatus.CANCELED
    done = piped("yes\n", "--discard", report.id)
    assert done.returncode == 1
    assert done.stderr == f"{report.id} has ended already: there is nothing to discard.\n"


async def test_without_a_worker_a_discarded_report_ends_later(
    away_from_the_worker: Client,
) -> None:
    report = await start_report(away_from_the_worker, "bees")
    done = piped("yes\n", "--discard", report.id)
    assert done.returncode == 0
    assert done.stdout.endswith(f"The report ends as soon as a Worker answers. {NO_WORKER}\n")


async def test_open_opens_the_pdf(
    llm: LoopbackLLM, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener = write_script(tmp_path / "bin" / "xdg-open", 'echo "$1" > opened.txt')
    monkeypatch.setenv("PATH", f"{opener.parent}:/usr/bin:/bin")
    done = piped("keep\n", "bees", "--open")
    assert (done.returncode, done.stderr) == (0, "")
    opened = (tmp_path / "opened.txt").read_text().strip()
    assert opened.endswith("/reports/research_pdf.pdf")
    monkeypatch.setenv("PATH", "/nowhere")
    done = piped("keep\n", "bees", "--open")
    assert done.returncode == 0
    assert done.stderr == "xdg-open cannot open it on this machine.\n"


def test_the_command_that_opens_the_pdf_is_shown(open_starter: OpenStarter) -> None:
    starter = open_starter("bees")
    starter.keep()
    starter.sees(re.compile(r"^Open it with: \S+ \S+research_pdf\.pdf$", re.MULTILINE))

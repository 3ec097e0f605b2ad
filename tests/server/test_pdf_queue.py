"""PDFs wait for their turn in the Worker, and no LLM call waits behind them."""

import asyncio
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from loopback_llm import LoopbackLLM
from support import (
    attempts_of,
    draft_of,
    eventually,
    keep,
    start_report,
    status_when,
    waiting,
    worker_here,
)
from temporalio.client import Client, WorkflowFailureError
from temporalio.testing import ActivityEnvironment

import activities
from activities import create_pdf_in_turn, llm_call
from beyond import heartbeats
from models import PDFGenerationInput, Phase

REPORT = PDFGenerationInput("# Bees\n\nThey *hum*.")


async def test_a_pdf_heartbeats_while_it_waits_and_while_it_is_made(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "HEARTBEAT_INTERVAL", timedelta(seconds=0.02))
    environment = ActivityEnvironment(client)
    beats: list[object] = []
    environment.on_heartbeat = lambda *details: beats.append(details)
    async with activities._pdf_turn:
        await activities._pdf_process.start()
        assert activities._pdf_process._process
        process = psutil.Process(activities._pdf_process._process.pid)
        making = asyncio.create_task(environment.run(create_pdf_in_turn, REPORT))
        await eventually(lambda: len(beats) > 3)
        process.suspend()
    try:
        await eventually(activities._pdf_turn.locked)
        so_far = len(beats)
        await eventually(lambda: len(beats) > so_far + 3)
    finally:
        process.resume()
    assert await making == "research_pdf.pdf"


async def test_a_cancelled_pdf_gives_up_its_place_in_the_queue(
    client: Client, tmp_path: Path
) -> None:
    environment = ActivityEnvironment(client)
    async with activities._pdf_turn:
        making = asyncio.create_task(environment.run(create_pdf_in_turn, REPORT))
        await asyncio.sleep(0.1)
        environment.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
    assert await ActivityEnvironment(client).run(create_pdf_in_turn, REPORT) == "research_pdf.pdf"
    assert pdfs_in(tmp_path) == ["research_pdf.pdf"]


@pytest.mark.parametrize("end", ["cancel", "terminate"])
async def test_a_report_that_ends_while_its_pdf_is_made_leaves_no_pdf(
    end: str, client: Client, llm: LoopbackLLM, tmp_path: Path
) -> None:
    async with worker_here(client, llm_call, create_pdf_in_turn) as queue:
        report = await start_report(client, "bees", queue)
        await waiting(report, draft=1)
        await activities._pdf_process.start()
        assert activities._pdf_process._process
        process = psutil.Process(activities._pdf_process._process.pid)
        process.suspend()
        try:
            await keep(report)
            await eventually(activities._pdf_turn.locked)
            await getattr(report, end)()
            with pytest.raises(WorkflowFailureError):
                await report.result()
        finally:
            process.resume()
        await eventually(lambda: not activities._pdf_turn.locked())
    assert pdfs_in(tmp_path) == []


def pdfs_in(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.pdf")]


async def test_drafts_do_not_wait_for_pdfs_and_no_pdf_is_made_twice(
    client: Client, llm: LoopbackLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the SDK's threads, waiting counted as work, so PDFs timed out and were made again."""
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path / "reports"))
    async with worker_here(client, llm_call, create_pdf_in_turn, activities_at_once=100) as queue:
        async with activities._pdf_turn:
            reports = [await start_report(client, f"topic {n}", queue) for n in range(60)]
            for report in reports:
                await waiting(report, draft=1)
                await keep(report)
            await status_when(reports[-1], lambda s: s.phase == Phase.CREATING_PDF)
            another = await start_report(client, "another topic", queue)
            await waiting(another, draft=1)
            assert (await draft_of(another)).endswith("another topic")
            assert not (tmp_path / "reports").exists()
        results = {await report.result() for report in reports}
    assert len(results) == len(list((tmp_path / "reports").iterdir())) == 60
    for report in reports:
        assert max(await attempts_of(report)) == 1

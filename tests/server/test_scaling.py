"""Several Workers on one Task Queue, one of them killed under load."""

import asyncio
from pathlib import Path

import pytest
from loopback_llm import LoopbackLLM, Reply
from support import KEY, StartWorker, eventually, keep, start_report
from temporalio.client import Client

REPORTS = 60


def whole_pdfs(folder: Path) -> set[str]:
    files = folder.glob("*.pdf")
    return {path.name for path in files if path.read_bytes().endswith(b"%%EOF\n")}


async def test_three_workers_one_of_them_killed_lose_no_report(
    client: Client,
    llm: LoopbackLLM,
    start_worker: StartWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    llm.default = Reply(delay=1)
    workers = []
    for number in range(3):
        monkeypatch.setenv("LLM_API_KEY", f"{KEY}-{number}")  # tells whose call it is
        workers.append(start_worker())

    reports = [await start_report(client, f"topic {number}") for number in range(REPORTS)]
    await eventually(lambda: len(llm.calls) > REPORTS / 2, progress=lambda: len(llm.calls))
    workers[0].kill()
    await eventually(lambda: llm.in_flight == 0, progress=lambda: llm.in_flight)
    interrupted = sum(call.abandoned for call in llm.calls)
    # draft=0: whichever draft comes next, so nobody need wait for the drafts to come.
    await asyncio.gather(*(keep(report) for report in reports))

    results = await asyncio.gather(*(report.result() for report in reports))
    names = {result.rpartition(": ")[2] for result in results}
    assert len(names) == REPORTS
    assert whole_pdfs(tmp_path) == names
    # Paid twice: the calls that the kill interrupted, and answers that it kept from Temporal.
    topics = {call.messages[-1]["content"] for call in llm.calls}
    assert len(topics) == REPORTS
    of_the_killed = sum(call.key == f"Bearer {KEY}-0" for call in llm.calls)
    assert interrupted <= len(llm.calls) - REPORTS <= of_the_killed

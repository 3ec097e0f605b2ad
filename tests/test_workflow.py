"""The Workflow on a real server, with a real Worker and a model on loopback."""

from collections.abc import Callable

from conftest import WorkerProcess, keep, start_report, waiting
from loopback_llm import LoopbackLLM
from temporalio.client import Client


async def test_a_report_is_drafted_kept_and_written(
    client: Client, llm: LoopbackLLM, start_worker: Callable[[], WorkerProcess]
) -> None:
    start_worker()
    report = await start_report(client, "bees")
    status = await waiting(report, draft=1)
    assert (status.prompt, status.error) == ("bees", "")
    await keep(report, draft=1)
    assert await report.result() == "Successfully created research report PDF: research_pdf.pdf"
    assert len(llm.calls) == 1

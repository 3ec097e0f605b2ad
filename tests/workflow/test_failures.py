"""Calls and PDFs that fail for good: the Workflow alone, with `StandIns` for its Activities."""

from stand_ins import StandIns, during_a_call, refusal
from support import (
    RESULT,
    draft_of,
    edit,
    keep,
    metadata_of,
    start_report,
    status_when,
    waiting,
)
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from models import DRAFT_LIMIT, Phase


async def test_a_refused_edit_with_halves_of_surrogate_pairs_keeps_the_draft_and_its_prompt(
    client: Client, stand_ins: StandIns
) -> None:
    """They are legal in JSON, and a terminal sends them."""
    topic, instruction = "bees \udcfc", "shorter \ud83d"
    report = await start_report(client, topic, stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.outcomes.append(refusal("too long"))
    await edit(report, instruction)
    status = await status_when(report, lambda s: s.phase == Phase.WAITING and bool(s.error))
    dropped = f'Draft 2 failed: too long. The instruction "{instruction}" was dropped.'
    assert (status.error, status.draft, status.prompt) == (dropped, 1, topic)
    details = (await metadata_of(report)).current_details
    assert dropped.encode(errors="replace").decode() in details
    assert await draft_of(report) == "Text 1"
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 1"]


async def test_a_long_prompt_and_a_long_draft_become_a_pdf(
    client: Client, stand_ins: StandIns
) -> None:
    stand_ins.outcomes.append("d" * DRAFT_LIMIT)
    report = await start_report(client, "é" * 100_000, stand_ins.task_queue)
    assert len((await waiting(report, draft=1)).text) == DRAFT_LIMIT
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert stand_ins.pdfs[0].topic == "é" * 1000


async def test_a_pdf_that_is_refused_for_good_leaves_the_report_waiting(
    client: Client, stand_ins: StandIns
) -> None:
    report = await during_a_call(client, stand_ins)
    stand_ins.pdf_failures.append(
        ApplicationError("no such name", type="BadName", non_retryable=True)
    )
    await keep(report)
    await edit(report, "too late: it comes after the approval")
    stand_ins.go_on.set()
    status = await status_when(report, lambda s: s.phase == Phase.WAITING and bool(s.error))
    assert status.error == (
        "The PDF was not created: no such name. "
        "The EDIT did not count: draft 1 was already approved."
    )
    assert len(stand_ins.calls) == 1
    await edit(report, "shorter", draft=1)
    await waiting(report, draft=2)
    await keep(report, draft=2)
    assert await report.result() == RESULT
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 1", "Text 2"]

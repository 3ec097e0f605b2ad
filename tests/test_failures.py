"""Calls and PDFs that are refused for good, and what is too long for Temporal.

Of the Workflow alone, with `StandIns` for its Activities.
"""

import pytest
from stand_ins import StandIns, during_a_call, refusal
from support import (
    MORE,
    RESULT,
    draft_of,
    edit,
    keep,
    metadata_of,
    report_of,
    reset,
    start_report,
    status_when,
    waiting,
)
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from models import Phase


async def test_a_refused_edit_keeps_the_draft_and_its_prompt(
    client: Client, stand_ins: StandIns
) -> None:
    """In the tutorial, the instruction was retried for ever, or the report failed."""
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.outcomes.append(refusal("too long"))
    await edit(report, "a whole book")
    status = await status_when(report, lambda s: s.phase == Phase.WAITING and bool(s.error))
    assert status.error == (
        'Draft 2 failed: BadRequestError: too long. The instruction "a whole book" was taken back.'
    )
    assert (status.draft, status.prompt, await draft_of(report)) == (1, "bees", "Text 1")
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 1"]


@pytest.mark.parametrize(
    ("instruction", "prompt"), [("", "bees"), ("one page", f"bees{MORE}one page")]
)
async def test_an_edit_tries_again_after_a_refusal(
    client: Client, stand_ins: StandIns, instruction: str, prompt: str
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.outcomes.append(refusal())
    await edit(report, "a whole book")
    await status_when(report, lambda s: bool(s.error))
    await edit(report, instruction)
    status = await waiting(report, draft=2)
    assert (status.prompt, status.error) == (prompt, "")


async def test_a_long_instruction_is_quoted_in_part(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.outcomes.append(refusal())
    await edit(report, "x" * 100_000)
    status = await status_when(report, lambda s: bool(s.error))
    assert '"' + "x" * 200 + '…" was taken back' in status.error


async def test_without_a_draft_keep_is_answered_by_the_status_and_edit_tries_again(
    client: Client, stand_ins: StandIns
) -> None:
    stand_ins.outcomes.append(refusal("no credit"))
    report = await start_report(client, "bees", stand_ins.task_queue)
    status = await status_when(report, lambda s: s.phase == Phase.WAITING)
    assert status.error == "Draft 1 failed: BadRequestError: no credit."
    assert "KEEP" not in (await metadata_of(report)).current_details
    for _ in range(2):  # a second KEEP adds nothing
        await keep(report)
    status = await status_when(report, lambda s: "to keep" in s.error)
    assert status.error == (
        "Draft 1 failed: BadRequestError: no credit. There is no draft to keep yet."
    )
    assert not stand_ins.pdfs
    await edit(report)
    status = await waiting(report, draft=1)
    assert (status.prompt, status.error) == ("bees", "")
    assert stand_ins.calls[1].draft == ""


async def test_a_prompt_that_temporal_could_not_carry_fails_the_report_before_any_call(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "x" * 100_001, stand_ins.task_queue)
    with pytest.raises(WorkflowFailureError) as failure:
        await report.result()
    assert "100,000 characters are the most" in str(failure.value.cause)
    assert not stand_ins.calls


async def test_an_edit_that_is_too_long_for_temporal_is_refused_in_the_status(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await edit(report, "x" * 1_000_000)
    await waiting(report, draft=2)
    await edit(report, "y" * 1_000_000)
    status = await status_when(report, lambda s: bool(s.error))
    assert status.error == "With the draft, the instructions are too long. Send shorter ones."
    assert "y" not in status.prompt
    await keep(report)
    assert await report.result() == RESULT


async def test_a_long_prompt_and_a_long_draft_become_a_pdf(
    client: Client, stand_ins: StandIns
) -> None:
    stand_ins.outcomes.append("d" * 2_040_000)
    report = await start_report(client, "é" * 100_000, stand_ins.task_queue)
    await waiting(report, draft=1)
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert stand_ins.pdfs[0].topic == "é" * 1000


async def test_a_pdf_that_is_refused_for_good_leaves_the_report_waiting(
    client: Client, stand_ins: StandIns
) -> None:
    report = await during_a_call(client, stand_ins)
    stand_ins.pdf_failures.append(ApplicationError("no", type="BadName", non_retryable=True))
    await keep(report)
    await edit(report, "too late: it comes after the approval")
    stand_ins.go_on.set()
    status = await status_when(report, lambda s: s.phase == Phase.WAITING and bool(s.error))
    assert status.error == (
        "The PDF was not created: BadName: no. "
        "The EDIT did not count: draft 1 was already approved."
    )
    assert len(stand_ins.calls) == 1
    await edit(report, "shorter", draft=1)
    await waiting(report, draft=2)
    await keep(report, draft=2)
    assert await report.result() == RESULT
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 1", "Text 2"]


async def test_only_the_first_pdf_of_a_report_is_not_searched_for(
    client: Client, stand_ins: StandIns
) -> None:
    """Any other may be there already: its attempt was lost, or the report was reset."""
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.pdf_failures += [ApplicationError("disk full")] * 3
    await keep(report, draft=1)
    assert await report.result() == RESULT
    assert [pdf.is_first for pdf in stand_ins.pdfs] == [True, True, True, False]
    await reset(report, task=-2)  # before the second Activity
    await report_of(client, report.id).result()
    assert [pdf.is_first for pdf in stand_ins.pdfs[4:]] == [False]


async def test_a_pdf_that_was_refused_may_be_there_when_the_draft_is_kept_again(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    stand_ins.pdf_failures.append(refusal())
    await keep(report, draft=1)
    await status_when(report, lambda s: bool(s.error))
    await keep(report, draft=1)
    await report.result()
    assert [pdf.is_first for pdf in stand_ins.pdfs] == [True, False]

"""UNDO: back to the draft before, without a call to the model. And KEEPs bound to a text."""

import pytest
from stand_ins import StandIns, during_a_call, hold_a_call, refusal, stand_ins_of
from support import (
    SUGGEST_AT,
    ReportHandle,
    draft_of,
    edit,
    keep,
    reset,
    start_report,
    status_when,
    waiting,
)
from temporalio.client import Client

from models import (
    NO_DRAFT,
    NO_EARLIER_DRAFT,
    PROMPT_TOO_LONG,
    Phase,
    UserDecision,
    UserDecisionSignal,
    digest_of,
)
from workflow import UNDO_LIMIT, GenerateReportWorkflow

MORE = "\n\nAdditional instructions: "


async def decide(report: ReportHandle, decision: UserDecision, draft: int, text: str = "") -> None:
    payload = UserDecisionSignal(decision, draft=draft, digest=digest_of(text))
    await report.signal(GenerateReportWorkflow.user_decision_signal, payload)


async def undo(report: ReportHandle, draft: int = 0, text: str = "") -> None:
    await decide(report, UserDecision.UNDO, draft, text)


async def test_undo_goes_back_without_a_call_and_gives_the_text_a_new_number(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    assert (await waiting(report, draft=1)).earlier_drafts == 0
    for number in (1, 2):
        await edit(report, f"rule {number}")
        assert (await waiting(report, draft=number + 1)).earlier_drafts == number
    await undo(report, draft=3, text="Text 3")
    status = await waiting(report, draft=4)
    assert (status.prompt, status.error, status.earlier_drafts) == (f"bees{MORE}rule 1", "", 1)
    assert (status.digest, await draft_of(report)) == (digest_of("Text 2"), "Text 2")
    await undo(report)
    status = await waiting(report, draft=5)
    assert (status.prompt, await draft_of(report)) == ("bees", "Text 1")
    assert len(stand_ins.calls) == 3
    await edit(report, "in verse")
    await waiting(report, draft=6)
    revision = stand_ins.calls[3]
    assert (revision.draft, revision.prompt) == ("Text 1", f"bees{MORE}in verse")
    await keep(report, draft=6)
    await report.result()


async def test_undo_without_an_earlier_draft_is_refused(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await undo(report, draft=1)
    status = await status_when(report, lambda s: bool(s.error))
    assert (status.draft, status.error) == (1, NO_EARLIER_DRAFT)


async def test_undo_and_keep_before_the_first_draft_are_refused(
    client: Client, stand_ins: StandIns
) -> None:
    stand_ins.outcomes.append(refusal("no credit"))
    report = await start_report(client, "bees", stand_ins.task_queue)
    await status_when(report, lambda s: s.phase == Phase.WAITING)
    await undo(report)
    status = await status_when(report, lambda s: NO_EARLIER_DRAFT in s.error)
    assert status.error.startswith("Draft 1 failed: ")
    await keep(report)
    status = await status_when(report, lambda s: NO_DRAFT in s.error)
    assert NO_EARLIER_DRAFT not in status.error  # the last refusal alone


async def test_undo_of_a_draft_that_is_no_longer_the_current_one_is_refused(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await hold_a_call(report, stand_ins, "shorter")
    await undo(report, draft=1)
    stand_ins.go_on.set()
    status = await status_when(report, lambda s: s.phase == Phase.WAITING and bool(s.error))
    assert status.error == "Draft 1 was not undone: draft 2 is the current one."
    assert await draft_of(report) == "Text 2"


async def test_decisions_around_an_undo_take_their_turn(
    client: Client, stand_ins: StandIns
) -> None:
    """The stale KEEP between the EDITs is refused, and holds nothing up."""
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await hold_a_call(report, stand_ins, "rule 1")
    await edit(report, "rule 2")
    await keep(report, draft=1)
    await edit(report, "rule 3")
    await undo(report)  # of draft 3, which the two EDITs make
    await keep(report, draft=4)
    stand_ins.go_on.set()
    await report.result()
    assert stand_ins.calls[2].prompt == f"bees{MORE}rule 1{MORE}rule 2{MORE}rule 3"
    assert len(stand_ins.calls) == 3
    assert [pdf.content for pdf in stand_ins.pdfs] == ["Text 2"]


async def test_only_the_last_drafts_are_kept(client: Client, stand_ins: StandIns) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    for number in range(1, UNDO_LIMIT + 3):
        await waiting(report, draft=number)
        await edit(report)
    status = await waiting(report, draft=UNDO_LIMIT + 3)
    assert status.earlier_drafts == UNDO_LIMIT
    await undo(report)
    await waiting(report, draft=UNDO_LIMIT + 4)
    assert await draft_of(report) == f"Text {UNDO_LIMIT + 2}"


async def test_earlier_drafts_are_handed_over_as_far_as_they_fit(short_server: Client) -> None:
    async with stand_ins_of(short_server) as stand_ins:
        big = [letter * 700_000 for letter in "abc"]
        stand_ins.outcomes.extend(big)
        report = await start_report(short_server, "bees", stand_ins.task_queue)
        everywhere = short_server.get_workflow_handle_for(GenerateReportWorkflow.run, report.id)
        for number in (1, 2):
            await waiting(everywhere, draft=number)
            await edit(everywhere)
        assert (await waiting(everywhere, draft=3)).earlier_drafts == 2
        for _ in range(SUGGEST_AT):
            await everywhere.signal("user_decision_signal", {"decision": "WAIT"})
        assert (await status_when(everywhere, lambda s: s.earlier_drafts == 1)).draft == 3
        assert (await everywhere.describe()).run_id != report.first_execution_run_id
        await undo(everywhere, draft=3, text=big[2])
        await waiting(everywhere, draft=4)
        assert await draft_of(everywhere) == big[1]


@pytest.mark.parametrize("decision", [UserDecision.KEEP, UserDecision.UNDO])
async def test_a_decision_on_another_text_is_refused(
    client: Client, stand_ins: StandIns, decision: UserDecision
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await edit(report)
    await waiting(report, draft=2)
    await decide(report, decision, 2, "what another run wrote")
    status = await status_when(report, lambda s: bool(s.error))
    done = {"KEEP": "kept", "UNDO": "undone"}[decision]
    assert status.error == f"Draft 2 was not {done}: its text is not the one that was read."
    assert (status.draft, stand_ins.pdfs) == (2, [])
    await decide(report, UserDecision.KEEP, 2, "Text 2")
    await report.result()


async def test_after_a_reset_keep_does_not_approve_a_text_that_was_not_read(
    client: Client, stand_ins: StandIns
) -> None:
    report = await start_report(client, "bees", stand_ins.task_queue)
    await waiting(report, draft=1)
    await reset(report)
    again = client.get_workflow_handle_for(GenerateReportWorkflow.run, report.id)
    await status_when(again, lambda s: s.digest == digest_of("Text 2"))
    await decide(again, UserDecision.KEEP, 1, "Text 1")
    await status_when(again, lambda s: "not the one that was read" in s.error)
    assert not stand_ins.pdfs


# A topic that was refused.


async def test_an_edit_after_a_refused_topic_replaces_it(
    client: Client, stand_ins: StandIns
) -> None:
    stand_ins.outcomes.extend([refusal("not that"), refusal("not that either")])
    report = await start_report(client, "a forbidden thing", stand_ins.task_queue)
    await status_when(report, lambda s: s.phase == Phase.WAITING)
    await edit(report, "another one")
    status = await status_when(report, lambda s: "another one" in s.error)
    assert status.prompt == "a forbidden thing"  # taken back, like any instruction
    await edit(report, "bees")
    assert (await waiting(report, draft=1)).prompt == "bees"
    await edit(report, "shorter")
    assert (await waiting(report, draft=2)).prompt == f"bees{MORE}shorter"
    prompts = [call.prompt for call in stand_ins.calls]
    assert prompts == ["a forbidden thing", "another one", "bees", f"bees{MORE}shorter"]
    await keep(report, draft=2)
    await report.result()
    assert stand_ins.pdfs[0].topic == "bees"


async def test_an_edit_during_the_call_that_is_refused_does_not_replace_the_topic(
    client: Client, stand_ins: StandIns
) -> None:
    stand_ins.outcomes.append(refusal())
    report = await during_a_call(client, stand_ins)
    await edit(report, "shorter")
    stand_ins.go_on.set()
    assert (await waiting(report, draft=1)).prompt == f"bees{MORE}shorter"


async def test_a_topic_that_replaces_another_may_not_be_longer_than_one(
    client: Client, stand_ins: StandIns
) -> None:
    stand_ins.outcomes.append(refusal())
    report = await start_report(client, "bees", stand_ins.task_queue)
    await status_when(report, lambda s: s.phase == Phase.WAITING)
    await edit(report, "x" * 100_001)
    assert (await status_when(report, lambda s: s.error == PROMPT_TOO_LONG)).draft == 0
    assert len(stand_ins.calls) == 1

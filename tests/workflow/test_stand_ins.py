"""If a test forgets a stand-in for an Activity, it fails at once and says so."""

import pytest
from stand_ins import StandIns
from support import keep, start_report, waiting, worker_here
from temporalio.client import Client, WorkflowFailureError


async def test_an_unregistered_activity_fails_the_test_at_once_with_its_name(
    client: Client,
) -> None:
    functions = StandIns()
    async with worker_here(client, functions.llm_call) as queue:
        report = await start_report(client, "bees", queue)
        await keep(report)
        with pytest.raises(WorkflowFailureError) as failure:
            await waiting(report, draft=2)
    assert str(failure.value.cause) == "the test's Worker does not know the Activity create_pdf"

"""The stand-ins tell who forgets one, before the test has waited for it."""

import pytest
from stand_ins import StandIns
from support import keep, start_report, waiting, worker_here
from temporalio.client import Client, WorkflowFailureError


async def test_an_activity_that_the_worker_lacks_fails_the_test_at_once_with_its_name(
    client: Client,
) -> None:
    functions = StandIns()
    async with worker_here(client, functions.llm_call) as queue:
        report = await start_report(client, "bees", queue)
        await keep(report)
        with pytest.raises(WorkflowFailureError) as failure:
            await waiting(report, draft=2)
    assert str(failure.value.cause) == "the test's Worker does not know the Activity create_pdf"

"""Random decisions, sent to real Workflows that go on in new runs while Workers come and go.

uv run tests/play_scripts.py --scripts 1000

What comes of them is judged by the same rules as in test_report_rules.py.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from support import ReportHandle, eventually, start_report
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Worker
from test_report_rules import Expected

import beyond.report
from beyond.process import exit_process
from beyond.report.payloads import DATA_CONVERTER
from beyond.server.dev_server import start_server
from beyond.terminal.reports import describe
from models import (
    LLMCallInput,
    PDFGenerationInput,
    Phase,
    UserDecision,
    UserDecisionSignal,
)
from workflow import GenerateReportWorkflow

CONTINUE_AFTER = 5  # Signals and Activities
STEPS = 12  # of a script
AT_ONCE = 20  # scripts
WORKER_LIFE = 0.5, 3.0  # seconds
QUERY_TIMEOUT = timedelta(seconds=2)
TASK_QUEUE = "scripts"

Outcome = str | Exception


class Players:
    """Plays scripts, and stands in for the Activities: a call ends as its script says."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.counts = Counter[str]()
        self._calls: dict[str, LLMCallInput] = {}  # in progress, by the Workflow's ID
        self._outcomes: dict[tuple[str, str, str], asyncio.Future[Outcome]] = {}
        self._pdfs: dict[str, PDFGenerationInput] = {}

    @activity.defn
    async def llm_call(self, input: LLMCallInput) -> dict[str, Any]:
        info = activity.info()
        assert info.workflow_id
        assert info.workflow_run_id
        key = info.workflow_id, info.workflow_run_id, info.activity_id
        if key not in self._outcomes:  # the first attempt
            self._outcomes[key] = asyncio.get_running_loop().create_future()
            self._calls[info.workflow_id] = input
        while not self._outcomes[key].done():
            activity.heartbeat()
            await asyncio.sleep(0.02)
        outcome = self._outcomes[key].result()
        if isinstance(outcome, Exception):
            raise outcome
        return {"choices": [{"message": {"content": outcome}}]}

    @activity.defn
    async def create_pdf(self, input: PDFGenerationInput) -> str:
        workflow_id = activity.info().workflow_id
        assert workflow_id
        self._pdfs[workflow_id] = input
        return input.filename

    async def come_and_go(self) -> None:
        """Runs two Workers that keep no Workflow; now and then, one ends and another begins."""
        async with await self._worker():
            while True:
                async with await self._worker():
                    await asyncio.sleep(random.uniform(*WORKER_LIFE))
                self.counts["Workers"] += 1

    async def _worker(self) -> Worker:
        address = self.client.service_client.config.target_host
        return Worker(
            await Client.connect(address, data_converter=DATA_CONVERTER),
            task_queue=TASK_QUEUE,
            workflows=[GenerateReportWorkflow],
            activities=[self.llm_call, self.create_pdf],
            max_cached_workflows=0,
        )

    async def play(self, number: int, gate: asyncio.Semaphore) -> None:
        async with gate:
            await Script(self, random.Random(number)).play()
            self.counts["scripts"] += 1

    async def called(self, workflow_id: str) -> LLMCallInput:
        """Waits for the next call of the report."""
        await eventually(lambda: workflow_id in self._calls)
        return self._calls.pop(workflow_id)

    def end_call(self, workflow_id: str, outcome: Outcome) -> None:
        for (called, _, _), future in self._outcomes.items():
            if called == workflow_id and not future.done():
                future.set_result(outcome)

    def approved(self, workflow_id: str) -> str:
        return self._pdfs[workflow_id].content


class Script:
    """One report, and the decisions on it."""

    def __init__(self, players: Players, chance: random.Random) -> None:
        self.players, self.chance = players, chance
        self.expected = Expected(asked="bees")
        self.drafts = self.instructions = 0
        self.story: list[str] = []  # for whoever looks for the reason of a difference

    async def play(self) -> None:
        report = await start_report(self.players.client, "bees", TASK_QUEUE)
        wanted, steps = "call", 0
        while wanted != "pdf":
            if wanted == "call":
                call = await self.players.called(report.id)
                assert call.prompt == self.expected.asked, self.story
                for _ in range(self.chance.choice([0, 0, 1, 2, 4])):
                    await self._send(report, last=False)
                self._end_call(report.id)
            else:
                steps += 1
                await self._send(report, last=steps > STEPS)
            wanted = self.expected.take()
            if not wanted:
                await eventually(partial(self._is_as_expected, report))
        await report.result()
        assert self.players.approved(report.id) == self.expected.approved
        self.players.counts["runs"] += await self._count_runs(report.id)

    async def _is_as_expected(self, report: ReportHandle) -> bool:
        expected = self.expected
        try:
            status = await report.query(
                GenerateReportWorkflow.get_report_status, rpc_timeout=QUERY_TIMEOUT
            )
        except RPCError:  # its Worker went with it
            return False
        # A Query may be answered from what the next Workflow Task is still to be told of. Signals
        # that come before that Task come before the rest of it.
        description = await describe(self.players.client, report.id)
        return (
            not description.HasField("pending_workflow_task")
            and status.phase == Phase.WAITING
            and (status.draft, status.text) == (expected.number, expected.text)
            and (status.prompt, status.topic_refused) == (expected.prompt, expected.topic_refused)
            and status.earlier_drafts == len(expected.earlier)
        )

    async def _send(self, report: ReportHandle, *, last: bool) -> None:
        kinds = [UserDecision.KEEP, *[UserDecision.EDIT] * 4, *[UserDecision.UNDO] * 2]
        kind = self.chance.choice(kinds)
        number = self.chance.choice([0, 0, 0, self.expected.number, self.expected.number + 7])
        if last and self.expected.number:
            kind, number = UserDecision.KEEP, self.expected.number
        self.instructions += 1
        instruction = f"rule {self.instructions}" if kind == UserDecision.EDIT else ""
        decision = UserDecisionSignal(kind, instruction, number)
        await report.signal(GenerateReportWorkflow.user_decision_signal, decision)
        self.story.append(f"{kind} {number} {instruction}")
        self.expected.waiting.append(decision)
        self.expected.spoiled.append(False)
        self.players.counts["decisions"] += 1

    def _end_call(self, workflow_id: str) -> None:
        kind = self.chance.choice(["", "", "", "BadRequestError", "QuotaError"])
        self.story.append(f"the call ends: {kind}")
        if kind:
            error = ApplicationError("it said no", type=kind, non_retryable=True)
            self.players.end_call(workflow_id, error)
            self.expected.fail(prompt_refused=kind == "BadRequestError")
            return
        self.drafts += 1
        self.players.end_call(workflow_id, f"Text {self.drafts}")
        self.expected.answer(f"Text {self.drafts}")

    async def _count_runs(self, workflow_id: str) -> int:
        runs = self.players.client.list_workflows(f"WorkflowId = '{workflow_id}'")
        return len([run async for run in runs])


async def main() -> None:
    parser = argparse.ArgumentParser(description="Play random decisions.")
    parser.add_argument("--scripts", type=int, default=1000)
    arguments = parser.parse_args()
    beyond.report.CONTINUE_AFTER = CONTINUE_AFTER
    began = time.monotonic()
    async with await start_server() as server:
        players = Players(server.client)
        gate = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            workers = tasks.create_task(players.come_and_go())
            scripts = [players.play(number, gate) for number in range(arguments.scripts)]
            await asyncio.gather(*(tasks.create_task(script) for script in scripts))
            workers.cancel()
    print(dict(players.counts), f"in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
    exit_process(0)

"""The starter as a person meets it: a real process on a real terminal, with a real Worker."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from conftest import (
    KEY,
    PATIENCE,
    PROJECT,
    Report,
    WorkerProcess,
    edit,
    eventually,
    free_port,
    keep,
    start_report,
    waiting,
)
from loopback_llm import LoopbackLLM, Reply
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.converter import default as default_converter
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from terminal import CRASHES, STARTER, Starter

import local
from models import (
    TASK_QUEUE,
    WORKFLOW_ID_PREFIX,
    GenerateReportInput,
    UserDecision,
    UserDecisionSignal,
)
from progress import NO_WORKER
from starter import CHOICES, DEFAULT_PROMPT, LINE
from workflow import GenerateReportWorkflow

RESULT = "Result: Successfully created research report PDF: research_pdf.pdf"
STILL_RUNNING = "Your report is still running. Come back to it with: uv run starter.py"
# What would set the title or the clipboard, clear the screen, ring, reorder a line.
ESCAPES = (
    "\x1b]0;title\x07 \x1b]52;c;aGk=\x1b\\ \x1b[2J\x1b[31m \x9b31m \x9d0;x\x9c \x08\r\u202e\u2066"
)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

OpenStarter = Callable[..., Starter]
StartWorker = Callable[[], WorkerProcess]


@pytest.fixture(scope="module")
def model() -> Iterator[LoopbackLLM]:
    with LoopbackLLM() as model:
        yield model


@pytest.fixture
def llm(model: LoopbackLLM, monkeypatch: pytest.MonkeyPatch) -> LoopbackLLM:
    """One model for the module, as new for each test."""
    model.default = Reply()
    model.replies.clear()
    model.calls.clear()
    model.go_on.set()
    monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
    monkeypatch.setenv("LLM_API_KEY", KEY)
    return model


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worker") / "disk" / "reports"


@pytest.fixture(scope="module")
def module_worker(
    server: WorkflowEnvironment, model: LoopbackLLM, reports: Path
) -> Iterator[WorkerProcess]:
    """One Worker for the module, because LiteLLM takes seconds to import."""
    folder = reports.parent.parent
    settings = {
        "TEMPORAL_ADDRESS": server.client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": server.client.namespace,
        "TEMPORAL_CONFIG_FILE": str(folder / "no-temporal.toml"),
        "LLM_MODEL": "openai/gpt-4o",
        "LLM_API_KEY": KEY,
        "OPENAI_BASE_URL": model.base_url,
        "REPORTS_DIR": str(reports),
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        environment.chdir(folder)
        worker = WorkerProcess(folder)
    yield worker.wait_until_polling()
    worker.kill()
    worker.wait()


@pytest.fixture
def worker(
    client: Client,
    llm: LoopbackLLM,
    module_worker: WorkerProcess,
    reports: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Worker is there, and its reports are where the starter looks for them."""
    for old in reports.glob("*"):
        old.unlink()
    monkeypatch.setenv("REPORTS_DIR", str(reports))


@pytest.fixture
async def away_from_the_worker(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """A Client of a namespace of its own, where no Worker polls."""
    name = f"test-{uuid4()}"
    request = RegisterNamespaceRequest(namespace=name)
    request.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
    await client.workflow_service.register_namespace(request)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", name)
    own = await Client.connect(client.service_client.config.target_host, namespace=name)

    async def usable() -> bool:
        try:
            await own.count_workflows()
        except RPCError:
            return False
        return True

    await eventually(usable)
    yield own


@pytest.fixture
def open_starter() -> Iterator[OpenStarter]:
    """Call it with the arguments of starter.py; what still runs at the end is killed."""
    starters: list[Starter] = []

    def start(*arguments: str, columns: int = 200) -> Starter:
        starters.append(Starter(*arguments, columns=columns))
        return starters[-1]

    yield start
    for starter in starters:
        starter.close()


def piped(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """starter.py as a script runs it."""
    done = subprocess.run(
        [sys.executable, STARTER, *arguments],
        input=text.encode(),
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.returncode not in CRASHES
    # Not text=True, which would hide carriage returns.
    output, errors = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in errors
    return subprocess.CompletedProcess(done.args, done.returncode, output, errors)


def report_of(client: Client, workflow_id: str) -> Report:
    return client.get_workflow_handle_for(GenerateReportWorkflow.run, workflow_id)


async def decisions_on(report: Report) -> list[UserDecisionSignal]:
    """The payloads of the Signals in the Event History."""
    kind = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    signals = [
        event.workflow_execution_signaled_event_attributes.input.payloads
        for event in (await report.fetch_history()).events
        if event.event_type == kind
    ]
    decode = default_converter().decode
    return [(await decode(payloads, [UserDecisionSignal]))[0] for payloads in signals]


async def is_running(report: Report) -> bool:
    return (await report.describe()).status == WorkflowExecutionStatus.RUNNING


async def test_the_dialogue_is_the_tutorials_word_for_word(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    starter.sees("Welcome to the Research Report Generator!\n")
    starter.asked("Enter your research topic or question:")
    starter.types("bees")
    starter.sees(
        re.compile(rf"Started workflow\. Workflow ID: {WORKFLOW_ID_PREFIX}[0-9a-f-]{{36}}, RunID ")
    )
    starter.sees(f"{LINE}\nResearch is complete!\n{CHOICES}\n{LINE}\n")
    starter.asked_to_decide()
    starter.types("query")
    starter.sees("Research Result:")
    starter.sees("bees")
    starter.edit("shorter")
    starter.sees("Additional instructions: shorter")
    starter.asked_to_decide()
    starter.types("maybe")
    starter.sees("Please enter either 'keep', 'edit', or 'query'")
    starter.keep()
    starter.sees(RESULT)
    assert starter.ends() == 0
    assert starter.errors == ""
    asked = [call.messages[-1]["content"] for call in llm.calls]
    assert asked == ["bees", "bees\n\nAdditional instructions: shorter"]


def test_the_choices_are_the_tutorials() -> None:
    assert CHOICES == (
        "1. Type 'query' to view the current research result\n"
        "2. Type 'keep' to approve the research and create PDF\n"
        "3. Type 'edit' to modify the research"
    )


async def test_the_choices_can_be_given_by_number(worker: None, open_starter: OpenStarter) -> None:
    starter = open_starter("bees")
    starter.asked_to_decide()
    starter.types("1")
    starter.sees("Research Result:")
    starter.asked_to_decide()
    starter.types("3")
    starter.asked("Enter additional instructions (optional):")
    starter.types("")
    starter.sees("Signal sent to regenerate research")
    starter.sees("Draft 2")
    starter.asked_to_decide()
    starter.types(" 2 ")
    starter.sees(RESULT)
    assert starter.ends() == 0


async def test_an_empty_topic_takes_the_default(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    starter.begin("  ")
    starter.asked_to_decide()
    assert f"No prompt entered. Using default: {DEFAULT_PROMPT}\n" in starter.text
    assert llm.calls[0].messages[-1]["content"] == DEFAULT_PROMPT
    assert DEFAULT_PROMPT == "Give me 5 fun and fascinating facts about tardigrades."


async def test_a_topic_on_the_command_line_skips_the_first_question(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    starter = open_starter("why do cats purr?")
    starter.asked_to_decide()
    assert "Enter your research topic" not in starter.text
    assert llm.calls[0].messages[-1]["content"] == "why do cats purr?"


async def test_a_refused_key_is_told_with_advice_and_there_is_no_draft(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.replies.append(Reply(status=401))
    starter = open_starter("bees")
    starter.sees("Draft 1 failed: AuthenticationError: ")
    starter.sees("check LLM_API_KEY and restart the Worker. Type 'edit' to try again.")
    starter.asked_to_decide()
    assert "Research is complete!" not in starter.text
    starter.types("query")
    starter.sees("Research Result: Not yet available")
    starter.asked_to_decide()
    starter.types("keep")
    starter.sees("There is no draft to keep yet.")
    starter.edit("")
    starter.sees("Research is complete!")


async def test_a_refused_instruction_is_told_with_advice(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    starter = open_starter("bees")
    starter.asked_to_decide()
    llm.replies.append(Reply(status=400, text="not this"))
    starter.types("edit")
    starter.sees("(optional):")
    starter.types("something bad")
    starter.sees('The instruction "something bad" was taken back.')
    starter.sees("Type 'edit' to ask again, or 'keep' to take draft 1.")
    starter.keep()
    starter.sees(RESULT)


async def test_a_draft_that_is_cut_off_is_told_with_advice(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.replies.append(Reply(text="Half of", finish_reason="length"))
    starter = open_starter("bees")
    starter.sees("Half of")
    starter.sees("Draft 1 is cut off: the model reached its token limit.")
    starter.sees("Type 'edit' to ask again, or 'keep' to take draft 1.")


async def test_a_live_line_counts_the_seconds_of_the_research(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.go_on.clear()
    starter = open_starter("bees")
    started = starter.sees(re.compile(r"Researching… (\d+) s$"))
    starter.sees(re.compile(rf"^Researching… {int(started[1]) + 2} s$", re.MULTILINE))
    llm.go_on.set()
    starter.asked_to_decide()
    assert "Researching" not in starter.text  # the line has gone


async def test_the_live_line_tells_why_a_call_is_retried_and_when(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    wait = {"retry-after": "3"}
    llm.replies.extend([Reply(status=500), Reply(status=503, text="busy", headers=wait)])
    starter = open_starter("bees")
    starter.sees(
        re.compile(r"Researching… \d+ s \(attempt 3, \w+Error: .*busy.*, next try in [12] s\)")
    )
    starter.asked_to_decide()
    assert "attempt" not in starter.text
    assert len(llm.calls) == 3


async def test_a_disk_that_refuses_is_told_and_the_report_goes_on_when_it_is_cured(
    worker: None, reports: Path, open_starter: OpenStarter
) -> None:
    starter = open_starter("bees")
    starter.asked_to_decide()
    disk, aside = reports.parent, reports.parent.with_name("aside")
    disk.mkdir(exist_ok=True)
    disk.rename(aside)
    disk.touch()  # a file, so that no folder can be below it
    starter.types("keep")
    reason = "the report cannot be written to"
    starter.sees(re.compile(rf"Creating the PDF… \d+ s \(attempt \d, \w+: {reason}"))
    starter.sees(f"The PDF was not created: NotADirectoryError: {reason}")
    disk.unlink()
    aside.rename(disk)
    starter.sees(RESULT)
    assert starter.ends() == 0


async def test_a_decision_carries_the_number_of_the_draft_on_the_screen(
    worker: None, client: Client, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    report = report_of(client, starter.begin())
    starter.edit(" shorter ")
    starter.sees("Draft 2")
    starter.edit("")
    starter.sees("Draft 3")
    starter.keep()
    starter.sees(RESULT)
    assert await decisions_on(report) == [
        UserDecisionSignal(UserDecision.EDIT, "shorter", draft=1),
        UserDecisionSignal(UserDecision.EDIT, "", draft=2),
        UserDecisionSignal(UserDecision.KEEP, draft=3),
    ]


async def test_somebody_elses_keep_ends_the_starter(
    worker: None, client: Client, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    report = report_of(client, starter.begin())
    starter.asked_to_decide()
    starter.presses("edi")
    await keep(report, draft=1)
    starter.sees(RESULT, timeout=5)
    assert starter.ends() == 0


async def test_somebody_elses_edit_shows_its_draft_above_what_is_being_typed(
    worker: None, client: Client, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    report = report_of(client, starter.begin())
    starter.asked_to_decide()
    starter.presses("kee")
    starter.line_is("Your decision (query/keep/edit): kee")
    await edit(report, "with honey")
    starter.sees("Draft 2", timeout=5)
    starter.sees("Additional instructions: with honey")
    starter.line_is("Your decision (query/keep/edit): kee")
    starter.types("p")
    starter.sees(RESULT)
    assert starter.ends() == 0
    theirs, ours = await decisions_on(report)
    assert theirs.additional_prompt == "with honey"
    assert ours == UserDecisionSignal(UserDecision.KEEP, draft=2)


async def test_keep_without_a_draft_sends_nothing(
    worker: None, llm: LoopbackLLM, client: Client, open_starter: OpenStarter
) -> None:
    llm.replies.append(Reply(status=400))
    starter = open_starter()
    report = report_of(client, starter.begin())
    starter.asked_to_decide()
    starter.types("keep")
    starter.sees("There is no draft to keep yet. Type 'edit' to try again.")
    starter.asked_to_decide()
    assert await decisions_on(report) == []


async def test_nobody_approves_a_draft_that_was_not_shown(
    worker: None, llm: LoopbackLLM, client: Client, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    report = report_of(client, starter.begin())
    starter.asked_to_decide()
    llm.go_on.clear()
    await edit(report, "with honey")
    starter.sees("Somebody else has decided on draft 1.")
    starter.types("keep")
    starter.sees("Signal sent to keep")
    llm.go_on.set()
    starter.sees("Draft 2")
    starter.sees("with honey")
    starter.sees("Draft 1 was not kept: draft 2 is the current one.")
    starter.keep()
    starter.sees(RESULT)
    assert [decision.draft for decision in await decisions_on(report)] == [0, 1, 2]


async def test_somebody_elses_stale_keep_is_told(
    worker: None, client: Client, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    report = report_of(client, starter.begin())
    starter.asked_to_decide()
    await keep(report, draft=7)
    starter.sees("Draft 7 was not kept: draft 1 is the current one.", timeout=5)
    starter.sees("Your decision (query/keep/edit):")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda report: report.cancel(), "The report was cancelled\n"),
        (
            lambda report: report.terminate(reason="too\x1b[2J dear"),
            "The report was terminated: too[2J dear\n",
        ),
    ],
    ids=["cancelled", "terminated"],
)
async def test_a_report_that_is_stopped_ends_the_starter_with_one_sentence(
    end: Callable[[Report], Awaitable[None]],
    said: str,
    worker: None,
    client: Client,
    open_starter: OpenStarter,
) -> None:
    starter = open_starter()
    report = report_of(client, starter.begin())
    starter.asked_to_decide()
    starter.presses("kee")
    await end(report)
    assert starter.ends(timeout=10) == 1
    assert starter.errors == said


async def test_a_report_that_the_server_has_lost_ends_the_starter_with_one_sentence(
    worker: None, client: Client, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    workflow_id = starter.begin()
    starter.asked_to_decide()
    request = DeleteWorkflowExecutionRequest(namespace=client.namespace)
    request.workflow_execution.workflow_id = workflow_id
    await client.workflow_service.delete_workflow_execution(request)
    assert starter.ends() == 1
    assert starter.errors == (
        f"The server has no report {workflow_id} any more. One that keeps its reports "
        "when it stops: temporal server start-dev --db-filename temporal.db\n"
    )


async def test_a_report_that_runs_out_of_time_ends_the_starter(
    worker: None, client: Client, open_starter: OpenStarter
) -> None:
    report = await client.start_workflow(
        GenerateReportWorkflow.run,
        GenerateReportInput("bees"),
        id=f"{WORKFLOW_ID_PREFIX}{uuid4()}",
        task_queue=TASK_QUEUE,
        execution_timeout=timedelta(seconds=6),
    )
    starter = open_starter("--workflow-id", report.id)
    starter.asked_to_decide()
    assert starter.ends() == 1
    assert starter.errors == "The report ran out of time\n"


@workflow.defn(name=GenerateReportWorkflow.__name__)
class Failing:
    @workflow.query
    def get_research_result(self) -> str:
        return ""

    @workflow.run
    async def run(self, input: GenerateReportInput) -> str:
        raise ApplicationError(input.prompt)


@asynccontextmanager
async def report_of_another_workflow(
    client: Client, kind: type, topic: str = "bees"
) -> AsyncIterator[Report]:
    """A report whose Worker has that Workflow in place of ours."""
    worker = Worker(
        client,
        task_queue=str(uuid4()),
        workflows=[kind],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        yield await start_report(client, topic, worker.task_queue)


async def test_a_report_that_failed_is_told_with_its_reason(
    client: Client, open_starter: OpenStarter
) -> None:
    async with report_of_another_workflow(client, Failing, "the\x1b[31m reason") as report:
        starter = open_starter("--workflow-id", report.id)
        assert await asyncio.to_thread(starter.ends) == 1
    assert starter.errors == "The report failed: the[31m reason\n"


@workflow.defn(name=GenerateReportWorkflow.__name__)
class Unfit:
    """What a deploy makes of the Workflow that does not fit the report's history."""

    @workflow.run
    async def run(self, input: GenerateReportInput) -> str:
        raise RuntimeError("it does not fit")


async def test_a_workflow_that_fails_on_the_worker_is_told(
    client: Client, open_starter: OpenStarter
) -> None:
    async with report_of_another_workflow(client, Unfit) as report:
        starter = open_starter("--workflow-id", report.id)
        line = re.compile(r"… \d+ s \(attempt \d, the Workflow fails: see the Worker's log\)")
        await asyncio.to_thread(starter.sees, line)
    assert NO_WORKER not in starter.text


async def test_a_report_that_continues_as_new_is_followed(
    llm: LoopbackLLM, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = ["--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=15"]
    async with await local.start_server(extra_args=options) as environment:
        address = environment.client.service_client.config.target_host
        monkeypatch.setenv("TEMPORAL_ADDRESS", address)
        worker = WorkerProcess(tmp_path).wait_until_polling()
        try:
            starter = open_starter()
            report = report_of(environment.client, starter.begin())
            first_run = (await report.describe()).run_id
            for number in (1, 2, 3):
                starter.edit(f"wish {number}")
                starter.sees(f"Draft {number + 1}")
            assert (await report.describe()).run_id != first_run
            starter.keep()
            starter.sees(RESULT)
            assert starter.ends() == 0
        finally:
            worker.kill()
            worker.wait()
        assert [line for line in starter.text.splitlines() if line.startswith("Draft")] == [
            f"Draft {number}" for number in (1, 2, 3, 4)
        ]


async def test_a_link_to_the_file_is_shown_if_it_is_there(
    worker: None, reports: Path, open_starter: OpenStarter
) -> None:
    starter = open_starter("bees")
    starter.keep()
    path = reports / "research_pdf.pdf"
    starter.sees(f"File: {path}")
    assert starter.ends() == 0
    assert path.read_bytes().startswith(b"%PDF")
    opening, closing = starter.picture.links
    assert f";{path.as_uri()}\x1b" in opening
    assert closing == "\x1b]8;;\x1b\\"


async def test_no_file_is_shown_that_is_not_the_reports(
    worker: None, tmp_path: Path, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path))
    (tmp_path / "research_pdf.pdf").write_bytes(b"%PDF of an earlier report")
    starter = open_starter("bees")
    starter.keep()
    starter.sees(RESULT)
    assert starter.ends() == 0
    assert "File:" not in starter.text
    assert not starter.picture.links


async def test_a_worker_that_is_missing_is_told_and_does_not_freeze_the_prompt(
    away_from_the_worker: Client,
    llm: LoopbackLLM,
    open_starter: OpenStarter,
    start_worker: StartWorker,
) -> None:
    assert NO_WORKER == 'No Worker is polling Task Queue "research". Start one: uv run worker.py'
    starter = open_starter("bees")
    report = report_of(away_from_the_worker, starter.started())
    starter.sees(NO_WORKER, timeout=15)
    worker = start_worker()
    starter.asked_to_decide()  # it goes on by itself
    assert starter.text.count(NO_WORKER) == 1

    worker.kill()
    worker.wait()
    starter.types("query")
    starter.sees(NO_WORKER, timeout=10)
    starter.asked_to_decide()
    await edit(report, "unseen")  # a task that nobody takes
    starter.presses("ed")
    starter.line_is("Your decision (query/keep/edit): ed")
    starter.sees(NO_WORKER)
    starter.types("it")
    starter.sees("(optional):")
    starter.types("mine")
    starter.sees("Signal sent to regenerate research")
    start_worker()
    starter.sees("mine")
    starter.asked_to_decide()


def reach_the_topic(starter: Starter, llm: LoopbackLLM) -> None:
    starter.asked("Enter your research topic or question:")
    starter.presses("be")


def reach_the_live_line(starter: Starter, llm: LoopbackLLM) -> None:
    llm.go_on.clear()
    starter.begin()
    starter.sees("Researching…")


def reach_the_decision(starter: Starter, llm: LoopbackLLM) -> None:
    starter.begin()
    starter.asked_to_decide()
    starter.presses("kee")


def reach_the_instruction(starter: Starter, llm: LoopbackLLM) -> None:
    starter.begin()
    starter.asked_to_decide()
    starter.types("edit")
    starter.asked("Enter additional instructions (optional):")
    starter.presses("short")


@pytest.mark.parametrize("reach", [reach_the_live_line, reach_the_decision, reach_the_instruction])
async def test_ctrl_c_stops_nothing_but_the_starter(
    reach: Callable[[Starter, LoopbackLLM], None],
    worker: None,
    llm: LoopbackLLM,
    client: Client,
    open_starter: OpenStarter,
) -> None:
    starter = open_starter()
    reach(starter, llm)
    starter.presses("\x03")
    workflow_id = starter.sees(re.compile(re.escape(STILL_RUNNING) + r" --workflow-id (\S+)$"))[1]
    assert starter.ends() == 130
    assert starter.errors == ""
    report = report_of(client, workflow_id)
    assert await is_running(report)
    assert await decisions_on(report) == []


async def test_ctrl_c_before_there_is_a_report_just_ends_the_starter(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    reach_the_topic(starter, llm)
    starter.presses("\x03")
    assert starter.ends() == 130
    assert STILL_RUNNING not in starter.text
    assert starter.errors == ""
    assert llm.calls == []


@pytest.mark.parametrize("reach", [reach_the_live_line, reach_the_decision])
async def test_ctrl_d_stops_nothing_but_the_starter(
    reach: Callable[[Starter, LoopbackLLM], None],
    worker: None,
    llm: LoopbackLLM,
    client: Client,
    open_starter: OpenStarter,
) -> None:
    starter = open_starter()
    reach(starter, llm)
    starter.presses("\x15\x04")  # Ctrl-D ends the input on an empty line only: Ctrl-U empties it
    workflow_id = starter.sees(re.compile(re.escape(STILL_RUNNING) + r" --workflow-id (\S+)$"))[1]
    assert starter.ends() == 0
    assert await is_running(report_of(client, workflow_id))


@pytest.mark.parametrize(
    ("number", "reach"),
    [
        (signal.SIGTERM, reach_the_live_line),
        (signal.SIGTERM, reach_the_decision),
        (signal.SIGINT, reach_the_live_line),
    ],
)
async def test_a_signal_stops_nothing_but_the_starter(
    number: signal.Signals,
    reach: Callable[[Starter, LoopbackLLM], None],
    worker: None,
    llm: LoopbackLLM,
    client: Client,
    open_starter: OpenStarter,
) -> None:
    starter = open_starter()
    reach(starter, llm)
    starter.process.kill(number)
    workflow_id = starter.sees(re.compile(re.escape(STILL_RUNNING) + r" --workflow-id (\S+)$"))[1]
    assert starter.ends() == 128 + number
    assert starter.errors == ""
    assert await is_running(report_of(client, workflow_id))


async def test_a_closed_terminal_stops_nothing_but_the_starter(
    worker: None, client: Client, open_starter: OpenStarter
) -> None:
    starter = open_starter()
    report = report_of(client, starter.begin())
    starter.asked_to_decide()
    starter.close()  # finds no traceback
    assert await is_running(report)


def test_a_reader_that_goes_away_is_no_crash(client: Client) -> None:
    process = subprocess.Popen(
        [sys.executable, STARTER, "bees"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(PATIENCE), errors) == (1, b"")


async def test_a_running_report_can_be_come_back_to(
    worker: None, llm: LoopbackLLM, client: Client, open_starter: OpenStarter
) -> None:
    first = open_starter()
    workflow_id = first.begin()
    first.asked_to_decide()
    first.presses("\x03")
    assert first.ends() == 130
    second = open_starter("--workflow-id", workflow_id)
    second.sees("Draft 1")
    second.sees("bees")
    second.edit("shorter")
    second.sees("Draft 2")
    second.keep()
    second.sees(RESULT)
    assert second.ends() == 0
    assert "Started workflow" not in second.text
    numbers = [decision.draft for decision in await decisions_on(report_of(client, workflow_id))]
    assert numbers == [1, 2]


async def test_a_completed_report_shows_its_draft_and_its_result(
    worker: None, client: Client, reports: Path, open_starter: OpenStarter
) -> None:
    report = await start_report(client, "honey bees")
    await waiting(report, draft=1)
    await keep(report)
    await report.result()
    starter = open_starter("--workflow-id", report.id)
    assert starter.ends() == 0
    starter.sees("honey bees")
    starter.sees(RESULT)
    starter.sees(f"File: {reports / 'research_pdf.pdf'}")
    assert "Your decision" not in starter.text


async def test_a_terminated_report_tells_its_reason(
    worker: None, client: Client, open_starter: OpenStarter
) -> None:
    report = await start_report(client, "bees")
    await waiting(report, draft=1)
    await report.terminate(reason="too dear")
    starter = open_starter("--workflow-id", report.id)
    assert starter.ends() == 1
    assert starter.errors == "The report was terminated: too dear\n"


async def test_an_unknown_report_is_one_sentence(
    worker: None, client: Client, open_starter: OpenStarter
) -> None:
    workflow_id = f"no-report-{uuid4()}"
    starter = open_starter("--workflow-id", workflow_id)
    assert starter.ends() == 1
    assert starter.text.strip() == ""
    assert starter.errors == (
        f"There is no report with the Workflow ID {workflow_id}. "
        "List the open ones with: uv run starter.py --list\n"
    )


@workflow.defn
class SomethingElse:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


async def test_a_workflow_that_is_no_report_is_one_sentence(
    client: Client, open_starter: OpenStarter
) -> None:
    other = await client.start_workflow(SomethingElse.run, id=str(uuid4()), task_queue="other")
    starter = open_starter("--workflow-id", other.id)
    assert starter.ends() == 1
    assert starter.errors == f"{other.id} is a SomethingElse, not a report.\n"


async def test_coming_back_starts_nothing(
    away_from_the_worker: Client, open_starter: OpenStarter
) -> None:
    client = away_from_the_worker
    ended = await start_report(client, "bees")
    await ended.terminate()
    for workflow_id in (ended.id, "no-report", ""):
        starter = open_starter("--workflow-id", workflow_id)
        assert starter.ends() == 1

    async def listed() -> bool:
        return (await client.count_workflows()).count >= 1

    await eventually(listed)
    assert (await client.count_workflows()).count == 1


async def test_the_list_begins_with_the_reports_that_wait(
    worker: None, llm: LoopbackLLM, client: Client, open_starter: OpenStarter
) -> None:
    waits = await start_report(client, "honey\x1b[2J bees [red]\nand more")
    await waiting(waits, draft=1)
    await edit(waits, "shorter")
    await waiting(waits, draft=2)
    ended = await start_report(client, "ended")
    await waiting(ended, draft=1)
    await keep(ended)
    await ended.result()
    llm.go_on.clear()
    works = await start_report(client, "wasps")

    async def listed() -> bool:
        query = "ExecutionStatus = 'Running'"
        return (await client.count_workflows(query)).count == 2

    await eventually(listed)
    done = piped("", "--list")
    assert done.returncode == 0
    header, first, second = done.stdout.splitlines()
    assert header.split("\t") == ["Workflow ID", "Topic", "Age", "Phase", "Draft"]
    assert re.fullmatch(rf"{waits.id}\thoney\[2J bees \[red\] and more\t\d+ s\tWAITING\t2", first)
    assert re.fullmatch(rf"{works.id}\twasps\t\d+ s\tRESEARCHING\t0", second)

    starter = open_starter("--list", columns=80)
    assert starter.ends() == 0
    starter.sees(re.compile(r"WAITING.*RESEARCHING", re.DOTALL))
    assert "[red]" in starter.text


async def test_without_a_worker_the_list_still_shows_the_topics(
    away_from_the_worker: Client, open_starter: OpenStarter
) -> None:
    for topic in ("bees", "wasps"):
        starter = open_starter(topic)
        starter.started()
        starter.presses("\x03")
        starter.ends()

    async def listed() -> bool:
        return (await away_from_the_worker.count_workflows()).count == 2

    await eventually(listed)
    started = time.monotonic()
    done = piped("", "--list")
    assert time.monotonic() - started < 10  # waits once for a Worker, not for each report
    assert done.returncode == 0
    topics = [line.split("\t")[1] for line in done.stdout.splitlines()]
    assert sorted(topics) == ["Topic", "bees", "wasps"]
    assert NO_WORKER in done.stderr


async def test_an_empty_list_says_how_to_start_a_report(away_from_the_worker: Client) -> None:
    done = piped("", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "No report is open. Start one with: uv run starter.py\n"


def test_help_shows_an_example_of_each_use() -> None:
    done = piped("", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for example in ("", ' "Why do cats purr?"', " --local", " --list", " --workflow-id ID"):
        assert re.search(rf"^  uv run starter\.py{re.escape(example)} ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["--list", "bees"], ["--workflow-id"], ["bees", "wasps"]]
)
def test_a_wrong_use_is_told_with_exit_code_2(arguments: list[str]) -> None:
    done = piped("", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: starter.py" in done.stderr


def test_no_server_is_one_sentence(monkeypatch: pytest.MonkeyPatch, unused_port: int) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{unused_port}")
    started = time.monotonic()
    done = piped("bees\n")
    assert time.monotonic() - started < 15
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        rf"Temporal is not reachable at 127\.0\.0\.1:{unused_port} \(.+\)\. "
        r"Start it with: temporal server start-dev\n",
        done.stderr,
    )


@pytest.fixture
def unused_port() -> int:
    return free_port()


async def test_a_server_that_goes_away_and_comes_back_loses_nothing(
    llm: LoopbackLLM, tmp_path: Path, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, database = free_port(), tmp_path / "temporal.db"
    address = f"127.0.0.1:{port}"
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    first = await local.start_server(port, database)
    worker = WorkerProcess(tmp_path).wait_until_polling()
    try:
        starter = open_starter()
        starter.begin()
        starter.asked_to_decide()
        starter.presses("kee")
        starter.sees("kee")
        kill_server(port)
        starter.sees(f"Temporal is not reachable at {address}; trying again", timeout=10)
        starter.line_is("Your decision (query/keep/edit): kee")
        starter.types("p")
        starter.watch_for(2)
        assert "Signal sent" not in starter.text
        async with await local.start_server(port, database):
            starter.sees("Temporal is reachable again")
            starter.sees("Signal sent to keep research and create PDF")
            starter.sees(RESULT)
            assert starter.ends() == 0
        assert starter.text.count("Temporal is not reachable") == 1
    finally:
        worker.kill()
        worker.wait()
        await first.shutdown()


async def test_ctrl_c_ends_the_starter_while_the_server_is_away(
    llm: LoopbackLLM, tmp_path: Path, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{port}")
    server = await local.start_server(port)
    starter = open_starter("bees")
    starter.started()
    kill_server(port)
    starter.sees("Temporal is not reachable")
    starter.presses("\x03")
    starter.sees(STILL_RUNNING)
    assert starter.ends(timeout=10) == 130
    await server.shutdown()


async def test_a_script_can_have_the_whole_dialogue(
    worker: None, client: Client, reports: Path
) -> None:
    done = piped("topic\nedit\nshorter\nkeep\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert not CONTROLS.search(done.stdout)
    workflow_id = re.search(r"Workflow ID: (\S+),", done.stdout)
    assert workflow_id
    assert done.stdout.endswith(f"{RESULT}\nFile: {reports / 'research_pdf.pdf'}\n")
    assert "Additional instructions: shorter" in done.stdout
    assert await decisions_on(report_of(client, workflow_id[1])) == [
        UserDecisionSignal(UserDecision.EDIT, "shorter", draft=1),
        UserDecisionSignal(UserDecision.KEEP, draft=2),
    ]


async def test_a_scripts_last_line_counts_without_its_end(worker: None) -> None:
    done = piped("topic\nkeep")
    assert done.returncode == 0
    assert RESULT in done.stdout


async def test_the_end_of_a_scripts_input_leaves_the_report_running(
    worker: None, client: Client
) -> None:
    done = piped("topic\nquery\n")
    assert (done.returncode, done.stderr) == (0, "")
    came_back = re.search(re.escape(STILL_RUNNING) + r" --workflow-id (\S+)\n$", done.stdout)
    assert came_back
    assert await is_running(report_of(client, came_back[1]))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
async def test_a_stream_that_is_closed_is_no_crash(
    closed: str, worker: None, client: Client, tmp_path: Path
) -> None:
    command = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, STARTER, "bees"]
    done = await asyncio.to_thread(
        subprocess.run, command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, b"")
    reports = [report.id async for report in client.list_workflows("ExecutionStatus = 'Running'")]
    assert len(reports) == 1


@pytest.mark.parametrize("script", ["starter.py", "worker.py"])
def test_settings_that_are_not_utf_8_are_one_sentence(script: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LLM_MODEL=offline/demo\n", encoding="utf-16")
    command = [sys.executable, str(PROJECT / script)]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (1, b"")
    assert re.fullmatch(rb".* not UTF-8: .*\n", done.stderr)


def test_a_prompt_that_temporal_could_not_carry_is_refused(client: Client) -> None:
    done = piped("x" * 100_001 + "\n")
    assert done.returncode == 1
    assert done.stderr == "The prompt is too long: 100,000 characters are the most.\n"


async def test_a_script_reads_why_a_call_is_retried(worker: None, llm: LoopbackLLM) -> None:
    llm.replies.append(Reply(status=500, headers={"retry-after": "3"}))
    done = piped("topic\nkeep\n")
    assert done.returncode == 0
    assert re.search(r"^Researching… \d+ s \(attempt 2, .*Error: .*\)$", done.stdout, re.MULTILINE)
    assert done.stdout.count("Researching…") == 1


async def test_no_escape_of_the_models_reaches_a_terminal(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.default = Reply(text=f"# Safe\n\n{ESCAPES}\n\n[a]({ESCAPES})\n\n    {ESCAPES}\n\nend")
    starter = open_starter("bees")
    starter.asked_to_decide()
    starter.types("query")
    starter.sees("Research Result:")
    starter.asked_to_decide()
    llm.default = Reply(status=400, text=f"{ESCAPES}no")
    starter.types("edit")
    starter.sees("(optional):")
    starter.types("")
    starter.sees("Draft 2 failed: BadRequestError: ")
    starter.asked_to_decide()
    llm.default = Reply(status=500, text=f"{ESCAPES}no", headers={"retry-after": "60"})
    starter.types("edit")
    starter.sees("(optional):")
    starter.types("")
    starter.sees("attempt 2, ")
    starter.presses("\x03")
    assert starter.ends() == 130  # and nothing strange was in the output
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069]", starter.raw)
    assert not re.search(r"\x1b\[(2J|31m)", starter.raw)


async def test_a_terminal_shows_all_that_the_pdf_will_hold(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    llm.default = Reply(text="a<b>c\n\n| x |\n| - |\n| <i>2</i> |\n\n<div>block</div>\n\n~~old~~")
    starter = open_starter("bees")
    starter.asked_to_decide()
    for text in ("a<b>c", "<i>2</i>", "<div>block</div>", "old"):
        assert text in starter.text
    assert "|" not in starter.text.partition("====")[0].replace("│", "")


async def test_no_escape_of_the_models_reaches_a_pipe(worker: None, llm: LoopbackLLM) -> None:
    llm.default = Reply(text=f"# Safe\n\n{ESCAPES}\n\nend")
    done = piped("bees\nquery\nkeep\n")
    assert done.returncode == 0
    assert not CONTROLS.search(done.stdout)


async def test_no_color_is_honoured(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.default = Reply(text="`code` and\n\n```python\nimport this\n```\n\n- [link](https://x.y)")
    colour = re.compile(r"\x1b\[[\d;]*\b(3[0-8]|4[0-8]|9[0-7])[\d;]*m")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = open_starter("bees")
    coloured.keep()
    coloured.sees(RESULT)
    assert colour.search(coloured.raw)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = open_starter("bees")
    plain.keep()
    plain.sees("Result: ")
    assert not colour.search(plain.raw)


async def test_a_narrow_window_wraps(
    worker: None, llm: LoopbackLLM, open_starter: OpenStarter
) -> None:
    words = [f"word{number}" for number in range(40)]
    llm.replies.append(Reply(status=503, text="very busy", headers={"retry-after": "2"}))
    llm.replies.append(Reply(text=f"# A title\n\n{' '.join(words)}"))
    starter = open_starter("bees", columns=40)
    starter.sees(re.compile(r"Researching….*\n.*\n.*next", re.DOTALL))
    starter.asked_to_decide()
    starter.types("edit")
    starter.sees("Enter additional instructions (optional)")  # the colon is on the next row
    starter.types("a long instruction " * 5)
    starter.asked_to_decide()
    assert starter.text.count("Enter additional instructions") == 1
    assert "attempt" not in starter.text  # all rows of the live line have gone
    assert re.findall(r"word\d+", starter.text) == words, str(starter)
    starter.types("keep")
    starter.sees("Result: ")
    assert starter.ends() == 0


def test_the_first_question_costs_no_slow_import(
    client: Client, open_starter: OpenStarter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Asks, on a terminal, what is loaded when the first question is printed."""
    (tmp_path / "sitecustomize.py").write_text("""\
import builtins, sys
tell = print
def watched(*arguments, **options):
    tell(*arguments, **options)
    if arguments[:1] == ("Enter your research topic or question: ",):
        slow = {"litellm", "reportlab", "rich", "prompt_toolkit", "openai", "pydantic"}
        tell("loaded:", sorted(slow & set(sys.modules)), file=sys.stderr, flush=True)
builtins.print = watched
""")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    starter = open_starter()
    starter.asked("Enter your research topic or question:")
    assert starter.errors.splitlines()[0] == "loaded: []"


def kill_server(port: int) -> None:
    [server] = [
        process
        for process in psutil.Process().children(recursive=True)
        if f"--port {port} " in f"{' '.join(process.cmdline())} "
    ]
    server.kill()

"""The starter: starts a report, shows its drafts and sends a person's decisions.

Nothing of a report lives here. Close the terminal, and come back with --workflow-id.
"""

import argparse
import asyncio
import os
import re
import signal
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence, Set
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from dotenv import find_dotenv, load_dotenv
from temporalio.api.enums.v1 import PendingActivityState, PendingWorkflowTaskState
from temporalio.api.workflow.v1 import PendingActivityInfo, PendingWorkflowTaskInfo
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from activities import create_pdf, llm_call, reports_dir
from dev_server import TemporalUnreachable, connect, exit_process, local
from models import (
    NO_DRAFT,
    PROMPT_LIMIT,
    PROMPT_TOO_LONG,
    TASK_QUEUE,
    WORKFLOW_ID_PREFIX,
    GenerateReportInput,
    Phase,
    ReportStatus,
    UserDecision,
    UserDecisionSignal,
)
from workflow import GenerateReportWorkflow

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

DEFAULT_PROMPT = "Give me 5 fun and fascinating facts about tardigrades."
CHOICES = """\
1. Type 'query' to view the current research result
2. Type 'keep' to approve the research and create PDF
3. Type 'edit' to modify the research"""
LINE = "=" * 50
TRY_AGAIN = "Type 'edit' to try again."
NO_WORKER = f'No Worker is polling Task Queue "{TASK_QUEUE}". Start one: uv run worker.py'

POLL_INTERVAL = 1  # seconds; each open starter costs the server this many requests
UNSERVED_POLLS = 5  # that a task waits before its Worker is missed; a live one takes it at once
RPC_TIMEOUT = timedelta(seconds=3)  # a Query waits this long for a Worker
SUMMARY_LIMIT = 200  # characters of the topic that the Web UI and --list show

# What a request fails with when no server answers; the SDK reports its own deadline as CANCELLED.
AWAY = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}
# Control characters but for tab and newline, and marks that reorder a line: in a draft, they
# could redraw the terminal.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

T = TypeVar("T")
ReportHandle = WorkflowHandle[GenerateReportWorkflow, str]


class Refused(Exception):
    """What cannot be done, and what to do instead."""


class Leave(Exception):
    """Ends the starter, and nothing but the starter."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


def main() -> None:
    arguments = _parse_arguments()
    try:
        load_dotenv(find_dotenv(usecwd=True))
        exit_code = asyncio.run(run(arguments))
    except (TemporalUnreachable, Refused, RPCError) as error:
        exit_process(printable(str(error)))
    except KeyboardInterrupt:
        exit_code = 128 + signal.SIGINT
    except asyncio.CancelledError:
        exit_code = 128 + signal.SIGTERM
    except BrokenPipeError:
        exit_code = 1  # nobody reads any more
    except UnicodeError as error:  # of .env, or of an argument
        exit_process(f"This is not UTF-8: {error}")
    except OSError as error:  # such as a terminal that was closed, or a folder that is read-only
        exit_process(str(error))
    exit_process(exit_code)


async def run(arguments: argparse.Namespace) -> int:
    """Returns the exit code. Raises TemporalUnreachable, and RPCError where Temporal refuses."""
    _cancel_on_signals()
    screen = Screen()
    restore_terminal = screen.stop_echo()
    try:
        async with local() if arguments.local else nullcontext():
            client = await _connect()
            if arguments.list:
                return await list_reports(client, screen)
            if arguments.workflow_id is not None:
                report = await find_report(client, arguments.workflow_id)
            else:
                report = await start_report(client, screen, arguments.prompt)
            try:
                return await Dialogue(client, report, screen).follow()
            except (Leave, asyncio.CancelledError):
                option = "--local " if arguments.local else ""
                screen.say(
                    "Your report is still running. Come back to it with: "
                    f"uv run starter.py {option}--workflow-id {report.id}"
                )
                raise
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                raise Refused(
                    f"The server has no report {report.id} any more. One that keeps its reports "
                    "when it stops: temporal server start-dev --db-filename temporal.db"
                ) from None
    except Leave as leave:
        return leave.exit_code
    finally:
        restore_terminal()


async def start_report(client: Client, screen: "Screen", prompt: str | None) -> ReportHandle:
    screen.say("Welcome to the Research Report Generator!")
    if prompt is None:
        prompt = await screen.ask("Enter your research topic or question: ")
    prompt = prompt.strip()
    if not prompt:
        prompt = DEFAULT_PROMPT
        screen.say(f"No prompt entered. Using default: {prompt}")
    if len(prompt) > PROMPT_LIMIT:
        raise Refused(PROMPT_TOO_LONG)
    start = partial(
        client.start_workflow,
        GenerateReportWorkflow.run,
        GenerateReportInput(prompt),
        id=f"{WORKFLOW_ID_PREFIX}{uuid.uuid4()}",
        task_queue=TASK_QUEUE,
        static_summary=" ".join(prompt.split())[:SUMMARY_LIMIT],
        # For a start that is repeated because the answer to the first one was lost.
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    report: ReportHandle = await _until_reachable(client, screen, start)
    screen.say(f"Started workflow. Workflow ID: {report.id}, RunID {report.result_run_id}")
    # Not bound to that run: the report may be reset, or continue as new.
    return client.get_workflow_handle_for(GenerateReportWorkflow.run, report.id)


async def find_report(client: Client, workflow_id: str) -> ReportHandle:
    """Raises Refused."""
    report = client.get_workflow_handle_for(GenerateReportWorkflow.run, workflow_id)
    try:
        description = await report.describe()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        raise Refused(
            f"There is no report with the Workflow ID {workflow_id}. "
            "List the open ones with: uv run starter.py --list"
        ) from None
    if description.workflow_type != GenerateReportWorkflow.__name__:
        raise Refused(f"{workflow_id} is a {description.workflow_type}, not a report.")
    return report


class Dialogue:
    """One person's talk with one report: ask, then query, keep or edit."""

    def __init__(self, client: Client, report: ReportHandle, screen: "Screen") -> None:
        self._client = client
        self._report = report
        self._screen = screen
        self._status: ReportStatus | None = None  # as last queried
        self._shown = 0  # the number of the draft last shown on this screen
        self._our_turn = asyncio.Event()  # set while the report waits for a person
        self._one_request = asyncio.Lock()
        self._progress = Progress()

    async def follow(self) -> int:
        """Talks until the report ends, and returns the exit code. Raises Leave."""
        talking = asyncio.create_task(self._talk())
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({talking, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Both are over before the last words are said: neither may write after them.
            talking.cancel()
            watching.cancel()
            await asyncio.wait({talking, watching})
        if watching.cancelled():
            talking.result()
        return await self._tell_end(watching.result())

    async def _talk(self) -> NoReturn:
        say, ask = self._screen.say, self._screen.ask
        while True:
            await self._screen.wait(self._our_turn, self._progress.line)
            say(f"\n{LINE}")
            if self._shown:
                say("Research is complete!")
            say(f"{CHOICES}\n{LINE}")

            decision = (await ask("Your decision (query/keep/edit): ")).strip().lower()

            if decision in {"query", "1"}:
                await self._query()
            elif decision in {"keep", "2"}:
                if not self._shown:  # to the Workflow, no number means whichever draft comes next
                    say(f"{NO_DRAFT} {TRY_AGAIN}")
                elif await self._decide(UserDecision.KEEP):
                    say("Signal sent to keep research and create PDF")
            elif decision in {"edit", "3"}:
                instruction = await ask("Enter additional instructions (optional): ")
                if await self._decide(UserDecision.EDIT, instruction.strip()):
                    say("Signal sent to regenerate research")
            else:
                say("Please enter either 'keep', 'edit', or 'query'")

    async def _query(self) -> None:
        async with self._one_request:
            draft = await self._answer(GenerateReportWorkflow.get_research_result)
        if draft is None:
            self._screen.say(NO_WORKER)
        elif draft:
            self._screen.say("\nResearch Result:")
            self._screen.show(draft)
        else:
            self._screen.say("Research Result: Not yet available")

    async def _decide(self, decision: UserDecision, instruction: str = "") -> bool:
        """Sends the decision on the draft that is on the screen; false if Temporal refused it."""
        payload = UserDecisionSignal(decision, instruction, draft=self._shown)
        send = partial(self._report.signal, GenerateReportWorkflow.user_decision_signal, payload)
        async with self._one_request:
            try:
                await _until_reachable(self._client, self._screen, send)
            except RPCError as error:
                self._screen.say(f"Temporal refused the decision: {error.message}")
                return False
            self._our_turn.clear()
            self._status = None  # an error that comes again is told again
        return True

    async def _watch(self) -> WorkflowExecutionDescription:
        """Shows what happens to the report until it ends."""
        describe = partial(self._report.describe, rpc_timeout=RPC_TIMEOUT)
        seen: object = None
        while True:
            async with self._one_request:
                description = await _until_reachable(self._client, self._screen, describe)
                if description.status != WorkflowExecutionStatus.RUNNING:
                    return description
                self._tell_progress(description)
                # A Query may cost a replay: only after an event, and where a Worker is at work.
                current = description.run_id, description.history_length
                if current != seen and not self._progress.unserved and await self._refresh():
                    seen = current
            await asyncio.sleep(POLL_INTERVAL)

    def _tell_progress(self, description: WorkflowExecutionDescription) -> None:
        failure = self._progress.failure
        self._progress.update(description)
        if self._progress.worker_is_missed:
            self._screen.say(NO_WORKER)
        if self._progress.failure != failure:
            self._screen.note(self._progress.line())

    async def _refresh(self) -> bool:
        """Shows what is new; false if no Worker answers the Query."""
        status = await self._answer(GenerateReportWorkflow.get_report_status)
        if not status:
            return False
        if self._our_turn.is_set() and status.phase != Phase.WAITING:
            self._screen.say(f"\nSomebody else has decided on draft {status.draft}.")
        if status.draft > self._shown:
            draft = await self._answer(GenerateReportWorkflow.get_research_result)
            if not draft:
                return False
            self._shown = status.draft
            self._screen.say(f"\nDraft {status.draft}\n")
            self._screen.show(draft)
        if status.error and (not self._status or status.error != self._status.error):
            self._screen.say(f"\n{status.error} {_advice(status)}".rstrip())
        self._status = status
        if status.phase == Phase.WAITING:
            self._our_turn.set()
        else:
            self._our_turn.clear()
        return True

    async def _answer(self, query: Callable[[GenerateReportWorkflow], T]) -> T | None:
        """What the Worker answers to the Query; None if none does."""
        ask = partial(self._report.query, query, rpc_timeout=RPC_TIMEOUT)
        try:
            return await _until_reachable(
                self._client, self._screen, ask, {RPCStatusCode.UNAVAILABLE}
            )
        except (RPCError, WorkflowQueryFailedError):
            return None

    async def _tell_end(self, description: WorkflowExecutionDescription) -> int:
        if not self._shown:  # a report that had ended before this starter came
            await self._query()
        try:
            result = await _until_reachable(self._client, self._screen, self._report.result)
        except WorkflowFailureError as failure:
            kind = (description.status or WorkflowExecutionStatus.FAILED).name
            ended = {
                "CANCELED": "was cancelled",
                "TERMINATED": f"was terminated: {failure.cause}",
                "TIMED_OUT": "ran out of time",
            }
            self._screen.complain(f"The report {ended.get(kind, f'failed: {failure.cause}')}")
            return 1
        self._screen.say(f"Result: {result}")
        path = (reports_dir() / result.rpartition(": ")[2]).resolve()
        # The Worker may have written it on another machine; only its own file names this report.
        if path.is_file() and self._report.id.encode() in path.read_bytes():
            self._screen.show_file(path)
        return 0


class Progress:
    """What the report is doing, as far as the server knows it without asking a Worker."""

    def __init__(self) -> None:
        self._activity = PendingActivityInfo()
        self._task = PendingWorkflowTaskInfo()
        self._step = "", False
        self._since = time.monotonic()
        self.unserved = False  # a task waits for a Worker to take it
        self._unserved_polls = 0

    def update(self, description: WorkflowExecutionDescription) -> None:
        raw = description.raw_description
        activity = raw.pending_activities[0] if raw.pending_activities else PendingActivityInfo()
        task = raw.pending_workflow_task
        step = activity.activity_id, bool(task.state)
        if step != self._step:
            self._step, self._since = step, time.monotonic()
        self._activity, self._task = activity, task
        # One that is being retried waits for its time, not for a Worker.
        due = not activity.HasField("next_attempt_schedule_time")
        self.unserved = (
            task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
            or (due and activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED)
        )
        self._unserved_polls = self._unserved_polls + 1 if self.unserved else 0

    @property
    def worker_is_missed(self) -> bool:
        """True once, when a task has waited too long."""
        return self._unserved_polls == UNSERVED_POLLS

    @property
    def failure(self) -> str:
        """Why the step in progress is being retried, or ""."""
        if self._workflow_fails:
            return "the Workflow fails: see the Worker's log"
        failure = self._activity.last_failure
        kind = failure.application_failure_info.type
        return f"{kind}: {failure.message}" if kind else failure.message

    @property
    def _workflow_fails(self) -> bool:
        return self._task.attempt > 2  # the second may follow the loss of a Worker

    def line(self) -> str:
        """Such as: Researching… 12 s (attempt 3, InternalServerError: …, next try in 4 s)"""
        activity = self._activity
        steps = {llm_call.__name__: "Researching", create_pdf.__name__: "Creating the PDF"}
        step = steps.get(activity.activity_type.name, "Waiting for the Worker")
        line = f"{step}… {time.monotonic() - self._since:.0f} s"
        if not self.failure:
            return line
        failing = self._task if self._workflow_fails else activity
        retry = f"attempt {failing.attempt}, {self.failure}"
        if activity.HasField("next_attempt_schedule_time"):
            due = activity.next_attempt_schedule_time.ToDatetime(UTC)
            wait = max((due - datetime.now(UTC)).total_seconds(), 0)
            retry += f", next try in {wait:.0f} s"
        return f"{line} ({retry})"


async def list_reports(client: Client, screen: "Screen") -> int:
    """Shows the open reports, those that wait for a decision first. Returns the exit code."""
    worker_answers = True
    rows = []
    query = f"WorkflowType = '{GenerateReportWorkflow.__name__}' AND ExecutionStatus = 'Running'"
    async for execution in client.list_workflows(query):
        report = client.get_workflow_handle_for(GenerateReportWorkflow.run, execution.id)
        status = None
        if worker_answers:
            ask = partial(report.query, GenerateReportWorkflow.get_report_status)
            try:
                with suppress(WorkflowQueryFailedError):  # of this report alone
                    status = await ask(rpc_timeout=RPC_TIMEOUT)
            except RPCError:
                worker_answers = False
                screen.complain(f"{NO_WORKER} (until then, phases and drafts are unknown)")
        if status:
            topic = status.prompt.partition("\n\nAdditional instructions: ")[0]
            phase, draft = status.phase.value, str(status.draft)
        else:
            topic = await (await report.describe()).static_summary() or ""
            phase, draft = "?", "?"
        age = _age(datetime.now(UTC) - execution.start_time)
        row = execution.id, " ".join(topic.split())[:SUMMARY_LIMIT], age, phase, draft
        rows.append((phase != Phase.WAITING, execution.start_time, row))
    if rows:
        rows.sort()
        screen.table(("Workflow ID", "Topic", "Age", "Phase", "Draft"), [row for *_, row in rows])
    else:
        screen.say("No report is open. Start one with: uv run starter.py")
    return 0


def _age(age: timedelta) -> str:
    seconds = max(age.total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _advice(status: ReportStatus) -> str:
    if status.phase != Phase.WAITING:
        return ""
    if status.draft:
        return f"Type 'edit' to ask again, or 'keep' to take draft {status.draft}."
    return TRY_AGAIN


async def _connect() -> Client:
    return await connect(
        # This program repeats its requests itself, and says so; the SDK would do it in silence.
        retry_config=RetryConfig(max_retries=1),
        # The SDK logs to the terminal, into what is being typed.
        runtime=Runtime(telemetry=TelemetryConfig(logging=None)),
    )


async def _until_reachable(
    client: Client,
    screen: "Screen",
    request: Callable[[], Awaitable[T]],
    away: Set[RPCStatusCode] = AWAY,
) -> T:
    """Repeats the request until a server answers. Raises RPCError if it answers with one."""
    told = False
    while True:
        try:
            answer = await request()
        except RPCError as error:
            if error.status not in away:
                raise
            if not told:
                address = client.service_client.config.target_host
                screen.say(f"Temporal is not reachable at {address}; trying again")
            told = True
            await asyncio.sleep(POLL_INTERVAL)
        else:
            if told:
                screen.say("Temporal is reachable again")
            return answer


class Screen:
    """A terminal with a prompt, a live line and Markdown; or plain text, where it is none."""

    def __init__(self) -> None:
        self._terminal = os.isatty(0) and os.isatty(1) and os.environ.get("TERM") != "dumb"
        self._sessions: dict[str, PromptSession[str]] = {}  # each question has its own history
        self._input = b""  # read, but not yet asked for
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # a draft may not fit the terminal's encoding
        # The answers to these requests would appear on a terminal that is slow to give them.
        os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")

    def stop_echo(self) -> Callable[[], None]:
        """Leaves it to the next prompt to show what is typed before; returns the way back."""
        if not self._terminal or not termios:
            return lambda: None
        before = termios.tcgetattr(0)
        quiet = termios.tcgetattr(0)
        quiet[3] &= ~termios.ECHO
        termios.tcsetattr(0, termios.TCSANOW, quiet)

        def restore() -> None:
            with suppress(termios.error):  # the terminal was closed
                termios.tcsetattr(0, termios.TCSADRAIN, before)

        return restore

    def say(self, text: str) -> None:
        print(printable(text), flush=True)

    def complain(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Says what a terminal shows in its live line."""
        if not self._terminal:
            self.say(text)

    def show(self, markdown: str) -> None:
        if not self._terminal:
            self.say(markdown)
            return
        from markdown_it import MarkdownIt
        from rich.console import Console
        from rich.markdown import Markdown

        # Without hyperlinks, an address is seen before it is followed.
        draft = Markdown(printable(markdown), hyperlinks=False)
        # Rich leaves HTML out, and the PDF does not: nobody approves what was not shown.
        parser = MarkdownIt(options_update={"html": False}).enable(["strikethrough", "table"])
        draft.parsed = parser.parse(draft.markup)
        Console().print(draft)

    def show_file(self, path: Path) -> None:
        if not self._terminal:
            self.say(f"File: {path}")
            return
        from rich.console import Console
        from rich.text import Text

        Console().print(
            "File:", Text(printable(str(path)), f"link {path.as_uri()}"), soft_wrap=True
        )

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if not self._terminal:
            for row in (header, *rows):
                self.say("\t".join(row))
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*header)
        for row in rows:
            table.add_row(*(Text(printable(cell), overflow="fold") for cell in row))
        Console().print(table)

    async def ask(self, question: str) -> str:
        """Raises Leave at Ctrl-C (130) and at the end of the input (0)."""
        if not self._terminal:
            self.say(question)
            return await self._read_line()
        if len(question) < os.get_terminal_size().columns:  # a second row could not be taken back
            print(question, end="", flush=True)  # before the import, which takes a moment
        from prompt_toolkit import PromptSession
        from prompt_toolkit.patch_stdout import patch_stdout

        print(end="\r", flush=True)
        session = self._sessions.setdefault(question, PromptSession(enable_suspend=True))
        try:
            with patch_stdout(raw=True):
                return await session.prompt_async(question)
        except KeyboardInterrupt:
            raise Leave(130) from None
        except EOFError:
            raise Leave(0) from None

    async def wait(self, turn: asyncio.Event, line: Callable[[], str]) -> None:
        """Shows the line, which changes, until the turn comes. Raises Leave as `ask` does."""
        if turn.is_set() or not self._terminal:
            await turn.wait()
            return
        from prompt_toolkit import Application
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
        from prompt_toolkit.layout import FormattedTextControl, Layout, Window
        from prompt_toolkit.patch_stdout import patch_stdout

        keys = KeyBindings()

        @keys.add("c-c")
        @keys.add("<sigint>")  # a Ctrl-C while a text is printed above the line
        @keys.add("c-d")
        def leave(event: KeyPressEvent) -> None:
            event.app.exit(result=0 if event.key_sequence[0].key == "c-d" else 130)

        live_line = Window(
            FormattedTextControl(lambda: printable(line())),
            wrap_lines=True,
            dont_extend_height=True,
            always_hide_cursor=True,
        )
        app: Application[int | None] = Application(
            Layout(live_line), key_bindings=keys, refresh_interval=0.5, erase_when_done=True
        )

        async def end() -> None:
            await turn.wait()
            if not app.is_done:  # by Ctrl-C, at the same moment
                app.exit()

        ending = asyncio.create_task(end())
        try:
            with patch_stdout(raw=True):
                exit_code = await app.run_async()
        finally:
            ending.cancel()
        if exit_code is not None:
            raise Leave(exit_code)

    async def _read_line(self) -> str:
        """The next line of a pipe; Leave at its end."""
        if sys.stdin is None:  # closed by the caller: its number may be another file's by now
            raise Leave(0)
        loop = asyncio.get_running_loop()
        line: asyncio.Future[bytes | None] = loop.create_future()

        def deliver(text: bytes | None) -> None:
            if not line.done():
                line.set_result(text)

        def read() -> None:
            # os.read, because an interpreter that exits would wait for the lock of sys.stdin.
            while b"\n" not in self._input:
                chunk = os.read(0, 4096)
                if not chunk:
                    break
                self._input += chunk
            at_end = not self._input
            text, _, self._input = self._input.partition(b"\n")
            with suppress(RuntimeError):  # the report has ended meanwhile, and the loop with it
                loop.call_soon_threadsafe(deliver, None if at_end else text)

        # A thread of its own that may be left behind: to_thread's would hold up the exit.
        threading.Thread(target=read, daemon=True).start()
        text = await line
        if text is None:
            raise Leave(0)
        return text.decode(errors="replace")


def printable(text: str) -> str:
    return UNPRINTABLE.sub("", text)


def _cancel_on_signals() -> None:
    """Makes SIGTERM, and SIGHUP of a closed terminal, end the starter as Ctrl-C does."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task
    for name in ("SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):  # Windows has no SIGHUP
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(task.cancel))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Have a topic researched, revise the draft, and keep it as a PDF.",
        epilog="""\
examples:
  uv run starter.py                          ask for a topic and start a report
  uv run starter.py "Why do cats purr?"      start a report on that topic
  uv run starter.py --local                  the same with a server and a Worker of its own
  uv run starter.py --list                   show the open reports
  uv run starter.py --workflow-id ID         come back to a report, open or ended""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("prompt", nargs="?", metavar="PROMPT", help="the topic or question")
    what.add_argument("--workflow-id", metavar="ID", help="come back to this report")
    what.add_argument("--list", action="store_true", help="list the open reports")
    parser.add_argument(
        "--local",
        action="store_true",
        help="start what is missing on this machine: Temporal's dev server, and a Worker",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()

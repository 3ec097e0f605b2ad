"""The starter: starts a report, shows its drafts and sends a person's decisions.

Nothing of a report lives here. Close the terminal, and come back with --workflow-id.
"""

import signal

# Ctrl-C during the imports below ends without a traceback, unless the caller ignores it.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from typing import NamedTuple, NoReturn, TypeVar

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from beyond.server.connection import (
    NO_SERVER,
    Refused,
    cancel_on_signals,
    connect,
    require_namespace,
    run_process,
    signal_once,
    until_answered,
)
from beyond.server.local import local
from beyond.terminal import reports
from beyond.terminal.progress import NO_WORKER, Progress
from beyond.terminal.reports import ReportHandle
from beyond.terminal.screen import Leave, Screen, in_unicode
from models import (
    NO_DRAFT,
    NO_EARLIER_DRAFT,
    PROMPT_LIMIT,
    PROMPT_TOO_LONG,
    TASK_QUEUE,
    WORKFLOW_ID_PREFIX,
    GenerateReportInput,
    Phase,
    ReportStatus,
    UserDecision,
    UserDecisionSignal,
    digest_of,
)
from workflow import GenerateReportWorkflow

DEFAULT_PROMPT = "Give me 5 fun and fascinating facts about tardigrades."
CHOICES = """\
1. Type 'query' to view the current research result
2. Type 'keep' to approve the research and create PDF
3. Type 'edit' to modify the research"""
LINE = "=" * 50
MORE = "Type 'help' for more."
WORDS = ("query", "keep", "edit", "undo", "discard", "help", "quit")
SHORTCUTS = {"1": "query", "2": "keep", "3": "edit", "?": "help"}  # the tutorial's numbers, "?"
HELP = """
query     show the current draft again
keep      approve the draft on the screen and create the PDF
edit      say what to change; the model revises the draft
undo      go back to the draft before
discard   end the report without a PDF
quit      leave; the report waits for you (Ctrl-C and Ctrl-D do the same)
The first letters are enough. Tab completes a word, Alt-Enter starts a new line,
Ctrl-X Ctrl-E opens your editor."""
TRY_AGAIN = "Type 'edit' to try again."
LONG_WAIT = 10  # seconds; a draft that took longer rings the terminal's bell

# Seconds from one look at the report to the next: as many as have passed since the last decision,
# but at least the first number and at most the second, so that an open starter costs the server
# one request a second.
POLL_INTERVALS = 0.1, 1

T = TypeVar("T")


class Shown(NamedTuple):
    """The draft that the screen shows, by its number and the digest of its text."""

    number: int
    digest: str


def main() -> NoReturn:
    arguments = _parse_arguments()
    run_process(lambda: run(arguments))


async def run(arguments: argparse.Namespace) -> int:
    """Returns the exit code. Raises Refused, and RPCError where Temporal refuses."""
    cancel_on_signals()
    screen = Screen()
    restore_terminal = screen.stop_echo()
    try:
        async with local() if arguments.local else nullcontext() as running:
            client = await connect(
                # The starter repeats its requests itself, and says so; the SDK would be silent.
                retry_config=RetryConfig(max_retries=1),
                # The SDK logs to the terminal, into what is being typed.
                runtime=Runtime(telemetry=TelemetryConfig(logging=None)),
            )
            await require_namespace(client)
            if running and (arguments.list or arguments.discard is not None):
                await running.wait_for_worker()
            if arguments.list:
                await reports.list_reports(client, screen)
                return 0
            if arguments.discard is not None:
                await reports.discard_report(client, screen, arguments.discard)
                return 0
            if arguments.resume:
                report = await reports.latest_report(client)
            elif arguments.workflow_id is not None:
                report = await reports.find_report(client, arguments.workflow_id)
            else:
                report = await start_report(client, screen, in_unicode(" ".join(arguments.prompt)))
            try:
                return await Dialogue(client, report, screen, arguments.open).follow()
            except (Leave, asyncio.CancelledError):
                option = "--local " if arguments.local else ""
                stays = "waits for you" if running and running.server_stops else "is still running"
                screen.say(
                    f"Your report {stays}. Come back to it with: "
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


async def start_report(client: Client, screen: Screen, prompt: str) -> ReportHandle:
    """Asks for the topic if there is none yet. Raises Refused if it is too long, and Leave."""
    screen.say("Welcome to the Research Report Generator!")
    typed = not prompt
    if typed:
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
        static_summary=" ".join(prompt.split())[: reports.SUMMARY_LIMIT],
        # For a start that is repeated because the answer to the first one was lost.
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    try:
        report: ReportHandle = await until_answered(client, start, screen.say)
    except (RPCError, asyncio.CancelledError):
        if typed:  # on the command line, it is in the shell's history
            screen.say(f"The report was not started. Your topic was: {prompt}")
        raise
    screen.say(f"Started workflow. Workflow ID: {report.id}, RunID {report.result_run_id}")
    # Not bound to that run: the report may be reset, or continue as new.
    return client.get_workflow_handle_for(GenerateReportWorkflow.run, report.id)


class Dialogue:
    """One person and one report: ask, then query, keep or edit, and watch what becomes of it."""

    def __init__(
        self, client: Client, report: ReportHandle, screen: Screen, open_pdf: bool
    ) -> None:
        self._client = client
        self._report = report
        self._screen = screen
        self._open_pdf = open_pdf
        self._status: ReportStatus | None = None  # as last queried
        self._shown = Shown(0, "")  # nothing yet
        self._menu_shown = False
        self._discarded = False
        self._decision_wanted, self._decision_sent = asyncio.Event(), asyncio.Event()
        self._decided_at = time.monotonic()
        self._one_request = asyncio.Lock()
        self._progress = Progress()

    async def follow(self) -> int:
        """Returns the exit code when the report ends. Raises Leave when the person leaves."""
        asking = asyncio.create_task(self._ask())
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({asking, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Both are over before the last words are said: neither may write after them.
            asking.cancel()
            watching.cancel()
            await asyncio.wait({asking, watching})
        if watching.cancelled():
            asking.result()
        return await self._show_end(watching.result())

    async def _ask(self) -> NoReturn:
        say, ask = self._screen.say, self._screen.ask
        menu_wanted = True
        while True:
            if not self._decision_wanted.is_set():
                await self._screen.wait(self._decision_wanted, self._progress.line)
                menu_wanted = True
            if menu_wanted:
                self._show_menu()
            menu_wanted = True

            typed = (await ask("Your decision (query/keep/edit): ", WORDS)).strip().lower()
            decision, problem = _word_meant(typed)

            if decision == "query":
                await self._query()
            elif decision == "keep":
                if not self._shown.number:  # to the Workflow, 0 means whichever draft comes next
                    say(f"{NO_DRAFT} {TRY_AGAIN}")
                elif await self._decide(UserDecision.KEEP):
                    say("Signal sent to keep research and create PDF")
            elif decision == "edit":
                instruction = (await ask("Enter additional instructions (optional): ")).strip()
                afresh = not instruction and self._shown.number
                if afresh and not await self._screen.confirm("Write it afresh? [y/N] "):
                    menu_wanted = False
                elif await self._decide(UserDecision.EDIT, instruction):
                    say("Signal sent to regenerate research")
            elif decision == "undo":
                if not (self._status and self._status.earlier_drafts):
                    say(NO_EARLIER_DRAFT)
                elif await self._decide(UserDecision.UNDO):
                    say("Signal sent to go back to the draft before")
            elif decision == "discard":
                if (
                    await ask("Discard this report for good? Type 'yes': ", ("yes",))
                ).strip() == "yes":
                    await self._discard()
            elif decision == "help":
                say(HELP)
            elif decision == "quit":
                raise Leave(0)
            else:
                say(problem)
                menu_wanted = False

    def _show_menu(self) -> None:
        """The tutorial's menu the first time that there is a draft, and then one line."""
        complete = "Research is complete!" if self._shown.number else ""
        if self._menu_shown:
            self._screen.say(
                f"\n{complete} Type {', '.join(WORDS[:-1])} or {WORDS[-1]}.".lstrip(" ")
            )
            return
        self._menu_shown = True
        self._screen.say("\n".join(filter(None, [f"\n{LINE}", complete, CHOICES, LINE, MORE])))

    async def _query(self) -> None:
        async with self._one_request:
            draft = await self._answer(GenerateReportWorkflow.get_research_result, patient=True)
        if draft is None:
            self._screen.say(NO_WORKER)
        elif draft:
            await self._screen.show("\nResearch Result:", draft)
        else:
            self._screen.say("Research Result: Not yet available")

    async def _decide(self, decision: UserDecision, instruction: str = "") -> bool:
        """Sends the decision on the draft that the screen shows. False if Temporal refuses it."""
        payload = UserDecisionSignal(decision, instruction, self._shown.number, self._shown.digest)
        send = await signal_once(
            self._client, self._report.id, GenerateReportWorkflow.user_decision_signal, payload
        )
        async with self._one_request:
            try:
                await until_answered(self._client, send, self._screen.say)
            except RPCError as error:
                self._screen.say(f"Temporal refused the decision: {error.message}")
                return False
            self._decided()
            self._status = None  # so that an error that comes again shows again
        return True

    async def _discard(self) -> None:
        async with self._one_request:
            await until_answered(self._client, self._report.cancel, self._screen.say)
            self._discarded = True
            self._decided()

    def _decided(self) -> None:
        self._decision_wanted.clear()
        self._decision_sent.set()
        self._decided_at = time.monotonic()
        self._progress.restart()

    async def _watch(self) -> WorkflowExecutionDescription:
        """Shows what happens to the report until it ends."""
        describe = partial(self._report.describe, rpc_timeout=reports.QUERY_TIMEOUT)
        seen: object = None
        while True:
            async with self._one_request:
                description = await until_answered(self._client, describe, self._screen.say)
                if description.status != WorkflowExecutionStatus.RUNNING:
                    return description
                self._show_progress(description)
                # A Query may cost a replay: only after an event, and where a Worker is at work.
                current = description.run_id, description.history_length
                if current != seen and not self._progress.task_is_untaken and await self._refresh():
                    seen = current
            await self._until_next_poll()

    async def _until_next_poll(self) -> None:
        shortest, longest = POLL_INTERVALS
        interval = min(max(shortest, time.monotonic() - self._decided_at), longest)
        self._decision_sent.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._decision_sent.wait(), interval)

    def _show_progress(self, description: WorkflowExecutionDescription) -> None:
        progress = self._progress
        failure, worker_was_missing = progress.failure, progress.worker_is_missing
        progress.update(description)
        if progress.worker_is_missing and not worker_was_missing:
            self._screen.say(NO_WORKER)
        if worker_was_missing and not progress.worker_is_missing:
            self._screen.say("A Worker has it again.")
        if progress.failure != failure:
            self._screen.say_without_live_line(progress.line())

    async def _refresh(self) -> bool:
        """Shows what is new. Returns false if no Worker answers the Query."""
        status = await self._answer(GenerateReportWorkflow.get_report_status)
        if not status:
            return False
        if self._decision_wanted.is_set() and status.phase != Phase.WAITING:
            self._screen.say(f"\nSomebody else has decided on draft {status.draft}.")
        if status.draft and (status.draft, status.digest) != self._shown:
            draft = await self._answer(GenerateReportWorkflow.get_research_result)
            # With another draft meanwhile, number and text would not belong together.
            if not draft or status.digest not in ("", digest_of(draft)):
                return False
            if time.monotonic() - self._decided_at > LONG_WAIT:
                self._screen.ring()
            await self._screen.show(f"\nDraft {status.draft}\n", draft)
            self._shown = Shown(status.draft, status.digest)
        if status.error and (not self._status or status.error != self._status.error):
            self._screen.say(f"\n{status.error} {_advice(status)}".rstrip())
        self._status = status
        if status.phase == Phase.WAITING:
            self._decision_wanted.set()
        else:
            self._decision_wanted.clear()
        return True

    async def _answer(
        self, query: Callable[[GenerateReportWorkflow], T], patient: bool = False
    ) -> T | None:
        """Returns what a Worker answers to the Query, or None if none does."""
        limit = reports.PATIENT_QUERY_TIMEOUT if patient else reports.QUERY_TIMEOUT
        ask = partial(self._report.query, query, rpc_timeout=limit)
        try:
            # A deadline that passes means that no Worker answers, so only the server is waited for.
            return await until_answered(self._client, ask, self._screen.say, NO_SERVER)
        except (RPCError, WorkflowQueryFailedError):
            return None

    async def _show_end(self, description: WorkflowExecutionDescription) -> int:
        if self._discarded and description.status == WorkflowExecutionStatus.CANCELED:
            self._screen.say("The report is discarded.")
            return 0
        if not self._shown.number:  # a report that had ended before this starter came
            await self._query()
        try:
            result = await until_answered(self._client, self._report.result, self._screen.say)
        except WorkflowFailureError as failure:
            kind = (description.status or WorkflowExecutionStatus.FAILED).name
            ended = {
                "CANCELED": "was cancelled",
                "TERMINATED": f"was terminated: {failure.cause}",
                "TIMED_OUT": "ran out of time",
            }
            self._screen.say_error(f"The report {ended.get(kind, f'failed: {failure.cause}')}")
            return 1
        self._screen.say(f"Result: {result}")
        if path := reports.pdf_here(self._report.id, result):
            self._screen.show_file(path, self._open_pdf)
        return 0


def _word_meant(typed: str) -> tuple[str, str]:
    """Returns the word that the person chose, and what is wrong if there is none."""
    if typed in SHORTCUTS:
        return SHORTCUTS[typed], ""
    meant = [word for word in WORDS if typed and word.startswith(typed)]
    if len(meant) > 1:
        return "", f"'{typed}' can mean {' or '.join(meant)}."
    return meant[0] if meant else "", "Please enter either 'keep', 'edit', or 'query'"


def _advice(status: ReportStatus) -> str:
    if status.phase != Phase.WAITING:
        return ""
    if status.draft:
        return f"Type 'edit' to ask again, or 'keep' to take draft {status.draft}."
    return TRY_AGAIN


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Research a topic, revise the draft, and keep it as a PDF.",
        epilog="""\
examples:
  uv run starter.py                          ask for a topic and start a report
  uv run starter.py "Why do cats purr?"      start a report on that topic
  uv run starter.py --local                  the same with a server and a Worker of its own
  uv run starter.py --list                   show the open reports
  uv run starter.py --resume                 come back to the latest open report
  uv run starter.py --workflow-id ID         come back to a report, open or ended
  uv run starter.py --discard ID             end an open report without a PDF
ID is a Workflow ID, a part of one that no other has, or the number that --list shows.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("prompt", nargs="*", default=[], metavar="PROMPT", help="the topic")
    what.add_argument("--workflow-id", metavar="ID", help="come back to this report")
    what.add_argument("--resume", action="store_true", help="come back to the latest open report")
    what.add_argument("--list", action="store_true", help="list the open reports")
    what.add_argument("--discard", metavar="ID", help="end this report without a PDF")
    parser.add_argument("--open", action="store_true", help="open the PDF when it is there")
    parser.add_argument(
        "--local",
        action="store_true",
        help="start what is missing on this machine: Temporal's dev server, and a Worker",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()

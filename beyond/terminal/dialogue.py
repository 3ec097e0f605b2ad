"""One person and one report: query, keep or edit until the report ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Set
from contextlib import suppress
from functools import partial
from typing import NoReturn, TypeVar

from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from beyond.process import RefusedError
from beyond.report import NO_DRAFT, NO_DRAFT_TO_CORRECT, NO_EARLIER_DRAFT
from beyond.server.connection import (
    LIMIT_INTERVAL,
    NO_ANSWER,
    NO_SERVER,
    START_SERVER,
    is_on_this_machine,
    limits_requests,
    retry_until_answered,
)
from beyond.terminal.changes import compare, show_changes, summarize
from beyond.terminal.draft_files import Corrections, save_draft
from beyond.terminal.ending import show_result
from beyond.terminal.progress import (
    LIMITED,
    WORKER_IS_SILENT,
    Progress,
    explain_missing_worker,
    find_live_draft,
    is_open,
    is_paused,
)
from beyond.terminal.report_handle import ReportHandle, with_payloads
from beyond.terminal.reports import confirm_discard
from beyond.terminal.screen import CTRL_C, LeaveError, Screen
from beyond.terminal.words import HELP, TRY_AGAIN, advise, find_word, name_words, write_menu
from models import LiveDraft, Phase, ReportStatus, UserDecision, UserDecisionSignal

PAUSED = "This report is paused. It goes on when somebody unpauses it in the Web UI."
KEEP_REPORTS = f"Next time, let the server keep its reports: {START_SERVER}"
ANOTHER_TOPIC = "The model refused this topic. Enter another topic: "
WRITE_ANEW = "Write a new draft from the same prompt? [y/N] "
STOP_HINT = "Press s to stop.\n"  # above the live line
LONG_WAIT = 10  # seconds; the terminal's bell rings for a draft that took longer

# The poll interval grows with the time since the last decision, between these bounds (seconds): the
# first draft shows at once, and a starter left open costs the server one request a second.
POLL_INTERVALS = 0.1, 1

T = TypeVar("T")


class Dialogue:
    """Shows the drafts of a report and sends the person's decisions, until the report ends.

    `command` is the command line that comes back to the report.
    """

    def __init__(
        self, client: Client, report: ReportHandle, screen: Screen, command: str, open_pdf: bool
    ) -> None:
        self._client = client
        self._report = report
        self._screen = screen
        self._command = command
        self._open_pdf = open_pdf
        self._status: ReportStatus | None = None  # as last queried
        self._shown = 0, ""  # number and text of the draft on the screen
        self._earlier_text = ""  # text of the earlier draft that `changes` compares it with
        self._corrections = Corrections(screen, report.id)
        self._menu_shown = False
        self._discarded = False
        self._decision_wanted, self._decision_sent = asyncio.Event(), asyncio.Event()
        self._decided_at = time.monotonic()
        self._one_request = asyncio.Lock()
        self._progress = Progress()
        self._worker_is_missing = False
        self._actions: dict[str, Callable[[], Awaitable[None]]] = {
            "query": self._query,
            "changes": self._show_changes,
            "keep": self._keep,
            "edit": self._edit,
            "correct": self._correct,
            "undo": self._undo,
            "save": self._save,
            "discard": self._discard,
            "help": self._help,
            "quit": self._quit,
        }

    async def follow(self) -> int:
        """Returns the exit code when the report ends.

        Raises LeaveError when the person leaves, RefusedError if the server lost the report, and
        RPCError if it refuses a request.
        """
        try:
            return await self._follow()
        except (LeaveError, RefusedError, asyncio.CancelledError):
            self._corrections.clean_up(self._shown[1])
            self._screen.say_unwrapped(
                f"Temporal keeps your report. Come back to it with: {self._command}"
            )
            raise
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            lost = f"The server has no report {self._report.id} any more."
            if is_on_this_machine(self._client.service_client.config.target_host):
                lost = f"{lost} {KEEP_REPORTS}"
            raise RefusedError(lost) from None

    async def _follow(self) -> int:
        asking = asyncio.create_task(self._ask())
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({asking, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Waits for both, so that neither prints after the result.
            asking.cancel()
            watching.cancel()
            await asyncio.wait({asking, watching})
        if watching.cancelled():
            asking.result()
        return await self._show_end(watching.result())

    # What the person types.

    async def _ask(self) -> NoReturn:
        menu_wanted = True
        while True:
            if not self._decision_wanted.is_set():
                wanted = self._decision_wanted
                if await self._screen.wait(wanted, self._live_line, self._live_draft):
                    await self._stop()
                    continue
                menu_wanted = True
            if menu_wanted:
                self._show_menu()
            typed = await self._screen.ask("Your decision (query/keep/edit): ", [*self._actions])
            first, _, instruction = typed.strip().partition(" ")
            word, problem = find_word(typed.strip().lower(), self._actions)
            menu_wanted = bool(word)
            if first.lower() == "edit" and instruction:
                await self._revise(instruction.strip())
            elif word:
                await self._act(self._actions[word])
            else:
                self._screen.say(problem)

    async def _act(self, action: Callable[[], Awaitable[None]]) -> None:
        """Runs an action. Ctrl-C at one of its questions goes back to the decision's prompt."""
        try:
            await action()
        except LeaveError as leave:
            if leave.exit_code != CTRL_C:
                raise

    async def _query(self) -> None:
        await self._show_research(in_pager=True)

    async def _keep(self) -> None:
        number, _ = self._shown
        if not number:  # 0 would approve whichever draft is current by then
            self._screen.say(f"{NO_DRAFT} {TRY_AGAIN}")
        elif await self._decide(UserDecision.KEEP):
            self._screen.say("Signal sent to keep research and create PDF")

    async def _edit(self) -> None:
        number, _ = self._shown
        refused = self._status and self._status.topic_refused
        question = ANOTHER_TOPIC if refused else "Enter additional instructions (optional): "
        instruction = (await self._screen.ask(question)).strip()
        afresh = not instruction and number
        if not afresh or await self._screen.confirm(WRITE_ANEW):
            await self._revise(instruction)

    async def _revise(self, instruction: str) -> None:
        if await self._decide(UserDecision.EDIT, instruction):
            self._screen.say("Signal sent to regenerate research")

    async def _stop(self) -> None:
        if self._progress.is_writing and await self._decide(UserDecision.STOP):
            self._screen.say("Signal sent to stop the draft")

    async def _correct(self) -> None:
        number, draft = self._shown
        if not number:
            self._screen.say(f"{NO_DRAFT_TO_CORRECT} {TRY_AGAIN}")
            return
        async with self._one_request:  # so that nothing is printed over the editor
            text = await self._corrections.edit(number, draft)
        if text and await self._decide(UserDecision.CORRECT, text=text):
            self._screen.say("Signal sent to make your text the next draft")
            self._corrections.sent = number
        elif text:
            self._corrections.clean_up(draft)

    async def _undo(self) -> None:
        if not (self._status and self._status.earlier_drafts):
            self._screen.say(NO_EARLIER_DRAFT)
        elif await self._decide(UserDecision.UNDO):
            self._screen.say("Signal sent to go back to the draft before")

    async def _save(self) -> None:
        save_draft(self._screen, self._report.id, *self._shown)

    async def _discard(self) -> None:
        if await confirm_discard(self._screen) and await self._send(self._report.discard):
            self._discarded = True

    async def _help(self) -> None:
        self._screen.say(HELP)

    async def _quit(self) -> NoReturn:
        raise LeaveError(0)

    def _show_menu(self) -> None:
        has_draft = bool(self._shown[0])
        is_first = has_draft and not self._menu_shown
        self._menu_shown |= has_draft
        columns = self._screen.columns
        menu = write_menu(columns) if is_first else name_words(self._actions, has_draft=has_draft)
        self._screen.say(f"\n{menu}")

    async def _show_research(self, *, in_pager: bool) -> None:
        async with self._one_request:  # so that nothing is printed over the pager
            draft = await self._ask_worker(self._report.draft)
            if draft is None:
                reason = PAUSED if self._progress.is_paused else await self._explain()
                self._screen.say(reason or WORKER_IS_SILENT)
            elif not draft:
                if self._status and self._status.error:
                    self._screen.say(self._status.error)
                self._screen.say("Research Result: Not yet available")
            elif in_pager:
                await self._screen.page("\nResearch Result:", draft)
            else:
                self._screen.show("\nResearch Result:", draft)

    async def _show_changes(self) -> None:
        if not self._earlier_text:
            self._screen.say("There is no earlier draft to compare with.")
            return
        async with self._one_request:
            number, draft = self._shown
            paragraphs = compare(self._earlier_text, draft)
            heading = f"\nDraft {number}: {summarize(paragraphs)}."
            await self._screen.page_changes(heading, show_changes(paragraphs))

    async def _decide(self, decision: UserDecision, instruction: str = "", text: str = "") -> bool:
        """Sends a decision on the draft on the screen. Returns False if Temporal refuses it."""
        number, _ = self._shown
        signal = UserDecisionSignal(decision, instruction, number, text)
        return await self._send(partial(self._report.decide, signal))

    async def _send(self, request: Callable[[], Awaitable[None]]) -> bool:
        async with self._one_request:
            try:
                await self._request(request)
            except RPCError as error:
                self._screen.say(f"Temporal refused the decision: {error.message}")
                return False
            self._note_decision()
            self._status = None  # so that the same error shows again if it happens again
        return True

    async def _request(
        self, request: Callable[[], Awaitable[T]], no_answer: Set[RPCStatusCode] = NO_ANSWER
    ) -> T:
        request = partial(with_payloads, request)
        return await retry_until_answered(self._client, request, self._screen.say, no_answer)

    def _note_decision(self) -> None:
        self._decision_wanted.clear()
        self._decision_sent.set()
        self._decided_at = time.monotonic()
        self._progress.restart()

    # What happens to the report.

    async def _watch(self) -> DescribeWorkflowExecutionResponse:
        """Shows what happens to the report. Returns its description when it has ended."""
        seen: object = None
        while True:
            async with self._one_request:
                description = await self._request(self._report.describe)
                if not is_open(description):
                    return description
                await self._show_progress(
                    description, await find_live_draft(self._client, description)
                )
                # A Query may cost a replay: send one only after a new event, to a live Worker.
                info = description.workflow_execution_info
                current = info.execution.run_id, info.history_length
                answers = not (self._progress.task_is_untaken or self._progress.is_paused)
                if current != seen and answers and await self._refresh():
                    seen = current
            await self._pause()

    def _live_line(self) -> str:
        return STOP_HINT * self._progress.is_writing + self._progress.line()

    def _live_draft(self) -> tuple[str, str]:
        """Returns the heading of the next draft, and what the model has written of it so far."""
        live, (number, _) = self._progress.live_draft, self._shown
        return f"Draft {number + 1}", live.text if live else ""

    async def _pause(self) -> None:
        """Waits for the next poll, or until the person decides."""
        shortest, longest = POLL_INTERVALS
        interval = min(max(shortest, time.monotonic() - self._decided_at), longest)
        if limits_requests(self._client):
            interval = LIMIT_INTERVAL
        self._decision_sent.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await self._decision_sent.wait()

    async def _show_progress(
        self, description: DescribeWorkflowExecutionResponse, live_draft: LiveDraft | None
    ) -> None:
        progress = self._progress
        failure, was_paused = progress.failure, progress.is_paused
        progress.update(description, live_draft)
        if progress.is_paused and not was_paused:
            self._screen.say(f"\n{PAUSED}")
        await self._tell_of_worker()
        if progress.failure != failure:
            self._screen.say_without_live_line(progress.line())

    async def _explain(self) -> str:
        return await explain_missing_worker(self._client, self._progress.info)

    async def _tell_of_worker(self) -> None:
        """Says when no Worker runs, and when one is back."""
        seems_missing = self._progress.worker_is_missing
        if seems_missing and not self._worker_is_missing:
            if reason := await self._explain():
                self._screen.say_unwrapped(reason)
                self._worker_is_missing = reason != LIMITED
        elif self._worker_is_missing and not seems_missing:
            self._screen.say("A Worker has picked it up.")
            self._worker_is_missing = False

    async def _refresh(self) -> bool:
        """Queries the report and shows what is new. Returns False if no Worker answers."""
        status = await self._ask_worker(self._report.status)
        await self._tell_of_worker()
        if not status:
            return False
        if self._decision_wanted.is_set() and status.phase != Phase.WAITING:
            self._screen.say(f"\nSomebody else has decided on draft {status.draft}.")
        if status.draft and (status.draft, status.text) != self._shown:
            await self._show_draft(status)
        if status.error and (not self._status or status.error != self._status.error):
            self._screen.say(f"\n{status.error} {advise(status)}".rstrip())
        self._status = status
        self._corrections.follow(status)
        if status.phase == Phase.WAITING:
            self._decision_wanted.set()
        else:
            self._decision_wanted.clear()
        return True

    async def _show_draft(self, status: ReportStatus) -> None:
        """Shows the draft, the decision that led to it, and how much has changed."""
        _, earlier = self._shown
        if status.earlier_drafts and not earlier:
            earlier = await self._ask_worker(self._report.earlier_draft) or ""
        if time.monotonic() - self._decided_at > LONG_WAIT:
            self._screen.ring()
        self._screen.show(f"\nDraft {status.draft}\n", status.text)
        self._shown, self._earlier_text = (status.draft, status.text), earlier
        if status.origin:
            self._screen.say(f"\n{status.origin}")
        if earlier:
            summary = summarize(compare(earlier, status.text))
            self._screen.say(f"\nDraft {status.draft}: {summary}. Type 'changes' to see them.")

    async def _ask_worker(self, query: Callable[[], Awaitable[T]]) -> T | None:
        """Returns a Worker's answer to the Query, or None without one.

        Raises RefusedError if this starter cannot read the answer.
        """
        try:
            # Retries only if the server is away: a timeout means that no Worker answers.
            answer = await self._request(query, NO_SERVER)
        except RPCError:
            self._progress.note_query(answered=False)
            return None
        except WorkflowQueryFailedError:
            return None
        except RefusedError:
            if is_paused(await self._request(self._report.describe)):
                return None
            raise
        self._progress.note_query(answered=True)
        return answer

    async def _show_end(self, description: DescribeWorkflowExecutionResponse) -> int:
        status = WorkflowExecutionStatus(description.workflow_execution_info.status)
        if self._discarded and status == WorkflowExecutionStatus.CANCELED:
            self._screen.say("The report is discarded.")
            return 0
        self._corrections.clean_up(self._shown[1])
        if self._shown == (0, ""):  # the report had ended before this starter came back to it
            await self._show_research(in_pager=False)
        ask_result = partial(self._request, self._report.result)
        return await show_result(self._screen, self._report.id, status, ask_result, self._open_pdf)

"""The starter: starts a report, and sends a person's decisions to its Workflow.

A report lives in Temporal, not here. Close the terminal, and come back with --workflow-id.
"""

from beyond.process import RefusedError, cancel_on_signals, end_at_ctrl_c, run_process

if __name__ == "__main__":
    end_at_ctrl_c()  # also while the rest is imported

import argparse
import asyncio
import uuid
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from typing import NoReturn

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RetryConfig, RPCError

from beyond.report import PROMPT_TOO_LONG
from beyond.server.connection import (
    TemporalUnreachableError,
    connect,
    require_namespace,
    retry_until_answered,
)
from beyond.server.local import mention_local_reports, run_local
from beyond.terminal import reports
from beyond.terminal.dialogue import Dialogue
from beyond.terminal.report_handle import ReportHandle, with_payloads
from beyond.terminal.screen import LeaveError, Screen
from beyond.terminal.topic import ask_for_topic
from models import (
    PROMPT_LIMIT,
    TASK_QUEUE,
    WORKFLOW_ID_PREFIX,
    GenerateReportInput,
    ReportStatus,
    UserDecisionSignal,
)
from workflow import GenerateReportWorkflow

# How long a Query waits for a Worker: for a row of --list, for each poll of the report, and for a
# draft that the person asks to see.
LIST_TIMEOUT = timedelta(seconds=1.5)
STATUS_TIMEOUT = timedelta(seconds=3)
DRAFT_TIMEOUT = timedelta(seconds=10)
# How long the SDK retries a request whose reply is lost. The retries have the same request ID, so a
# Signal counts once.
RETRY_FOR = 3_000  # milliseconds


def main() -> NoReturn:
    arguments = _parse_arguments()
    run_process(lambda: run(arguments))


async def run(arguments: argparse.Namespace) -> int:
    """Returns the exit code. Raises RefusedError, and RPCError if Temporal refuses a request."""
    cancel_on_signals()
    screen = Screen()
    only_looks = arguments.list or arguments.discard is not None
    restore_terminal = screen.stop_echo()
    try:
        local = run_local(needs_model=not only_looks) if arguments.local else nullcontext()
        async with local as worker_polls:
            client = await connect_to_temporal()
            if worker_polls and only_looks:
                await worker_polls.wait()
            if arguments.list:
                # A Worker that has just started answers slowly.
                timeout = DRAFT_TIMEOUT if worker_polls else LIST_TIMEOUT
                await reports.list_reports(
                    client,
                    screen,
                    partial(query_report_status, client, rpc_timeout=timeout),
                    ended=arguments.ended,
                    every=arguments.all,
                )
                return 0
            if arguments.discard is not None:
                await reports.discard_report(client, screen, arguments.discard)
                return 0
            workflow_id = await choose_report(client, screen, arguments)
            command = "uv run starter.py --local" if arguments.local else "uv run starter.py"
            command += f" --workflow-id {workflow_id}"
            report = open_report(client, workflow_id)
            return await Dialogue(client, report, screen, command, arguments.open).follow()
    except LeaveError as leave:
        return leave.exit_code
    finally:
        restore_terminal()


async def connect_to_temporal() -> Client:
    """Raises RefusedError if there is no server, or no such namespace on it."""
    try:
        client = await connect(
            retry_config=RetryConfig(max_elapsed_time_millis=RETRY_FOR),
            # The SDK would log to the terminal, in the middle of what the person types.
            runtime=Runtime(telemetry=TelemetryConfig(logging=None)),
        )
    except TemporalUnreachableError as error:
        raise RefusedError(f"{error}\n{mention_local_reports()}".rstrip()) from None
    await require_namespace(client)
    return client


async def choose_report(client: Client, screen: Screen, arguments: argparse.Namespace) -> str:
    """Returns the Workflow ID of a report to come back to, or of a new one.

    Raises RefusedError if there is no such report or the topic is too long, and LeaveError if the
    person leaves.
    """
    if arguments.resume:
        find = partial(reports.find_latest_report, client)
    elif arguments.workflow_id is not None:
        find = partial(reports.find_report, client, arguments.workflow_id)
    else:
        return await start_report(client, screen, " ".join(arguments.prompt))
    workflow_id = await retry_until_answered(client, find, screen.say)
    introduce = partial(reports.introduce_report, client, screen, workflow_id)
    await retry_until_answered(client, introduce, screen.say)
    return workflow_id


async def start_report(client: Client, screen: Screen, topic: str) -> str:
    """Returns the Workflow ID. Asks for the topic if it is empty.

    Raises RefusedError if the topic is too long, and LeaveError if the person leaves.
    """
    prompt = await ask_for_topic(screen, topic)
    if len(prompt) > PROMPT_LIMIT:
        raise RefusedError(PROMPT_TOO_LONG)
    workflow_id = f"{WORKFLOW_ID_PREFIX}{uuid.uuid4()}"

    async def start() -> WorkflowHandle[GenerateReportWorkflow, str]:
        return await client.start_workflow(
            GenerateReportWorkflow.run,
            GenerateReportInput(prompt),
            id=workflow_id,
            task_queue=TASK_QUEUE,
            static_summary=reports.summarize(prompt),
            # If the reply to the first request is lost, the retry finds the report it started.
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )

    try:
        handle = await retry_until_answered(client, partial(with_payloads, start), screen.say)
    except (RefusedError, RPCError, asyncio.CancelledError):
        if not topic:  # on the command line, it is in the shell's history
            screen.say_unwrapped(f"The report was not started. Your topic was: {prompt}")
        raise
    screen.say_unwrapped(
        f"Started workflow. Workflow ID: {handle.id}, RunID {handle.result_run_id}"
    )
    return workflow_id


# The requests to a report. Handles name no run, because a report may be reset or continue as new.
# Each raises RPCError, and each Query WorkflowQueryFailedError if the Workflow cannot answer it.


async def query_research_result(client: Client, workflow_id: str) -> str:
    """Returns the current draft, or "" before the first."""
    handle = client.get_workflow_handle(workflow_id)
    return await handle.query(GenerateReportWorkflow.get_research_result, rpc_timeout=DRAFT_TIMEOUT)


async def query_earlier_draft(client: Client, workflow_id: str) -> str:
    """Returns the draft that UNDO would bring back, or "" if there is none."""
    handle = client.get_workflow_handle(workflow_id)
    return await handle.query(GenerateReportWorkflow.get_earlier_draft, rpc_timeout=DRAFT_TIMEOUT)


async def query_report_status(
    client: Client, workflow_id: str, rpc_timeout: timedelta = STATUS_TIMEOUT
) -> ReportStatus:
    """Returns the phase, the current draft and what went wrong, if anything."""
    handle = client.get_workflow_handle(workflow_id)
    return await handle.query(GenerateReportWorkflow.get_report_status, rpc_timeout=rpc_timeout)


async def send_user_decision_signal(
    client: Client, workflow_id: str, decision: UserDecisionSignal
) -> None:
    """Sends a decision. The report's status says later whether it counted."""
    handle = client.get_workflow_handle(workflow_id)
    await handle.signal(GenerateReportWorkflow.user_decision_signal, decision)


async def cancel_report(client: Client, workflow_id: str) -> None:
    """Asks Temporal to cancel the report, which ends when a Worker has stopped its call."""
    handle = client.get_workflow_handle(workflow_id)
    await handle.cancel()


async def wait_for_result(client: Client, workflow_id: str) -> str:
    """Waits for the report's end and returns the sentence that the Workflow returned.

    Raises WorkflowFailureError if the report failed, timed out, was cancelled or was terminated.
    """
    handle = client.get_workflow_handle_for(GenerateReportWorkflow.run, workflow_id)
    return await handle.result()


def open_report(client: Client, workflow_id: str) -> ReportHandle:
    """Returns the requests above, bound to one report. Sends nothing."""
    return ReportHandle(
        id=workflow_id,
        draft=partial(query_research_result, client, workflow_id),
        earlier_draft=partial(query_earlier_draft, client, workflow_id),
        status=partial(query_report_status, client, workflow_id),
        decide=partial(send_user_decision_signal, client, workflow_id),
        discard=partial(cancel_report, client, workflow_id),
        describe=partial(reports.describe_report, client, workflow_id),
        result=partial(wait_for_result, client, workflow_id),
    )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Research a topic, revise the draft, and keep it as a PDF.",
        epilog="""\
examples:
  uv run starter.py                          ask for a topic and start a report
  uv run starter.py "Why do cats purr?"      start a report on that topic
  uv run starter.py --local                  the same with a server and a Worker of its own
  uv run starter.py --list                   show the open reports, the newest first
  uv run starter.py --list --ended           show the ended reports and their PDFs
  uv run starter.py --resume                 come back to the latest open report
  uv run starter.py --workflow-id ID         come back to a report, open or ended
  uv run starter.py --discard ID             end an open report without a PDF
ID is a Workflow ID, or the short form that --list shows.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("prompt", nargs="*", default=[], metavar="PROMPT", help="the topic")
    what.add_argument("--workflow-id", metavar="ID", help="come back to this report")
    what.add_argument("--resume", action="store_true", help="come back to the latest open report")
    what.add_argument("--list", action="store_true", help="list the newest open reports")
    what.add_argument("--discard", metavar="ID", help="end this report without a PDF")
    parser.add_argument("--ended", action="store_true", help="with --list: reports that have ended")
    parser.add_argument("--all", action="store_true", help="with --list: all, not only the newest")
    parser.add_argument("--open", action="store_true", help="open the PDF when the report is done")
    parser.add_argument(
        "--local",
        action="store_true",
        help="start what is missing on this machine: Temporal's dev server, and a Worker",
    )
    arguments = parser.parse_args()
    if (arguments.ended or arguments.all) and not arguments.list:
        parser.error("--ended and --all go with --list")
    return arguments


if __name__ == "__main__":
    main()

"""What a report is doing, as far as the server knows without a Worker."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import (
    PendingActivityState,
    PendingWorkflowTaskState,
    TaskQueueType,
    TimeoutType,
)
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import (
    PendingActivityInfo,
    PendingWorkflowTaskInfo,
    WorkflowExecutionInfo,
)
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryReverseRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from beyond.report import explain_failure
from beyond.server.connection import limits_requests, note_refusal, was_away
from models import TASK_QUEUE, LiveDraft

DESCRIBE_TIMEOUT = timedelta(seconds=3)  # for a request that the server answers without a Worker
NO_WORKER = f'No Worker is polling Task Queue "{TASK_QUEUE}". Start one: uv run worker.py'
LIMITED = "Temporal limits the rate of requests, so the Worker may be slow."
WORKER_IS_SILENT = "A Worker may run, but none has answered in time. Try again."
NONE_OF_ITS_VERSION = (
    "The report needs version {0.build_id} of {0.deployment_name}, and no Worker of that version "
    "is polling. Start one."
)
NONE_IS_CURRENT = (
    "The Workers that poll have a version that is not the current one. Make it current: temporal "
    "worker deployment set-current-version --deployment-name {0.deployment_name} "
    "--build-id {0.build_id}"
)
STEPS = {"llm_call": "Researching", "create_pdf": "Creating the PDF"}  # by the Activity's name
# A Worker seems to be missing if none has claimed a task for this many polls and this many seconds.
# Polls alone would be too quick after a decision, and seconds alone if the server is slow.
UNTAKEN_POLLS, UNTAKEN_SECONDS = 5, 5
UNANSWERED_QUERIES = 2  # in a row, for the same conclusion; a busy Worker may miss one
# Then the starter asks the server. A Worker that polled within this time is not missing. (An idle
# one may have polled a minute ago, but the server would have handed it the task.)
POLLED_LATELY = timedelta(seconds=7)


def is_open(description: DescribeWorkflowExecutionResponse) -> bool:
    """Whether the report has not ended. A paused one is open, too."""
    status = description.workflow_execution_info.status
    return status == Status.WORKFLOW_EXECUTION_STATUS_RUNNING or is_paused(description)


def is_paused(description: DescribeWorkflowExecutionResponse) -> bool:
    """Whether somebody has paused the report, which then answers no Query.

    The SDK's enum of statuses lacks this one.
    """
    status = description.workflow_execution_info.status
    return status == Status.WORKFLOW_EXECUTION_STATUS_PAUSED


async def find_live_draft(
    client: Client, description: DescribeWorkflowExecutionResponse
) -> LiveDraft | None:
    """Returns what the model has written in the current attempt, or None."""
    for activity in description.pending_activities:
        started, heard = activity.last_started_time, activity.last_heartbeat_time
        # Until a new attempt sends a heartbeat, the server has the details of the one before.
        is_writing = (
            activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
            and heard.ToDatetime() > started.ToDatetime()
        )
        details = activity.heartbeat_details.payloads
        if is_writing and details and activity.activity_type.name == "llm_call":
            # Another program may have written the details, or a codec may fail. Both only cost the
            # live draft; the finished one still arrives.
            with suppress(Exception):
                live: list[LiveDraft] = await client.data_converter.decode(details, [LiveDraft])
                return live[0]
    return None


async def explain_missing_worker(client: Client, info: WorkflowExecutionInfo) -> str:
    """Returns which Worker the report waits for, and how to start it.

    Returns "" if such a Worker polls, or if nobody can tell because the server limits requests,
    does not answer or was away a moment ago. With Worker Versioning, not every Worker will do.
    `info` is the report's, from its description.
    """
    if limits_requests(client) or was_away(client):
        return ""
    service = client.workflow_service
    # The server gives this request the low priority of a Worker's polls, and refuses it with them.
    probe = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace, execution=info.execution, maximum_page_size=1
    )
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=TASK_QUEUE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        await service.get_workflow_execution_history_reverse(probe, timeout=DESCRIBE_TIMEOUT)
        queue = await service.describe_task_queue(request, timeout=DESCRIBE_TIMEOUT)
    except RPCError as error:
        if error.status == RPCStatusCode.RESOURCE_EXHAUSTED:
            note_refusal(client)
            return LIMITED
        # A key may lack the permission to look.
        return NO_WORKER if error.status == RPCStatusCode.PERMISSION_DENIED else ""
    wanted = info.versioning_info.deployment_version
    if not wanted.build_id:
        wanted = queue.versioning_info.current_deployment_version
    lately = datetime.now(UTC) - POLLED_LATELY
    if wanted.build_id in (
        poller.deployment_options.build_id
        for poller in queue.pollers
        if poller.last_access_time.ToDatetime(UTC) > lately
    ):
        return ""
    if wanted.build_id:
        return NONE_OF_ITS_VERSION.format(wanted)
    others = [one.deployment_options for one in queue.pollers if one.deployment_options.build_id]
    return NONE_IS_CURRENT.format(others[0]) if others else NO_WORKER


class Progress:
    """The step in progress: what it is, since when, and why it is being retried."""

    def __init__(self) -> None:
        self.is_paused = False
        self.info = WorkflowExecutionInfo()
        self._unanswered_queries = 0
        self._untaken_polls, self._taken_at = 0, time.monotonic()
        self.restart()

    def restart(self) -> None:
        """Counts the seconds from now, because a person has decided and a new step begins."""
        self._activity, self._task = PendingActivityInfo(), PendingWorkflowTaskInfo()
        self._step = "", False
        self.live_draft: LiveDraft | None = None
        self._since = time.monotonic()

    def update(
        self, description: DescribeWorkflowExecutionResponse, live_draft: LiveDraft | None = None
    ) -> None:
        """Takes in one poll: the server's description of the report, and its live draft, if any."""
        self.live_draft = live_draft
        activities = description.pending_activities
        activity = activities[0] if activities else PendingActivityInfo()
        task = description.pending_workflow_task
        self.is_paused = is_paused(description)
        self.info = description.workflow_execution_info
        step = activity.activity_id, bool(task.state)
        if step != self._step:
            self._step, self._since = step, time.monotonic()
        self._activity, self._task = activity, task
        # An Activity between two attempts waits for its backoff, not for a Worker.
        due = not activity.HasField("next_attempt_schedule_time")
        untaken = task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED or (
            due and activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
        )
        if self.is_paused:
            return  # a paused report has no task, which says nothing about its Worker
        if untaken:
            self._untaken_polls += 1
        else:
            self._untaken_polls, self._taken_at = 0, time.monotonic()

    def note_query(self, *, answered: bool) -> None:
        """Notes whether a Worker answered a Query.

        While a report waits for its person, it has no task, so only a Query shows that no Worker
        runs.
        """
        self._unanswered_queries = 0 if answered else self._unanswered_queries + 1

    @property
    def worker_is_missing(self) -> bool:
        """Whether no Worker seems to run, after several polls. `explain_missing_worker` checks."""
        for_long = time.monotonic() - self._taken_at >= UNTAKEN_SECONDS
        is_untaken = for_long and self._untaken_polls >= UNTAKEN_POLLS
        # Queries also stay unanswered while a Workflow Task fails, but then there is a Worker.
        is_silent = self._unanswered_queries >= UNANSWERED_QUERIES and self._task.attempt < 2
        return is_untaken or is_silent

    @property
    def task_is_untaken(self) -> bool:
        """Whether, at the last poll, no Worker had claimed a task that was due."""
        return self._untaken_polls > 0

    @property
    def is_writing(self) -> bool:
        """Whether the model is writing a draft that a STOP would stop."""
        is_stopping = PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
        activity = self._activity
        return activity.activity_type.name == "llm_call" and activity.state != is_stopping

    @property
    def failure(self) -> str:
        """Why the step in progress is being retried, or ""."""
        if self._workflow_fails:
            return "the Workflow fails: see the Worker's log"
        failure = self._activity.last_failure
        if failure.timeout_failure_info.timeout_type == TimeoutType.TIMEOUT_TYPE_HEARTBEAT:
            return "the last attempt lost contact"
        return explain_failure(failure.application_failure_info.type, failure.message)

    @property
    def _workflow_fails(self) -> bool:
        return self._task.attempt > 2  # the second may follow the loss of a Worker

    def line(self) -> str:
        """Returns a line such as:

        Researching… 9 s, 31 words (attempt 3, openai/gpt-4o: busy, next try in 4 s)
        """
        activity = self._activity
        step = STEPS.get(activity.activity_type.name, "Waiting for the Worker")
        live = self.live_draft or LiveDraft()
        if live.thinking:
            step = "Thinking"
        if self.is_paused or activity.paused:
            step = f"{step}, paused"
        line = f"{step}… {time.monotonic() - self._since:.0f} s"
        if live.words:
            line += f", {live.words:,} word{'s' if live.words > 1 else ''}"
        if not self.failure:
            return line
        failing = self._task if self._workflow_fails else activity
        retry = f"attempt {failing.attempt}, {self.failure}"
        if activity.HasField("next_attempt_schedule_time"):
            due = activity.next_attempt_schedule_time.ToDatetime(UTC)
            wait = max((due - datetime.now(UTC)).total_seconds(), 0)
            retry += f", next try in {wait:.0f} s" if wait >= 1 else ", next try now"
        return f"{line} ({retry})"

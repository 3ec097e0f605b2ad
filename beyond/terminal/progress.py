"""What a report is doing, as far as the server knows it without asking a Worker."""

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
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from beyond.report import explain_failure
from models import TASK_QUEUE, LiveDraft

DESCRIBE_TIMEOUT = timedelta(seconds=3)
NO_WORKER = f'No Worker is polling Task Queue "{TASK_QUEUE}". Start one: uv run worker.py'
LIMITED = "Temporal limits the rate of requests, so the Worker may be slow."
NONE_OF_ITS_VERSION = (
    "No Worker of version {0.build_id} of {0.deployment_name} is polling, and the report is pinned "
    "to that version. Start one."
)
NONE_IS_CURRENT = (
    "The Workers that poll have a version that is not the current one. Make it so: temporal worker "
    "deployment set-current-version --deployment-name {0.deployment_name} --build-id {0.build_id}"
)
STEPS = {"llm_call": "Researching", "create_pdf": "Creating the PDF"}  # by the Activity's name
# No Worker is running if a task stayed unclaimed for this many polls and seconds: the polls after a
# decision are quick, and those of a slow server are few.
UNTAKEN_POLLS, UNTAKEN_SECONDS = 5, 5
UNANSWERED_QUERIES = 2  # in a row; a busy Worker may miss one


def is_open(description: DescribeWorkflowExecutionResponse) -> bool:
    status = description.workflow_execution_info.status
    return status == Status.WORKFLOW_EXECUTION_STATUS_RUNNING or is_paused(description)


def is_paused(description: DescribeWorkflowExecutionResponse) -> bool:
    """Such a report answers no Query. The SDK has no name for its status."""
    status = description.workflow_execution_info.status
    return status == Status.WORKFLOW_EXECUTION_STATUS_PAUSED


async def find_live_draft(
    client: Client, description: DescribeWorkflowExecutionResponse
) -> LiveDraft | None:
    """Returns what the attempt in progress has written, or None."""
    for activity in description.pending_activities:
        started, heard = activity.last_started_time, activity.last_heartbeat_time
        # The server keeps the details of the attempt before.
        is_writing = (
            activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
            and heard.ToDatetime() > started.ToDatetime()
        )
        details = activity.heartbeat_details.payloads
        if is_writing and details and activity.activity_type.name == "llm_call":
            # It may be another program's, or a codec may fail: the draft itself comes later.
            with suppress(Exception):
                live: list[LiveDraft] = await client.data_converter.decode(details, [LiveDraft])
                return live[0]
    return None


async def explain_missing_worker(client: Client, info: WorkflowExecutionInfo) -> str:
    """Says which Worker the report waits for. With Worker Versioning, it is not just any."""
    pinned = info.versioning_info.deployment_version
    if pinned.build_id:
        return NONE_OF_ITS_VERSION.format(pinned)
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=TASK_QUEUE),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        queue = await client.workflow_service.describe_task_queue(request, timeout=DESCRIBE_TIMEOUT)
    except RPCError as error:  # of a server that does not tell
        return LIMITED if error.status == RPCStatusCode.RESOURCE_EXHAUSTED else NO_WORKER
    polling = [poller.deployment_options for poller in queue.pollers]
    current = queue.versioning_info.current_deployment_version.build_id
    if polling and polling[0].build_id and not current:
        return NONE_IS_CURRENT.format(polling[0])
    return NO_WORKER


class Progress:
    """The step in progress, for how long, and why it is being retried."""

    def __init__(self) -> None:
        self.is_paused = False
        self.info = WorkflowExecutionInfo()
        self._unanswered_queries = 0
        self._untaken_polls, self._taken_at = 0, time.monotonic()
        self.restart()

    def restart(self) -> None:
        """Counts from now on: a person has decided, and the next step is to come."""
        self._activity, self._task = PendingActivityInfo(), PendingWorkflowTaskInfo()
        self._step = "", False
        self.live_draft: LiveDraft | None = None
        self._since = time.monotonic()

    def update(
        self, description: DescribeWorkflowExecutionResponse, live_draft: LiveDraft | None = None
    ) -> None:
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
        # One that is being retried waits for its time, not for a Worker.
        due = not activity.HasField("next_attempt_schedule_time")
        untaken = task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED or (
            due and activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
        )
        if untaken and not self.is_paused:
            self._untaken_polls += 1
        else:
            self._untaken_polls, self._taken_at = 0, time.monotonic()

    def note_query(self, *, answered: bool) -> None:
        """A report that waits has no task that a Worker could take: only a Query tells."""
        self._unanswered_queries = 0 if answered else self._unanswered_queries + 1

    @property
    def worker_is_missing(self) -> bool:
        for_long = time.monotonic() - self._taken_at >= UNTAKEN_SECONDS
        is_untaken = for_long and self._untaken_polls >= UNTAKEN_POLLS
        # A Workflow Task that fails leaves Queries unanswered, too, but it has a Worker.
        is_silent = self._unanswered_queries >= UNANSWERED_QUERIES and self._task.attempt < 2
        return is_untaken or is_silent

    @property
    def task_is_untaken(self) -> bool:
        return self._untaken_polls > 0

    @property
    def is_writing(self) -> bool:
        """Whether a draft is being written that a STOP would stop."""
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
            return "the Worker of the last attempt is gone"
        return explain_failure(failure.application_failure_info.type, failure.message)

    @property
    def _workflow_fails(self) -> bool:
        return self._task.attempt > 2  # the second may follow the loss of a Worker

    def line(self) -> str:
        """Such as: Researching… 9 s, 31 words (attempt 3, openai/gpt-4o: busy, next try in 4 s)"""
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

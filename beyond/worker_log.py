"""The Worker's log: one line for each event, with the report that it is about."""

import asyncio
import logging

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.runtime import LoggingConfig

from beyond.printable import printable

# During an outage, the SDK logs a dozen lines a second. The Worker logs one line of its own.
SDK_LOG = LoggingConfig(
    filter="warn,temporalio_client=off,temporalio_sdk_core::worker::activities=error"
)


def set_up_logging() -> None:
    """Sends the Worker's log to stderr, with fewer lines from libraries."""
    handler = logging.StreamHandler()
    handler.setFormatter(_PrintableFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("httpx", "LiteLLM", "temporalio.worker"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    activity.logger.activity_info_on_message = workflow.logger.workflow_info_on_message = False
    for name in ("temporalio.activity", "temporalio.workflow"):
        logging.getLogger(name).addFilter(_log_in_one_line)


class _PrintableFormatter(logging.Formatter):
    """A provider's words and a Workflow ID may contain characters that redraw the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _log_in_one_line(record: logging.LogRecord) -> bool:
    """Names the report and the Activity, and logs expected failures without a traceback."""
    told = record.getMessage()
    error = record.exc_info and record.exc_info[1]
    if isinstance(error, ApplicationError | CancelledError | asyncio.CancelledError):
        told = f"{told}: {str(error) or 'cancelled'}"
        record.exc_info = None
    if step := getattr(record, "temporal_activity", None):
        told = f"{step['workflow_id']}: {step['activity_type']}, attempt {step['attempt']}: {told}"
    elif report := getattr(record, "temporal_workflow", None):
        told = f"{report['workflow_id']}: {told}"
    record.msg, record.args = " ".join(told.split()), ()
    return True

"""How much a run of the Workflow may put into its Event History."""

from typing import Any

from beyond.report.state import json_size

# A report continues as new after this many Signals and Activities, or this many bytes of them. Each
# adds at most 6 events to the history, which makes 12,000 and 8 MB, and the last step at most 4 MB
# more. Temporal ends a Workflow at 51,200 events or 50 MB.
CONTINUE_AFTER = 2_000
CONTINUE_AFTER_BYTES = 8_000_000


class RunSize:
    """Counts what a run has put into its Event History.

    The Workflow counts for itself: whether the server suggests to continue as new can differ
    between a run and its replay.
    """

    def __init__(self) -> None:
        self._steps = self._bytes = 0

    def add_step(self, payload: Any) -> None:
        """Counts a Signal, or an Activity by what it gets."""
        self._steps += 1
        self._bytes += json_size(payload)

    def add_result(self, payload: Any) -> None:
        """Counts what an Activity returns."""
        self._bytes += json_size(payload)

    def is_large(self) -> bool:
        """Whether the report is to go on in a new run."""
        return self._steps >= CONTINUE_AFTER or self._bytes >= CONTINUE_AFTER_BYTES

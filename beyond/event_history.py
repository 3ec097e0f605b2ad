"""Decides when a report continues as new, by what its run has put into the Event History."""

from typing import Any

from beyond.report.state import json_size

# A report continues as new after this many Signals and Activities, or this many bytes in them. Each
# adds at most 6 events to the history, so a run has at most 12,000 events and 8 MB. Its last step
# adds at most 4 MB more. Temporal terminates a Workflow at 51,200 events or 50 MB.
CONTINUE_AFTER = 2_000
CONTINUE_AFTER_BYTES = 8_000_000


class RunSize:
    """Counts what a run has put into its Event History.

    The Workflow counts by itself, because whether the server suggests continuing as new can differ
    between a run and its replay.
    """

    def __init__(self) -> None:
        self._steps = self._bytes = 0

    def add_step(self, payload: Any) -> None:
        """Counts a Signal or an Activity, and the bytes of its argument."""
        self._steps += 1
        self._bytes += json_size(payload)

    def add_result(self, payload: Any) -> None:
        """Counts the bytes of an Activity's result."""
        self._bytes += json_size(payload)

    def is_large(self) -> bool:
        """Whether the report should continue as new."""
        return self._steps >= CONTINUE_AFTER or self._bytes >= CONTINUE_AFTER_BYTES

"""What one run of the Workflow passes to the next when a long report continues as new.

These types are payloads, too: a new field needs a default, and a field is never renamed.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from models import UserDecisionSignal

STALE = -1  # the draft number that marks a stale decision in the next run's input


@dataclass
class EarlierDraft:
    """A draft that UNDO can bring back, with the prompt that it answers."""

    text: str
    prompt: str
    number: int = 0  # 0 if an older Worker, which kept no numbers, remembered the draft


@dataclass
class ReportState:
    """A report's state between two decisions. Only the next run's input has `decisions`."""

    prompt: str  # the topic and the instructions that the current draft answers
    draft: str = ""
    number: int = 0  # of the current draft
    error: str = ""
    refusal: str = ""  # of the last decision that did not count
    decisions: list[UserDecisionSignal] = field(default_factory=list)  # the oldest first
    earlier: list[EarlierDraft] = field(default_factory=list)  # the latest last
    topic_refused: bool = False
    origin: str = ""  # which decision led to the current draft, in a sentence


@dataclass
class ContinuedReport:
    """The Workflow's input when it continues as new.

    It has a type of its own, so that the input of a new report stays the tutorial's.
    """

    prompt: str
    carried: ReportState


@dataclass
class QueuedDecision:
    """A decision that waits for its turn.

    It is stale if its sender could not know what happened since: an EDIT, or a KEEP without a
    number, that was queued before a failure; or a decision for a draft that a reset has removed.
    """

    decision: UserDecisionSignal
    is_stale: bool = False

    @cached_property
    def size(self) -> int:
        """The payload's size in bytes, cached because a long report asks after every event."""
        return json_size(self.decision)


def pack_decisions(queue: Iterable[QueuedDecision]) -> list[UserDecisionSignal]:
    """Returns the queue as payloads for the next run, with stale decisions marked by `STALE`."""
    return [
        replace(queued.decision, draft=STALE) if queued.is_stale else queued.decision
        for queued in queue
    ]


def unpack_decisions(carried: Iterable[UserDecisionSignal]) -> list[QueuedDecision]:
    """Returns the queue that `pack_decisions` packed."""
    return [
        QueuedDecision(replace(decision, draft=0), is_stale=True)
        if decision.draft == STALE
        else QueuedDecision(decision)
        for decision in carried
    ]


def json_size(payload: Any) -> int:
    """Returns the size of a payload in bytes, as the JSON in ASCII that Temporal stores."""
    return len(json.dumps(payload, default=asdict))

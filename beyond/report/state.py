"""What one run of the Workflow hands to the next when a long report continues as new.

These types are payloads, too: a new field needs a default, and a field is never renamed.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from models import UserDecisionSignal

STALE = -1  # the number with which a stale decision is carried; no draft has it


@dataclass
class EarlierDraft:
    """What UNDO goes back to: a text, and the prompt that it answers."""

    text: str
    prompt: str
    number: int = 0  # unknown of drafts that an older Worker remembered


@dataclass
class ReportState:
    """What a report knows between two decisions. `decisions` is filled only to be carried."""

    prompt: str  # the topic and the instructions that the current draft answers
    draft: str = ""
    number: int = 0  # of the current draft
    error: str = ""
    refusal: str = ""  # of the last decision that did not count
    decisions: list[UserDecisionSignal] = field(default_factory=list)  # the oldest first
    earlier: list[EarlierDraft] = field(default_factory=list)  # the latest last
    topic_refused: bool = False
    origin: str = ""  # of the current draft, as the status tells it


@dataclass
class ContinuedReport:
    """The Workflow's input when it continues as new.

    A type of its own, so that the input of a new report stays what the tutorial says.
    """

    prompt: str
    carried: ReportState


@dataclass
class QueuedDecision:
    """A decision that waits for its turn.

    A stale one is an EDIT, or a KEEP without a number, that was sent before a failure of which its
    sender could not know; or one on a draft that a reset has taken back.
    """

    decision: UserDecisionSignal
    is_stale: bool = False

    def __post_init__(self) -> None:
        self.size = json_size(self.decision)  # bytes


def pack_decisions(queue: Iterable[QueuedDecision]) -> list[UserDecisionSignal]:
    return [
        replace(queued.decision, draft=STALE) if queued.is_stale else queued.decision
        for queued in queue
    ]


def unpack_decisions(carried: Iterable[UserDecisionSignal]) -> list[QueuedDecision]:
    return [
        QueuedDecision(replace(decision, draft=0), is_stale=True)
        if decision.draft == STALE
        else QueuedDecision(decision)
        for decision in carried
    ]


def json_size(payload: Any) -> int:
    """The bytes of a payload as JSON, which Temporal writes in ASCII."""
    return len(json.dumps(payload, default=asdict))

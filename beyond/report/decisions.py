"""Which decisions count, and what the person is told of one that does not."""

from models import ReportState, UserDecision, UserDecisionSignal

# The number that an EDIT, or a KEEP without one, gets if the call before it fails. No draft has it.
BEHIND_A_FAILURE = -1

NO_DRAFT = "There is no draft to keep yet."
NO_EARLIER_DRAFT = "There is no earlier draft to go back to."
KEPT_BEHIND_A_FAILURE = "The draft was not kept: the EDIT before the KEEP failed."


def is_edit(decision: UserDecisionSignal) -> bool:
    return decision.decision == UserDecision.EDIT


def explain_refusal(decision: UserDecisionSignal, state: ReportState) -> str:
    """Why a KEEP or an UNDO does not count for the current draft, or "" if it counts."""
    keeps = decision.decision == UserDecision.KEEP
    if not state.number:
        return NO_DRAFT if keeps else NO_EARLIER_DRAFT
    if decision.draft == BEHIND_A_FAILURE:
        return KEPT_BEHIND_A_FAILURE
    if decision.draft not in (0, state.number):
        done = "kept" if keeps else "undone"
        return f"Draft {decision.draft} was not {done}: draft {state.number} is the current one."
    if not keeps and not state.earlier:
        return NO_EARLIER_DRAFT
    return ""


def explain_late(decision: UserDecisionSignal, number: int) -> str:
    """Why a decision after the approval does not count. "" for a KEEP: it asks for nothing new."""
    if decision.decision == UserDecision.KEEP:
        return ""
    return f"The {decision.decision} did not count: draft {number} was already approved."

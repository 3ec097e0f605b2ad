"""The decisions that wait for the Workflow.

Thousands may arrive at once, and the SDK stops a Workflow that runs for two seconds: nothing here
looks through all of them for each one.
"""

from models import (
    NO_DRAFT,
    NO_EARLIER_DRAFT,
    ReportState,
    UserDecision,
    UserDecisionSignal,
    digest_of,
)


class DecisionQueue:
    """The decisions of a report, in its state, oldest first."""

    def __init__(self, report: ReportState) -> None:
        self._report = report
        self._change_waits = False
        self._note_changes()

    def add(self, decision: UserDecisionSignal, *, draft_is_coming: bool) -> None:
        """Without a number, it is about the draft that is the current one when its turn comes."""
        changes = self._change_waits
        decision.draft = decision.draft or self._report.number + draft_is_coming + changes
        self._report.decisions.append(decision)
        self._change_waits = changes or _changes_the_draft(decision)

    def next(self) -> UserDecision | None:
        """Takes the next KEEP or UNDO that counts, or tells that an EDIT is next. None: no more.

        The others are passed over, and the state says why the last of them did not count.
        """
        report = self._report
        digest = digest_of(report.draft)
        passed = 0
        result: UserDecision | None = None
        for decision in report.decisions:
            if decision.decision == UserDecision.EDIT:
                result = decision.decision
                break
            passed += 1
            refusal = self._refusal(decision, digest)
            if not refusal:
                result = decision.decision
                break
            report.refusal = refusal
        del report.decisions[:passed]
        self._note_changes()
        return result

    def take_edits(self) -> list[UserDecisionSignal]:
        """Takes the EDITs up to a KEEP or an UNDO of the draft that they make."""
        edits: list[UserDecisionSignal] = []
        left: list[UserDecisionSignal] = []
        waiting = iter(self._report.decisions)
        for decision in waiting:
            if decision.decision == UserDecision.EDIT:
                edits.append(decision)
            else:
                left.append(decision)
                if decision.draft > self._report.number:
                    break
        self._report.decisions = [*left, *waiting]
        self._note_changes()
        return edits

    def approve(self) -> None:
        """The current draft is approved: what waits behind the KEEP comes too late."""
        for decision in self._report.decisions:
            self.refuse_late(decision)
        self._report.decisions.clear()
        self._note_changes()

    def refuse_late(self, decision: UserDecisionSignal) -> None:
        """The state says so of what would change the draft. Another KEEP asks for nothing."""
        if _changes_the_draft(decision):
            self._report.refusal = (
                f"The {decision.decision} did not count: "
                f"draft {self._report.number} was already approved."
            )

    def _note_changes(self) -> None:
        self._change_waits = any(map(_changes_the_draft, self._report.decisions))

    def _refusal(self, decision: UserDecisionSignal, digest: str) -> str:
        """Why a KEEP or an UNDO does not count, or ""."""
        number = self._report.number
        is_keep = decision.decision == UserDecision.KEEP
        if not number:
            return NO_DRAFT if is_keep else NO_EARLIER_DRAFT
        refused = f"Draft {decision.draft} was not {'kept' if is_keep else 'undone'}:"
        if decision.draft != number:
            return f"{refused} draft {number} is the current one."
        if decision.digest not in ("", digest):
            return f"{refused} its text is not the one that was read."
        if not is_keep and not self._report.earlier:
            return NO_EARLIER_DRAFT
        return ""


def _changes_the_draft(decision: UserDecisionSignal) -> bool:
    return decision.decision in (UserDecision.EDIT, UserDecision.UNDO)

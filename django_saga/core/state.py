"""The state of a saga as the machine sees it: what folding its history gives.

A step that a worker owns is ``scheduled`` (or ``undo_scheduled``) here: claims are leases, kept on the row,
and not events.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django_saga.core.states import CLAIMABLE_STEP, Outcome, SagaStatus, StepStatus

# Why a saga that went forward to its end did not go the usual way.
SKIPPED_OVER = "step skipped"
STOOD_IN = "alternate taken"
FORWARD_REASONS = frozenset({SKIPPED_OVER, STOOD_IN})
PAST_PIVOT = "failed past the pivot"
# Why a saga ended that another one goes on in place of.
FORKED = "forked"
# Why a step in doubt is open again: not to be tried, but to find out how it ended.
PROBING = "being probed"
# Why a step is open whose function is not to run yet: its condition is asked first.
ASKING = "asking its condition"
# Why a step was passed over: its condition said that it is not to run.
OMITTED = "condition not met"
# Why a step counts as undone though its compensation was dead: a person said so.
UNDO_SKIPPED = "compensation skipped"


class StepState(NamedTuple):
    """One step. ``attempt`` and ``crashes`` count within the phase: a compensation starts again at 0.

    ``partial``: the step failed and handed over partial work. ``due_at``: when it may be claimed; None at
    rest.
    """

    name: str
    status: StepStatus
    attempt: int = 0
    crashes: int = 0
    outcome: Outcome = Outcome.NONE
    partial: bool = False
    due_at: datetime | None = None
    deadline_at: datetime | None = None
    reason: str = ""

    @property
    def undoing(self) -> bool:
        """True when the open attempt is one of the compensation."""
        return self.status is StepStatus.UNDO_SCHEDULED

    @property
    def is_open(self) -> bool:
        """True while an outcome of the step may arrive."""
        return self.status in CLAIMABLE_STEP

    @property
    def probing(self) -> bool:
        """True while the open attempt is one of the probe."""
        return self.reason == PROBING and self.status is StepStatus.SCHEDULED

    @property
    def asking(self) -> bool:
        """True while the open attempt is one of the condition: the step's function never began."""
        return self.reason == ASKING and self.status is StepStatus.SCHEDULED

    @property
    def omitted(self) -> bool:
        """True for a step that the saga went past as its condition said."""
        return self.reason == OMITTED and self.status is StepStatus.SKIPPED

    @property
    def is_dead(self) -> bool:
        """True for a forward step that ended without success: past the pivot it holds the saga up."""
        return self.status is StepStatus.FAILED or self.status is StepStatus.UNKNOWN

    def begin_probe(self, now: datetime) -> StepState:
        """Open the probe."""
        status = StepStatus.SCHEDULED
        return StepState(self.name, status, outcome=self.outcome, due_at=now, reason=PROBING)

    def begin_undo(self, now: datetime) -> StepState:
        """Open the compensation."""
        status = StepStatus.UNDO_SCHEDULED
        return StepState(self.name, status, outcome=self.outcome, partial=self.partial, due_at=now)


class SagaState(NamedTuple):
    """A saga: its status, why it turned back (``reason``, ``culprit`` the step), and its steps by name.

    ``paused`` is a flag beside the status: nothing new of the saga is begun while it is set.
    ``steps`` holds what was ever opened, or, for an event that needs no more, what ``machine.reads`` names.
    """

    status: SagaStatus
    steps: Mapping[str, StepState]
    reason: str = ""
    culprit: str = ""
    deadline_at: datetime | None = None
    paused: bool = False

    @property
    def failing(self) -> bool:
        """True once a step failed for good and other branches go on all the same."""
        return is_failing(self.status, self.reason)


def is_failing(status: SagaStatus, reason: str) -> bool:
    """True for the status and reason of a saga that still runs though a step of it failed for good."""
    return bool(reason) and status is SagaStatus.RUNNING and reason not in FORWARD_REASONS

"""The states of sagas and steps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class SagaStatus(StrEnum):
    """Where a saga stands."""

    PENDING = "pending"  # its first step is not due yet, or it waits for its locks
    RUNNING = "running"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    STUCK = "stuck"  # a compensation is dead, or a step past the pivot: a person is needed
    SUPERSEDED = "superseded"

    @property
    def is_terminal(self) -> bool:
        """True when nothing changes the saga any more, unless the saga that started it is undone."""
        return self in TERMINAL_SAGA

    @property
    def is_live(self) -> bool:
        """True while a worker may have something to do for the saga."""
        return self in LIVE_SAGA


class StepStatus(StrEnum):
    """Where a step stands, its compensation included: one row carries both."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"  # the last attempt may or may not have had its effect
    UNDO_SCHEDULED = "undo_scheduled"
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"
    SKIPPED = "skipped"


class Outcome(StrEnum):
    """What is known of a step's forward effect."""

    NONE = ""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class FailurePolicy(StrEnum):
    """What becomes of the other branches when a step failed for good.

    ``FAIL_FAST_WITH_GRACE`` has a length of time: ``FailurePolicy.FAIL_FAST_WITH_GRACE(30)``.
    """

    FAIL_FAST = "fail_fast"  # the saga turns back at once; what is in flight is undone when it has ended
    WAIT_ALL = "wait_all"  # the others go on to their ends first, steps not yet begun included
    FAIL_FAST_WITH_GRACE = "fail_fast_with_grace"  # the others may go on for some time

    def __call__(self, period: float | timedelta) -> Grace:
        """Give the policy with its time, in seconds or a ``timedelta``."""
        if self is not FailurePolicy.FAIL_FAST_WITH_GRACE:
            raise TypeError(f"FailurePolicy.{self.name} takes no time")
        return Grace(period if isinstance(period, timedelta) else timedelta(seconds=period))


@dataclass(frozen=True, slots=True)
class Grace:
    """How long other branches may go on after a failure."""

    period: timedelta


class CompensationPolicy(StrEnum):
    """What becomes of the other compensations when one is dead. The saga ends stuck in any case."""

    CONTINUE = "continue"  # all others are run
    STOP = "stop"  # those whose turn has come are run, no further ones until none is dead any more
    SKIP_DEPENDENTS = "skip_dependents"  # those that would follow it wait for it; other branches are undone


class ForwardRecovery(StrEnum):
    """What becomes of a saga when a step past its pivot failed for good: there is no way back.

    ``ALTERNATE`` names the step to run instead: ``ForwardRecovery.ALTERNATE(ship_by_post)``.
    """

    MANUAL = "manual"  # it waits for a person
    RETRY = "retry"  # the step is tried for ever, at the longest wait of its policy in the end
    ALTERNATE = "alternate"  # another step stands in for it
    SKIP = "skip"  # the saga goes on without it
    COMPENSATE = "compensate"  # the saga turns back in spite of the pivot

    def __call__(self, step: object) -> Alternate:
        """Give the policy with the step, or its name, that stands in."""
        if self is not ForwardRecovery.ALTERNATE:
            raise TypeError(f"ForwardRecovery.{self.name} takes no step")
        return Alternate(step)


@dataclass(frozen=True, slots=True)
class Alternate:
    """A step, or its name, that stands in for one that failed for good."""

    step: object


class Probe(StrEnum):
    """What a probe found out of an attempt nobody knew the end of.

    ``HAPPENED`` may bring the step's result: ``Probe.HAPPENED({"charge_id": "c-1"})``.
    """

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did not happen"
    CANNOT_TELL = "cannot tell"

    def __call__(self, result: object) -> Happened:
        """Give the answer with the result the step would have returned."""
        if self is not Probe.HAPPENED:
            raise TypeError(f"Probe.{self.name} takes no result")
        return Happened(result)


@dataclass(frozen=True, slots=True)
class Happened:
    """The effect is there, and this is its result."""

    result: object


class LockPolicy(StrEnum):
    """What becomes of a saga when another one holds a lock that it asks for, or asked for it before."""

    REFUSE = "refuse"  # it is not started: ``start()`` raises ``TargetLocked``
    WAIT = "wait"  # it begins when it has all its locks, in the order in which sagas asked


class OnTimeout(StrEnum):
    """What becomes of a step when the time is up in which what it waits for should have come.

    ``GO_ON`` may bring the step's result: ``OnTimeout.GO_ON({"paid": False})``.
    """

    FAIL = "fail"  # it fails for good
    GO_ON = "go_on"  # it counts as done

    def __call__(self, result: object) -> GoOn:
        """Give the policy with the result the step has then."""
        if self is not OnTimeout.GO_ON:
            raise TypeError(f"OnTimeout.{self.name} takes no result")
        return GoOn(result)


@dataclass(frozen=True, slots=True)
class GoOn:
    """The step counts as done, with this result."""

    result: object


TERMINAL_SAGA = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.SUPERSEDED})
LIVE_SAGA = frozenset({SagaStatus.PENDING, SagaStatus.RUNNING, SagaStatus.COMPENSATING})
# A live step's row has an alarm; every other row is at rest and out of the claim's index.
LIVE_STEP = frozenset(
    {
        StepStatus.SCHEDULED,
        StepStatus.RUNNING,
        StepStatus.WAITING,
        StepStatus.UNDO_SCHEDULED,
        StepStatus.UNDOING,
    }
)
CLAIMABLE_STEP = frozenset({StepStatus.SCHEDULED, StepStatus.WAITING, StepStatus.UNDO_SCHEDULED})
OWNED_STEP = frozenset({StepStatus.RUNNING, StepStatus.UNDOING})

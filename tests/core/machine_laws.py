"""The machine's laws: what must hold after every event, whatever happened before.

They are checked against a ledger of their own, which is fed the same events as the machine and knows nothing
of its rules: which effect each step has or may have, whether it was undone, what its open tries cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from django_saga.core.definition import SagaDefinition
from django_saga.core.events import (
    Cause,
    Event,
    StepEvent,
    StepFailed,
    StepNotStarted,
    StepSucceeded,
    StepUnknown,
    StepWaits,
    UndoRetried,
    UndoSkipped,
)
from django_saga.core.state import SagaState, StepState
from django_saga.core.states import CompensationPolicy, FailurePolicy, SagaStatus, StepStatus

FORWARD = (SagaStatus.PENDING, SagaStatus.RUNNING)
TURNED = (SagaStatus.COMPENSATING, SagaStatus.COMPENSATED, SagaStatus.STUCK)
AHEAD = (StepStatus.SCHEDULED, StepStatus.WAITING)
OPEN = (*AHEAD, StepStatus.UNDO_SCHEDULED)


class Mark(NamedTuple):
    """What is known of a step from the events alone.

    ``effect`` is what its compensation has to be told: "succeeded", "unknown", "failed" (partial work), or ""
    when there is nothing to undo. ``undo`` is "", "undone" or "dead". ``out``: its command is, and nobody has
    replied to it.
    """

    effect: str = ""
    undo: str = ""
    tries: int = 0
    crashes: int = 0
    out: bool = False


Ledger = Mapping[str, Mark]


class Laws:
    """The laws for one definition."""

    def __init__(self, definition: SagaDefinition, crash_limit: int) -> None:
        self.definition = definition
        self.crash_limit = crash_limit
        self.steps = {step.name: step for step in definition.steps}
        self.undoable = {step.name for step in definition.steps if step.undo is not None}
        self.behind = {name: _behind(definition, name) for name in self.steps}

    def begin(self, state: SagaState) -> Ledger:
        """Give the ledger of a saga that has just started."""
        ledger = {name: Mark() for name in self.steps}
        self._forward(ledger, state)
        return ledger

    def hold(self, ledger: Ledger, before: SagaState, event: Event, after: SagaState) -> Ledger:
        """Check every law for the way from ``before`` to ``after`` and give the ledger after ``event``."""
        assert not before.status.is_terminal, "a terminal saga took an event"
        if isinstance(event, (StepFailed, StepUnknown)):
            self._gave_up_in_time(self._tried(ledger[event.step], event, after), before, event, after)
        changed = {name: step for name, step in after.steps.items() if before.steps.get(name) is not step}
        ledger = self._note(ledger, before, event, after, changed)
        for name, step in changed.items():
            self._step(name, step, ledger[name])
        if after.status in FORWARD:
            self._forward(ledger, after)
        elif after.status is SagaStatus.COMPLETED:
            self._completed(ledger, after)
        else:
            self._turned(ledger, before, event, after)
        return ledger

    # --- the ledger -------------------------------------------------------------------------------

    def _note(
        self,
        ledger: Ledger,
        before: SagaState,
        event: Event,
        after: SagaState,
        changed: Mapping[str, StepState],
    ) -> Ledger:
        noted = dict(ledger)
        if isinstance(event, UndoRetried):
            noted[event.step] = noted[event.step]._replace(undo="")
        elif isinstance(event, UndoSkipped):
            noted[event.step] = noted[event.step]._replace(undo="undone")
        elif isinstance(event, StepEvent) and not isinstance(event, StepNotStarted):
            noted[event.step] = self._tried(noted[event.step], event, after)
        for name, step in changed.items():
            if noted[name].out and step.status not in AHEAD:
                # It is not waited for any more: whether it was carried out, nobody knows.
                noted[name] = noted[name]._replace(effect="unknown", out=False)
            if step.undoing and not before.steps[name].undoing:
                noted[name] = noted[name]._replace(tries=0, crashes=0)
        return noted

    def _tried(self, mark: Mark, event: StepEvent, after: SagaState) -> Mark:
        spec = self.steps[event.step]
        if isinstance(event, StepWaits):  # a look is no try
            if spec.wait is not None:
                return mark._replace(out=mark.out or event.partial)
            return mark._replace(effect=mark.effect or "failed") if event.partial else mark
        cause = event.cause if isinstance(event, StepUnknown) else None
        if cause is Cause.WORKER_LOST:
            mark = mark._replace(crashes=mark.crashes + 1)
        elif cause is not Cause.RELEASED:
            mark = mark._replace(tries=mark.tries + 1)
        if event.undo:
            dead = after.steps[event.step].status is StepStatus.UNDO_FAILED
            return mark._replace(
                undo="undone" if isinstance(event, StepSucceeded) else "dead" if dead else ""
            )
        if isinstance(event, StepSucceeded):
            return mark._replace(effect="succeeded", out=False)
        if isinstance(event, StepFailed) and event.declined:
            return mark._replace(out=False)
        if cause is Cause.NO_REPLY or (cause is not None and not spec.leaves_no_doubt):
            return mark._replace(effect="unknown", out=False)
        if isinstance(event, StepFailed) and event.partial and not mark.effect:
            return mark._replace(effect="failed")
        return mark

    # --- the laws ---------------------------------------------------------------------------------

    def _step(self, name: str, step: StepState, mark: Mark) -> None:
        spec = self.steps[name]
        assert step.name == name
        if spec.atomic:
            assert StepStatus.UNKNOWN not in (step.status, step.outcome), f"atomic {name} is in doubt"
        phase = spec.undo if step.undoing or mark.undo else spec
        assert phase is not None, f"{name} is undone without a compensation"
        assert step.attempt <= phase.retry.attempts + step.crashes, f"{name} was tried too often"
        assert step.crashes <= self.crash_limit + 1, f"{name} crashed too often"
        if step.is_open:
            assert step.due_at is not None
            assert step.crashes == mark.crashes <= self.crash_limit, f"{name}: {step.crashes} crashes, {mark}"
            assert mark.tries < phase.retry.attempts, f"{name} has no try left and is open"
        else:
            assert (step.due_at, step.deadline_at) == (None, None), f"{name} is at rest with an alarm"
        assert STATUS_SAYS[step.status](step, mark), f"{name} is {step.status}, but {mark}"

    def _gave_up_in_time(
        self, mark: Mark, before: SagaState, event: StepFailed | StepUnknown, after: SagaState
    ) -> None:
        """While tries are left, only a permanent failure, a deadline or a saga turned back closes a step."""
        step, was = after.steps[event.step], before.steps[event.step]
        phase = self.steps[event.step].undo if event.undo else self.steps[event.step]
        assert phase is not None
        spent = mark.tries >= phase.retry.attempts or mark.crashes > self.crash_limit
        final = event.permanent or (isinstance(event, StepFailed) and event.partial)
        excused = was.deadline_at is not None or (before.status not in FORWARD and not event.undo)
        # A forward step that was given up may have been opened for its compensation by the same event.
        goes_on = step.is_open and step.undoing is event.undo
        assert goes_on or spent or final or excused, f"{event.step} was given up early"
        assert not (goes_on and (spent or final)), f"{event.step} goes on after {event}"

    def _forward(self, ledger: Ledger, after: SagaState) -> None:
        done = {name for name, mark in ledger.items() if mark.effect == "succeeded"}
        ready = {name for name, step in self.steps.items() if done.issuperset(step.after)}
        found = {name: step.status for name, step in after.steps.items()}
        expected = {name: StepStatus.SUCCEEDED if name in done else StepStatus.SCHEDULED for name in ready}
        expected |= {name: status for name, status in found.items() if status is StepStatus.WAITING}
        assert found.keys() == ready
        if after.failing:
            assert self.definition.failure_policy is not FailurePolicy.FAIL_FAST
            given_up = {
                name for name in ready - done if found[name] in (StepStatus.FAILED, StepStatus.UNKNOWN)
            }
            assert after.culprit in given_up
            assert not set(AHEAD).isdisjoint(found.values()), "there is nothing to wait for"
            expected |= {name: found[name] for name in given_up}
        else:
            assert (after.reason, after.culprit) == ("", "")
        assert found == expected, "open is exactly what is ready"
        assert done != self.steps.keys(), "everything is done, but the saga is not completed"

    def _completed(self, ledger: Ledger, after: SagaState) -> None:
        assert {name: step.status for name, step in after.steps.items()} == dict.fromkeys(
            self.steps, StepStatus.SUCCEEDED
        )
        assert all((mark.effect, mark.undo) == ("succeeded", "") for mark in ledger.values())

    def _turned(self, ledger: Ledger, before: SagaState, event: Event, after: SagaState) -> None:
        assert after.steps.keys() == before.steps.keys(), "a saga that turned back opened a step"
        forward = {name for name, step in after.steps.items() if step.status in AHEAD}
        were = {name for name, step in before.steps.items() if step.status in AHEAD}
        were.discard(getattr(event, "step", ""))
        if before.status in FORWARD:
            assert forward == were.intersection(event.in_flight), "only what is in flight stays open"
            assert after.reason
            if self.definition.failure_policy is not FailurePolicy.FAIL_FAST and isinstance(event, StepEvent):
                assert not were, "it was to wait for these"
        else:
            assert forward == were
        if before.reason:
            assert (after.reason, after.culprit) == (before.reason, before.culprit)
        opened = {name for name, step in after.steps.items() if step.status in OPEN}
        owed = {
            name for name, mark in ledger.items() if mark.effect and not mark.undo and name in self.undoable
        }
        busy = opened | owed
        dead = {name for name, mark in ledger.items() if mark.undo == "dead"}
        asked = event.step if isinstance(event, UndoRetried) else ""
        for name in owed:
            waits = not busy.isdisjoint(self.behind[name])
            held = self._held_back(name, dead, asked)
            assert name in opened or waits or held, f"the turn of {name} has come, but it is not being undone"
            if after.steps[name].undoing and not before.steps[name].undoing:
                assert not waits, f"{name} is undone before {sorted(busy & self.behind[name])}"
                assert not held, f"{name} is undone though {sorted(dead)} hold it back"
        end = SagaStatus.STUCK if dead else SagaStatus.COMPENSATED
        assert after.status is (SagaStatus.COMPENSATING if opened else end)

    def _held_back(self, name: str, dead: set[str], asked: str) -> bool:
        """True when the policy leaves ``name`` as it is while ``dead`` are, and nobody asked for it."""
        policy = self.definition.compensation_policy
        if policy is CompensationPolicy.STOP:
            return bool(dead) and name != asked
        return policy is CompensationPolicy.SKIP_DEPENDENTS and not dead.isdisjoint(self.behind[name])


# What each status of a step says about what the ledger knows.
STATUS_SAYS = {
    StepStatus.SCHEDULED: lambda step, mark: mark.undo == "" and mark.effect in ("", "unknown"),
    StepStatus.WAITING: lambda step, mark: (
        mark.undo == "" and mark.effect in ("unknown", "failed" if step.partial and not mark.out else "")
    ),
    StepStatus.SUCCEEDED: lambda step, mark: mark[:2] == ("succeeded", "") and step.outcome == "succeeded",
    StepStatus.FAILED: lambda step, mark: (
        mark[:2] == ("failed" if step.partial else "", "") and step.outcome == "failed"
    ),
    StepStatus.UNKNOWN: lambda step, mark: mark[:2] == ("unknown", "") and step.outcome == "unknown",
    StepStatus.SKIPPED: lambda step, mark: mark[:2] == ("", "") and step.outcome == "",
    StepStatus.UNDO_SCHEDULED: lambda step, mark: mark.undo == "" and step.outcome == mark.effect != "",
    StepStatus.UNDONE: lambda step, mark: mark.undo == "undone" and step.outcome == mark.effect != "",
    StepStatus.UNDO_FAILED: lambda step, mark: mark.undo == "dead" and step.outcome == mark.effect != "",
}


def _behind(definition: SagaDefinition, name: str) -> frozenset[str]:
    """Give every step that waits for ``name``, directly or not."""
    direct = [step.name for step in definition.steps if name in step.after]
    return frozenset(direct).union(*(_behind(definition, other) for other in direct))

"""The rules of a saga that goes forward: what opens, what a failure leads to, when it turns back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django_saga.core import events, tries
from django_saga.core.back import turn_back, undo_on
from django_saga.core.decision import Decision
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Event, StepEvent
from django_saga.core.state import (
    PAST_PIVOT,
    SKIPPED_OVER,
    STOOD_IN,
    SagaState,
    StepState,
)
from django_saga.core.states import FailurePolicy, ForwardRecovery, Outcome, SagaStatus, StepStatus
from django_saga.exceptions import IllegalTransition


def let_in(definition: SagaDefinition, state: SagaState, event: Event, now: datetime) -> Decision:
    """Begin: a saga that waited for its locks has them."""
    if state.steps:
        raise IllegalTransition("the saga does not wait for locks: its steps are open")
    return Decision(
        SagaStatus.RUNNING, {name: tries.opened(definition, name, now) for name in definition.roots}
    )


def step_done(definition: SagaDefinition, state: SagaState, event: StepEvent, now: datetime) -> Decision:
    closed = tries.closed(state.steps[event.step], StepStatus.SUCCEEDED, event)
    return _past_pivot(definition, _go_past(definition, state, closed, now), event.step)


def condition_met(definition: SagaDefinition, state: SagaState, event: StepEvent, now: datetime) -> Decision:
    return Decision(
        SagaStatus.RUNNING, {event.step: tries.to_run(definition[event.step], state.steps[event.step], now)}
    )


def condition_not_met(
    definition: SagaDefinition, state: SagaState, event: StepEvent, now: datetime
) -> Decision:
    return _go_past(definition, state, tries.omitted(state.steps[event.step]), now)


def _past_pivot(definition: SagaDefinition, decision: Decision, done: str) -> Decision:
    """Once the pivot is ``done`` the saga has no deadline: that is there to turn it back."""
    return decision._replace(no_deadline=True) if done == definition.pivot else decision


def _go_past(
    definition: SagaDefinition,
    state: SagaState,
    ended: StepState,
    now: datetime,
    reason: str | None = None,
    culprit: str | None = None,
) -> Decision:
    """Open what waited for ``ended`` and for nothing else any more; the last step completes the saga."""
    changed = {ended.name: ended}

    def passed(name: str) -> bool:
        line = (name, *definition.stand_ins[name])
        return ended.name in line or any(_is_passed(state.steps.get(each)) for each in line)

    waiting = definition.opens[ended.name]
    for name in waiting:
        if all(passed(before) for before in definition[name].after):
            changed[name] = tries.opened(definition, name, now)
    if state.failing:
        return _go_on(definition, state, changed, now, reason, culprit)
    complete = not waiting and all(passed(name) for name in definition.sinks)
    return Decision(SagaStatus.COMPLETED if complete else SagaStatus.RUNNING, changed, reason, culprit)


def _is_passed(step: StepState | None) -> bool:
    return step is not None and step.status in (StepStatus.SUCCEEDED, StepStatus.SKIPPED)


def step_failed(
    definition: SagaDefinition, state: SagaState, event: events.StepFailed, now: datetime
) -> Decision:
    step = state.steps[event.step]
    again, why = _next_try(definition, step, event, now)
    if again is not None:
        return Decision(SagaStatus.RUNNING, {step.name: again})
    return _given_up(definition, state, event, now, step, why)


def step_waits(
    definition: SagaDefinition, state: SagaState, event: events.StepWaits, now: datetime
) -> Decision:
    return Decision(
        SagaStatus.RUNNING,
        {event.step: tries.waiting(definition[event.step], state.steps[event.step], event)},
    )


def step_unknown(
    definition: SagaDefinition, state: SagaState, event: events.StepUnknown, now: datetime
) -> Decision:
    step = tries.doubted(state.steps[event.step], event, definition[event.step])
    again, why = _next_try(definition, step, event, now)
    if again is not None:
        return Decision(SagaStatus.RUNNING, {step.name: again})
    return _given_up(definition, state, event, now, step, why)


def _given_up(
    definition: SagaDefinition,
    state: SagaState,
    event: events.StepFailed | events.StepUnknown,
    now: datetime,
    step: StepState,
    why: str,
) -> Decision:
    """Close a step that is not tried again; one in doubt is probed first."""
    dead = tries.given_up(definition[step.name], step, event, why)
    if dead.status is StepStatus.UNKNOWN and definition[step.name].probe and not step.probing:
        return Decision(SagaStatus.RUNNING, {step.name: dead.begin_probe(now)})
    # The step's own reason makes room for its compensation's, so the saga keeps this one.
    reason = tries.CRASH_LOOP if why == tries.CRASH_LOOP else "failed"
    return _dead_step(definition, state, event, now, dead, reason)


def _next_try(
    definition: SagaDefinition,
    step: StepState,
    event: events.StepFailed | events.StepUnknown,
    now: datetime,
) -> tuple[StepState | None, str]:
    spec = definition[step.name]
    if step.probing and spec.probe:
        return tries.next_try(step, event, spec.probe.retry, now)
    next_try = tries.next_try if spec.wait is None else tries.next_look
    again, why = next_try(step, event, spec.retry, now)
    endless = spec.forward_recovery is ForwardRecovery.RETRY and why in (tries.SPENT, tries.STEP_DEADLINE)
    return (tries.endless(step, event, spec.retry, now), "") if endless else (again, why)


def _dead_step(
    definition: SagaDefinition, state: SagaState, event: Event, now: datetime, dead: StepState, reason: str
) -> Decision:
    """Do as the step's forward recovery says, or before the pivot as the failure policy does."""
    if _must_go_forward(definition, dead):
        return _recover(definition, state, event, now, dead, reason)
    if definition.failure_policy is FailurePolicy.FAIL_FAST:
        return turn_back(definition, state, event, now, dead, reason, dead.name)
    if state.failing:
        return _go_on(definition, state, {dead.name: dead}, now)
    grace = now + definition.grace if definition.grace is not None else None
    until = min((at for at in (grace, state.deadline_at) if at is not None), default=None)
    return _go_on(definition, state, {dead.name: dead}, now, reason, dead.name, until)


def _go_on(
    definition: SagaDefinition,
    state: SagaState,
    changed: dict[str, StepState],
    now: datetime,
    reason: str | None = None,
    culprit: str | None = None,
    until: datetime | None = None,
) -> Decision:
    """Let what is open of a failing saga go on, ``until`` its deadline. With nothing open it turns back, or
    past the pivot waits for a person.
    """
    steps = {**state.steps, **changed}
    if any(step.is_open for step in steps.values()):
        return Decision(SagaStatus.RUNNING, changed, reason, culprit, until)
    if (state.reason if reason is None else reason) == PAST_PIVOT:
        return Decision(SagaStatus.STUCK, changed, reason, culprit)
    return undo_on(definition, state, changed, now, reason, culprit)


# --- past the pivot -------------------------------------------------------------------------------


def _must_go_forward(definition: SagaDefinition, dead: StepState) -> bool:
    """True for a dead step past the pivot, and for a pivot that may have succeeded and cannot be undone."""
    spec = definition[dead.name]
    in_doubt = spec.pivot and spec.undo is None and dead.status is StepStatus.UNKNOWN
    return in_doubt or dead.name in definition.past_pivot


def _recover(
    definition: SagaDefinition, state: SagaState, event: Event, now: datetime, dead: StepState, reason: str
) -> Decision:
    spec = definition[dead.name]
    if spec.forward_recovery is ForwardRecovery.COMPENSATE:
        return turn_back(definition, state, event, now, dead, reason, dead.name)
    if spec.forward_recovery is ForwardRecovery.SKIP:
        skipped = dead._replace(status=StepStatus.SKIPPED)
        return _go_past(definition, state, skipped, now, *_unless_said(state, SKIPPED_OVER, dead.name))
    stands_in = spec.forward_recovery is ForwardRecovery.ALTERNATE and dead.status is StepStatus.FAILED
    if stands_in and dead.reason != tries.NO_ANSWER:
        other = tries.opened(definition, spec.alternate, now)
        changed = {dead.name: dead, other.name: other}
        return Decision(SagaStatus.RUNNING, changed, *_unless_said(state, STOOD_IN, dead.name))
    # A step in doubt has no stand-in: both might have their effect. Nor has one whose condition gave no
    # answer: nobody knows whether either is wanted.
    said = (None, None) if state.failing else (PAST_PIVOT, dead.name)
    return _go_on(definition, state, {dead.name: dead}, now, *said)


def _unless_said(state: SagaState, reason: str, culprit: str) -> tuple[str | None, str | None]:
    return (None, None) if state.reason else (reason, culprit)


def _require_way_back(definition: SagaDefinition, state: SagaState, event: Event) -> None:
    """Raise ``IllegalTransition`` once the pivot has happened, may have, or is under way."""
    _require_pivot_at_rest(definition, state, event)
    pivot = state.steps.get(definition.pivot)
    if pivot is None:
        return
    if pivot.status is StepStatus.SUCCEEDED or (
        pivot.outcome is Outcome.UNKNOWN and definition[pivot.name].undo is None
    ):
        raise IllegalTransition(f"it is past its pivot {pivot.name}: it can only go forward")


def _require_pivot_at_rest(definition: SagaDefinition, state: SagaState, event: Event) -> None:
    """Raise ``IllegalTransition`` while the pivot is under way, here or on the other side."""
    pivot = state.steps.get(definition.pivot)
    if pivot is None:
        return
    if pivot.name in event.in_flight or tries.has_command_out(definition[pivot.name], pivot):
        raise IllegalTransition(f"its pivot {pivot.name} is under way: how it ends decides")


# --- words from outside ---------------------------------------------------------------------------


def out_of_time(definition: SagaDefinition, state: SagaState, event: Event, now: datetime) -> Decision:
    _require_way_back(definition, state, event)
    return turn_back(definition, state, event, now, None, "deadline passed", "")


def cancelled(definition: SagaDefinition, state: SagaState, event: Event, now: datetime) -> Decision:
    _require_way_back(definition, state, event)
    return turn_back(definition, state, event, now, None, "cancelled", "")


def compensate_requested(
    definition: SagaDefinition,
    state: SagaState,
    event: Event,
    now: datetime,
    reason: str = "compensated on request",
) -> Decision:
    """Turn back in spite of the pivot."""
    _require_pivot_at_rest(definition, state, event)
    if state.status is SagaStatus.STUCK and state.reason != PAST_PIVOT:
        raise IllegalTransition("it has turned back already")
    return turn_back(definition, state, event, now, None, reason, "")


def taken_back(definition: SagaDefinition, state: SagaState, event: Event, now: datetime) -> Decision:
    """Turn back with the parent, whose word counts for more than the saga's own pivot."""
    return compensate_requested(definition, state, event, now, "taken back")


def paused(definition: SagaDefinition, state: SagaState, event: Event, now: datetime) -> Decision:
    if state.paused:
        raise IllegalTransition("it is paused already")
    return Decision(state.status, {}, paused=True)


def resumed(definition: SagaDefinition, state: SagaState, event: Event, now: datetime) -> Decision:
    if not state.paused:
        raise IllegalTransition("it is not paused")
    return Decision(state.status, {}, paused=False)


def step_retried(
    definition: SagaDefinition, state: SagaState, event: events.StepRetried, now: datetime
) -> Decision:
    dead = _held_up_at(definition, state, event.step)
    again = tries.opened_again(definition, dead, now)
    reason = what_is_left(definition, {**state.steps, dead.name: again})
    return Decision(SagaStatus.RUNNING, {dead.name: again}, *reason)


def step_skipped(
    definition: SagaDefinition, state: SagaState, event: events.StepSkipped, now: datetime
) -> Decision:
    dead = _held_up_at(definition, state, event.step)
    if dead.name == definition.pivot:
        raise IllegalTransition(f"step {dead.name} is the pivot: it happened, or the saga has to turn back")
    return _settled(definition, state, dead._replace(status=StepStatus.SKIPPED), now)


def step_marked_done(
    definition: SagaDefinition, state: SagaState, event: events.StepMarkedDone, now: datetime
) -> Decision:
    dead = _held_up_at(definition, state, event.step)
    decision = _settled(definition, state, tries.marked_done(dead), now)
    return _past_pivot(definition, decision, dead.name)


def _settled(definition: SagaDefinition, state: SagaState, ended: StepState, now: datetime) -> Decision:
    """Go past a step that a person settled; the saga stays held up while another one is dead."""
    reason, culprit = what_is_left(definition, {**state.steps, ended.name: ended})
    rest = state._replace(status=SagaStatus.RUNNING, reason=reason, culprit=culprit)
    return _go_past(definition, rest, ended, now, reason, culprit)


def _held_up_at(definition: SagaDefinition, state: SagaState, name: str) -> StepState:
    """Give the dead step ``name`` that holds the saga up. Raises ``IllegalTransition`` if it does not."""
    step = state.steps.get(name)
    if state.reason != PAST_PIVOT or step is None or not _holds_up(definition, state.steps, step):
        found = "not opened" if step is None else step.status
        raise IllegalTransition(f"step {name} is {found}: only one that is dead past the pivot is settled")
    return step


def _holds_up(definition: SagaDefinition, steps: Mapping[str, StepState], step: StepState) -> bool:
    replaced = any(other in steps for other in definition.stand_ins[step.name])
    return step.is_dead and not replaced and _must_go_forward(definition, step)


def what_is_left(definition: SagaDefinition, steps: Mapping[str, StepState]) -> tuple[str, str]:
    """Give reason and culprit of a saga that goes forward with ``steps``."""
    opened = [steps[name] for name in definition.order if name in steps]
    for step in opened:
        if _holds_up(definition, steps, step):
            return PAST_PIVOT, step.name
    for step in opened:
        if step.status is StepStatus.SKIPPED and not step.omitted:
            return SKIPPED_OVER, step.name
    for step in opened:
        if step.name in definition.mains:
            return STOOD_IN, definition.mains[step.name]
    return "", ""

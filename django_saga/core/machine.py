"""What may happen next: every rule of a saga, as a function from a state and an event to a decision.

Pure: time comes in as ``now``, chance in the event. ``RULES`` is the table of legal moves; what is not in
it is an ``IllegalTransition``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from django_saga.core import events, tries
from django_saga.core.compensation import wave
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Cause, Event, StepEvent
from django_saga.core.state import SagaState, StepState
from django_saga.core.states import FailurePolicy, SagaStatus, StepStatus
from django_saga.exceptions import IllegalTransition


class Decision(NamedTuple):
    """What an event changes: the saga's status, and the steps that got a new state (opened ones included).

    What is empty or None stays as it was.
    """

    status: SagaStatus
    steps: Mapping[str, StepState]
    reason: str = ""
    culprit: str = ""
    deadline_at: datetime | None = None
    paused: bool | None = None


def start(definition: SagaDefinition, event: events.SagaStarted, *, now: datetime) -> SagaState:
    """Give the state a saga begins in: its first steps due at once, or at ``event.starts_at``, which for a
    saga with priority has passed.
    """
    due = event.starts_at or now
    steps = {name: tries.opened(definition, name, max(due, now)) for name in definition.roots}
    if due < now:
        steps = {name: step._replace(due_at=due) for name, step in steps.items()}
    status = SagaStatus.PENDING if due > now else SagaStatus.RUNNING
    return SagaState(status, steps, deadline_at=event.deadline_at)


def reads(
    definition: SagaDefinition, status: SagaStatus, event: Event, *, failing: bool = False
) -> frozenset[str] | None:
    """Name the steps beside its own whose state ``decide`` needs for ``event``; None: all that were opened.

    ``failing``: whether a step failed for good already. In a saga that is compensating, steps whose
    compensation is open or dead are needed beside those named.
    """
    if failing:
        return None
    if status in _FORWARD and type(event) is events.StepSucceeded:
        return definition.consulted[event.step]
    if isinstance(event, StepEvent) and definition.is_chain:
        # What stands behind the step was never opened, or is undone: what is before it is left.
        return definition.ancestors[event.step]
    return None


def decide(definition: SagaDefinition, state: SagaState, event: Event, *, now: datetime) -> Decision:
    """Decide what ``event`` changes.

    Raises ``IllegalTransition`` when the saga's status has no rule for the event, or its step is not open
    for it.
    """
    rule = RULES.get((state.status, type(event)))
    if rule is None:
        raise IllegalTransition(f"a saga that is {state.status} takes no event {event.kind}")
    if isinstance(event, StepEvent):
        step = state.steps.get(event.step)
        if step is None or not step.is_open or step.undoing is not event.undo:
            found = "not opened" if step is None else step.status
            raise IllegalTransition(f"step {event.step} is {found}, it takes no event {event.kind}")
    return rule(definition, state, event, now)


def apply(state: SagaState, decision: Decision) -> SagaState:
    """Give the state after ``decision``."""
    return SagaState(
        decision.status,
        {**state.steps, **decision.steps},
        decision.reason or state.reason,
        decision.culprit or state.culprit,
        decision.deadline_at or state.deadline_at,
        state.paused if decision.paused is None else decision.paused,
    )


def fold(definition: SagaDefinition, history: Iterable[tuple[Event, datetime]]) -> SagaState:
    """Feed a saga's history, each event with the time it was decided at, to the machine again."""
    rows = iter(history)
    first, at = next(rows)
    if not isinstance(first, events.SagaStarted):
        raise IllegalTransition(f"a history begins with saga_started, not {first.kind}")
    state = start(definition, first, now=at)
    for event, at in rows:
        state = apply(state, decide(definition, state, event, now=at))
    return state


# --- forward --------------------------------------------------------------------------------------


def _step_done(definition: SagaDefinition, state: SagaState, event: StepEvent, now: datetime) -> Decision:
    changed = {event.step: tries.closed(state.steps[event.step], StepStatus.SUCCEEDED, event)}

    def succeeded(name: str) -> bool:
        return name == event.step or (
            name in state.steps and state.steps[name].status is StepStatus.SUCCEEDED
        )

    waiting = definition.dependents[event.step]
    for name in waiting:
        if all(succeeded(before) for before in definition[name].after):
            changed[name] = tries.opened(definition, name, now)
    if state.failing:
        return _go_on(definition, state, changed, now)
    complete = not waiting and all(succeeded(name) for name in definition.sinks)
    return Decision(SagaStatus.COMPLETED if complete else SagaStatus.RUNNING, changed)


def _step_failed(
    definition: SagaDefinition, state: SagaState, event: events.StepFailed, now: datetime
) -> Decision:
    step = state.steps[event.step]
    again, why = tries.next_try(step, event, definition[event.step].retry, now)
    if again is not None:
        return Decision(SagaStatus.RUNNING, {step.name: again})
    return _dead_step(definition, state, event, now, tries.given_up(step, event, why), "failed")


def _step_unknown(
    definition: SagaDefinition, state: SagaState, event: events.StepUnknown, now: datetime
) -> Decision:
    spec = definition[event.step]
    step = tries.doubted(state.steps[event.step], event, atomic=spec.atomic)
    again, why = tries.next_try(step, event, spec.retry, now)
    if again is not None:
        return Decision(SagaStatus.RUNNING, {step.name: again})
    # The step's own reason makes room for its compensation's, so the saga keeps this one.
    reason = tries.CRASH_LOOP if why == tries.CRASH_LOOP else "failed"
    return _dead_step(definition, state, event, now, tries.given_up(step, event, why), reason)


def _dead_step(
    definition: SagaDefinition, state: SagaState, event: Event, now: datetime, dead: StepState, reason: str
) -> Decision:
    """Do as the failure policy says about the other branches."""
    if definition.failure_policy is FailurePolicy.FAIL_FAST:
        return _turn_back(definition, state, event, now, dead, reason, dead.name)
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
    reason: str = "",
    culprit: str = "",
    until: datetime | None = None,
) -> Decision:
    """Let what is open of a failing saga go on, ``until`` its deadline; with nothing open it turns back."""
    steps = {**state.steps, **changed}
    if any(step.is_open for step in steps.values()):
        return Decision(SagaStatus.RUNNING, changed, reason, culprit, until)
    return _undo_on(definition, state, changed, now, reason, culprit)


def _out_of_time(definition: SagaDefinition, state: SagaState, event: Event, now: datetime) -> Decision:
    return _turn_back(definition, state, event, now, None, "deadline passed", "")


def _cancelled(definition: SagaDefinition, state: SagaState, event: Event, now: datetime) -> Decision:
    return _turn_back(definition, state, event, now, None, "cancelled", "")


def _turn_back(
    definition: SagaDefinition,
    state: SagaState,
    event: Event,
    now: datetime,
    ended: StepState | None,
    reason: str,
    culprit: str,
) -> Decision:
    """Go from forward to compensating: what waits is given up, what is in flight is left to its owner."""
    if state.failing:
        reason = culprit = ""  # it had a reason already
    changed = {ended.name: ended} if ended else {}
    for name, step in state.steps.items():
        if name not in changed and step.is_open and name not in event.in_flight:
            changed[name] = tries.abandoned(step)
    return _undo_on(definition, state, changed, now, reason, culprit)


def _paused(definition: SagaDefinition, state: SagaState, event: Event, now: datetime) -> Decision:
    if state.paused:
        raise IllegalTransition("it is paused already")
    return Decision(state.status, {}, paused=True)


def _resumed(definition: SagaDefinition, state: SagaState, event: Event, now: datetime) -> Decision:
    if not state.paused:
        raise IllegalTransition("it is not paused")
    return Decision(state.status, {}, paused=False)


# --- back -----------------------------------------------------------------------------------------


def _late_success(definition: SagaDefinition, state: SagaState, event: StepEvent, now: datetime) -> Decision:
    """A step in flight when the saga turned back succeeded after all, or a compensation did."""
    status = StepStatus.UNDONE if event.undo else StepStatus.SUCCEEDED
    return _undo_on(
        definition, state, {event.step: tries.closed(state.steps[event.step], status, event)}, now
    )


def _failed_while_undoing(
    definition: SagaDefinition, state: SagaState, event: events.StepFailed, now: datetime
) -> Decision:
    step = state.steps[event.step]
    if not event.undo:
        return _undo_on(definition, state, {step.name: tries.given_up(step, event, "")}, now)
    return _undo_failed(definition, state, step, event, now)


def _unknown_while_undoing(
    definition: SagaDefinition, state: SagaState, event: events.StepUnknown, now: datetime
) -> Decision:
    if not event.undo:
        step = tries.doubted(state.steps[event.step], event, atomic=definition[event.step].atomic)
        return _undo_on(definition, state, {step.name: tries.given_up(step, event, "")}, now)
    # A compensation that may have worked is tried again with the same key: it has to be idempotent anyway.
    step = state.steps[event.step]._replace(
        crashes=state.steps[event.step].crashes + (event.cause is Cause.WORKER_LOST),
    )
    return _undo_failed(definition, state, step, event, now)


def _undo_failed(
    definition: SagaDefinition,
    state: SagaState,
    step: StepState,
    event: events.StepFailed | events.StepUnknown,
    now: datetime,
) -> Decision:
    undo = definition[step.name].undo
    assert undo is not None  # only a step with a compensation is ever opened for undo
    again, why = tries.next_try(step, event, undo.retry, now)
    dead = step._replace(
        status=StepStatus.UNDO_FAILED, attempt=event.attempt, due_at=None, deadline_at=None, reason=why
    )
    return _undo_on(definition, state, {step.name: again or dead}, now)


def _not_started(definition: SagaDefinition, state: SagaState, event: StepEvent, now: datetime) -> Decision:
    if event.undo:
        raise IllegalTransition(f"step {event.step} is undo_scheduled: a compensation is always wanted")
    # The claim counted an attempt on the step's row that never was.
    step = state.steps[event.step]._replace(attempt=event.attempt - 1)
    return _undo_on(definition, state, {step.name: tries.abandoned(step)}, now)


def _undo_retried(
    definition: SagaDefinition, state: SagaState, event: events.UndoRetried, now: datetime
) -> Decision:
    step = state.steps.get(event.step)
    if step is None or step.status is not StepStatus.UNDO_FAILED:
        found = "not opened" if step is None else step.status
        raise IllegalTransition(f"step {event.step} is {found}: only a dead compensation can be retried")
    # It waits for its turn again: compensations behind it may be being retried too.
    owed = step._replace(status=StepStatus(step.outcome), attempt=0, crashes=0, reason="")
    return _undo_on(definition, state, {step.name: owed}, now, asked=step.name)


def _undo_on(
    definition: SagaDefinition,
    state: SagaState,
    changed: dict[str, StepState],
    now: datetime,
    reason: str = "",
    culprit: str = "",
    asked: str = "",
) -> Decision:
    """Open the compensations whose turn has come; end the saga when none is left."""
    steps = {**state.steps, **changed}
    due = wave(definition, steps, now, asked=asked)
    steps.update(due.scheduled)
    status = SagaStatus.COMPENSATING
    if due.finished:
        dead = any(step.status is StepStatus.UNDO_FAILED for step in steps.values())
        status = SagaStatus.STUCK if dead else SagaStatus.COMPENSATED
    return Decision(status, {**changed, **due.scheduled}, reason, culprit)


# --- the table ------------------------------------------------------------------------------------

Rule = Callable[..., Decision]
_FORWARD = (SagaStatus.RUNNING, SagaStatus.PENDING)

RULES: dict[tuple[SagaStatus, type[Event]], Rule] = {
    **{
        (status, kind): rule
        for status in _FORWARD
        for kind, rule in (
            (events.StepSucceeded, _step_done),
            (events.StepFailed, _step_failed),
            (events.StepUnknown, _step_unknown),
            (events.DeadlinePassed, _out_of_time),
            (events.CancelRequested, _cancelled),
        )
    },
    **{
        (status, kind): rule
        for status in (*_FORWARD, SagaStatus.COMPENSATING)
        for kind, rule in ((events.SagaPaused, _paused), (events.SagaResumed, _resumed))
    },
    (SagaStatus.COMPENSATING, events.StepSucceeded): _late_success,
    (SagaStatus.COMPENSATING, events.StepFailed): _failed_while_undoing,
    (SagaStatus.COMPENSATING, events.StepUnknown): _unknown_while_undoing,
    (SagaStatus.COMPENSATING, events.StepNotStarted): _not_started,
    (SagaStatus.COMPENSATING, events.UndoRetried): _undo_retried,
    (SagaStatus.STUCK, events.UndoRetried): _undo_retried,
    (SagaStatus.STUCK, events.SagaResumed): _resumed,
}

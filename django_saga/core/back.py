"""The rules of a saga that turns back: what is given up, what is undone and when, how it ends."""

from __future__ import annotations

from datetime import datetime

from django_saga.core import events, tries
from django_saga.core.compensation import wave
from django_saga.core.decision import Decision
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Cause, Event, StepEvent
from django_saga.core.state import PAST_PIVOT, UNDO_SKIPPED, SagaState, StepState
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.exceptions import IllegalTransition


def turn_back(
    definition: SagaDefinition,
    state: SagaState,
    event: Event,
    now: datetime,
    ended: StepState | None,
    reason: str,
    culprit: str,
) -> Decision:
    """Go from forward to compensating: what waits is given up, what is in flight is left to its owner."""
    said: tuple[str | None, str | None] = (reason, culprit)
    if state.failing and state.reason != PAST_PIVOT:
        said = (None, None)  # it had a reason already
    changed = {ended.name: ended} if ended else {}
    for name, step in state.steps.items():
        if name not in changed and step.is_open and name not in event.in_flight:
            changed[name] = tries.abandoned(definition[name], step)
    return undo_on(definition, state, changed, now, *said)


def late_success(definition: SagaDefinition, state: SagaState, event: StepEvent, now: datetime) -> Decision:
    """A step in flight when the saga turned back succeeded after all, or a compensation did."""
    status = StepStatus.UNDONE if event.undo else StepStatus.SUCCEEDED
    return undo_on(definition, state, {event.step: tries.closed(state.steps[event.step], status, event)}, now)


def failed_while_undoing(
    definition: SagaDefinition, state: SagaState, event: events.StepFailed, now: datetime
) -> Decision:
    step = state.steps[event.step]
    if not event.undo:
        return undo_on(
            definition, state, {step.name: tries.given_up(definition[step.name], step, event, "")}, now
        )
    return _undo_failed(definition, state, step, event, now)


def unknown_while_undoing(
    definition: SagaDefinition, state: SagaState, event: events.StepUnknown, now: datetime
) -> Decision:
    if not event.undo:
        step = tries.doubted(state.steps[event.step], event, definition[event.step])
        return undo_on(
            definition, state, {step.name: tries.given_up(definition[step.name], step, event, "")}, now
        )
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
    spec = definition[step.name]
    assert spec.undo is not None  # only a step with a compensation is ever opened for undo
    next_try = tries.next_look if spec.wait is not None else tries.next_try
    again, why = next_try(step, event, spec.undo.retry, now)
    dead = step._replace(
        status=StepStatus.UNDO_FAILED, attempt=event.attempt, due_at=None, deadline_at=None, reason=why
    )
    return undo_on(definition, state, {step.name: again or dead}, now)


def waits_while_undoing(
    definition: SagaDefinition, state: SagaState, event: events.StepWaits, now: datetime
) -> Decision:
    """A compensation waits; or a step does that is no longer wanted."""
    spec = definition[event.step]
    step = tries.waiting(spec, state.steps[event.step], event)
    left = step if event.undo else tries.abandoned(spec, step)
    return undo_on(definition, state, {step.name: left}, now)


def not_started(definition: SagaDefinition, state: SagaState, event: StepEvent, now: datetime) -> Decision:
    if event.undo:
        raise IllegalTransition(f"step {event.step} is undo_scheduled: a compensation is always wanted")
    # The claim counted an attempt on the step's row that never was.
    step = state.steps[event.step]._replace(attempt=event.attempt - 1)
    return undo_on(definition, state, {step.name: tries.abandoned(definition[step.name], step)}, now)


def condition_answered(
    definition: SagaDefinition, state: SagaState, event: StepEvent, now: datetime
) -> Decision:
    """Whatever a condition said that was asked when the saga turned back: its step never begins."""
    asked = tries.abandoned(definition[event.step], state.steps[event.step])
    return undo_on(definition, state, {event.step: asked}, now)


def undo_retried(
    definition: SagaDefinition, state: SagaState, event: events.UndoRetried, now: datetime
) -> Decision:
    step = _dead_undo(state, event.step, "retried")
    # It waits for its turn again: compensations behind it may be being retried too.
    owed = step._replace(status=StepStatus(step.outcome), attempt=0, crashes=0, reason="")
    return undo_on(definition, state, {step.name: owed}, now, asked=step.name)


def undo_skipped(
    definition: SagaDefinition, state: SagaState, event: events.UndoSkipped, now: datetime
) -> Decision:
    step = _dead_undo(state, event.step, "skipped")
    settled = step._replace(status=StepStatus.UNDONE, reason=UNDO_SKIPPED)
    return undo_on(definition, state, {step.name: settled}, now)


def _dead_undo(state: SagaState, name: str, what: str) -> StepState:
    """Give the step ``name``, whose compensation is dead. Raises ``IllegalTransition`` if it is not."""
    step = state.steps.get(name)
    if step is None or step.status is not StepStatus.UNDO_FAILED:
        found = "not opened" if step is None else step.status
        raise IllegalTransition(f"step {name} is {found}: only a dead compensation can be {what}")
    return step


def undo_on(
    definition: SagaDefinition,
    state: SagaState,
    changed: dict[str, StepState],
    now: datetime,
    reason: str | None = None,
    culprit: str | None = None,
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

"""What an event changed, for those who listen. Nothing is made of what nobody wants to hear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django_saga import signals
from django_saga.core.decision import Decision
from django_saga.core.events import (
    ConditionMet,
    ConditionNotMet,
    StepEvent,
    StepNotStarted,
    StepSucceeded,
    StepWaits,
)
from django_saga.core.state import SagaState, StepState
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.dsl.registry import registry
from django_saga.dsl.transition import Transition, hooks_for
from django_saga.engine.handle import SagaHandle
from django_saga.engine.tasks import Outcome, Recorded
from django_saga.engine.work import Work
from django_saga.exceptions import UnknownSaga

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

_OF_STEPS = tuple(signal for name, signal in signals.TRANSITIONS.items() if name.startswith("step_"))
_OF_SAGAS = tuple(signal for name, signal in signals.TRANSITIONS.items() if name.startswith("saga_"))
# What they say of a step shows in what it becomes.
_NO_ENDS = (StepNotStarted, ConditionMet, ConditionNotMet)
_FORWARD = (SagaStatus.PENDING, SagaStatus.RUNNING)
_BACK = (SagaStatus.COMPENSATING, SagaStatus.COMPENSATED)


class Heard(NamedTuple):
    """Whether signals have receivers; asked once for a batch. A worker's console hears of sagas only."""

    sagas: bool
    steps: bool


def heard() -> Heard:
    """Look who listens."""
    return Heard(any(each.receivers for each in _OF_SAGAS), any(each.receivers for each in _OF_STEPS))


def note(
    recorded: Recorded,
    using: str,
    work: Work,
    before: SagaState,
    decision: Decision,
    outcome: Outcome | None = None,
    *,
    steps: bool = True,
) -> None:
    """Add to ``recorded`` what ``decision`` changed in a saga that was ``before``, if somebody listens.

    ``outcome``: of the attempt it was about, if it was about one. ``steps``: False when what became of steps
    is nobody's concern.
    """
    program = outcome.task.program if outcome else _registered(work)
    if program is None:
        return
    after = work.state
    for signal, facts in _changes(before, decision, after, outcome) if steps else _of_saga(before, after):
        if is_wanted(program, signal, facts["status"], facts.get("step", ""), undo=facts.get("undo", False)):
            transition = Transition(
                signal=signal,
                saga=SagaHandle(program, work.saga.id, using),
                version=program.definition.version,
                **facts,
            )
            recorded.transitions.append((program, transition))


def note_saga(
    recorded: Recorded, using: str, program: Program, saga_id: UUID, before: SagaState, after: SagaState
) -> None:
    """Add to ``recorded`` what became of a saga as a whole, if somebody listens."""
    for signal, facts in _of_saga(before, after):
        if is_wanted(program, signal, facts["status"]):
            saga = SagaHandle(program, saga_id, using)
            version = program.definition.version
            recorded.transitions.append(
                (program, Transition(signal=signal, saga=saga, version=version, **facts))
            )


def is_wanted(program: Program, signal: str, status: str, step: str = "", *, undo: bool = False) -> bool:
    """True when the signal has a receiver, or the saga a hook that is told of it."""
    if signals.TRANSITIONS[signal].receivers:
        return True
    hooks = program.hooks
    return bool(hooks) and any((word, step) in hooks for word in hooks_for(signal, status, undo=undo))


def _registered(work: Work) -> Program | None:
    try:
        return registry.get(work.definition.name, work.definition.version)
    except UnknownSaga:
        return None  # its class was there when the word was given: nobody can have subscribed to it since


def _changes(
    before: SagaState, decision: Decision, after: SagaState, outcome: Outcome | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what changed, each with its signal: the step that ended, the steps it takes along, the saga."""
    ended = ""
    if outcome is not None and not isinstance(outcome.event, _NO_ENDS):
        ended = outcome.event.step
        yield _ended(outcome.event, after.steps[ended], outcome)
    for name, step in decision.steps.items():
        if name != ended and (change := _taken_along(before.steps.get(name), step)):
            signal, undo, status = change
            due_at = step.due_at if signal in ("step_retried", "step_waiting") else None
            facts = {"step": name, "undo": undo, "attempt": step.attempt, "status": status, "due_at": due_at}
            yield signal, facts
    yield from _of_saga(before, after)


def _ended(event: StepEvent, step: StepState, outcome: Outcome) -> tuple[str, dict[str, Any]]:
    """Tell of the step whose attempt ended. Its compensation may have been opened by the same decision."""
    if isinstance(event, StepSucceeded):
        signal, status = "step_succeeded", StepStatus.SUCCEEDED
        if event.undo:
            signal, status = "step_undone", StepStatus.UNDONE
    elif step.is_open and step.undoing is event.undo:
        signal, status = "step_waiting" if isinstance(event, StepWaits) else "step_retried", step.status
    elif event.undo:
        signal, status = "step_undo_failed", step.status
    elif step.status is StepStatus.SKIPPED:  # it looked while its saga turned back
        signal, status = "step_skipped", step.status
    else:
        signal, status = "step_failed", StepStatus(step.outcome)
    return signal, {
        "step": event.step,
        "undo": event.undo,
        "attempt": event.attempt,
        "outcome": event.kind.removeprefix("step_"),
        "status": status.value,
        "error_class": outcome.error_class,
        "error": outcome.error,
        "due_at": step.due_at if signal in ("step_retried", "step_waiting") else None,
    }


def _taken_along(old: StepState | None, step: StepState) -> tuple[str, bool, str] | None:
    """Give the signal for a step that no attempt of its own changed, whether it is about the compensation,
    and its status; None for one that was opened: it is told of when it begins.
    """
    if step.status is StepStatus.SKIPPED:
        return "step_skipped", False, step.status.value
    if old is None:
        return ("step_waiting", False, step.status.value) if step.status is StepStatus.WAITING else None
    if old.is_open and not old.undoing and (step.undoing or not step.is_open):
        # It waited for another attempt. Where it was in doubt, it may be about to be undone already.
        return "step_failed", False, step.outcome.value
    if old.status is StepStatus.UNDO_FAILED and step.status is StepStatus.UNDONE:
        return "step_undone", True, step.status.value  # a person had the compensation skipped
    if old.status is StepStatus.UNDO_FAILED and step.status is not StepStatus.UNDO_FAILED:
        return "step_retried", True, StepStatus.UNDO_SCHEDULED.value
    if old.is_dead and step.status is StepStatus.SCHEDULED:
        return "step_retried", False, step.status.value
    if old.is_dead and step.status is StepStatus.SUCCEEDED:
        return "step_succeeded", False, step.status.value  # a person marked it as done
    return None


def _of_saga(before: SagaState, after: SagaState) -> Iterator[tuple[str, dict[str, Any]]]:
    facts = {
        "before": before.status.value,
        "status": after.status.value,
        "reason": after.reason,
        "culprit": after.culprit,
    }
    if before.status in _FORWARD and after.status in _BACK:
        yield "saga_turned_back", facts
    if before.status is SagaStatus.STUCK and after.status.is_live:
        yield "saga_resumed", facts
    if after.status is not before.status and not after.status.is_live:
        yield "saga_finished", facts

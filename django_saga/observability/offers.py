"""What a person can do to a saga as it stands, as the machine has it."""

from __future__ import annotations

from typing import NamedTuple

from django_saga.core import machine
from django_saga.core.actions import Action
from django_saga.core.events import (
    CancelRequested,
    CompensateRequested,
    Event,
    SagaPaused,
    SagaResumed,
    StepMarkedDone,
    StepRetried,
    StepSkipped,
    UndoRetried,
    UndoSkipped,
)
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.dsl.registry import registry
from django_saga.exceptions import IllegalTransition, UnknownSaga
from django_saga.models import SagaInstance
from django_saga.observability import undoing
from django_saga.store import clock

# What rows hold that the machine does not know: their page is shown all the same.
_CHANGED_BY_HAND = (KeyError, ValueError)
_DEAD = (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.UNDO_FAILED)


class Offer(NamedTuple):
    """An action by its name in the audit, and the step it is for; of the whole saga, none."""

    action: Action
    step: str = ""


def offers(using: str, saga: SagaInstance) -> list[Offer]:
    """Give the actions that ``saga`` would take now; none if this code does not know it. Nothing is locked:
    by the time one is done it may be refused.
    """
    try:
        registry.get(saga.definition.name, saga.definition.version)
        definition, state, in_flight = undoing.stands(using, saga)
    except (UnknownSaga, *_CHANGED_BY_HAND):
        return []
    flying = tuple(sorted(in_flight))
    back: list[tuple[Offer, Event]] = [
        (Offer(Action.CANCEL), CancelRequested(in_flight=flying)),
        (Offer(Action.COMPENSATE), CompensateRequested(in_flight=flying)),
    ]
    others: list[tuple[Offer, Event]] = [
        (Offer(Action.PAUSE), SagaPaused()),
        (Offer(Action.RESUME), SagaResumed()),
    ]
    if state.status is SagaStatus.STUCK:
        dead = [name for name, step in state.steps.items() if step.status in _DEAD]
        for name in [name for name in dead if name in definition.by_name]:
            others += [
                (Offer(Action.RETRY_STEP, name), StepRetried(step=name)),
                (Offer(Action.MARK_DONE, name), StepMarkedDone(step=name)),
                (Offer(Action.SKIP_STEP, name), StepSkipped(step=name)),
                (Offer(Action.RETRY_COMPENSATION, name), UndoRetried(step=name)),
                (Offer(Action.SKIP_COMPENSATION, name), UndoSkipped(step=name)),
            ]
    now = clock.now(using)

    def takes(event: Event) -> bool:
        try:
            machine.decide(definition, state, event, now=now)
        except (IllegalTransition, *_CHANGED_BY_HAND):
            return False
        return True

    # In spite of the pivot only where there is no other way back.
    return [
        *[offer for offer, event in back if takes(event)][:1],
        *[offer for offer, event in others if takes(event)],
    ]

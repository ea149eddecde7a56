"""What would be undone if a saga turned back now, and what cannot be: before anybody has it turn back."""

from __future__ import annotations

from django_saga.core.definition import SagaDefinition
from django_saga.core.simulation import UndoPlan, undo_plan
from django_saga.core.state import SagaState
from django_saga.core.states import SagaStatus
from django_saga.engine import versions
from django_saga.models import SagaInstance
from django_saga.store import clock, sagas


def plan(using: str, saga: SagaInstance, *, past_pivot: bool = False) -> UndoPlan:
    """Give the plan of ``saga``, of which steps in flight are taken for done; nothing is locked.
    ``past_pivot``: of one that turns back in spite of its pivot.

    Raises ``IllegalTransition`` when it cannot turn back any more, ``UnknownSaga`` when its version can be
    read neither from the code nor from the database.
    """
    definition, state, in_flight = stands(using, saga)
    return undo_plan(definition, state, clock.now(using), in_flight, past_pivot=past_pivot)


def stands(using: str, saga: SagaInstance) -> tuple[SagaDefinition, SagaState, list[str]]:
    """Give the definition of ``saga``, where it stands, and its steps in flight; nothing is locked. Raises
    ``UnknownSaga``.
    """
    steps, flying = sagas.all_steps(using, [saga.pk], guard=False)
    rows = steps[saga.pk]
    state = SagaState(
        SagaStatus(saga.status),
        {row.name: row.state() for row in rows},
        saga.reason,
        saga.culprit,
        saga.deadline_at,
        saga.paused_at is not None,
    )
    return versions.of_saga(saga), state, [row.name for row in rows if row.id in flying]

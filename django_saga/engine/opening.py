"""The row of a step that was opened just now."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django_saga.core.definition import SagaDefinition
from django_saga.core.state import StepState
from django_saga.models import uuid7
from django_saga.store.rows import StepRow


def new_row(
    saga_id: UUID, definition_id: int, definition: SagaDefinition, state: StepState, now: datetime
) -> StepRow:
    """Make the row of a step that was opened just now."""
    step = definition[state.name]
    return StepRow(
        uuid7(),
        saga_id,
        state.name,
        definition_id,
        step.queue,
        "thread" if state.asking else definition.lanes[state.name],
        state.status,
        state.attempt,
        state.crashes,
        state.outcome,
        state.partial,
        0,
        None,
        state.due_at,
        state.deadline_at,
        state.reason,
        "",
        now,
    )

"""The story of one saga as it stood at an instant: its rows of then, made from its history."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django_saga.core.outline import of_saga
from django_saga.core.state import StepState
from django_saga.core.states import LIVE_SAGA, LIVE_STEP, OWNED_STEP, Outcome, StepStatus
from django_saga.engine import past
from django_saga.models import SagaDefinition, SagaEvent, SagaInstance, SagaStep
from django_saga.observability.story import Story, assemble


def read(using: str, saga: SagaInstance, at: datetime, *, tracebacks: bool = False) -> Story:
    """Read the story of ``saga`` until ``at``. Raises as ``engine.past.look`` does."""
    found = past.look(using, saga.pk, at, tracebacks=tracebacks)
    state = found.state
    then = copy.copy(saga)
    then.status, then.reason, then.culprit = state.status.value, state.reason, state.culprit
    then.deadline_at = state.deadline_at
    then.finished_at = None if state.status in LIVE_SAGA else found.until[-1].at
    if found.version != saga.definition.version:
        then.definition = SagaDefinition.objects.using(using).get(name=saga.name, version=found.version)
    stored = {row.name: row for row in SagaStep.objects.using(using).filter(saga_id=saga.pk)}
    rows = [
        _row(then, step, stored.get(_today(name, found.since)), found, at)
        for name, step in state.steps.items()
    ]
    nodes = of_saga(then.definition.graph, then.graph)
    return assemble(using, then, nodes, rows, found.until, at, left_out=False, past=True)


def _today(name: str, since: Sequence[SagaEvent]) -> str:
    """Give the name that a step of then has today."""
    for event in since:
        if event.kind == "migrated":
            name = dict(_facts(event).get("renamed") or []).get(name, name)
    return name


def _row(
    saga: SagaInstance, step: StepState, stored: SagaStep | None, found: past.Past, at: datetime
) -> SagaStep:
    """Make the row that the step had. Results are never overwritten, so today's are those of then."""
    told = [event for event in found.until if event.step == step.name]
    waits = [event for event in told if event.kind == "step_waits"]
    has_effect = step.outcome is Outcome.SUCCEEDED or step.partial
    row = SagaStep(
        saga=saga,
        name=step.name,
        definition_id=saga.definition_id,
        queue=stored.queue if stored else "default",
        status=step.status.value,
        attempt=step.attempt,
        crashes=step.crashes,
        outcome=step.outcome.value,
        partial=step.partial,
        due_at=step.due_at,
        deadline_at=step.deadline_at,
        reason=step.reason,
        error=told[-1].error if told else "",
        waits_for=_facts(waits[-1]).get("waits_for") or "" if waits else "",
        result=stored.result if stored and step.outcome is Outcome.SUCCEEDED else None,
        compensation_data=stored.compensation_data if stored and has_effect else None,
        created_at=stored.created_at if stored else found.until[0].at,
        ended_at=told[-1].at if told and step.status not in LIVE_STEP else None,
    )
    if step.is_open:
        _own(row, step, stored, found.since, at)
    return row


def _own(
    row: SagaStep, step: StepState, stored: SagaStep | None, since: Sequence[SagaEvent], at: datetime
) -> None:
    """Make ``row`` owned if an attempt was under way: one that ended later, or has not ended yet."""
    ends = [event for event in since if event.step == step.name and event.kind.startswith("step_")]
    if ends:
        under_way = ends[0].started_at is not None and _is_undo(ends[0]) is step.undoing
        began, owner, attempt, due_at = ends[0].started_at, ends[0].worker, ends[0].attempt, None
    elif stored is not None:
        under_way = stored.status in OWNED_STEP
        began, owner, attempt, due_at = stored.claimed_at, stored.owner, stored.attempt, stored.due_at
    else:
        return
    if under_way and began is not None and began <= at:
        row.status = StepStatus.UNDOING if step.undoing else StepStatus.RUNNING
        row.owner, row.attempt, row.claimed_at, row.due_at = owner, attempt, began, due_at


def _is_undo(event: SagaEvent) -> bool:
    return bool(_facts(event).get("undo"))


def _facts(event: SagaEvent) -> Mapping[str, Any]:
    return event.data if isinstance(event.data, dict) else {}

"""Pauses of sagas, definitions and step names: marks that take waiting steps out of every worker's sight.

A saga's pause is decided by the machine; its flag and its marks are written under the saga's lock. The pause
of a name is a row of ``SagaGate``, and its marks are written under that row's lock. Lock order: gates come
after sagas and before steps, and who holds a gate waits for nothing but rows that nobody has in flight.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connections, transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Concat, Replace

from django_saga.core import lanes
from django_saga.core.states import CLAIMABLE_STEP
from django_saga.models import SagaDefinition, SagaGate, SagaInstance, SagaStep
from django_saga.store import claims, limits, sagas, sql
from django_saga.store.rows import StepRow

Name = tuple[str, str]  # a definition's name and a step's; no step: all of them


def over(saga: str, step: str) -> tuple[Name, Name]:
    """Name what a step is held by when it is paused."""
    return (saga, ""), (saga, step)


def known(using: str) -> frozenset[Name]:
    """Give the names that are paused."""
    columns = ("saga", "step")
    paused = f"SELECT {', '.join(columns)} FROM {sql.table(SagaGate)} WHERE paused_at IS NOT NULL"
    return frozenset((saga, step) for saga, step in sql.read(using, SagaGate, columns, paused, []))


def write(using: str, saga_id: UUID, at: datetime | None) -> None:
    """Write since when a saga is paused (None: not), and mark its waiting steps; the caller has its lock."""
    SagaInstance.objects.using(using).filter(pk=saga_id).update(paused_at=at)
    waiting = SagaStep.objects.using(using).filter(saga_id=saga_id)
    _mark(using, waiting, lanes.PAUSED) if at else _unmark(using, waiting, lanes.PAUSED)


def pause(using: str, name: Name, *, by: str, why: str, at: datetime) -> SagaGate | None:
    """Pause a name and mark its waiting steps; give the pause that stands in the way, if it is paused."""
    gate = _locked(using, name)
    if gate.paused_at is not None:
        return gate
    gate.paused_at, gate.paused_by, gate.paused_why = at, by[:150], why
    gate.save(using=using, update_fields=["paused_at", "paused_by", "paused_why"])
    _mark(using, _steps_named(using, name), lanes.HELD)
    return None


def resume(using: str, name: Name) -> bool:
    """End the pause of a name and have its steps claimed again; False if it is not paused."""
    gate = _locked(using, name)
    if gate.paused_at is None:
        return False
    gate.paused_at, gate.paused_by, gate.paused_why = None, "", ""
    gate.save(using=using, update_fields=["paused_at", "paused_by", "paused_why"])
    # Some may be paused under another name as well: they are marked again when they are claimed.
    _unmark(using, _steps_named(using, name), lanes.HELD)
    return True


def put_aside(using: str, rows: Sequence[tuple[str, StepRow]]) -> None:
    """Give back claimed steps (each with its saga's name), marked if they are still paused by name."""
    with transaction.atomic(using=using):
        paused = {(gate.saga, gate.step) for gate in _paused(using).select_for_update().order_by("pk")}
        for name, row in rows:
            held = not paused.isdisjoint(over(name, row.name))
            _give_back(using, row, lanes.HELD if held else "")


def put_aside_of_sagas(using: str, rows: Sequence[StepRow]) -> None:
    """Give back claimed steps, marked if their sagas are still paused."""
    with transaction.atomic(using=using):
        locked = sagas.lock(using, {row.saga_id for row in rows})
        for row in rows:
            saga = locked.get(row.saga_id)
            _give_back(using, row, lanes.PAUSED if saga and saga.paused_at else "")


def _give_back(using: str, row: StepRow, mark: str) -> None:
    assert row.owner is not None
    claims.release(using, owner=row.owner, rows=[row], lane=lanes.marked(row.executor, mark))


def _paused(using: str) -> QuerySet[SagaGate]:
    return SagaGate.objects.using(using).filter(paused_at__isnull=False)


def _locked(using: str, name: Name) -> SagaGate:
    saga, step = name
    limits.make(using, saga, step)
    return SagaGate.objects.using(using).select_for_update().get(saga=saga, step=step)


def _steps_named(using: str, name: Name) -> QuerySet[SagaStep]:
    saga, step = name
    ids = SagaDefinition.objects.using(using).filter(name=saga).values_list("pk", flat=True)
    steps = SagaStep.objects.using(using).filter(definition_id__in=list(ids))
    return steps.filter(name=step) if step else steps


def _mark(using: str, steps: QuerySet[SagaStep], mark: str) -> None:
    """Mark those of ``steps`` that wait. What is locked is being claimed, and put aside by who claims it."""
    connection = connections[using]
    waiting = steps.filter(status__in=CLAIMABLE_STEP).exclude(executor__contains=mark)
    skip = connection.features.has_select_for_update_skip_locked
    ids: Collection[UUID] = waiting.select_for_update(skip_locked=skip).values_list("pk", flat=True)
    for part in sql.chunks(connection, list(ids)):
        these = SagaStep.objects.using(using).filter(pk__in=part)
        these.update(executor=Concat(Value(mark), F("executor")))


def _unmark(using: str, steps: QuerySet[SagaStep], mark: str) -> None:
    connection = connections[using]
    marked = steps.filter(status__in=CLAIMABLE_STEP, executor__contains=mark)
    ids = marked.select_for_update().order_by("pk").values_list("pk", flat=True)
    for part in sql.chunks(connection, list(ids)):
        these = SagaStep.objects.using(using).filter(pk__in=part)
        these.update(executor=Replace(F("executor"), Value(mark), Value("")))

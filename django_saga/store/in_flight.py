"""Sagas in flight: found by the index over unfinished rows, however many have ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import Count, Min, QuerySet

from django_saga.core.states import SagaStatus
from django_saga.models import SagaInstance, SagaStep
from django_saga.store import sql

# Also those that are stuck: a person may yet have their compensations tried again.
IN_FLIGHT = (SagaStatus.PENDING, SagaStatus.RUNNING, SagaStatus.COMPENSATING, SagaStatus.STUCK)
# The very words of the partial index, so that every planner sees that it covers the query.
_UNFINISHED = f"status IN ({', '.join(repr(status.value) for status in IN_FLIGHT)})"


class Counted(NamedTuple):
    """How many sagas of a definition (id) are in a status, and since when the oldest of them."""

    definition_id: int
    status: str
    number: int
    since: datetime


def counted(using: str) -> list[Counted]:
    """Count sagas in flight by definition and status."""
    rows = sql.read(
        using,
        SagaInstance,
        ("definition", "status"),
        f"SELECT definition_id, status, COUNT(*), MIN(created_at) FROM {sql.table(SagaInstance)}"
        f" WHERE {_UNFINISHED} GROUP BY definition_id, status",
        [],
    )
    found = []
    for definition_id, status, number, since in rows:
        at = sql.as_time(since)
        assert at is not None
        found.append(Counted(definition_id, status, number, at))
    return found


def not_settled(using: str) -> Iterator[QuerySet[SagaInstance]]:
    """Give the completed sagas that one in flight started, or one of those did, generation by generation:
    whoever started them may yet have them undone.
    """
    sagas = SagaInstance.objects.using(using)
    parents = sagas.filter(status__in=IN_FLIGHT)
    while True:
        steps = SagaStep.objects.using(using).filter(saga__in=parents.values("pk"))
        parents = sagas.filter(parent_step__in=steps.values("pk"), status=SagaStatus.COMPLETED)
        if not parents.exists():
            return
        yield parents


def counted_not_settled(using: str) -> list[Counted]:
    """Count the sagas that ``not_settled`` gives, by definition."""
    return [
        Counted(definition_id, SagaStatus.COMPLETED.value, number, since)
        for sagas in not_settled(using)
        for definition_id, number, since in sagas.order_by()
        .values_list("definition_id")
        .annotate(Count("pk"), Min("created_at"))
    ]


def after(using: str, status: SagaStatus, definition_id: int, last: UUID, limit: int) -> list[UUID]:
    """Give up to ``limit`` sagas of a definition in ``status``, ordered by id, from behind ``last`` on."""
    connection = connections[using]
    rows = sql.read(
        using,
        SagaInstance,
        ("id",),
        f"SELECT id FROM {sql.table(SagaInstance)}"
        f" WHERE {_UNFINISHED} AND status = '{status.value}'"
        " AND id > %s AND definition_id = %s ORDER BY id LIMIT %s",
        [sql.to_db(connection, last), definition_id, limit],
    )
    return [row[0] for row in rows]

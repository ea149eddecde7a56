"""Sagas in flight: found by the index over unfinished rows, however many have ended."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connections

from django_saga.core.states import SagaStatus
from django_saga.models import SagaInstance
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

"""The history: events as rows, written once, read back for the fold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django_saga.core.events import Event, from_data, to_data
from django_saga.models import SagaEvent
from django_saga.store import sql

COLUMNS = (
    "saga",
    "kind",
    "step",
    "attempt",
    "token",
    "worker",
    "at",
    "started_at",
    "ended_at",
    "data",
    "error_class",
    "error",
    "traceback",
)


class Entry(NamedTuple):
    """An event with what people want to know of it."""

    saga_id: UUID
    event: Event
    token: int = 0
    worker: UUID | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error_class: str = ""
    error: str = ""
    traceback: str = ""


def append(using: str, entries: Sequence[Entry], now: datetime) -> None:
    """Append ``entries`` in their order; the caller holds the locks of their sagas."""
    sql.together(using, written(using, entries, now))


def newest(using: str, saga_id: UUID) -> int:
    """Give the id of the newest event of a saga; the caller holds its lock."""
    ids = SagaEvent.objects.using(using).filter(saga_id=saga_id).order_by("-pk").values_list("pk", flat=True)
    return ids[0]


def written(using: str, entries: Sequence[Entry], now: datetime) -> list[sql.Statement]:
    """Give what appends ``entries``."""
    rows = []
    for entry in entries:
        event = entry.event
        data = to_data(event)
        rows.append(
            (
                entry.saga_id,
                event.kind,
                getattr(event, "step", ""),
                getattr(event, "attempt", 0),
                entry.token,
                entry.worker,
                now,
                entry.started_at,
                entry.ended_at,
                json.dumps(data) if data else None,
                entry.error_class,
                entry.error,
                entry.traceback,
            )
        )
    return sql.insertion(using, SagaEvent, COLUMNS, rows)


def fact(row: SagaEvent) -> Event:
    """Give the event that a row of the history is of."""
    return from_data(row.kind, step=row.step, attempt=row.attempt, data=row.data)


def read(using: str, saga_id: UUID) -> list[tuple[Event, datetime]]:
    """Give a saga's events with the times they were decided at, oldest first."""
    rows: Iterable[SagaEvent] = SagaEvent.objects.using(using).filter(saga_id=saga_id).order_by("id")
    return [(fact(row), row.at) for row in rows]


def errors(using: str, saga_ids: Sequence[UUID]) -> dict[tuple[UUID, str], str]:
    """Give, by saga and step, what the last attempt said that failed; those of compensations do not count."""
    failed = SagaEvent.objects.using(using).filter(saga_id__in=saga_ids).exclude(error="").order_by("id")
    return {
        (row.saga_id, row.step): row.error
        for row in failed.only("saga", "kind", "step", "attempt", "data", "error")
        if not getattr(fact(row), "undo", False)
    }

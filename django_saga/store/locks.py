"""Semantic locks: who holds what, who waits for it, and whose turn has come.

A unique index decides who holds a target. All locks that one transaction takes are written in the order of
their targets, so that two that want the same never wait for each other in a circle. Those who wait stand in
line by when they asked, in the database's time, then by id: in the same order for every target. So whoever
asked first of all waits for nobody but holders, and holders wait for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

from django.db import connections
from django.db.models import F, Q, QuerySet

from django_saga.models import SagaInstance, SagaLock
from django_saga.store import clock, sql

Wish: TypeAlias = tuple[str, UUID]  # a target, and the saga that is to have it

_COLUMNS = ("target", "saga", "held", "since")
# How long one who takes his turn waits for a start that has not committed, in milliseconds: less than it
# takes PostgreSQL to look for deadlocks, so that the start is never the victim.
_PATIENCE = "500"


class Holder(NamedTuple):
    """The saga that has a target, or is the first in line for it."""

    target: str
    saga_id: UUID
    saga: str


def taken(using: str, targets: Sequence[str], now: datetime) -> set[str]:
    """Give those of ``targets`` that a saga holds or waits for."""
    connection = connections[using]
    found: set[str] = set()
    for part in sql.chunks(connection, sorted(set(targets))):
        found.update(_locks(using, part, now).values_list("target", flat=True).distinct())
    return found


def holder(using: str, targets: Sequence[str], now: datetime) -> Holder | None:
    """Give who has one of ``targets``; None when they are free by now."""
    for part in sql.chunks(connections[using], sorted(set(targets))):
        in_line = _locks(using, part, now).order_by(F("held").asc(nulls_last=True), "since", "saga_id")
        if found := in_line.values_list("target", "saga_id", "saga__name").first():
            return Holder(*found)
    return None


def hold(using: str, wishes: Iterable[Wish], now: datetime) -> bool:
    """Have sagas hold what they wish; False when somebody else was faster, and some got less.

    The unique index decides: one that another open transaction has taken is waited for until that ends.
    """
    rows = [(target, saga_id, True, now) for target, saga_id in sorted(wishes)]
    return sql.insert(using, SagaLock, _COLUMNS, rows, ignore=True) == len(rows)


def stand_in_line(using: str, wishes: Iterable[Wish], since: datetime) -> None:
    """Have sagas wait for what they wish, as of ``since``; this waits for nobody."""
    sql.insert(using, SagaLock, _COLUMNS, [(target, saga_id, None, since) for target, saga_id in wishes])


def release(using: str, saga_ids: Sequence[UUID]) -> int:
    """Let go of all that sagas hold or wait for; give how many locks that were."""
    connection = connections[using]
    freed = 0
    for part in sql.chunks(connection, saga_ids):
        these, params = sql.is_in(connection, "saga_id", part)
        freed += sql.execute(using, f"DELETE FROM {sql.table(SagaLock)} WHERE {these}", params)
    return freed


def hand_over(using: str, saga_id: UUID, to: UUID) -> None:
    """Have another saga hold all that ``saga_id`` holds, since when that does: nobody gets in between."""
    SagaLock.objects.using(using).filter(saga_id=saga_id).update(saga_id=to)


def collides_quietly(using: str) -> bool:
    """True where an insert that meets a taken target leaves nothing behind.

    InnoDB keeps a lock on the row that was met and the gap before it. Several who met it, and then stand in
    line there, would wait for each other.
    """
    return connections[using].vendor != "mysql"


def next_in_line(
    using: str, *, definitions: Sequence[int], limit: int, saga_id: UUID | None = None
) -> list[tuple[UUID, int]]:
    """Find sagas (id, definition id) that wait, and are the first in line for all they wait for."""
    connection = connections[using]
    lock = sql.table(SagaLock)
    known, params = sql.is_in(connection, "saga.definition_id", definitions)
    now = sql.to_db(connection, clock.now(using))
    only = " AND saga.id = %s" if saga_id else ""
    # Holders stand before all who wait. Counting places takes one pass however long the lines are.
    place = "PARTITION BY target ORDER BY CASE WHEN held IS NULL THEN 1 ELSE 0 END, since, saga_id"
    rows = sql.read(
        using,
        SagaLock,
        ("saga",),
        f"SELECT saga.id, saga.definition_id FROM"
        f" (SELECT saga_id, since, held, row_number() OVER ({place}) AS place FROM {lock}"
        f" WHERE target IN (SELECT target FROM {lock} WHERE held IS NULL AND since <= %s)"
        " AND (held IS NOT NULL OR since <= %s)) line"
        f" JOIN {sql.table(SagaInstance)} saga ON saga.id = line.saga_id WHERE {known}{only}"
        " GROUP BY saga.id, saga.definition_id HAVING MAX(line.place) = 1 AND COUNT(line.held) = 0"
        " ORDER BY MIN(line.since), saga.id LIMIT %s",
        [now, now, *params, *([sql.to_db(connection, saga_id)] if saga_id else []), limit],
    )
    return [(saga_id, definition_id) for saga_id, definition_id in rows]


def take_turn(using: str, saga_id: UUID, now: datetime) -> bool:
    """Have a saga hold all it waits for; False when it waits no more, or another was faster: then the
    transaction has to be rolled back.
    """
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [_PATIENCE])
    waits = SagaLock.objects.using(using).filter(saga_id=saga_id, held=None)
    wishes = [(target, saga_id) for target in waits.values_list("target", flat=True)]
    return bool(wishes) and release(using, [saga_id]) > 0 and hold(using, wishes, now)


def _locks(using: str, targets: Sequence[str], now: datetime) -> QuerySet[SagaLock]:
    """Those who wait for a time to come do not stand in line yet."""
    return SagaLock.objects.using(using).filter(Q(held=True) | Q(since__lte=now), target__in=targets)

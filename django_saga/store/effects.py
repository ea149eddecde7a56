"""Guarded effects: the rows that say what happened, and what must not happen any more.

The unique index on the key decides between two that come at once: the second one's insert waits until the
first one's transaction ends, and then finds its row, or, if that was rolled back, goes first itself.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from django.db import connections

from django_saga.models import SagaEffect
from django_saga.store import clock, locks, sql

Status = SagaEffect.Status
_BATCH = 5_000


class Effect(NamedTuple):
    """What became of an effect, and what it gave (JSON text)."""

    status: str
    result: str | None


def begin(using: str, key: str, status: str) -> bool:
    """Write that an effect is ``status``; False when there is a row already."""
    row, now = (key, status), clock.moment(using)
    if locks.collides_quietly(using):
        columns, given = ("effect_key", "status"), {"changed_at": now}
        return sql.insert(using, SagaEffect, columns, [row], given=given, ignore=True) == 1
    # An insert that is ignored keeps a shared lock on the row it met: several who did would then wait for
    # each other to change it. This one locks it for itself, and counts two for a row that it met and changed.
    statement = (
        f"INSERT INTO {sql.table(SagaEffect)} (effect_key, status, changed_at) VALUES (%s, %s, {now})"
        " ON DUPLICATE KEY UPDATE changed_at = changed_at + INTERVAL 1 MICROSECOND"
    )
    return sql.execute(using, statement, row) == 1


def locked(using: str, key: str) -> Effect:
    """Lock the row of an effect and give what it says."""
    connection = connections[using]
    [row] = sql.read(
        using,
        SagaEffect,
        ("status", "result"),
        f"SELECT status, result FROM {sql.table(SagaEffect)} WHERE effect_key = %s {sql.locking(connection)}",
        [key],
    )
    return Effect(*row)


def note(using: str, key: str, status: str, result: str | None) -> None:
    """Write what became of an effect; ``result`` None leaves what it gave."""
    value = "%s::jsonb" if connections[using].vendor == "postgresql" else "%s"
    sql.execute(
        using,
        f"UPDATE {sql.table(SagaEffect)} SET status = %s, result = COALESCE({value}, result),"
        f" changed_at = {clock.moment(using)} WHERE effect_key = %s",
        [status, result, key],
    )


def forget(using: str, older_than: timedelta) -> int:
    """Delete rows that nothing happened to for so long, some thousand at a time; give how many."""
    before, deleted = clock.now(using) - older_than, 0
    while ids := list(
        SagaEffect.objects.using(using).filter(changed_at__lt=before).values_list("pk", flat=True)[:_BATCH]
    ):
        deleted += SagaEffect.objects.using(using).filter(pk__in=ids).delete()[0]
    return deleted

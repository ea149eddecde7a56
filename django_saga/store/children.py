"""Sagas that a step of another saga started: how far they are, what holds them back, what is left to undo.

A step waits for its children by a key, ``children:<step id>:<what for>``: ``all`` of them (it goes forward),
the same with at most so many at a time (``50``), or that they are ``undone``. Ids of children sort by item,
and items begin in that order: so those that may be under way are the first that have not ended, and no look
costs more when there are more items.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import connections

from django_saga.core.state import PAST_PIVOT
from django_saga.core.waits import NEVER
from django_saga.models import SagaInstance, SagaStep
from django_saga.store import clock, sql, waiting

ALL, UNDONE = "all", "undone"
# Literals, so that the planner can prove that the partial indexes cover the queries.
_OPEN = "status IN ('pending', 'running', 'compensating', 'stuck') AND parent_step IS NOT NULL"
_ANY = "parent_step IS NOT NULL"
_SCHEDULED = "status = 'scheduled'"


class Child(NamedTuple):
    """One child, and which item it is for."""

    id: UUID
    status: str
    definition_id: int
    item: int | None


def key(step_id: UUID, what: str | int) -> str:
    """Give what a step waits for that has children."""
    return f"children:{step_id}:{what}"


def there(using: str, keys: Iterable[str]) -> Iterator[str]:
    """Give those of ``keys`` for which a look finds something to do."""
    for each in keys:
        _, step_id, what = each.split(":")
        if _has_news(using, UUID(step_id), what):
            yield each


def missed(using: str) -> Iterator[str]:
    """Do the same for all steps that wait for children."""
    waiting_for = SagaStep.objects.using(using).filter(
        status__in=("waiting", "undo_scheduled"), waits_for__startswith="children:"
    )
    yield from there(using, list(waiting_for.values_list("waits_for", flat=True)))


waiting.SOURCES["children"] = there
waiting.MISSED["children"] = missed


def _has_news(using: str, step_id: UUID, what: str) -> bool:
    if what == UNDONE:
        return not unfinished(using, step_id, 1) or bool(to_take_back(using, step_id, 1))
    if failed(using, step_id) or not (first := unfinished(using, step_id, 1 if what == ALL else int(what))):
        return True
    return what != ALL and bool(_held(using, first))


def are_there(using: str, step_id: UUID) -> bool:
    """True once the step started any."""
    return bool(_children(using, step_id, _ANY, 1))


def unfinished(using: str, step_id: UUID, limit: int) -> list[UUID]:
    """Give the first children that have not ended, by item."""
    return [child.id for child in _children(using, step_id, _OPEN, limit)]


def failed(using: str, step_id: UUID) -> Child | None:
    """Give the first child that was undone."""
    return next(iter(_children(using, step_id, f"{_ANY} AND status = 'compensated'", 1)), None)


def completed(using: str, step_id: UUID, limit: int, after: UUID | None = None) -> list[Child]:
    """Give children that ended well, by item, from behind ``after`` on."""
    behind = [] if after is None else [after]
    more = " AND id > %s" if behind else ""
    return _children(using, step_id, f"{_ANY} AND status = 'completed'{more}", limit, behind)


def step_of(using: str, saga_id: UUID, name: str) -> UUID | None:
    """Give the id of a saga's step."""
    return (
        SagaStep.objects.using(using).filter(saga_id=saga_id, name=name).values_list("id", flat=True).first()
    )


def of_saga(using: str, saga_id: UUID) -> list[UUID]:
    """Give the children of a saga, by step and item."""
    connection = connections[using]
    rows = sql.read(
        using,
        SagaInstance,
        ("id",),
        f"SELECT c.id FROM {sql.table(SagaInstance)} c JOIN {sql.table(SagaStep)} s ON c.parent_step = s.id"
        " WHERE s.saga_id = %s AND c.parent_step IS NOT NULL ORDER BY s.id, c.id",
        [sql.to_db(connection, saga_id)],
    )
    return [row[0] for row in rows]


def open_below(using: str, saga_ids: Sequence[UUID]) -> list[UUID]:
    """Give the children of ``saga_ids`` that have something to do now: claimed, or to be claimed."""
    connection = connections[using]
    these, params = sql.is_in(connection, "s.saga_id", saga_ids)
    rows = sql.read(
        using,
        SagaInstance,
        ("id",),
        f"SELECT c.id FROM {sql.table(SagaInstance)} c JOIN {sql.table(SagaStep)} s ON c.parent_step = s.id"
        f" WHERE {these} AND c.parent_step IS NOT NULL AND c.status IN ('pending', 'running', 'compensating')"
        " ORDER BY c.id LIMIT 100",
        params,
    )
    return [row[0] for row in rows]


def parent_of(using: str, saga_id: UUID) -> UUID | None:
    """Give the saga that started ``saga_id`` by one of its steps."""
    step_id = SagaInstance.objects.using(using).values_list("parent_step", flat=True).get(pk=saga_id)
    if step_id is None:
        return None
    return SagaStep.objects.using(using).values_list("saga_id", flat=True).get(pk=step_id)


def count(using: str, step_id: UUID) -> int:
    """Count the children of a step."""
    connection = connections[using]
    rows = sql.read(
        using,
        SagaInstance,
        (),
        f"SELECT count(*) FROM {sql.table(SagaInstance)} WHERE {_ANY} AND parent_step = %s",
        [sql.to_db(connection, step_id)],
    )
    return int(rows[0][0])


def to_take_back(using: str, step_id: UUID, limit: int) -> list[Child]:
    """Give children that are not undone and have not turned back: those that a dead step past their pivot
    holds up, those under way, and those that ended well.
    """
    found: list[Child] = []
    for condition in (
        f"{_OPEN} AND (status IN ('pending', 'running') OR status = 'stuck' AND reason = '{PAST_PIVOT}')",
        f"{_ANY} AND status = 'completed'",
    ):
        if left := limit - len(found):
            found += _children(using, step_id, condition, left)
    return found


def let_in(using: str, step_id: UUID, room: int) -> int:
    """Have children begin while fewer than ``room`` are under way; give how many steps may be claimed now."""
    held = _held(using, unfinished(using, step_id, room))
    connection = connections[using]
    begun = 0
    for part in sql.chunks(connection, held):
        these, params = sql.is_in(connection, "id", part)
        begun += sql.execute(
            using,
            f"UPDATE {sql.table(SagaStep)} SET due_at = %s WHERE {these} AND {_SCHEDULED} AND due_at >= %s",
            [clock.now(using), *params, NEVER],
        )
    return begun


def _held(using: str, saga_ids: Sequence[UUID]) -> list[UUID]:
    """Give the first steps of those of ``saga_ids`` that were not let in yet."""
    connection = connections[using]
    found: list[UUID] = []
    for part in sql.chunks(connection, saga_ids):
        these, params = sql.is_in(connection, "saga_id", part)
        rows = sql.read(
            using,
            SagaStep,
            ("id",),
            f"SELECT id FROM {sql.table(SagaStep)} WHERE {these} AND {_SCHEDULED} AND due_at >= %s",
            [*params, sql.to_db(connection, NEVER)],
        )
        found += [row[0] for row in rows]
    return found


def _children(
    using: str, step_id: UUID, condition: str, limit: int, more: Sequence[UUID] = ()
) -> list[Child]:
    connection = connections[using]
    rows = sql.read(
        using,
        SagaInstance,
        ("id", "status", "definition", "item"),
        f"SELECT id, status, definition_id, item FROM {sql.table(SagaInstance)}"
        f" WHERE parent_step = %s AND {condition} ORDER BY id LIMIT %s",
        [*(sql.to_db(connection, each) for each in (step_id, *more)), limit],
    )
    return [Child(*row) for row in rows]

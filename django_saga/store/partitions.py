"""Leases on partitions of outbox and inbox: who sends or handles what is in them, and until when.

Invariant: only who holds a partition marks what is in it. Its token rises with every lease; whoever marks
locks the partition's row first and looks whether the token is still its own. While that lock is held nobody
takes the partition, so a transaction at work needs no lease that lasts as long.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.db import connections, models, transaction
from django.db.models import QuerySet

from django_saga.core.messages import PARTITIONS, Queued, in_turn
from django_saga.models.partition import Partition
from django_saga.store import clock, sql

# A look passes over so many pages, and leaves out so many lanes; what is behind them waits for another look.
_PAGES = 20
_LANES = 500
# Rows of a page at least, however few are wanted: those that are held up are in it too.
_PAGE = 100
_R = TypeVar("_R", bound=Queued)


class Held(NamedTuple):
    """A partition that this process holds."""

    id: int
    name: str
    number: int
    token: int


_HELD = Held._fields


class Work(NamedTuple):
    """Rows to be done, with the partition's number in ``part_number``: a condition and its values."""

    model: type[models.Model]
    where: str
    values: Sequence[Any]


def ensure(using: str, model: type[Partition], names: Sequence[str]) -> None:
    """Write the partitions of ``names`` that are not there yet."""
    rows = _all(using, model)
    known = set(rows.filter(name__in=names).values_list("name", "number"))
    wanted = [(name, number) for name in sorted(names) for number in range(PARTITIONS)]
    missing = [model(name=name, number=number) for name, number in wanted if (name, number) not in known]
    if missing:
        rows.bulk_create(missing, ignore_conflicts=True)


class Asked(NamedTuple):
    """What is to be leased: up to ``limit`` partitions of ``name`` in which there is ``work``, to ``owner``
    for ``lease``.
    """

    model: type[Partition]
    name: str
    work: Work
    limit: int
    owner: UUID
    lease: timedelta


def take_work(
    using: str,
    asked: Asked,
    read: Callable[[list[int], datetime], list[_R]],
    now: datetime | None = None,
) -> tuple[list[Held], list[_R]]:
    """Lease partitions, those first that waited longest, and ``read`` what is in them at which time; they are
    let go of when that is nothing.

    ``now``: the time, if it is known that there is work. Nothing is written to find out that there is none.
    """
    if sql.changes_at_once(connections[using]):
        # Each statement is a transaction: whoever dies between two leaves a lease that runs out.
        held, now = _lease_at_once(using, asked)
        return _read_from(using, asked, held, read, now) if now else ([], [])
    if now is None and (now := _when(using, asked.work)) is None:
        return [], []
    with transaction.atomic(using=using, savepoint=False):
        return _read_from(using, asked, _lease(using, asked, now), read, now)


def _read_from(
    using: str,
    asked: Asked,
    held: list[Held],
    read: Callable[[list[int], datetime], list[_R]],
    now: datetime,
) -> tuple[list[Held], list[_R]]:
    if not held:
        return [], []
    if not (there := read([each.number for each in held], now)):
        release(using, asked.model, held, asked.owner)
    return held, there


def _when(using: str, work: Work) -> datetime | None:
    there = f"EXISTS(SELECT 1 FROM {sql.table(work.model)} WHERE {work.where})"
    look = f"SELECT {sql.epoch(connections[using])}, {there}"
    [(epoch, found)] = sql.read(using, work.model, (), look, work.values)
    return clock.at(epoch) if found else None


def _free(using: str, asked: Asked, columns: str) -> sql.Statement:
    """Give the query for ``columns`` of partitions that can be leased, which locks them."""
    connection, table, work = connections[using], sql.table(asked.model), asked.work
    # Not EXISTS, which a planner may turn into a join that reads all the work there is. What was never
    # taken comes first: behind those that have work for ever, it would never be.
    return sql.Statement(
        f"SELECT {columns} FROM {table}"
        f" WHERE name = %s AND (leased_until IS NULL OR leased_until <= {clock.moment(using)} OR owner = %s)"
        f" AND (SELECT id FROM {sql.table(work.model)} AS w WHERE {work.where}"
        f" AND w.part_number = {table}.number ORDER BY id LIMIT 1) IS NOT NULL"
        " ORDER BY CASE WHEN taken_at IS NULL THEN 0 ELSE 1 END, taken_at, number"
        f" LIMIT %s {sql.locking(connection, skip_locked=True)}",
        [asked.name, sql.to_db(connection, asked.owner), *work.values, asked.limit],
    )


def _lease(using: str, asked: Asked, now: datetime) -> list[Held]:
    connection, model = connections[using], asked.model
    free = _free(using, asked, ", ".join(_HELD))
    found = sql.read(using, model, _HELD, free.sql, free.params)
    if found:
        these, ids = sql.is_in(connection, "id", [row[0] for row in found])
        times = [sql.to_db(connection, now + asked.lease), sql.to_db(connection, now)]
        sql.execute(
            using,
            f"UPDATE {sql.table(model)} SET owner = %s, leased_until = %s, taken_at = %s, token = token + 1"
            f" WHERE {these}",
            [sql.to_db(connection, asked.owner), *times, *ids],
        )
    return [Held(key, named, number, token + 1) for key, named, number, token in found]


def _lease_at_once(using: str, asked: Asked) -> tuple[list[Held], datetime | None]:
    """Find and lease in one statement; give also the time, if anything was found."""
    connection, model, free = connections[using], asked.model, _free(using, asked, "id")
    found = sql.read(
        using,
        model,
        _HELD,
        f"UPDATE {sql.table(model)} AS p SET owner = %s, leased_until = {clock.moment(using, asked.lease)},"
        f" taken_at = {clock.moment(using)}, token = p.token + 1 FROM ({free.sql}) AS free"
        f" WHERE p.id = free.id RETURNING p.id, p.name, p.number, p.token, {sql.epoch(connection)}",
        [sql.to_db(connection, asked.owner), *free.params],
    )
    held = sorted((Held(*row[:4]) for row in found), key=lambda each: each.id)
    return held, clock.at(found[0][4]) if found else None


def hold(
    using: str,
    model: type[Partition],
    held: Sequence[Held],
    limits: tuple[str, Sequence[Any]] = ("", ()),
) -> list[Held]:
    """Lock partitions for the open transaction and give those that are still this process' own. ``limits``:
    of the transaction, see ``fence.limits``.
    """
    connection = connections[using]
    also, values = limits
    these, ids = sql.is_in(connection, "id", [each.id for each in held])
    asked = f"SELECT id, token{also} FROM {sql.table(model)} WHERE {these} ORDER BY id"
    rows = sql.read(using, model, ("id", "token"), f"{asked} {sql.locking(connection)}", [*values, *ids])
    tokens = {row[0]: row[1] for row in rows}
    return [each for each in held if tokens.get(each.id) == each.token]


def release(using: str, model: type[Partition], held: Sequence[Held], owner: UUID) -> None:
    """Let go of partitions that are still ``owner``'s."""
    sql.together(using, [released(using, model, held, owner)])


def released(using: str, model: type[Partition], held: Sequence[Held], owner: UUID) -> sql.Statement:
    """Give what lets go of partitions that are still ``owner``'s."""
    connection = connections[using]
    these, ids = sql.is_in(connection, "id", [each.id for each in held])
    return sql.Statement(
        f"UPDATE {sql.table(model)} SET owner = NULL, leased_until = NULL WHERE {these} AND owner = %s",
        [*ids, sql.to_db(connection, owner)],
    )


def read(
    using: str,
    model: type[models.Model],
    columns: tuple[str, ...],
    make: Callable[..., _R],
    where: str,
    values: Sequence[Any],
    parts: Sequence[int],
    limit: int,
    now: datetime,
) -> list[_R]:
    """Give rows of partitions whose turn it is, in order, each made by ``make`` of ``columns``.

    ``where``: a condition, which a partial index covers, and its ``values``.
    """
    found: list[_R] = []
    held: set[Hashable] = set()
    last, newest, size = 0, None, max(limit, _PAGE)
    # What has no stream holds up nobody: it is not even looked at before its time.
    where += " AND (stream IS NOT NULL OR due_at IS NULL OR due_at <= %s)"
    values = [*values, sql.to_db(connections[using], now)]
    for _ in range(_PAGES):
        # Whole lanes that are held up are not read again.
        lanes = [lane for lane in held if isinstance(lane, str)][:_LANES]
        page = _page(using, model, columns, where, values, parts, size, (last, newest), lanes)
        rows = [make(*row[:-1]) for row in page]
        if page and newest is None:
            # What is committed between two pages is for another look: the second message of a stream would
            # be seen here, and not the first, whose place was passed before it was there.
            newest = page[0][-1]
        found.extend(in_turn(rows, now, held))
        if len(rows) < size or len(found) >= limit:
            break
        last = rows[-1].id
    return found[:limit]


def _page(
    using: str,
    model: type[models.Model],
    columns: tuple[str, ...],
    where: str,
    values: list[Any],
    parts: Sequence[int],
    limit: int,
    between: tuple[int, int | None],
    held: Sequence[str],
) -> list[sql.Row]:
    """Give rows behind the first id of ``between`` up to the second, and with each the newest id there is."""
    connection = connections[using]
    after, newest = between
    if newest is not None:
        where += " AND id <= %s"
        values = [*values, newest]
    these, numbers = sql.is_in(connection, "part_number", parts)
    if held:
        lanes, names = sql.is_in(connection, "stream", held)
        where += f" AND (stream IS NULL OR NOT {lanes})"
        values = [*values, *names]
    chosen = ", ".join(str(sql.column(model, name)) for name in columns)
    return sql.read(
        using,
        model,
        columns,
        f"SELECT {chosen}, (SELECT max(id) FROM {sql.table(model)}) FROM {sql.table(model)}"
        f" WHERE {where} AND {these} AND id > %s ORDER BY id LIMIT %s",
        [*values, *numbers, after, limit],
    )


def _all(using: str, model: type[Partition]) -> QuerySet[Any]:
    return model._default_manager.using(using)

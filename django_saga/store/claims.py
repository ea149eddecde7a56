"""Claims and leases: who may run a step, and until when.

Lock order everywhere: saga rows ordered by id, then step rows. An atomic step alone locks its own row
before its saga's, and nobody who holds a saga waits for the row of a step in flight. Claims and leases lock
step rows only, and skip those that are locked, so they wait for nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connections, transaction

from django_saga.core.states import SagaStatus
from django_saga.core.waits import WAITING
from django_saga.models import SagaInstance, SagaStep
from django_saga.store import clock, sql
from django_saga.store.rows import LIGHT, OWNED, StepRow

# Literals, so that the planner can prove that the partial indexes cover the query.
_CLAIMABLE = "status IN ('scheduled', 'waiting', 'undo_scheduled')"
_OWNED = "status IN ('running', 'undoing')"
_COLUMNS = ", ".join(LIGHT)
_DUE_AT = LIGHT.index("due_at")


def claim(
    using: str,
    *,
    owner: UUID,
    queue: str,
    executor: str,
    definitions: Sequence[int],
    limit: int,
    lease: timedelta,
    saga_id: UUID | None = None,
    step_id: UUID | None = None,
    accept: Callable[[StepRow], bool] | None = None,
    passed_over: Sequence[str] = (),
) -> list[StepRow]:
    """Lease up to ``limit`` due steps of ``queue`` to ``owner``, oldest first; of one saga, or one step, if
    asked. Steps named in ``passed_over`` are not looked at, and those that ``accept`` refuses are left.

    Only steps of ``definitions`` (ids) are taken: a worker leaves alone what its code does not know.
    """
    connection = connections[using]
    known, params = sql.is_in(connection, "definition_id", definitions)
    chosen = {column: key for column, key in (("saga_id", saga_id), ("id", step_id)) if key}
    only = "".join(f" AND {column} = %s" for column in chosen) + " AND name <> %s" * len(passed_over)
    keys = [sql.to_db(connection, key) for key in chosen.values()]
    due = sql.Statement(
        f"SELECT {_COLUMNS}, {sql.epoch(connection)} AS now FROM {sql.table(SagaStep)}"
        f" WHERE {_CLAIMABLE} AND queue = %s AND executor = %s AND due_at <= {clock.moment(using)}"
        f" AND {known}{only} ORDER BY due_at LIMIT %s {sql.locking(connection, skip_locked=True)}",
        [queue, executor, *params, *keys, *passed_over, limit],
    )
    if accept is None and sql.changes_at_once(connection):
        return _lease_at_once(using, due, owner, lease)
    with transaction.atomic(using=using):
        rows = sql.read(using, SagaStep, LIGHT, due.sql, due.params)
        found = [row for row in (StepRow(*row[:-1]) for row in rows) if accept is None or accept(row)]
        if found:
            _lease(using, found, owner, now=clock.at(rows[0][-1]), lease=lease)
    return found


def _set(owner: str, until: str, now: str) -> str:
    step = sql.table(SagaStep)
    return (
        f"status = CASE {step}.status WHEN 'undo_scheduled' THEN 'undoing' ELSE 'running' END,"
        f" attempt = {step}.attempt + 1, token = {step}.token + 1,"
        f" owner = {owner}, due_at = {until}, claimed_at = {now}"
    )


def _lease(using: str, rows: Sequence[StepRow], owner: UUID, *, now: datetime, lease: timedelta) -> None:
    connection, until = connections[using], now + lease
    for part in sql.chunks(connection, [row.id for row in rows]):
        these, ids = sql.is_in(connection, "id", part)
        taken = sql.execute(
            using,
            f"UPDATE {sql.table(SagaStep)} SET {_set('%s', '%s', '%s')} WHERE {these} AND {_CLAIMABLE}",
            [owner, until, now, *ids],
        )
        # Row locks, or SQLite's single writer, make this impossible; a database without either must not
        # claim.
        assert taken == len(part), f"claimed {taken} of {len(part)} rows"
    for row in rows:
        row.lease(owner, now=now, until=until)


def _lease_at_once(using: str, due: sql.Statement, owner: UUID, lease: timedelta) -> list[StepRow]:
    """Find and lease in one statement, on PostgreSQL."""
    step = sql.table(SagaStep)
    given = _set("%s", clock.moment(using, lease), clock.moment(using))
    rows = sql.read(
        using,
        SagaStep,
        LIGHT,
        f"WITH due AS ({due.sql}) UPDATE {step} SET {given} FROM due WHERE {step}.id = due.id"
        f" RETURNING due.*, {step}.claimed_at, {step}.due_at",
        [*due.params, owner],
    )
    found = []
    for *values, _, now, until in sorted(rows, key=lambda row: row[_DUE_AT]):  # what returns keeps no order
        row = StepRow(*values)
        row.lease(owner, now=now, until=until)
        found.append(row)
    return found


def are_due(
    using: str, *, queues: Sequence[str], executors: Sequence[str], definitions: Sequence[int]
) -> bool:
    """True when there is a step that ``claim`` would find."""
    connection = connections[using]
    known, params = sql.is_in(connection, "definition_id", definitions)
    served, more = sql.is_in(connection, "queue", queues)
    lane, names = sql.is_in(connection, "executor", executors)
    rows = sql.read(
        using,
        SagaStep,
        ("id",),
        f"SELECT id FROM {sql.table(SagaStep)} WHERE {_CLAIMABLE} AND {served} AND {lane}"
        f" AND due_at <= {clock.moment(using)} AND {known} LIMIT 1",
        [*more, *names, *params],
    )
    return bool(rows)


def inputs(using: str, ids: set[UUID]) -> dict[UUID, tuple[SagaStatus, str, bool]]:
    """Give status and input (JSON text) of sagas, and whether they are paused."""
    connection = connections[using]
    found = {}
    for part in sql.chunks(connection, list(ids)):
        these, params = sql.is_in(connection, "id", part)
        for saga_id, status, text, paused_at in sql.read(
            using,
            SagaInstance,
            ("id", "status", "input", "paused_at"),
            f"SELECT id, status, input, paused_at FROM {sql.table(SagaInstance)} WHERE {these}",
            params,
        ):
            found[saga_id] = (SagaStatus(status), text, paused_at is not None)
    return found


def graphs(using: str, ids: Sequence[UUID]) -> dict[UUID, str | None]:
    """Give the graphs (JSON text) that sagas composed at run time were started with."""
    connection = connections[using]
    found: dict[UUID, str | None] = {}
    for part in sql.chunks(connection, ids):
        these, params = sql.is_in(connection, "id", part)
        found.update(
            sql.read(
                using,
                SagaInstance,
                ("id", "graph"),
                f"SELECT id, graph FROM {sql.table(SagaInstance)} WHERE {these}",
                params,
            )
        )
    return found


def expired(using: str, *, definitions: Sequence[int], limit: int) -> list[StepRow]:
    """Find steps whose lease ran out. One whose row is locked is being recorded, or runs in an open
    transaction: alive.
    """
    connection = connections[using]
    known, params = sql.is_in(connection, "definition_id", definitions)
    query = (
        f"SELECT {', '.join(OWNED)} FROM {sql.table(SagaStep)}"
        f" WHERE {_OWNED} AND due_at <= %s AND {known} ORDER BY due_at LIMIT %s"
    )
    with transaction.atomic(using=using):
        due = [sql.to_db(connection, clock.now(using)), *params]
        # Without partial indexes, MariaDB and MySQL lock for a moment what they look at, due steps included,
        # and claims pass over those. So nothing is locked until there is something to find.
        if not sql.read(using, SagaStep, OWNED, query, [*due, 1]):
            return []
        rows = sql.read(
            using, SagaStep, OWNED, f"{query} {sql.locking(connection, skip_locked=True)}", [*due, limit]
        )
    return [StepRow(*row) for row in rows]


def extend(using: str, *, owner: UUID, tokens: dict[UUID, int], lease: timedelta) -> set[UUID]:
    """Extend the leases of ``tokens`` (step id → token) and give the steps that ``owner`` holds no more.

    Rows that are locked are left out of both: they are being recorded, or live in an open transaction.
    """
    connection = connections[using]
    step = sql.table(SagaStep)
    lost: set[UUID] = set()
    for part in sql.chunks(connection, list(tokens)):
        with transaction.atomic(using=using):
            until = clock.now(using) + lease
            these, ids = sql.is_in(connection, "id", part)
            rows = sql.read(
                using,
                SagaStep,
                ("id", "token", "owner"),
                f"SELECT id, token, owner FROM {step} WHERE {these}"
                f" {sql.locking(connection, skip_locked=True)}",
                ids,
            )
            held = [
                step_id for step_id, token, holder in rows if token == tokens[step_id] and holder == owner
            ]
            lost |= {row[0] for row in rows} - set(held)
            if held:
                these, ids = sql.is_in(connection, "id", held)
                sql.execute(using, f"UPDATE {step} SET due_at = %s WHERE {these}", [until, *ids])
    return lost


def release(using: str, *, owner: UUID, rows: Sequence[StepRow], lane: str = "") -> int:
    """Give back steps that were claimed but never begun: due as before, the attempt not charged, the token
    raised; in another ``lane`` if one is given.
    """
    step = sql.table(SagaStep)
    given = 0
    for row in rows:
        given += sql.execute(
            using,
            f"UPDATE {step} SET"
            " status = CASE WHEN status = 'undoing' THEN 'undo_scheduled'"
            f" WHEN reason = '{WAITING}' THEN 'waiting' ELSE 'scheduled' END,"
            " attempt = attempt - 1, token = token + 1, owner = NULL, due_at = %s, executor = %s"
            f" WHERE id = %s AND token = %s AND owner = %s AND {_OWNED}",
            [row.was_due_at, lane or row.executor, row.id, row.token, owner],
        )
    return given


def held_by(using: str, owner: UUID) -> list[StepRow]:
    """Give the steps that ``owner`` holds: after a commit whose reply was lost they tell what it wrote."""
    connection = connections[using]
    rows = sql.read(
        using,
        SagaStep,
        OWNED,
        f"SELECT {', '.join(OWNED)} FROM {sql.table(SagaStep)} WHERE {_OWNED} AND owner = %s",
        [sql.to_db(connection, owner)],
    )
    return [StepRow(*row) for row in rows]


def next_due(using: str, *, definitions: Sequence[int]) -> datetime | None:
    """Give when the next step of ``definitions`` is due, claimed ones at the end of their lease; None:
    nothing is live.
    """
    connection = connections[using]
    known, params = sql.is_in(connection, "definition_id", definitions)
    times = []
    for live in (_CLAIMABLE, _OWNED):
        rows = sql.read(
            using,
            SagaStep,
            ("due_at",),
            f"SELECT due_at FROM {sql.table(SagaStep)} WHERE {live} AND {known} ORDER BY due_at LIMIT 1",
            params,
        )
        times += [row[0] for row in rows]
    return min(times, default=None)

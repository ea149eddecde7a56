"""Sagas under their lock: what the journal reads before it decides, and the one place their rows are
written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.db import connections

from django_saga.core.state import SagaState
from django_saga.core.states import CLAIMABLE_STEP, SagaStatus
from django_saga.models import SagaInstance, SagaStep
from django_saga.store import clock, history, sql
from django_saga.store.rows import ALL, CHANGING, KEPT, LIGHT, StepRow

STATUSES: dict[str, SagaStatus] = {status.value: status for status in SagaStatus}
# UUIDs sort as their numbers do; comparing those takes no call of Python code.
_NUMBER = attrgetter("int")

_LOCKED = ("id", "status", "reason", "culprit", "deadline_at", "paused_at", "parent_step")


class SagaRow(NamedTuple):
    """What the machine needs of a saga's own row."""

    id: UUID
    status: SagaStatus
    reason: str
    culprit: str
    deadline_at: datetime | None
    paused_at: datetime | None = None
    parent_step: UUID | None = None

    def state(self, steps: Iterable[StepRow]) -> SagaState:
        """Give the saga with ``steps`` as the machine sees it."""
        return SagaState(
            self.status,
            {row.name: row.state() for row in steps},
            self.reason,
            self.culprit,
            self.deadline_at,
            self.paused_at is not None,
        )


class Fence(NamedTuple):
    """What a step's row says under its saga's lock: an outcome counts while its token is this one, and
    owned.
    """

    token: int
    status: str


def lock(using: str, saga_ids: Collection[UUID], *, skip_locked: bool = False) -> dict[UUID, SagaRow]:
    """Lock saga rows, ordered by id, and give what they say. ``skip_locked`` leaves out those someone else
    has.
    """
    connection = connections[using]
    found: dict[UUID, SagaRow] = {}
    for part in sql.chunks(connection, sorted(saga_ids, key=_NUMBER)):
        these, params = sql.is_in(connection, "id", part)
        rows = sql.read(
            using,
            SagaInstance,
            _LOCKED,
            f"SELECT {', '.join(_LOCKED)} FROM {sql.table(SagaInstance)}"
            f" WHERE {these} ORDER BY id {sql.locking(connection, skip_locked=skip_locked)}",
            params,
        )
        for saga_id, status, *rest in rows:
            found[saga_id] = SagaRow(saga_id, STATUSES[status], *rest)
    return found


def fences(
    using: str, step_ids: Sequence[UUID], *, skip_locked: bool = False
) -> tuple[dict[UUID, Fence], datetime]:
    """Read the tokens of steps under their sagas' locks; give also the time, which no earlier holder has
    seen.

    The saga's lock is enough: whoever changes an owned step's token or status holds it. Only an atomic step
    locks its own row before, and ``skip_locked`` leaves those out, as they are alive.
    """
    connection = connections[using]
    found: dict[UUID, Fence] = {}
    at = 0.0
    lock = sql.locking(connection, skip_locked=True) if skip_locked else ""
    for part in sql.chunks(connection, step_ids):
        these, params = sql.is_in(connection, "id", part)
        for step_id, token, status, epoch in sql.read(
            using,
            SagaStep,
            ("id", "token", "status"),
            f"SELECT id, token, status, {sql.epoch(connection)} FROM {sql.table(SagaStep)}"
            f" WHERE {these} {lock}",
            params,
        ):
            found[step_id] = Fence(token, status)
            at = max(at, epoch)
    return found, clock.at(at) if at else clock.now(using)


def steps_named(using: str, saga_ids: Sequence[UUID], names: Iterable[str]) -> dict[UUID, list[StepRow]]:
    """Read the steps of ``saga_ids`` that have one of ``names``, or whose compensation is open or dead."""
    connection = connections[using]
    wanted, more = sql.is_in(connection, "name", sorted(names))
    undoing = "status IN ('undo_scheduled', 'undoing', 'undo_failed')"
    return _steps(using, saga_ids, f" AND ({wanted} OR {undoing})", more, "")


def all_steps(
    using: str, saga_ids: Sequence[UUID], *, guard: bool = True
) -> tuple[dict[UUID, list[StepRow]], set[UUID]]:
    """Read every step of ``saga_ids`` under the sagas' locks; give also the ids of those in flight.

    ``guard`` locks scheduled rows against claims first. One that cannot be locked is being claimed this
    very moment, so it counts as in flight; waiting for it instead could wait for as long as an atomic step
    runs. Sagas that never have two steps open need no guard.
    """
    connection = connections[using]
    lock = sql.locking(connection, skip_locked=True) if guard else ""
    locked: set[UUID] = set()
    if lock:
        mine = _steps(using, saga_ids, " AND status IN ('scheduled', 'waiting', 'undo_scheduled')", [], lock)
        locked = {row.id for rows in mine.values() for row in rows}
    steps = _steps(using, saga_ids, "", [], "")
    flying = set()
    for rows in steps.values():
        for row in rows:
            if row.owned or (lock and row.status in CLAIMABLE_STEP and row.id not in locked):
                flying.add(row.id)
    return steps, flying


def _steps(
    using: str, saga_ids: Sequence[UUID], condition: str, more: Sequence[object], lock: str
) -> dict[UUID, list[StepRow]]:
    connection = connections[using]
    found: dict[UUID, list[StepRow]] = defaultdict(list)
    for part in sql.chunks(connection, saga_ids):
        these, params = sql.is_in(connection, "saga_id", part)
        for row in sql.read(
            using,
            SagaStep,
            LIGHT,
            f"SELECT {', '.join(LIGHT)} FROM {sql.table(SagaStep)} WHERE {these}{condition} {lock}",
            [*params, *more],
        ):
            found[row[1]].append(StepRow(*row))
    return found


def payloads(using: str, saga_ids: Sequence[UUID]) -> dict[UUID, dict[str, tuple[str | None, str | None]]]:
    """Give result and compensation data (JSON text) of every step of ``saga_ids`` that has any, by saga and
    step; what its compensation returned stands by ``undo_of(step)``.
    """
    connection = connections[using]
    found: dict[UUID, dict[str, tuple[str | None, str | None]]] = defaultdict(dict)
    columns = ("saga_id", "name", "result", "compensation_data", "undo_result")
    for part in sql.chunks(connection, saga_ids):
        these, params = sql.is_in(connection, "saga_id", part)
        for saga_id, name, result, data, undone in sql.read(
            using,
            SagaStep,
            columns,
            f"SELECT {', '.join(columns)} FROM {sql.table(SagaStep)} WHERE {these}"
            " AND (result IS NOT NULL OR compensation_data IS NOT NULL OR undo_result IS NOT NULL)",
            params,
        ):
            if result is not None or data is not None:
                found[saga_id][name] = (result, data)
            if undone is not None:
                found[saga_id][undo_of(name)] = (undone, None)
    return found


def undo_of(step: str) -> str:
    """Give the name by which payloads hold what the compensation of ``step`` returned; no step has it."""
    return f"{step}:undo"


def write_apart(using: str, column: str, values: Mapping[UUID, str]) -> None:
    """Write one more column of steps: ``undo_result`` (JSON text) or ``waits_for``. Few have them, so they
    are no part of the statement that all share.
    """
    connection = connections[using]
    is_json = column == "undo_result" and connection.vendor == "postgresql"
    value = "%s::jsonb" if is_json else "%s"
    for part in sql.chunks(connection, list(values), width=3):
        these, params = sql.is_in(connection, "id", part)
        cases = " ".join([f"WHEN %s THEN {value}"] * len(part))
        chosen = [each for step_id in part for each in (sql.to_db(connection, step_id), values[step_id])]
        sql.execute(
            using,
            f"UPDATE {sql.table(SagaStep)} SET {column} = CASE id {cases} END WHERE {these}",
            [*chosen, *params],
        )


def reasons(using: str, saga_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Say why each of ``saga_ids`` turned back, with what the step at fault said.

    The step's own row does not tell: its compensation has written over it, if it has one.
    """
    turned = SagaInstance.objects.using(using).filter(pk__in=saga_ids)
    errors = history.errors(using, saga_ids)
    return {
        saga_id: told(reason, culprit, errors.get((saga_id, culprit)))
        for saga_id, reason, culprit in turned.values_list("pk", "reason", "culprit")
    }


def told(reason: str, culprit: str, error: str | None) -> str:
    """Put into words why a saga turned back."""
    at = f"{reason} at {culprit}" if culprit else reason
    return f"{at}: {error}" if error else at


def write_steps(using: str, rows: Sequence[StepRow]) -> None:
    """Write steps, new ones and changed ones alike."""
    sql.together(using, steps_written(using, rows))


def steps_written(using: str, rows: Sequence[StepRow]) -> list[sql.Statement]:
    """Give what writes steps, new ones and changed ones alike. Payloads that are None stay as they were."""
    values = [row.values() for row in rows]
    return sql.insertion(using, SagaStep, ALL, values, update=CHANGING, keep=KEPT)


def write_status(using: str, changed: Mapping[UUID, tuple[SagaStatus, str, str]], now: datetime) -> None:
    """Write the status, reason and culprit of sagas; those that end alike share a statement."""
    connection = connections[using]
    alike: dict[tuple[SagaStatus, str, str], list[UUID]] = defaultdict(list)
    for saga_id, outcome in changed.items():
        alike[outcome].append(saga_id)
    for (status, reason, culprit), saga_ids in alike.items():
        ended = None if status.is_live else now
        for part in sql.chunks(connection, saga_ids):
            these, params = sql.is_in(connection, "id", part)
            sql.execute(
                using,
                f"UPDATE {sql.table(SagaInstance)}"
                " SET status = %s, reason = %s, culprit = %s, finished_at = %s"
                f" WHERE {these}",
                [status.value, reason, culprit, ended, *params],
            )


def write_deadline(using: str, saga_id: UUID, at: datetime | None) -> None:
    """Write when a saga turns back if it still goes forward then; None: never."""
    sql.execute(using, f"UPDATE {sql.table(SagaInstance)} SET deadline_at = %s WHERE id = %s", [at, saga_id])


def past_deadline(using: str, *, definitions: Sequence[int], limit: int) -> list[tuple[UUID, int]]:
    """Find sagas (id, definition id) that are still going forward though their deadline passed."""
    connection = connections[using]
    known, params = sql.is_in(connection, "definition_id", definitions)
    rows = sql.read(
        using,
        SagaInstance,
        ("id", "definition"),
        f"SELECT id, definition_id FROM {sql.table(SagaInstance)}"
        " WHERE status IN ('pending', 'running') AND deadline_at IS NOT NULL"
        f" AND deadline_at <= %s AND {known} ORDER BY deadline_at LIMIT %s",
        [sql.to_db(connection, clock.now(using)), *params, limit],
    )
    return [(saga_id, definition) for saga_id, definition in rows]

"""What waiting steps wait for: whether it is there, and the alarm that has them look.

Lost wake-ups are excluded without a lock that both sides want. Who makes what a step waits for *rings* after
the commit that made it; who commits a step to waiting looks once more after that commit. Whichever of the
two commits second finds what the other wrote. A process that dies between its commit and its ring leaves
that to ``sweep``, which each worker does from time to time.

Ringing changes no state: it sets the alarm of a row that waits, as time would. Rows that are locked are
passed over: a claim looks anyway, and all else that writes such a row ends with a look of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from uuid import UUID

from django.db import connections, transaction

from django_saga.core.states import LIVE_STEP
from django_saga.models import SagaStep
from django_saga.store import clock, sql

# Literals, so that the planner can prove that the partial index covers the query.
_WAITING = "status IN ('waiting', 'undo_scheduled') AND waits_for <> ''"

Keys = Collection[str]
# By what their keys begin with: gives those of some keys for which there is something to be had.
SOURCES: dict[str, Callable[[str, Keys], Iterable[str]]] = {}
# Likewise: gives the keys of all steps that wait though there is something to be had.
MISSED: dict[str, Callable[[str], Iterable[str]]] = {}


def there(using: str, keys: Keys) -> set[str]:
    """Give those of ``keys`` for which there is something to be had."""
    found: set[str] = set()
    for source, look in SOURCES.items():
        if mine := [key for key in keys if key.startswith(f"{source}:")]:
            found.update(look(using, mine))
    return found


def waits_at(using: str, step_id: UUID, address: str) -> tuple[bool, str]:
    """Give whether a step still waits at ``address``, and what to call it: saga and step."""
    rows = SagaStep.objects.using(using).filter(pk=step_id)
    for saga_id, name, status, waits_for in rows.values_list("saga_id", "name", "status", "waits_for"):
        return status in LIVE_STEP and waits_for == address, f"{saga_id}:{name}"
    return False, str(step_id)  # it was deleted meanwhile


def ring(using: str, keys: Keys) -> int:
    """Have the steps that wait for ``keys`` look now; give how many do."""
    return len(_ring(using, "waits_for", sorted(keys)))


def ring_steps(using: str, step_ids: Collection[UUID]) -> set[str]:
    """Have those of ``step_ids`` that wait look now; give the queues of those that do."""
    return set(_ring(using, "id", sorted(step_ids)))


def _ring(using: str, column: str, values: Sequence[str | UUID]) -> list[str]:
    """Ring, and give the queue of each step that was rung."""
    rung: list[str] = []
    if not values:
        return rung
    connection = connections[using]
    table, now = sql.table(SagaStep), clock.moment(using)
    for part in sql.chunks(connection, values):
        wanted, params = sql.is_in(connection, column, part)
        free = (
            f"SELECT id, queue FROM {table} WHERE {_WAITING} AND {wanted} AND due_at > {now}"
            f" {sql.locking(connection, skip_locked=True)}"
        )
        if sql.changes_at_once(connection):
            update = f"UPDATE {table} AS s SET due_at = {now} FROM ({free}) AS free WHERE s.id = free.id"
            rung += [row[0] for row in sql.read(using, SagaStep, (), f"{update} RETURNING s.queue", params)]
        else:
            with transaction.atomic(using=using):
                rows = sql.read(using, SagaStep, ("id", "queue"), free, params)
                these, ids = sql.is_in(connection, "id", [row[0] for row in rows])
                if rows:
                    sql.execute(using, f"UPDATE {table} SET due_at = {now} WHERE {these}", ids)
            rung += [row[1] for row in rows]
    return rung


def sweep(using: str) -> int:
    """Ring for whatever was missed; give how many steps look now."""
    return sum(ring(using, set(look(using))) for look in MISSED.values())

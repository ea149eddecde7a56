"""Rows of a saga that goes on by another version of its definition."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from django.db import connections

from django_saga.models import SagaInstance, SagaStep
from django_saga.store import sql
from django_saga.store.rows import StepRow


def move(
    using: str,
    saga_id: UUID,
    definition_id: int,
    culprit: str,
    rows: Iterable[StepRow],
    *,
    taken_back: Collection[UUID],
) -> None:
    """Have a saga, and all its steps, be of ``definition_id``, under its lock.

    ``culprit`` is the step it turned back at, by its name now, ``rows`` are the steps whose name or queue is
    another one now. ``taken_back`` (ids) never began and are deleted. The caller has made sure that nobody
    owns any of them.
    """
    connection = connections[using]
    step = sql.table(SagaStep)
    if taken_back:
        these, ids = sql.is_in(connection, "id", list(taken_back))
        sql.execute(using, f"DELETE FROM {step} WHERE {these}", ids)
    changed = list(rows)
    # Names may change places, and no two steps of a saga may have the same one in between.
    for row in changed:
        sql.execute(using, f"UPDATE {step} SET name = %s WHERE id = %s", [f"~{row.id.hex}", row.id])
    for row in changed:
        sql.execute(
            using, f"UPDATE {step} SET name = %s, queue = %s WHERE id = %s", [row.name, row.queue, row.id]
        )
    sql.execute(using, f"UPDATE {step} SET definition_id = %s WHERE saga_id = %s", [definition_id, saga_id])
    sql.execute(
        using,
        f"UPDATE {sql.table(SagaInstance)} SET definition_id = %s, culprit = %s WHERE id = %s",
        [definition_id, culprit, saga_id],
    )

"""Sagas that ended long ago, deleted with all that belongs to them.

A saga goes with those that its steps started, and only once all of these have ended: a parent may still have
them undone. One that was superseded goes after the fork that took over its steps and reads its input.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connections, models, transaction

from django_saga.core.states import SagaStatus
from django_saga.models import (
    ExternalEvent,
    SagaApproval,
    SagaEvent,
    SagaInstance,
    SagaLock,
    SagaOperation,
    SagaStep,
)
from django_saga.store import sql

_ENDED = [status.value for status in SagaStatus if status.is_terminal]
# What belongs to a saga by its id, in an order in which nothing refers to what is gone.
_OWN: Sequence[tuple[type[models.Model], str]] = (
    (SagaEvent, "saga_id"),
    (SagaOperation, "saga_id"),
    (SagaLock, "saga_id"),
    (SagaStep, "saga_id"),
    (SagaInstance, "id"),
)
_OF_STEPS: Sequence[tuple[type[models.Model], str]] = (
    (SagaApproval, "step_id"),
    (ExternalEvent, "taken_by_id"),
)


def prune(
    using: str, *, before: datetime, below: UUID, limit: int, name: str = "", dry_run: bool = False
) -> tuple[int, UUID | None]:
    """Delete sagas that ended before a time; one transaction for up to ``limit`` of them and their children.

    They are looked at from the youngest to the oldest, from the id ``below`` on: forks come before what they
    took the place of. Gives how many were deleted, and below what to go on; None at the end. ``name``: only
    sagas of it, with their children.
    """
    sagas = SagaInstance.objects.using(using)
    with transaction.atomic(using=using):
        roots = sagas.filter(id__lt=below, parent_step=None, **({"name": name} if name else {}))
        chunk = list(roots.order_by("-id").values_list("id", flat=True)[:limit])
        old = sagas.filter(id__in=chunk, status__in=_ENDED, finished_at__lt=before)
        if not dry_run:
            old = old.select_for_update()  # so that nobody forks one of them meanwhile
        heirs = dict(old.order_by("id").values_list("id", "superseded_by"))
        there = sagas.filter(id__in=[heir for heir in heirs.values() if heir])
        kept = set(there.values_list("id", flat=True))
        gone: list[UUID] = []
        for root, family in sorted(_families(using, heirs).items(), reverse=True):
            if heirs[root] not in kept:
                kept.discard(root)
                gone += family
        if not dry_run:
            _delete(using, gone)
    return len(gone), chunk[-1] if len(chunk) == limit else None


def _families(using: str, roots: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """Give sagas, by those of ``roots`` from which they descend, that have all ended."""
    families = {root: [root] for root in roots}
    under_way: set[UUID] = set()
    level = {root: root for root in roots}
    while level:
        below = {}
        for parent, child, status in _children(using, level):
            root = below[child] = level[parent]
            families[root].append(child)
            if status not in _ENDED:
                under_way.add(root)
        level = below
    return {root: family for root, family in families.items() if root not in under_way}


def _children(using: str, saga_ids: Collection[UUID]) -> Iterator[tuple[UUID, UUID, str]]:
    """Give the sagas that steps of ``saga_ids`` started: parent, child and its status."""
    connection = connections[using]
    child, step = sql.table(SagaInstance), sql.table(SagaStep)
    for part in sql.chunks(connection, list(saga_ids)):
        these, ids = sql.is_in(connection, "s.saga_id", part)
        asked = (
            f"SELECT c.id, s.saga_id, c.status FROM {step} AS s JOIN {child} AS c ON c.parent_step = s.id"
            f" WHERE {these}"
        )
        for found, parent, status in sql.read(using, SagaInstance, ("id", "parent_step"), asked, ids):
            yield parent, found, status


def _delete(using: str, saga_ids: Sequence[UUID]) -> None:
    connection = connections[using]
    for part in sql.chunks(connection, saga_ids):
        steps, ids = sql.is_in(connection, "saga_id", part)
        for model, column in _OF_STEPS:
            of_these = f"{column} IN (SELECT id FROM {sql.table(SagaStep)} WHERE {steps})"
            sql.execute(using, f"DELETE FROM {sql.table(model)} WHERE {of_these}", ids)
    for model, column in _OWN:
        for part in sql.chunks(connection, saga_ids):
            these, ids = sql.is_in(connection, column, part)
            sql.execute(using, f"DELETE FROM {sql.table(model)} WHERE {these}", ids)

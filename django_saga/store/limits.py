"""Claims of limited steps: each under the locks of its gates, so that the limits hold in all workers at once.

What runs is counted from the rows that are owned, never kept in a counter: a lost worker's places are free
when its leases have run out. Who holds a gate for a claim waits for nothing else: steps that are locked are
passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count

from django_saga.core import lanes, limits
from django_saga.core.limits import Limits
from django_saga.core.retry import as_timedelta
from django_saga.core.states import CLAIMABLE_STEP, OWNED_STEP, StepStatus
from django_saga.models import SagaDefinition, SagaGate, SagaStep
from django_saga.store import claims, clock, sql
from django_saga.store.rows import StepRow

_MANY = 1_000_000


class Bound(NamedTuple):
    """What is limited: a step of all sagas of a name, or, without ``step``, all their steps together."""

    saga: str
    step: str
    limits: Limits


def claim(
    using: str,
    bounds: Sequence[Bound],
    *,
    queue: str,
    executor: str,
    definitions: Sequence[int],
    limit: int,
    **asked: Any,
) -> list[StepRow]:
    """Lease due steps of a lane as ``claims.claim`` does, as many as all of ``bounds`` leave room for."""
    if not claims.are_due(using, queues=[queue], executors=[executor], definitions=definitions):
        return []
    with transaction.atomic(using=using):
        gates = locked(using, [(bound.saga, bound.step) for bound in bounds])
        now = clock.now(using)
        running = _running(using, bounds)
        room = {bound.step: _room(bound, gates[bound.step], running, now) for bound in bounds}
        most = min(limit, room.get("", _MANY))
        if len(room) == 1:  # a lane of one step, or one limit for all
            most = min(most, *room.values())
        if most < 1:
            return []
        taken: Counter[str] = Counter()

        def accept(row: StepRow) -> bool:
            taken[row.name] += 1
            return taken[row.name] <= room.get(row.name, _MANY)

        rows = claims.claim(
            using,
            queue=queue,
            executor=executor,
            definitions=definitions,
            limit=most,
            accept=accept,
            passed_over=[step for step, places in room.items() if step and places < 1],
            **asked,
        )
        for bound in bounds:
            _note(using, bound, gates[bound.step], [row for row in rows if bound.step in ("", row.name)])
    return rows


def tidy(using: str, lanes_of: Mapping[tuple[int, str], str], served: Collection[str]) -> None:
    """Move steps that wait in lanes which nobody serves any more, since their limits were changed.

    ``lanes_of``: the key of the gate of each step, by definition's id and name.
    """
    stray = SagaStep.objects.using(using).filter(
        status__in=CLAIMABLE_STEP, definition_id__in={key for key, _ in lanes_of}, executor__contains="#"
    )
    for row in (
        stray.exclude(executor__in=served)
        .exclude(executor__contains="/")
        .only("definition_id", "name", "executor")
    ):
        lane = lanes.split(row.executor)[0] + lanes_of.get((row.definition_id, row.name), "")
        same = SagaStep.objects.using(using).filter(
            pk=row.pk, status__in=CLAIMABLE_STEP, executor=row.executor
        )
        same.update(executor=lane)


def locked(using: str, names: Sequence[tuple[str, str]]) -> dict[str, SagaGate]:
    """Lock gates of one saga, in the order of their ids, and give them by step; make those that are new."""
    saga, steps = names[0][0], [step for _, step in names]
    gates = SagaGate.objects.using(using).filter(saga=saga, step__in=steps).order_by("pk")
    found = {gate.step: gate for gate in gates.select_for_update()}
    if len(found) < len(steps):
        for step in steps:
            make(using, saga, step)
        found = {gate.step: gate for gate in gates.select_for_update()}
    return found


def make(using: str, saga: str, step: str) -> None:
    """Make the row of a gate, unless there is one."""
    columns = ("saga", "step", "paused_by", "paused_why", "starts", "failures")
    sql.insert(using, SagaGate, columns, [(saga, step, "", "", "[]", "[]")], ignore=True)


def _running(using: str, bounds: Sequence[Bound]) -> Counter[str]:
    """Count the attempts of a saga's steps that are under way, by step."""
    if all(bound.limits.max_concurrency is None for bound in bounds):
        return Counter()
    definitions = SagaDefinition.objects.using(using).filter(name=bounds[0].saga).values_list("pk", flat=True)
    rows = (
        SagaStep.objects.using(using)
        .filter(status__in=OWNED_STEP)  # what the index covers
        .filter(status=StepStatus.RUNNING, definition_id__in=list(definitions))
        .values_list("name")
        .annotate(count=Count("pk"))
    )
    return Counter(dict(rows))


def _room(bound: Bound, gate: SagaGate, running: Counter[str], now: datetime) -> int:
    room, given = _MANY, bound.limits
    if given.max_concurrency is not None:
        under_way = running[bound.step] if bound.step else running.total()
        room = min(room, max(0, given.max_concurrency - under_way))
    if given.rate_limit is not None:
        room = min(room, limits.left(gate.starts, now, given.rate_limit))
    if given.breaker is not None and gate.open_until is not None:
        room = min(room, 1 if gate.open_until <= now else 0)
    return room


def _note(using: str, bound: Bound, gate: SagaGate, rows: Sequence[StepRow]) -> None:
    """Note at its gate what was claimed."""
    rate, breaker = bound.limits.rate_limit, bound.limits.breaker
    if not rows or rows[0].claimed_at is None:
        return
    at = rows[0].claimed_at
    if rate is not None:
        gate.starts = limits.noted(gate.starts, at, len(rows), rate)
        gate.save(using=using, update_fields=["starts"])
    if breaker is not None and gate.open_until is not None:
        # Should nobody ever hear of this attempt, another one is let through after that time.
        gate.probed_at, gate.open_until = at, at + as_timedelta(breaker.open_for)
        gate.save(using=using, update_fields=["probed_at", "open_until"])

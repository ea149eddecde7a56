"""Parents and children of a saga, for people: what started it, and what its steps started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count

from django_saga.core.states import SagaStatus
from django_saga.models import SagaInstance, SagaStep

# So many children of a step are named, those first that need somebody or are under way.
_NAMED = 3
_NAMED_FIRST = (SagaStatus.STUCK, SagaStatus.COMPENSATED, SagaStatus.COMPENSATING, SagaStatus.RUNNING)


class Parent(NamedTuple):
    """The saga that started another one, by which of its steps, and for which item (None: the only one)."""

    saga_id: UUID
    name: str
    step: str
    item: int | None


class Children(NamedTuple):
    """How many children of a step are in each status, and some of them."""

    counts: dict[str, int]
    some: list[SagaInstance]


def parent(using: str, saga: SagaInstance) -> Parent | None:
    """Give what started ``saga``; None: it was started by itself."""
    if saga.parent_step is None:
        return None
    step = (
        SagaStep.objects.using(using)
        .select_related("saga")
        .only("name", "saga__name")
        .get(pk=saga.parent_step)
    )
    return Parent(step.saga_id, step.saga.name, step.name, saga.item)


def children(using: str, step: SagaStep) -> Children:
    """Give what ``step`` started."""
    started = SagaInstance.objects.using(using).filter(parent_step=step.pk)
    counts = dict(started.order_by().values_list("status").annotate(Count("pk")))
    some: list[SagaInstance] = []
    for status in (*_NAMED_FIRST, *SagaStatus):
        if status in counts and len(some) < _NAMED:
            more = started.filter(status=status).only("id", "name", "status", "item").order_by("pk")
            known = {each.pk for each in some}
            some += [each for each in more[:_NAMED] if each.pk not in known]
    return Children(counts, some[:_NAMED])


def lines(found: Children) -> Iterator[str]:
    """Say what a step started: how many by status, and some of them."""
    total = sum(found.counts.values())
    if total > 1:
        told = ", ".join(f"{number:,} {status}" for status, number in sorted(found.counts.items()))
        yield f"{total:,} sagas: {told}"
    for each in found.some:
        item = "" if each.item is None else f"item {each.item}, "
        yield f"{item}saga {each.name} {each.pk}: {each.status}"

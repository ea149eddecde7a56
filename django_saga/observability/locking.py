"""Locks of sagas, for people: what a saga holds, and what it waits for, with who has that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Case, Count, OuterRef, Q, Subquery, When
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_saga.core.spans import span
from django_saga.core.states import SagaStatus
from django_saga.models import SagaInstance, SagaLock


@dataclass(frozen=True, slots=True)
class LockStory:
    """A lock that a saga holds or waits for. ``holder``: who has it instead; ``ahead``: how many others stand
    in line before it, where that was asked for.
    """

    lock: SagaLock
    holder: SagaInstance | None = None
    ahead: int = 0


def takes_locks(saga: SagaInstance) -> bool:
    """True when sagas of its definition may have locks; asks no database."""
    graph = saga.definition.graph
    return isinstance(graph, Mapping) and bool(graph.get("locks"))


def stories(using: str, locks: Iterable[SagaLock]) -> dict[UUID, list[LockStory]]:
    """Give the stories of ``locks`` by saga, in one more query if any of them is waited for."""
    found: dict[UUID, list[LockStory]] = defaultdict(list)
    locks = list(locks)
    wanted = {lock.target for lock in locks if not lock.held}
    holders = {lock.target: lock.saga for lock in _held(using, wanted)} if wanted else {}
    for lock in locks:
        holder = None if lock.held else holders.get(lock.target)
        found[lock.saga_id].append(LockStory(lock, holder, getattr(lock, "ahead", None) or 0))
    return found


def of_one(using: str, saga_id: UUID) -> list[LockStory]:
    """Give the locks of one saga, with how many stand in line before it, which takes counting them."""
    before = Q(since__lt=OuterRef("since")) | Q(since=OuterRef("since"), saga_id__lt=OuterRef("saga_id"))
    others = SagaLock.objects.filter(before, target=OuterRef("target"), held=None)
    count = others.order_by().values("target").annotate(number=Count("pk")).values("number")
    locks = SagaLock.objects.using(using).filter(saga_id=saga_id).order_by("target")
    return stories(using, locks.annotate(ahead=Case(When(held=None, then=Subquery(count)))))[saga_id]


def waiting(using: str, sagas: Iterable[SagaInstance]) -> dict[UUID, list[LockStory]]:
    """Give the locks of those of ``sagas`` that may wait for any; for all others nothing, and no query."""
    pending = [saga.pk for saga in sagas if saga.status == SagaStatus.PENDING]
    locks = SagaLock.objects.using(using).filter(saga_id__in=pending).order_by("target")
    return stories(using, locks) if pending else {}


def words(story: LockStory, now: datetime) -> str:
    """Say what a saga waits for, and who has it."""
    facts = {"target": story.lock.target}
    if story.lock.since > now:
        return _("asks for lock %(target)s in %(span)s") % {**facts, "span": span(story.lock.since - now)}
    told = _("waits for lock %(target)s") % facts
    if story.holder is not None:
        held = {"saga": story.holder.name, "id": story.holder.pk}
        told += _(" held by %(saga)s %(id)s") % held
    if story.ahead:
        count = ngettext("%(number)d other before it", "%(number)d others before it", story.ahead)
        told += f", {count % {'number': story.ahead}}"
    return told


def _held(using: str, targets: Iterable[str]) -> Iterable[SagaLock]:
    held = SagaLock.objects.using(using).filter(held=True, target__in=sorted(targets))
    return held.select_related("saga").defer("saga__input")

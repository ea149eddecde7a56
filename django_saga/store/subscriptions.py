"""Who handles what, as the code of the workers says: a row for each consumer and topic.

A worker knows the consumers of its own code only. In a rolling update, and where projects share a database,
others have more: what comes for those is kept for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta

from django.db import connections
from django.db.models import QuerySet

from django_saga.models import InboxSubscription
from django_saga.store import clock, sql

# So long after the last worker with such code was there, its handlers still count.
REMEMBERED = timedelta(hours=2)


def note(using: str, handled: Iterable[tuple[str, str]]) -> None:
    """Note that there is code now which handles these: pairs of consumer and topic."""
    now = clock.now(using)
    # In one order for all: two that write the same rows wait for each other one way round only.
    rows = [InboxSubscription(consumer=name, topic=topic, seen_at=now) for name, topic in sorted(handled)]
    aimed = connections[using].features.supports_update_conflicts_with_target
    _all(using).bulk_create(
        rows,
        update_conflicts=True,
        update_fields=["seen_at"],
        unique_fields=["consumer", "topic"] if aimed else None,
    )


def consumers_of(using: str, topics: Collection[str]) -> dict[str, set[str]]:
    """Give the consumers of topics, by topic."""
    found: dict[str, set[str]] = {}
    these, values = sql.is_in(connections[using], "topic", sorted(topics))
    asked = f"SELECT topic, consumer FROM {sql.table(InboxSubscription)} WHERE {these}"
    for topic, consumer in sql.read(using, InboxSubscription, ("topic", "consumer"), asked, values):
        found.setdefault(topic, set()).add(consumer)
    return found


def by_consumer(using: str) -> dict[str, set[str]]:
    """Give the topics of all consumers."""
    found: dict[str, set[str]] = {}
    for consumer, topic in _all(using).values_list("consumer", "topic"):
        found.setdefault(consumer, set()).add(topic)
    return found


def unseen(using: str) -> list[str]:
    """Forget topics that no code has handled for long; name the consumers of which none would be left."""
    seen_since = clock.now(using) - REMEMBERED
    fresh = set(_all(using).filter(seen_at__gte=seen_since).values_list("consumer", flat=True))
    old = _all(using).filter(seen_at__lt=seen_since)
    old.filter(consumer__in=fresh).delete()
    return sorted(set(old.values_list("consumer", flat=True)) - fresh)


def lock_unseen(using: str, consumer: str) -> bool:
    """Lock the rows of a consumer for the open transaction, so that no code can say that it has it; False
    when some has meanwhile.
    """
    rows = list(_all(using).select_for_update().filter(consumer=consumer))
    seen_since = clock.now(using) - REMEMBERED
    return bool(rows) and all(row.seen_at < seen_since for row in rows)


def forget(using: str, consumer: str) -> None:
    """Forget a consumer; the caller has locked its rows."""
    _all(using).filter(consumer=consumer).delete()


def _all(using: str) -> QuerySet[InboxSubscription]:
    return InboxSubscription.objects.using(using)

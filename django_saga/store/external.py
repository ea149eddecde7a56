"""Events from outside: written in their sender's transaction, taken in that of the step that waited.

The oldest one goes to whoever asks first. Who finds it being taken waits until that transaction ends: should
it be rolled back, the event is still there for the other.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import Exists, OuterRef

from django_saga.core.states import StepStatus
from django_saga.models import ExternalEvent, SagaStep
from django_saga.store import clock, sql, waiting

_WAITING = (StepStatus.WAITING, StepStatus.UNDO_SCHEDULED)  # compensations wait for replies
_COLUMNS = ("name", "key", "address", "event_id", "payload")


class NewEvent(NamedTuple):
    """An event to be written."""

    name: str
    key: str
    address: str
    event_id: str | None
    payload: str  # JSON text


def write(using: str, event: NewEvent) -> bool:
    """Write an event in the caller's transaction; False when its id was sent before.

    The unique index decides: the same id in another open transaction is waited for until that ends.
    """
    told_apart = event.event_id is not None
    given = {"sent_at": clock.moment(using)}
    return sql.insert(using, ExternalEvent, _COLUMNS, [event], given=given, ignore=told_apart) == 1


def take(using: str, address: str, step_id: UUID) -> str | None:
    """Have a step take the oldest event there is and give its payload (JSON text); None: there is none.

    Inside the transaction that also records what comes of it.
    """
    connection = connections[using]
    event, taken = sql.table(ExternalEvent), f"taken_by_id = %s, taken_at = {clock.moment(using)}"
    if sql.changes_at_once(connection):
        # One that is being taken is waited for, and passed over if it was.
        rows = sql.read(
            using,
            ExternalEvent,
            ("payload",),
            f"UPDATE {event} SET {taken} WHERE id = (SELECT id FROM {event} WHERE address = %s"
            f" AND taken_at IS NULL ORDER BY id LIMIT 1 {sql.locking(connection)}) RETURNING payload",
            [step_id, address],
        )
        return str(rows[0][0]) if rows else None
    while True:
        # First without a lock: InnoDB locks the gap where nothing is found, and senders would wait for it.
        rows = _oldest(using, address)
        if not rows:
            return None
        oldest, payload = rows[0]
        locked = sql.read(
            using,
            ExternalEvent,
            ("id",),
            f"SELECT id FROM {event} WHERE id = %s AND taken_at IS NULL {sql.locking(connection)}",
            [oldest],
        )
        if locked:
            sql.execute(
                using,
                f"UPDATE {event} SET {taken} WHERE id = %s",
                [step_id, oldest],
            )
            return str(payload)


def _oldest(using: str, address: str) -> list[sql.Row]:
    return sql.read(
        using,
        ExternalEvent,
        ("id", "payload"),
        f"SELECT id, payload FROM {sql.table(ExternalEvent)}"
        " WHERE address = %s AND taken_at IS NULL ORDER BY id LIMIT 1",
        [address],
    )


def there(using: str, addresses: Collection[str]) -> set[str]:
    """Give those of ``addresses`` at which an event waits to be taken."""
    found: set[str] = set()
    for part in sql.chunks(connections[using], sorted(addresses)):
        untaken = ExternalEvent.objects.using(using).filter(address__in=part, taken_at=None)
        found.update(untaken.values_list("address", flat=True).distinct())
    return found


def missed(using: str) -> set[str]:
    """Give the addresses at which a step waits though there is an event."""
    untaken = ExternalEvent.objects.filter(address=OuterRef("waits_for"), taken_at=None)
    open_steps = SagaStep.objects.using(using).filter(status__in=_WAITING)
    waiting = open_steps.exclude(waits_for="").filter(Exists(untaken))
    return set(waiting.values_list("waits_for", flat=True).distinct())


def prune(using: str, *, before: datetime, taken: bool) -> int:
    """Delete events that were taken, or else that nobody took, before a time; give how many that were."""
    old: dict[str, Any] = {"taken_at__lt": before} if taken else {"taken_at": None, "sent_at__lt": before}
    return ExternalEvent.objects.using(using).filter(**old).delete()[0]


waiting.SOURCES["event"] = waiting.SOURCES["reply"] = there
waiting.MISSED["event"] = missed

"""Delivers messages in a test: as a relay and a consumer would, one after the other, without a broker."""

from __future__ import annotations

from datetime import timedelta

from django_saga.brokers.memory import MemoryBroker
from django_saga.conf import get_settings
from django_saga.messaging.handling import Handling
from django_saga.messaging.relay import Relay
from django_saga.models import InboxMessage

_LEASE = timedelta(minutes=1)


def deliver_messages(using: str | None = None, *, failing: bool = False) -> int:
    """Send what is in the outbox to this project's own handlers, and what they publish in turn, until nothing
    is left that is due; give how many came to their end.

    Brokers of the settings are not asked. A handler that fails raises ``AssertionError`` with its traceback;
    with ``failing`` it does not, and the message waits or is dead as it would be. Works in the transaction of
    a ``TestCase`` too.
    """
    using = using or get_settings().database
    broker = MemoryBroker("memory:", using=using)
    relay = Relay(using, list(get_settings().brokers), lambda name: broker, lease=_LEASE)
    handling = Handling(using, lease=_LEASE)
    rows = InboxMessage.objects.using(using)
    at_rest = rows.exclude(status__in=[InboxMessage.Status.WAITING, InboxMessage.Status.DEAD])
    before = at_rest.count()
    failed = set(rows.exclude(failed_at=None).values_list("pk", "attempts"))
    found = [True]
    while any(found):
        found = [relay.turn(), handling.turn()]
    now_failed = [row for row in rows.exclude(failed_at=None) if (row.pk, row.attempts) not in failed]
    if now_failed and not failing:
        told = "\n".join(f"{row} ({row.status}): {row.traceback or row.error}" for row in now_failed)
        raise AssertionError(f"{len(now_failed)} messages failed:\n{told}")
    return at_rest.count() - before

"""Housekeeping: messages that are done with are deleted after a while, some thousands at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.dsl.handler import handlers
from django_saga.engine import failures
from django_saga.engine.pruning import prune_sagas
from django_saga.exceptions import HandlerMissing
from django_saga.faults import fault_point
from django_saga.signals import message_event
from django_saga.store import clock, inbox, outbox, subscriptions
from django_saga.store.letters import Failure

_AT_ONCE = 2_000
_LONG = subscriptions.REMEMBERED.seconds // 3600

Prune = Callable[..., tuple[int, "int | None"]]


def prune_messages(using: str | None = None) -> int:
    """Delete messages that were sent, handled or discarded longer ago than the setting ``KEEP_MESSAGES``, and
    give how many.

    What is to be sent, waits or is dead is never touched. Workers do this by themselves.
    """
    using = using or get_settings().database
    before = clock.now(using) - get_settings().keep_messages
    return sum(_pruned(using, prune, before) for prune in (outbox.prune, inbox.prune))


def _pruned(using: str, prune: Prune, before: datetime) -> int:
    total, after = 0, 0
    while True:
        gone, last = prune(using, before=before, after=after, limit=_AT_ONCE)
        total += gone
        if last is None:
            return total
        after = last


def note_handlers(using: str) -> None:
    """Tell workers with other code which handlers this one has."""
    subscriptions.note(
        using, [(name, topic) for name in handlers.consumers() for topic in handlers.topics_of(name)]
    )


def give_up_abandoned(using: str) -> None:
    """Move what waits for consumers that no code has had for long to the dead letters, where it is seen, and
    forget them.
    """
    for consumer in subscriptions.unseen(using):
        total = 0
        while number := _give_up_some(using, consumer):
            total += number
        if total:
            message_event.send_robust(Housekeeping, event="abandoned", consumer=consumer, number=total)


def _give_up_some(using: str, consumer: str) -> int:
    """Give up some of what waits for a consumer; the consumer itself with the last of it, so that whoever
    dies on the way leaves the rest to another one.
    """
    error = HandlerMissing(f"no worker has had consumer {consumer} in its code for {_LONG} hours")
    failure = Failure(due_at=None, **failures.told(error)._asdict())
    with transaction.atomic(using=using):
        if not subscriptions.lock_unseen(using, consumer):
            return 0
        number = inbox.give_up(using, consumer, failure, clock.now(using), limit=_AT_ONCE)
        fault_point("inbox.given_up")
        if number < _AT_ONCE:
            subscriptions.forget(using, consumer)
    return number


class Housekeeping:
    """A worker's turns at it."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._first = True

    def turn(self) -> bool:
        """Look after all there is; there is nothing left to do then."""
        note_handlers(self._using)
        # When all were down for long, others have to have the time to say that they are there again.
        if not self._first:
            give_up_abandoned(self._using)
        self._first = False
        prune_messages(self._using)
        if (age := get_settings().keep_sagas) is not None:
            prune_sagas(age, using=self._using)
        return False

"""What workers with other code handle, and this one does not: in a rolling update, or in another project."""

from __future__ import annotations

import time

from django_saga.dsl.handler import handlers
from django_saga.signals import message_event
from django_saga.store import subscriptions
from django_saga.store.inbox import Wanted

# How long what was asked is believed, in seconds.
_FRESH = 5.0


class Others:
    """Knows which topics of this code's consumers are to be left to others; of one thread."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._asked_at = float("-inf")
        self._left: dict[str, tuple[str, ...]] = {}

    def ask_again(self) -> None:
        """Believe nothing of what was asked."""
        self._asked_at = float("-inf")

    def wanted(self, consumer: str) -> Wanted:
        """Give what is to be handled here for a consumer."""
        if time.monotonic() - self._asked_at > _FRESH:
            self._ask()
        return Wanted(consumer, self._left.get(consumer, ()))

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        known = subscriptions.by_consumer(self._using)
        before, self._left = self._left, {}
        for consumer in handlers.consumers():
            if left := known.get(consumer, set()) - set(handlers.topics_of(consumer)):
                self._left[consumer] = tuple(sorted(left))
                if before.get(consumer) != self._left[consumer]:
                    topics = self._left[consumer]
                    message_event.send_robust(Others, event="left", consumer=consumer, topics=topics)

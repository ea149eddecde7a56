"""Fetches what comes from a broker for one consumer: stored in the inbox, then acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from django_saga.messaging import intake
from django_saga.messaging.others import Others
from django_saga.ports import Broker, Subscription
from django_saga.store import inbox

_AT_ONCE = 500
# So many messages to be handled may wait in the inbox; beyond that they had better stay with the broker.
_ENOUGH = 5_000
# With those that wait for their time, and those behind them: one key that fails stops no others.
_MOST = 50_000


class Fetching:
    """One thread's work on one subscription. ``wait``: how long a turn waits for something to come."""

    def __init__(
        self,
        using: str,
        consumer: str,
        topics: Sequence[str],
        broker: Callable[[], Broker],
        *,
        wait: timedelta,
    ) -> None:
        self._using = using
        self._consumer = consumer
        self._topics = topics
        self._broker = broker
        self._wait = wait
        self._subscription: Subscription | None = None
        self._others = Others(using)

    def turn(self) -> bool:
        """Fetch some of what is there; False when the next turn had better come later."""
        if self._has_enough():
            return False
        try:
            came = self._fetch()
        except BaseException:
            # What was not acknowledged is given again to whoever subscribes next.
            self.close()
            raise
        return came or bool(self._wait)

    def close(self) -> None:
        """Let another worker have the subscription."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()

    def _fetch(self) -> bool:
        if self._subscription is None:
            self._subscription = self._broker().subscribe(self._consumer, self._topics)
        deliveries = self._subscription.fetch(_AT_ONCE, self._wait)
        if not deliveries:
            return False
        intake.accept_bodies(self._using, self._consumer, [(each.topic, each.body) for each in deliveries])
        self._subscription.acknowledge(deliveries)
        return True

    def _has_enough(self) -> bool:
        using, consumer = self._using, self._consumer
        if inbox.count(using, consumer, _ENOUGH + 1) <= _ENOUGH:
            return False
        if inbox.count_due(using, self._others.wanted(consumer), _ENOUGH + 1) > _ENOUGH:
            return True
        return inbox.count(using, consumer, _MOST + 1) > _MOST

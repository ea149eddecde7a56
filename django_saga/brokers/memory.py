"""No broker at all: messages go to the handlers of this project, through its database.

``memory:`` is the default. What is published is stored for every consumer of this project; other programs get
nothing. A topic that nobody consumes has nobody to miss its messages.
"""

from __future__ import annotations

from collections.abc import Sequence

from django_saga.core.messages import Message
from django_saga.exceptions import SagaError
from django_saga.messaging import intake
from django_saga.ports import BrokerFeatures, Subscription


class MemoryBroker:
    """Stores what is published in this project's own inbox."""

    features = BrokerFeatures(in_database=True)

    def __init__(self, url: str, *, using: str) -> None:
        self._using = using

    def publish(self, messages: Sequence[Message]) -> Sequence[SagaError | None]:
        """Store messages for all consumers; those that are stored already are the same ones again."""
        intake.accept(self._using, messages)
        return [None] * len(messages)

    def subscribe(self, consumer: str, topics: Sequence[str]) -> Subscription:
        """Never asked for: what is published is in the inbox."""
        raise NotImplementedError("messages of this broker are in the inbox already")

    def close(self) -> None:
        """Nothing is open."""

"""What the suite for brokers sends, takes and compares."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from django_saga.core import envelope
from django_saga.core.messages import Message, stream_of
from django_saga.exceptions import BrokerUnavailable, SagaError
from django_saga.ports import Broker, Delivery, Subscription

SOON = timedelta(milliseconds=500)
PATIENCE = 30.0  # for what has to come in the end, in seconds
_QUICKLY = 12.0  # for being told that a broker is away


class Outage(Protocol):
    """A broker that can be taken away: ``broker`` is on the way to it."""

    broker: Broker

    def begin(self) -> None:
        """Make the broker unreachable; connections are lost."""
        ...

    def end(self) -> None:
        """Let it be reached again."""
        ...


class Got(NamedTuple):
    """What a subscription was given, read."""

    message: Message
    delivery: Delivery


def a_message(
    topic: str, *, key: str | None = "k", number: int = 1, data: str = "{}", headers: Any = None
) -> Message:
    """Give a message."""
    return Message(
        id=str(uuid4()),
        source="urn:conformance",
        topic=topic,
        data=data,
        at=datetime(2030, 1, 2, 3, 4, 5, 678900, tzinfo=UTC),
        key=key,
        stream=None if key is None else stream_of(topic, key),
        number=0 if key is None else number,
        headers=headers or {},
    )


def messages_of(topic: str, count: int, *, keys: int = 1) -> list[Message]:
    """Give ``count`` messages of ``keys`` streams, in turn."""
    return [a_message(topic, key=f"k{n % keys}", number=n // keys + 1, data=str(n)) for n in range(count)]


def fetch(subscription: Subscription, limit: int, wait: timedelta, *, acknowledge: bool = True) -> list[Got]:
    """Fetch once, and acknowledge what came."""
    deliveries = subscription.fetch(limit, wait)
    assert len(deliveries) <= limit
    if acknowledge and deliveries:
        subscription.acknowledge(deliveries)
    return [Got(envelope.read(bytes(each.body)), each) for each in deliveries]


def take(
    subscription: Subscription,
    count: int,
    *,
    acknowledge: bool = True,
    more: bool = False,
    at_once: int = 500,
) -> list[Got]:
    """Fetch ``count`` messages; with ``more`` whatever comes behind them, too."""
    got: list[Got] = []
    ends_at = time.monotonic() + PATIENCE
    while len(got) < count and time.monotonic() < ends_at:
        limit = at_once if more else min(at_once, count - len(got))
        got += fetch(subscription, limit, SOON, acknowledge=acknowledge)
    if more:
        got += fetch(subscription, at_once, SOON, acknowledge=acknowledge)
    assert len(got) >= count, f"{len(got)} of {count} messages came within {PATIENCE:.0f} s"
    return got


def publish(outage: Outage, messages: Sequence[Message]) -> Sequence[SagaError | None]:
    """Publish what may not be taken; give the receipts, whichever way the broker said it."""

    def publish() -> Sequence[SagaError | None]:
        try:
            return outage.broker.publish(messages)
        except BrokerUnavailable as error:
            return [error] * len(messages)

    found: Sequence[SagaError | None] = quickly(publish)
    return found


def subscribed(broker: Broker, consumer: str, topic: str) -> Subscription | None:
    """Subscribe, if the broker is there."""
    try:
        return broker.subscribe(consumer, [topic])
    except BrokerUnavailable:
        return None


def quickly(call: Callable[[], Any]) -> Any:
    """Call what must not take long, whether it fails or not."""
    began = time.monotonic()
    try:
        return call()
    finally:
        assert time.monotonic() - began < _QUICKLY


def until(call: Callable[[], Any]) -> Any:
    """Call until there is something to give."""
    ends_at = time.monotonic() + PATIENCE
    while not (found := call()):
        assert time.monotonic() < ends_at, "it was not back in time"
    return found


def by_id(messages: Sequence[Message]) -> dict[str, Message]:
    """Compare where order means nothing."""
    return {each.id: each for each in messages}


def streams_of(messages: Sequence[Message]) -> dict[str | None, list[Message]]:
    """Give messages by their stream, in order."""
    found: dict[str | None, list[Message]] = {}
    for each in messages:
        found.setdefault(each.stream, []).append(each)
    return found


def streams(got: Sequence[Got]) -> dict[str | None, list[Message]]:
    """Give what was taken by its stream, in order."""
    return streams_of([each.message for each in got])


def numbers(got: Sequence[Got]) -> dict[str | None, list[int]]:
    """Give the numbers of what was taken by its stream, in order."""
    return {stream: [each.number for each in messages] for stream, messages in streams(got).items()}

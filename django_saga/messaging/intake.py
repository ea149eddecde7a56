"""What comes from brokers goes into the inbox first: stored, then acknowledged, then handled.

So a handler that fails or takes long holds up neither the broker nor other streams, and all brokers have the
same retries, order and dead letters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core import envelope
from django_saga.core.messages import CORRELATION, MAX_ID_LENGTH, Message, part_of, stored_id
from django_saga.core.names import MAX_NAME_LENGTH
from django_saga.dsl.handler import handlers
from django_saga.engine import failures, wake
from django_saga.exceptions import MalformedMessage
from django_saga.faults import fault_point
from django_saga.store import inbox, subscriptions
from django_saga.store.inbox import Arrival


def accept(using: str, messages: Sequence[Message]) -> int:
    """Store messages of this project for all its consumers, and give how many rows were new."""
    consumers = consumers_of(using, {message.topic for message in messages})
    return _store(
        using,
        [
            _arrival(message, consumer, envelope.write(message))
            for message in messages
            for consumer in consumers[message.topic]
        ],
    )


def consumers_of(using: str, topics: Collection[str]) -> dict[str, list[str]]:
    """Name the consumers of topics: those of this code, and those that workers with other code have."""
    others = subscriptions.consumers_of(using, topics)
    return {topic: sorted({*handlers.consumers_of(topic), *others.get(topic, ())}) for topic in topics}


def accept_bodies(using: str, consumer: str, came: Sequence[tuple[str, bytes]]) -> int:
    """Store what a broker gave a consumer (topic and body); give how many rows were new.

    What is no message, or too large, goes to the dead letters: it would be no better another time.
    """
    return _store(using, list(_read(consumer, came)))


def accept_callback(using: str, sender: str, message: Message, body: bytes) -> int:
    """Store what a partner sent over HTTP for all consumers of its topic; give how many rows were new.

    It is known by its sender and the id it has there, and has no place in any stream: whatever it says of
    itself, it cannot pass for a message of somebody else.
    """
    known = stored_id("webhook", f"{sender}:{message.id}")
    consumers = consumers_of(using, [message.topic])
    return _store(
        using,
        [
            _arrival(message, consumer, body)._replace(
                message_id=known, stream=None, number=0, part=part_of(known)
            )
            for consumer in consumers[message.topic]
        ],
    )


def max_body_bytes() -> int:
    """Say how large what comes may be: the envelope takes room beside what the sender's own limit counts."""
    return get_settings().max_message_bytes * 2


def _read(consumer: str, came: Sequence[tuple[str, bytes]]) -> Iterator[Arrival]:
    limit = max_body_bytes()
    for topic, body in came:
        try:
            if len(body) > limit:
                raise MalformedMessage(
                    f"{len(body):,} bytes; twice MAX_MESSAGE_BYTES is the limit. It was cut off there."
                )
            yield _arrival(envelope.read(body), consumer, body, topic)
        except MalformedMessage as error:
            # Known by its bytes: the same nonsense again is the same dead letter.
            known = f"sha256:{hashlib.sha256(body).hexdigest()}"
            yield Arrival(
                consumer,
                known,
                topic[:MAX_NAME_LENGTH],
                None,
                "",
                None,
                0,
                part_of(known),
                body[:limit],
                *failures.told(error),
            )


def _arrival(message: Message, consumer: str, body: bytes, topic: str | None = None) -> Arrival:
    return Arrival(
        consumer,
        stored_id(message.source, message.id),
        topic or message.topic,
        message.key,
        message.source,
        message.stream,
        message.number,
        message.part,
        body,
        correlation_id=message.headers.get(CORRELATION, "")[:MAX_ID_LENGTH],
    )


def _store(using: str, arrivals: list[Arrival]) -> int:
    if not arrivals:
        return 0
    with transaction.atomic(using=using):
        fault_point("inbox.before_store")
        new = inbox.store(using, arrivals)
        if new:
            wake.after_commit(using, wake.INBOX)
    fault_point("inbox.after_store")
    return new

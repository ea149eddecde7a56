"""Kafka: the key of a message says its partition, each consumer is a group, offsets are committed by hand.

``kafka://user:password@host:9092,other:9092?create=no&format=binary``; options whose names have a dot go
to librdkafka. A message is sent when the one before it in its lane is on all replicas in sync. An offset is
committed up to the first message that is not acknowledged, so nothing before it is passed over.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from django_saga.brokers import address
from django_saga.brokers.waves import send_in_waves, too_large
from django_saga.core.messages import Message
from django_saga.core.wire import Parcel, packed
from django_saga.exceptions import BrokerUnavailable, MessageRefused, SagaError
from django_saga.ports import BrokerFeatures

try:
    from confluent_kafka import KafkaError, KafkaException, Producer

    from django_saga.brokers.kafka_cluster import (
        NO_TOPIC,
        OPTIONS,
        REFUSED,
        TOO_LARGE,
        Cluster,
        error_of,
        logger,
    )
    from django_saga.brokers.kafka_subscription import KafkaSubscription
except ImportError as missing_package:
    raise ImproperlyConfigured(
        'A broker of DJANGO_SAGA is Kafka, and its package is missing: pip install "django-saga[kafka]".'
    ) from missing_package


class KafkaBroker:
    """Sends to topics and subscribes to them."""

    def __init__(self, url: str, *, using: str = "") -> None:
        found = address.read(url, OPTIONS, with_others=True)
        self.cluster = Cluster(found)
        self.features = BrokerFeatures(
            refuses_unroutable=not found.options["create"],
            max_message_bytes=found.options["max_message_bytes"],
        )
        self._sending = threading.Lock()
        self._sender = Sender(self.cluster)

    def publish(self, messages: Sequence[Message]) -> Sequence[SagaError | None]:
        """Send messages in waves."""
        with self._sending:
            return send_in_waves(messages, self._sender.send)

    def subscribe(self, consumer: str, topics: Sequence[str]) -> KafkaSubscription:
        """Join the group ``consumer``; from the oldest message that is there where it committed nothing."""
        for topic, why in self.cluster.missing(set(topics)).items():
            logger.warning("Consumer %s waits for topic %s: %s", consumer, topic, why)
        return KafkaSubscription(self.cluster, consumer, topics)

    def close(self) -> None:
        """Let go of the producer."""
        with self._sending:
            self._sender.close()


class Sender:
    """The producer; for one thread at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._producer: Any = None

    def send(self, wave: Sequence[Message]) -> list[SagaError | None]:
        """Send messages of different lanes, and wait for the cluster's word for all of them."""
        parcels = [packed(message, self._cluster.options["format"]) for message in wave]
        receipts = too_large(parcels, self._cluster.options["max_message_bytes"])
        try:
            missing = self._cluster.missing({each.topic for each in wave})
        except BrokerUnavailable as error:
            return [receipts.get(at, error) for at in range(len(wave))]
        for at, message in enumerate(wave):
            if message.topic in missing:
                receipts[at] = MessageRefused(f"topic {message.topic}: {missing[message.topic]}")
        errors = self._attempt(wave, parcels, [at for at in range(len(wave)) if at not in receipts])
        large = [at for at, error in errors.items() if error is not None and error.code() in TOO_LARGE]
        if len(errors) > 1:
            # The cluster refuses all that shared a batch with it: each is asked for alone.
            for at in large:
                errors |= self._attempt(wave, parcels, [at])
        for at, said in errors.items():
            receipts[at] = self._receipt(wave[at], said)
        return [receipts[at] for at in range(len(wave))]

    def _attempt(
        self, wave: Sequence[Message], parcels: list[Parcel], places: list[int]
    ) -> dict[int, KafkaError | None]:
        """Send some of a wave. Gives what became of each."""
        errors: dict[int, KafkaError | None] = {}
        if not places:
            return errors
        producer = self._open()
        for at in places:
            try:
                producer.produce(
                    wave[at].topic,
                    parcels[at].body,
                    key=wave[at].key,
                    headers=_headers(wave[at], parcels[at]),
                    on_delivery=partial(_note, errors, at),
                )
            except (KafkaException, BufferError) as error:
                errors[at] = error_of(error)
        producer.flush(self._cluster.timeout + 5)
        for at in places:
            # Its report never came. It may not be sent any more once somebody was told that it was not.
            errors.setdefault(at, KafkaError(KafkaError._TIMED_OUT))
        if any(each is not None and _is_over(each) for each in errors.values()):
            self.close()
        return errors

    def _receipt(self, message: Message, error: KafkaError | None) -> SagaError | None:
        if error is None:
            return None
        if error.code() in NO_TOPIC:
            self._cluster.forget(message.topic)
        said = f"{error.name()}: {error.str()}"
        return MessageRefused(said) if error.code() in REFUSED else BrokerUnavailable(said)

    def _open(self) -> Any:
        if self._producer is None:
            milliseconds = int(self._cluster.timeout * 1000)
            self._producer = self._cluster.client(
                Producer,
                **{
                    "acks": "all",
                    "enable.idempotence": True,
                    "message.timeout.ms": milliseconds,
                    "request.timeout.ms": milliseconds,
                    # Beside the body travel key and headers.
                    "message.max.bytes": self._cluster.options["max_message_bytes"] + 10_000,
                    # As Kafka's own clients do, so that a key is in one partition whoever sends it.
                    "partitioner": "murmur2_random",
                },
            )
        return self._producer

    def close(self) -> None:
        """Throw away what was not sent; nothing is, but after a failure."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(0)


def _headers(message: Message, parcel: Parcel) -> list[tuple[str, bytes]]:
    known = {**parcel.headers, "content-type": parcel.content_type, "id": message.id}
    return [(name, value.encode()) for name, value in known.items()]


def _note(errors: dict[int, KafkaError | None], at: int, error: KafkaError | None, message: Any) -> None:
    errors[at] = error


def _is_over(error: KafkaError) -> bool:
    """Tell whether the producer had better be replaced."""
    return error.fatal() or error.code() in (KafkaError._TIMED_OUT, KafkaError._FATAL)

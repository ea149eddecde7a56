"""Where Kafka is, how its clients are set up, which topics it has, and what its errors mean."""

from __future__ import annotations

import logging
import threading
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from django.core.exceptions import ImproperlyConfigured

from django_saga.brokers import address
from django_saga.core.wire import Format
from django_saga.exceptions import BrokerUnavailable

OPTIONS: address.Options = {
    "create": (address.yes, True),
    "partitions": (int, -1),  # of topics that are created: what the cluster has set
    "replication": (int, -1),
    "max_message_bytes": (int, 1_000_000),
    "format": (Format, Format.STRUCTURED),
    "timeout": (float, 10.0),
    "session_timeout": (float, 10.0),
}
logger = logging.getLogger("django_saga.kafka")

TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
NO_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
REFUSED = (
    TOO_LARGE
    | NO_TOPIC
    | {KafkaError.INVALID_MSG, KafkaError.TOPIC_EXCEPTION, KafkaError.TOPIC_AUTHORIZATION_FAILED}
    | {KafkaError.POLICY_VIOLATION, KafkaError.INVALID_RECORD}
)


class Cluster:
    """Where Kafka is, how its clients are set up, and which topics it has."""

    def __init__(self, found: address.Address) -> None:
        self.options = found.options
        self.timeout: float = found.options["timeout"]
        milliseconds = int(self.timeout * 1000)
        self._config: dict[str, Any] = {
            "client.id": "django-saga",
            "reconnect.backoff.max.ms": 1_000,
            "socket.connection.setup.timeout.ms": max(1_000, milliseconds // 2),
            **self._login(found),
            **found.others,
            "bootstrap.servers": found.hosts,
            "socket.timeout.ms": milliseconds,
            "log.connection.close": False,
        }
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def _login(self, found: address.Address) -> dict[str, Any]:
        if found.user is None:
            return {}
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": found.user,
            "sasl.password": found.password or "",
        }

    def client(self, kind: Any, **config: Any) -> Any:
        """Give a client of the cluster."""
        try:
            return kind({**self._config, **config}, logger=logger)
        except KafkaException as error:
            raise ImproperlyConfigured(f"librdkafka does not take the options: {error}") from None

    def missing(self, topics: set[str]) -> dict[str, str]:
        """Say why, for topics that are not there and cannot be created. Raises ``BrokerUnavailable``."""
        with self._lock:
            if topics <= self._known:
                return {}
            admin = self.client(AdminClient)
            try:
                # All of them: asked for one by its name, some clusters create it as they like.
                self._known |= set(admin.list_topics(timeout=self.timeout / 2).topics)
            except KafkaException as error:
                raise as_away(error) from error
            absent = topics - self._known
            if not self.options["create"]:
                return dict.fromkeys(absent, "there is no such topic")
            return self._create(admin, absent)

    def _create(self, admin: Any, topics: set[str]) -> dict[str, str]:
        if not topics:
            return {}
        partitions, replication = self.options["partitions"], self.options["replication"]
        wanted = [NewTopic(each, partitions, replication) for each in sorted(topics)]
        failed = {}
        for topic, done in admin.create_topics(wanted, request_timeout=self.timeout / 2).items():
            try:
                done.result(self.timeout)
            except (KafkaException, TimeoutError) as error:
                code = code_of(error)
                if code in REFUSED or code == KafkaError.INVALID_REPLICATION_FACTOR:
                    failed[topic] = f"it cannot be created: {error}"
                    continue
                if code != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise as_away(error) from error
            self._known.add(topic)
        return failed

    def forget(self, topic: str) -> None:
        """Ask again whether ``topic`` is there."""
        with self._lock:
            self._known.discard(topic)


def error_of(error: Exception) -> KafkaError:
    """Give librdkafka's error; what it does not raise itself is a queue of its own that is full."""
    if isinstance(error, KafkaException) and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return KafkaError(KafkaError._QUEUE_FULL)


def code_of(error: Exception) -> Any:
    """Give the number of an error; None for errors that are not Kafka's."""
    return error_of(error).code() if isinstance(error, KafkaException) else None


def as_away(error: Exception) -> BrokerUnavailable:
    """Give what is told of any failure that no message is to blame for."""
    return BrokerUnavailable(f"{type(error).__name__}: {error}")

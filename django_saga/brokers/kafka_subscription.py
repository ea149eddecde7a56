"""What one consumer gets from Kafka: partitions of its group, and offsets committed without gaps."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from django_saga.brokers.kafka_cluster import NO_TOPIC, Cluster, as_away, code_of
from django_saga.core.wire import opened
from django_saga.ports import Delivery

# The partition is somebody else's by now, or will be: what was not committed comes again, to whoever has it.
_NOT_OURS = {
    *(KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS),
    *(KafkaError._NO_OFFSET, KafkaError._STATE),
}
# librdkafka sees to these by itself.
_PASSING = NO_TOPIC | {KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED, KafkaError._TRANSPORT}

# How long to wait for the answer to a commit before looking again, in seconds: librdkafka tells of it only to
# those who ask for messages.
_BRIEFLY = 0.002


class Progress:
    """What was fetched of a partition while it is ours. ``next``: where to go on."""

    def __init__(self) -> None:
        self.open: dict[int, None] = {}  # offsets not acknowledged, lowest first
        self.next = -1
        self.committed = -1

    @property
    def position(self) -> int:
        """The first offset that is not acknowledged."""
        return next(iter(self.open), self.next)


class Record(NamedTuple):
    """A message as it was fetched, and of which time of its partition with us."""

    topic: str
    body: bytes
    offset: int
    progress: Progress


class KafkaSubscription:
    """What one consumer gets; Kafka gives each partition to one of its subscriptions."""

    def __init__(self, cluster: Cluster, consumer: str, topics: Sequence[str]) -> None:
        self._cluster = cluster
        self._topics = list(topics)
        self._came: deque[Record] = deque()
        self._progress: dict[tuple[str, int], Progress] = {}
        self._joined = False
        self._doubt: KafkaError | None = None
        self._unanswered = 0  # commits
        self._refusal: KafkaError | None = None  # of the last one
        self._client: Any = cluster.client(
            Consumer,
            **{
                "group.id": consumer,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                # Partitions that stay with a subscription are not taken from it in between.
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": int(cluster.options["session_timeout"] * 1000),
                "heartbeat.interval.ms": min(1_000, int(cluster.options["session_timeout"] * 300)),
                "topic.metadata.refresh.interval.ms": 30_000,
                "error_cb": self._on_error,
                "on_commit": self._on_commit,
            },
        )
        try:
            self._client.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
            )
            self._look_after_it()
            # Another one may take its time to hand over; then partitions come while this one fetches.
            ends_at = time.monotonic() + cluster.timeout
            while not self._joined and time.monotonic() < ends_at:
                self._keep(self._client.poll(0.1))
        except BaseException as error:
            self.close()
            if isinstance(error, KafkaException):
                raise as_away(error) from error
            raise

    def fetch(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """Give what came of the partitions that are ours."""
        try:
            self._commit()  # what could not be while partitions were handed over
            if not self._came:
                self._keep(self._client.poll(wait.total_seconds()))
            if self._came and len(self._came) < limit:
                for message in self._client.consume(limit - len(self._came), 0):
                    self._keep(message)
            if not self._came and self._doubt is not None:
                self._look_after_it()
        except (KafkaException, RuntimeError) as error:
            raise as_away(error) from error
        came = [self._came.popleft() for _ in range(min(limit, len(self._came)))]
        return [each for each in came if each.progress in self._progress.values()]

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Commit up to the first that is not acknowledged, for each partition that still is ours."""
        for each in deliveries:
            assert isinstance(each, Record)
            each.progress.open.pop(each.offset, None)
        try:
            self._commit()
        except (KafkaException, RuntimeError) as error:
            raise as_away(error) from error

    def _commit(self) -> None:
        offsets = [
            TopicPartition(topic, partition, progress.position)
            for (topic, partition), progress in self._progress.items()
            if progress.position > progress.committed
        ]
        if not offsets:
            return
        self._refusal = None
        try:
            # Not the call that waits: when the group's coordinator is away it may never come back.
            self._client.commit(offsets=offsets, asynchronous=True)
            self._unanswered += 1
            self._wait_for_answer()
        except KafkaException as error:
            if code_of(error) not in _NOT_OURS:
                raise

    def _wait_for_answer(self) -> None:
        ends_at = time.monotonic() + self._cluster.timeout
        while self._unanswered:
            self._keep(self._client.poll(_BRIEFLY))
            if time.monotonic() > ends_at:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer to a commit"))
        if self._refusal is not None:
            raise KafkaException(self._refusal)

    def close(self) -> None:
        """Leave the group, which gives the partitions to others."""
        client, self._client = self._client, _Closed()
        # librdkafka waits for the answers to commits, which may never come; then it is left to itself.
        closing = threading.Thread(target=_close, args=[client], name="saga-kafka-close", daemon=True)
        closing.start()
        closing.join(self._cluster.timeout)

    def _keep(self, message: Any) -> None:
        if message is None:
            return
        if message.error() is not None:
            if message.error().code() not in _PASSING:
                raise KafkaException(message.error())
            return
        progress = self._progress.get((message.topic(), message.partition()))
        if progress is not None:
            progress.open[message.offset()] = None
            progress.next = message.offset() + 1
            self._came.append(Record(message.topic(), self._opened(message), message.offset(), progress))

    def _opened(self, message: Any) -> bytes:
        headers = {name: (value or b"").decode("utf-8", "replace") for name, value in message.headers() or ()}
        try:
            key = bytes(message.key() or b"").decode()
        except UnicodeDecodeError:
            key = ""  # a number, or whatever else its sender makes keys of: none of ours
        return opened(
            message.topic(),
            message.value() or b"",
            headers,
            content_type=headers.pop("content-type", ""),
            form=self._cluster.options["format"],
            fallback_id=f"{message.partition()}/{message.offset()}",
            key=key or None,
        )

    def _look_after_it(self) -> None:
        """Ask whether the cluster is there: librdkafka goes on trying, and says nothing to those who wait."""
        self._client.list_topics(self._topics[0], timeout=self._cluster.timeout / 2)
        self._doubt = None

    def _on_assign(self, client: Any, partitions: Sequence[TopicPartition]) -> None:
        self._joined = True
        for each in partitions:
            self._progress[each.topic, each.partition] = Progress()

    def _on_revoke(self, client: Any, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            self._progress.pop((each.topic, each.partition), None)

    def _on_commit(self, error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
        self._unanswered -= 1
        self._refusal = error
        for each in offsets:
            progress = self._progress.get((each.topic, each.partition))
            if error is None and each.error is None and progress is not None:
                progress.committed = each.offset

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION):
            self._doubt = error


def _close(client: Any) -> None:
    with suppress(KafkaException):
        client.close()


class _Closed:
    """Stands for a client that was closed."""

    def close(self) -> None:
        """Was done."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("the subscription was closed")

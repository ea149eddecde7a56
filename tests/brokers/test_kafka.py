"""Kafka: the suite for brokers, and what is special: batches refused, topics created, commits and gaps."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from django_saga.brokers.kafka import KafkaBroker
from django_saga.exceptions import BrokerUnavailable, MessageHeld, MessageRefused
from django_saga.testing.conformance import BrokerConformance
from django_saga.testing.post import a_message, messages_of, streams, streams_of, take
from tests.brokers.kafka_cluster import Detour, MockCluster

OPTIONS = "create=no&timeout=3&session_timeout=2&max_message_bytes=200000"


@pytest.fixture(scope="module")
def cluster(kafka_cluster: MockCluster) -> MockCluster:
    return kafka_cluster


@pytest.fixture
def topic(cluster: MockCluster) -> str:
    name = f"test.{uuid4().hex}"
    cluster.create(name)
    return name


@pytest.fixture
def broker(cluster: MockCluster) -> Iterator[KafkaBroker]:
    made = KafkaBroker(f"kafka://{cluster.address}?{OPTIONS}")
    yield made
    made.close()


class Away:
    """A broker whose cluster can be taken away."""

    def __init__(self, broker: KafkaBroker, cluster: MockCluster) -> None:
        self.broker, self.begin, self.end = broker, cluster.begin, cluster.end


class TestKafka(BrokerConformance):
    """The suite."""

    @pytest.fixture
    def topic(self, topic):
        return topic

    @pytest.fixture
    def broker(self, broker, cluster, detours, ways):
        """Each subscription goes its own way to the cluster."""
        subscribe = broker.subscribe

        def by_a_detour(consumer, topics):
            way = detours.enter_context(Detour(cluster))
            made = KafkaBroker(f"kafka://{way.address}?{OPTIONS}").subscribe(consumer, topics)
            ways[id(made)] = way
            return made

        broker.subscribe = by_a_detour
        yield broker
        broker.subscribe = subscribe

    @pytest.fixture
    def detours(self) -> Iterator[ExitStack]:
        with ExitStack() as stack:
            yield stack

    @pytest.fixture
    def outage(self, cluster):
        broker = KafkaBroker(f"kafka://{cluster.address}?{OPTIONS}")
        yield Away(broker, cluster)
        cluster.end()
        broker.close()

    @pytest.fixture
    def ways(self) -> dict[int, Detour]:
        """By the id of the subscription."""
        return {}

    @pytest.fixture
    def kill(self, ways):
        return lambda subscription: ways[id(subscription)].cut()


def test_an_offset_is_committed_up_to_the_first_gap(cluster, broker):
    cluster.create(topic := f"test.{uuid4().hex}", partitions=1)
    consumer = uuid4().hex
    first = broker.subscribe(consumer, [topic])
    sent = messages_of(topic, 6)
    broker.publish(sent)
    got = take(first, 6, acknowledge=False)

    first.acknowledge([got[at].delivery for at in (0, 1, 3, 4)])
    first.close()

    second = broker.subscribe(consumer, [topic])
    assert streams(take(second, 4, acknowledge=False, more=True)) == streams_of(sent[2:])
    second.close()


def test_a_gap_that_is_closed_is_committed_with_what_is_behind_it(cluster, broker):
    cluster.create(topic := f"test.{uuid4().hex}", partitions=1)
    consumer = uuid4().hex
    first = broker.subscribe(consumer, [topic])
    sent = messages_of(topic, 6)
    broker.publish(sent)
    got = take(first, 6, acknowledge=False)

    first.acknowledge([each.delivery for each in got[3:5]])
    first.acknowledge([each.delivery for each in got[:3]])
    first.close()

    second = broker.subscribe(consumer, [topic])
    assert streams(take(second, 1, more=True)) == streams_of(sent[5:])
    second.close()


def test_a_partition_that_went_to_another_subscription_is_not_committed_by_the_first(topic, broker):
    consumer = uuid4().hex
    first = broker.subscribe(consumer, [topic])
    sent = messages_of(topic, 80, keys=40)
    broker.publish(sent)
    old = take(first, 80, acknowledge=False)

    second = broker.subscribe(consumer, [topic])
    again: list[Any] = []
    while not again:  # the first one has to fetch to let go
        assert not first.fetch(10, timedelta(milliseconds=50))
        again = [*second.fetch(500, timedelta(milliseconds=50))]
    first.acknowledge([each.delivery for each in old])
    first.close()
    while more := second.fetch(500, timedelta(seconds=1)):
        again += more

    # The first had committed what stayed with it, and nothing of what had gone to the second.
    assert 0 < len(again) < 80
    assert {each.body for each in again} < {each.delivery.body for each in old}
    second.close()


def test_messages_that_shared_a_batch_with_one_too_large_are_sent(topic, broker, cluster):
    sent = messages_of(topic, 8, keys=8)
    cluster.fail_produce(10)  # MSG_SIZE_TOO_LARGE, for a batch

    assert [*broker.publish(sent)] == [None] * 8

    subscription = broker.subscribe(uuid4().hex, [topic])
    assert streams(take(subscription, 8, more=True)) == streams_of(sent)
    subscription.close()


def test_a_message_that_the_cluster_refuses_holds_its_stream(topic, broker, cluster):
    cluster.fail_produce(10)

    receipts = broker.publish(messages_of(topic, 2))

    assert [type(each) for each in receipts] == [MessageRefused, MessageHeld]


def test_passing_errors_cost_neither_messages_nor_order(topic, broker, cluster):
    sent = messages_of(topic, 20, keys=2)
    cluster.fail_produce(6, 0, 7, 0, 19)  # not the leader; timed out; too few replicas

    assert [*broker.publish(sent)] == [None] * 20

    subscription = broker.subscribe(uuid4().hex, [topic])
    assert streams(take(subscription, 20, more=True)) == streams_of(sent)
    subscription.close()


def test_topics_are_created_where_they_are_missing(cluster, monkeypatch):
    created: list[Any] = []
    done: Future[None] = Future()
    done.set_result(None)

    def create(self, wanted, **options):
        # The mock cluster does not know the request.
        created.extend((each.topic, each.num_partitions, each.replication_factor) for each in wanted)
        for each in wanted:
            cluster.create(each.topic, each.num_partitions)
        return {each.topic: done for each in wanted}

    monkeypatch.setattr(AdminClient, "create_topics", create)
    broker = KafkaBroker(f"kafka://{cluster.address}?partitions=6&timeout=4")
    topic = f"test.{uuid4().hex}"

    receipts = broker.publish(messages_of(topic, 3))

    assert [*receipts] == [None] * 3
    assert created == [(topic, 6, -1)]
    broker.publish(messages_of(topic, 1))
    assert len(created) == 1
    broker.close()


def test_a_topic_that_cannot_be_created_refuses_its_messages_alone(topic, cluster, monkeypatch):
    def refuse(self, wanted, **options):
        found: dict[str, Future[None]] = {each.topic: Future() for each in wanted}
        for each in found.values():
            each.set_exception(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
        return found

    monkeypatch.setattr(AdminClient, "create_topics", refuse)
    broker = KafkaBroker(f"kafka://{cluster.address}?timeout=4")

    receipts = broker.publish([a_message(f"test.{uuid4().hex}"), a_message(topic)])

    assert [type(each) for each in receipts] == [MessageRefused, type(None)]
    assert "cannot be created" in str(receipts[0])
    broker.close()


def test_passwords_are_told_to_nobody():
    broker = KafkaBroker("kafka://user:canary@127.0.0.1:1?timeout=1&security.protocol=SASL_PLAINTEXT")
    receipts = broker.publish(messages_of("t", 2))
    with pytest.raises(BrokerUnavailable) as caught:
        broker.subscribe("c", ["t"])

    assert [type(each) for each in receipts] == [BrokerUnavailable, MessageHeld]
    assert "canary" not in f"{caught.value!r}{receipts}{broker!r}{broker.cluster!r}"


@pytest.mark.parametrize("wrong", ["nonsense=1", "create=perhaps"])
def test_options_that_mean_nothing_are_wrong_settings(wrong):
    with pytest.raises(ImproperlyConfigured) as caught:
        KafkaBroker(f"kafka://user:canary@127.0.0.1:1/?{wrong}")
    assert wrong.partition("=")[0] in str(caught.value)
    assert "canary" not in str(caught.value)

"""Formats over real brokers: what foreign clients read there, and what they may send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_saga.core import envelope
from django_saga.testing.post import a_message as message_of
from django_saga.testing.post import by_id, messages_of, streams, streams_of, take

EVENT = {"specversion": "1.0", "id": "7", "source": "urn:stranger", "type": "t", "rev": "3"}


class RedisClient:
    """What a program without django-saga reads from Redis Streams, and writes there."""

    prefix = "ce_"

    def __init__(self, url: str, topic: str) -> None:
        from django_saga.brokers.redis import RedisBroker

        self._made = RedisBroker(url)
        self._stream = self._made.prefix + topic
        self.make = lambda form: RedisBroker(f"{url}&format={form}")

    def send(self, body: bytes, headers: dict[str, str]) -> None:
        fields: Any = {**headers, "body": body}
        self._made.client.xadd(self._stream, fields)

    def read(self) -> tuple[bytes, dict[str, str]]:
        entries: Any = self._made.client.xrange(self._stream)
        [(_id, fields)] = entries
        found = {name.decode(): value.decode() for name, value in fields.items()}
        return found.pop("body").encode(), found

    def close(self) -> None:
        self._made.close()


class RabbitClient:
    """What a program without django-saga reads from a queue, and sends to an exchange."""

    prefix = "cloudEvents_"

    def __init__(self, url: str, topic: str) -> None:
        from django_saga.brokers.rabbitmq import RabbitBroker

        self.make = lambda form: RabbitBroker(f"{url}&format={form}")
        self._server, self._topic = RabbitBroker(url).server, topic
        self._connection = self._server.connect()
        self._channel = self._server.channel(self._connection)
        self._queue = self._channel.queue_declare("", exclusive=True).queue
        self._channel.queue_bind(self._queue, self._server.options["exchange"], topic)

    def send(self, body: bytes, headers: dict[str, str]) -> None:
        others = {name: value for name, value in headers.items() if name != "content-type"}
        kind = headers.get("content-type", "")
        given = self._channel.prepare_message(
            body, content_type=kind, headers=others, properties={"message_id": "m1"}
        )
        self._channel.basic_publish(given, self._server.options["exchange"], self._topic)

    def read(self) -> tuple[bytes, dict[str, str]]:
        came = self._channel.basic_get(self._queue, no_ack=True)
        headers = came.properties["application_headers"]
        return bytes(came.body), {**headers, "content-type": came.properties["content_type"]}

    def close(self) -> None:
        self._connection.close()
        self._connection.collect()


class KafkaClient:
    """What a program without django-saga reads from a topic, and writes there."""

    prefix = "ce_"

    def __init__(self, cluster: Any, topic: str) -> None:
        from django_saga.brokers.kafka import KafkaBroker

        cluster.create(topic, partitions=1)
        url = f"kafka://{cluster.address}?create=no&timeout=5&session_timeout=2"
        self.make = lambda form: KafkaBroker(f"{url}&format={form}")
        self._address, self._topic = cluster.address, topic

    def send(self, body: bytes, headers: dict[str, str]) -> None:
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self._address})
        producer.produce(self._topic, body, headers=list(headers.items()))
        assert producer.flush(10) == 0

    def read(self) -> tuple[bytes, dict[str, str]]:
        from confluent_kafka import Consumer, TopicPartition

        client = Consumer({"bootstrap.servers": self._address, "group.id": "x"})
        client.assign([TopicPartition(self._topic, 0, 0)])
        came = client.poll(10)
        client.close()
        found: Any = came
        return found.value(), {name: value.decode() for name, value in found.headers()}

    def close(self) -> None:
        pass


@pytest.fixture
def topic() -> str:
    return f"format.{uuid4().hex}"


@pytest.fixture(params=["redis", "rabbitmq", "kafka"])
def client(request: pytest.FixtureRequest, topic: str) -> Iterator[Any]:
    """A foreign client of a real broker; ``make`` gives ours with a format."""
    made: Any
    if request.param == "redis":
        pytest.importorskip("redis", reason="redis-py is not installed")
        made = RedisClient(request.getfixturevalue("redis_prefix"), topic)
    elif request.param == "rabbitmq":
        pytest.importorskip("kombu", reason="kombu is not installed")
        made = RabbitClient(request.getfixturevalue("rabbit_url"), topic)
    else:
        pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
        made = KafkaClient(request.getfixturevalue("kafka_cluster"), topic)
    yield made
    made.close()


@pytest.fixture
def broker(client: Any) -> Iterator[Any]:
    """Make brokers with a format; closed afterwards."""
    made = []

    def broker(form: str) -> Any:
        made.append(client.make(form))
        return made[-1]

    yield broker
    for each in made:
        each.close()


def a_message(topic: str) -> Any:
    headers = {"traceparent": "00-1", "X-Kind": "é"}
    return message_of(topic, key="schlüssel", data='{"total":"9.90"}', headers=headers)


def test_binary_attributes_are_the_brokers_headers(client, broker, topic):
    sent = a_message(topic)
    assert [*broker("binary").publish([sent])] == [None]

    body, headers = client.read()

    assert json.loads(body) == {"total": "9.90"}
    assert headers["content-type"] == "application/json"
    given = {
        name.removeprefix(client.prefix): value
        for name, value in headers.items()
        if name.startswith(client.prefix)
    }
    expected = envelope.attributes(sent)
    del expected["datacontenttype"]
    assert given == expected


def test_plain_is_the_data_with_the_senders_headers(client, broker, topic):
    sent = a_message(topic)
    assert [*broker("plain").publish([sent])] == [None]

    body, headers = client.read()

    assert json.loads(body) == {"total": "9.90"}
    assert (headers["id"], headers["key"], headers["X-Kind"]) == (sent.id, "schlüssel", "é")
    assert headers["content-type"] == "application/json"
    assert not [name for name in headers if name.startswith(client.prefix)]


@pytest.mark.parametrize(("out", "into"), [("binary", "structured"), ("structured", "binary")])
def test_cloudevents_arrive_whatever_the_formats(broker, topic, out, into):
    sent = messages_of(topic, 60, keys=5)
    subscription = broker(into).subscribe(f"c-{uuid4().hex}", [topic])

    assert [*broker(out).publish(sent)] == [None] * 60

    assert streams(take(subscription, 60)) == streams_of(sent)
    subscription.close()


def test_plain_messages_arrive_with_their_ids(broker, topic):
    sent = [a_message(topic), message_of(topic, key=None, data="null")]
    subscription = broker("plain").subscribe(f"c-{uuid4().hex}", [topic])

    assert [*broker("plain").publish(sent)] == [None, None]

    got = by_id([each.message for each in take(subscription, 2)])
    assert {key: (each.data, each.key, dict(each.headers)) for key, each in got.items()} == {
        each.id: (each.data, each.key, dict(each.headers)) for each in sent
    }
    subscription.close()


def test_strangers_send_binary_events(client, broker, topic):
    subscription = broker("structured").subscribe(f"c-{uuid4().hex}", [topic])
    headers = {f"{client.prefix}{name}": value for name, value in EVENT.items()}
    client.send(b'{"n": 1}', {**headers, "content-type": "application/json"})

    [got] = take(subscription, 1)

    assert (got.message.id, got.message.source, got.message.data) == ("7", "urn:stranger", '{"n":1}')
    assert got.message.headers == {"rev": "3"}
    subscription.close()


def test_strangers_send_plain_messages_that_have_an_id_of_the_broker(client, broker, topic):
    subscription = broker("plain").subscribe(f"c-{uuid4().hex}", [topic])
    client.send(b'{"n": 1}', {"kind": "x"})

    [got] = take(subscription, 1)

    assert got.message.id
    assert (got.message.source, got.message.topic) == (f"urn:plain:{topic}", topic)
    assert (got.message.data, dict(got.message.headers)) == ('{"n":1}', {"kind": "x"})
    subscription.close()


def test_what_is_no_message_comes_as_it_was(client, broker, topic):
    subscription = broker("binary").subscribe(f"c-{uuid4().hex}", [topic])
    client.send(b"\x00\x01", {f"{client.prefix}specversion": "1.0"})

    came: list[Any] = []
    while not came:
        came += subscription.fetch(10, timedelta(seconds=1))

    assert [bytes(each.body) for each in came] == [b"\x00\x01"]
    subscription.close()


def test_a_format_that_is_none_is_said(client, broker):
    with pytest.raises(ImproperlyConfigured, match="format"):
        broker("xml")

"""RabbitMQ: the suite for brokers, and what is special: nacks, alarms, lost connections, takeover."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured

pytest.importorskip("kombu", reason="kombu is not installed")

from django_saga.brokers.rabbitmq import RabbitBroker
from django_saga.exceptions import BrokerUnavailable, MessageHeld, MessageRefused
from django_saga.testing.conformance import BrokerConformance
from django_saga.testing.post import a_message, messages_of, publish, streams, streams_of, take, until
from tests.database.proxy import Proxy

NOW = timedelta(0)


@pytest.fixture
def name(rabbit_name: str) -> str:
    return rabbit_name


@pytest.fixture
def url(rabbit_url: str) -> str:
    return rabbit_url


@pytest.fixture
def broker(url: str) -> Iterator[RabbitBroker]:
    made = RabbitBroker(url)
    yield made
    made.close()


class Away:
    """A broker behind a proxy."""

    def __init__(self, url: str, proxy: Proxy) -> None:
        port = urlsplit(url).port or 5672
        self.broker = RabbitBroker(url.replace(f":{port}/", f":{proxy.port}/") + "&timeout=3")
        self.begin, self.end, self.freeze = proxy.cut, proxy.restore, proxy.hold


@pytest.fixture
def outage(url: str) -> Iterator[Away]:
    parts = urlsplit(url)
    with Proxy(parts.hostname or "", parts.port or 5672) as proxy:
        away = Away(url, proxy)
        yield away
        away.broker.close()


@pytest.fixture
def kill():
    def without_goodbye(subscription):
        subscription.connection.transport.sock.shutdown(socket.SHUT_RDWR)

    return without_goodbye


class Suite(BrokerConformance):
    """The suite with the ways of this module."""

    @pytest.fixture
    def broker(self, broker):
        return broker

    @pytest.fixture
    def outage(self, outage):
        return outage

    @pytest.fixture
    def kill(self, kill):
        return kill


class TestQuorumQueues(Suite):
    """The default kind of queue."""


class TestClassicQueues(Suite):
    """The other one."""

    @pytest.fixture
    def broker(self, url: str) -> Iterator[RabbitBroker]:
        made = RabbitBroker(f"{url}&queue=classic")
        yield made
        made.close()


def test_one_subscription_is_active_and_the_next_one_goes_on_where_it_stopped(broker):
    consumer = f"c-{uuid4()}"
    first, second = broker.subscribe(consumer, ["t"]), broker.subscribe(consumer, ["t"])
    sent = messages_of("t", 9)
    broker.publish(sent)
    first.acknowledge([each.delivery for each in take(first, 3, acknowledge=False)])
    assert second.fetch(10, NOW) == []

    first.close()

    assert streams(take(second, 6, more=True)) == streams_of(sent[3:])
    second.close()


def test_a_full_queue_holds_up_its_streams_and_refuses_nothing(broker, name):
    connection = broker.server.connect()
    channel = broker.server.channel(connection)
    arguments = {"x-max-length": 2, "x-overflow": "reject-publish"}
    channel.queue_declare(f"{name}-full", durable=True, auto_delete=False, arguments=arguments)
    channel.queue_bind(f"{name}-full", name, "full")
    subscription = broker.subscribe(f"c-{uuid4()}", ["t"])
    # Such a queue says so once it has noticed.
    until(lambda: broker.publish([a_message("full", key=None)])[0] is not None)
    sent = [
        a_message("full", key="a", number=1),
        a_message("t", key="b", number=1),
        a_message("full", key="a", number=2),
        a_message("t", key="b", number=2),
    ]

    receipts = broker.publish(sent)

    assert [type(each) for each in receipts] == [BrokerUnavailable, type(None), MessageHeld, type(None)]
    assert streams(take(subscription, 2)) == streams_of([sent[1], sent[3]])
    subscription.close()
    channel.queue_delete(f"{name}-full")
    connection.close()


@pytest.mark.fault("F58")
def test_what_the_server_itself_finds_too_large_is_refused_alone(url, monkeypatch):
    broker = RabbitBroker(url.replace("max_message_bytes=200000", "max_message_bytes=1000000000"))
    consumer = f"c-{uuid4()}"
    subscription = broker.subscribe(consumer, ["t"])
    sent = [a_message("t", key=key, number=1) for key in "abc"]
    publish_one = broker._sender._publish
    closes = []

    def refusing(channel, message, body):
        if message.key == "b":
            # RabbitMQ says the same to a message that is too large: 406, and the channel is closed.
            closes.append(message.id)
            channel.queue_declare(consumer, durable=False, auto_delete=True)
        publish_one(channel, message, body)

    monkeypatch.setattr(broker._sender, "_publish", refusing)

    receipts = broker.publish(sent)

    assert [type(each) for each in receipts] == [type(None), MessageRefused, type(None)]
    assert len(closes) == 2
    got = {each.message.id for each in take(subscription, 2, more=True)}
    assert got == {sent[0].id, sent[2].id}
    subscription.close()
    broker.close()


def test_a_connection_lost_while_idle_costs_no_message(outage):
    subscription = outage.broker.subscribe(f"c-{uuid4()}", ["t"])
    sent = messages_of("t", 2)
    assert [*outage.broker.publish(sent[:1])] == [None]
    outage.begin()
    outage.end()

    assert [*outage.broker.publish(sent[1:])] == [None]

    subscription.close()


def test_a_network_that_swallows_everything_is_noticed(outage):
    subscription = outage.broker.subscribe(f"c-{uuid4()}", ["t"])
    sent = messages_of("t", 3)
    assert [*outage.broker.publish(sent[:1])] == [None]
    outage.freeze()

    receipts = publish(outage, sent[1:])

    assert [type(each) for each in receipts] == [BrokerUnavailable, MessageHeld]
    outage.end()
    subscription.close()


def test_a_queue_that_is_deleted_is_told_to_its_subscription(broker):
    consumer = f"c-{uuid4()}"
    subscription = broker.subscribe(consumer, ["t"])
    connection = broker.server.connect()
    connection.channel().queue_delete(consumer)
    connection.close()

    with pytest.raises(BrokerUnavailable):
        subscription.fetch(10, timedelta(seconds=5))

    subscription.close()


@pytest.mark.alone_on_rabbitmq
def test_a_broker_that_is_short_of_memory_takes_nothing(broker, rabbit):
    if shutil.which("rabbitmqctl") is None or urlsplit(rabbit).hostname != "127.0.0.1":
        pytest.skip("rabbitmqctl is not to be had, which raises the alarm")
    ask = subprocess.run(
        ["rabbitmqctl", "eval", "vm_memory_monitor:get_vm_memory_high_watermark()."],
        capture_output=True,
        text=True,
    )
    if ask.returncode or not re.fullmatch(r"0\.\d+\s*", ask.stdout):
        pytest.skip("rabbitmqctl may not be used, which raises the alarm, or knows no fraction to go back to")
    subscription = broker.subscribe(f"c-{uuid4()}", ["t"])
    sent = messages_of("t", 3)
    assert [*broker.publish(sent[:1])] == [None]
    try:
        _watermark("0.0001")

        receipts = until(lambda: [each for each in broker.publish(sent[1:]) if each is not None])

        assert [type(each) for each in receipts] == [BrokerUnavailable, MessageHeld]
        assert "short of memory" in str(receipts[0])
    finally:
        _watermark(ask.stdout.strip())
    until(lambda: [*broker.publish(sent[1:])] == [None, None])
    numbers = [each.message.number for each in take(subscription, 3, more=True)]
    assert list(dict.fromkeys(numbers)) == [1, 2, 3]
    subscription.close()


def _watermark(fraction: str) -> None:
    subprocess.run(["rabbitmqctl", "-q", "set_vm_memory_high_watermark", fraction], check=True)


def test_passwords_are_told_to_nobody(rabbit):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        broker = RabbitBroker(f"amqp://user:canary@127.0.0.1:{nobody.getsockname()[1]}/")
        receipts = broker.publish(messages_of("t", 3))
        with pytest.raises(BrokerUnavailable) as caught:
            broker.subscribe("c", ["t"])
    wrong = RabbitBroker(rabbit.replace("guest:guest@", "guest:canary@"))
    refused = wrong.publish(messages_of("t", 1))

    assert all(isinstance(each, (BrokerUnavailable, MessageHeld)) for each in [*receipts, *refused])
    assert "canary" not in f"{caught.value!r}{receipts}{refused}{vars(broker)}{broker.server!r}"


@pytest.mark.parametrize("wrong", ["nonsense=1", "queue=stream", "prefetch=many"])
def test_options_that_mean_nothing_are_wrong_settings(wrong):
    with pytest.raises(ImproperlyConfigured) as caught:
        RabbitBroker(f"amqp://user:canary@127.0.0.1/?{wrong}")
    assert wrong.partition("=")[0] in str(caught.value)
    assert "canary" not in str(caught.value)


def test_headers_that_fit_in_no_frame_cost_their_own_message_only(url):
    topic, broker = f"t.{uuid4().hex}", RabbitBroker(f"{url}&format=binary")
    subscription = broker.subscribe(f"c-{uuid4()}", [topic])
    sent = [a_message(topic, key="a", headers={"x": "y" * 120_000}), a_message(topic, key="b")]

    refused, taken = broker.publish(sent)

    assert isinstance(refused, MessageRefused)
    assert taken is None
    assert streams(take(subscription, 1)) == streams_of(sent[1:])
    subscription.close()
    broker.close()

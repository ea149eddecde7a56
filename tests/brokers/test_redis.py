"""Redis Streams: order, takeover, trimming, and a server that is away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest

pytest.importorskip("redis", reason="redis-py is not installed")

from django_saga.brokers import redis as adapter
from django_saga.brokers.redis import RedisBroker
from django_saga.core import envelope
from django_saga.exceptions import BrokerUnavailable, MessageHeld, MessageRefused
from django_saga.testing.post import a_message, messages_of

NOW = timedelta(0)
SOON = timedelta(seconds=5)


@pytest.fixture
def broker(redis_prefix: str) -> Iterator[RedisBroker]:
    made = RedisBroker(redis_prefix)
    yield made
    made.close()


def bodies(deliveries):
    return [envelope.read(each.body) for each in deliveries]


def everything(subscription, limit=500):
    found = []
    while came := subscription.fetch(limit, NOW):
        found += came
        subscription.acknowledge(came)
    return bodies(found)


def test_every_consumer_gets_all_in_its_order(broker):
    sent = messages_of("t", 500, keys=7) + messages_of("u", 300, keys=3)

    assert list(broker.publish(sent)) == [None] * 800

    one = broker.subscribe("one", ["t", "u"])
    other = broker.subscribe("other", ["t"])
    assert everything(one, limit=90) == sent
    assert everything(other) == sent[:500]
    assert everything(one) == []


def test_one_subscription_at_a_time_is_given_messages(broker):
    first, second = broker.subscribe("c", ["t"]), broker.subscribe("c", ["t"])
    sent = messages_of("t", 4)
    broker.publish(sent[:2])
    assert bodies(first.fetch(500, NOW)) == sent[:2]

    broker.publish(sent[2:])
    assert second.fetch(500, NOW) == []

    first.close()
    assert everything(second) == sent


def test_what_was_not_acknowledged_comes_again_first_and_what_was_does_not(broker):
    sent = messages_of("t", 10)
    broker.publish(sent)
    first = broker.subscribe("c", ["t"])
    first.acknowledge(first.fetch(3, NOW))
    first.fetch(4, NOW)

    first.close()

    assert everything(broker.subscribe("c", ["t"]), limit=2) == sent[3:]


def test_a_subscription_that_was_frozen_takes_nothing_out_of_its_turn(broker):
    frozen = broker.subscribe("c", ["t"])
    sent = messages_of("t", 6)
    broker.publish(sent[:2])
    frozen.fetch(500, NOW)
    broker.client.delete(frozen._key)  # its lease has run out
    awake = broker.subscribe("c", ["t"])
    assert everything(awake) == sent[:2]

    broker.publish(sent[2:])

    assert frozen.fetch(500, NOW) == []
    assert everything(awake) == sent[2:]


def test_waiting_ends_when_something_comes(broker):
    subscription = broker.subscribe("c", ["t"])
    assert subscription.fetch(10, timedelta(milliseconds=20)) == []
    sent = messages_of("t", 2)
    broker.publish(sent[:1])
    assert bodies(subscription.fetch(10, SOON)) == sent[:1]
    broker.publish(sent[1:])
    assert bodies(subscription.fetch(10, SOON)) == sent[1:]


def test_a_topic_whose_key_is_something_else_refuses_its_messages_alone(broker):
    broker.client.set(f"{broker.prefix}odd", "not a stream")
    sent = [
        a_message("odd", key="a", number=1),
        a_message("odd", key="a", number=2),
        a_message("odd", key="b", number=1),
        a_message("t"),
    ]

    receipts = broker.publish(sent)

    assert [type(each) for each in receipts] == [MessageRefused, MessageHeld, MessageRefused, type(None)]
    assert everything(broker.subscribe("c", ["t"])) == sent[3:]


def test_a_stream_is_trimmed_up_to_what_all_consumers_have_acknowledged(broker, monkeypatch):
    monkeypatch.setattr(adapter, "_TRIM", 100)
    quick, slow = broker.subscribe("quick", ["t"]), broker.subscribe("slow", ["t"])
    sent = messages_of("t", 1_000)
    broker.publish(sent)

    everything(quick)
    assert broker.client.xlen(f"{broker.prefix}t") == 1_000
    got = everything(slow)

    assert got == sent
    # Whole nodes of about a hundred entries are dropped.
    assert broker.client.xlen(f"{broker.prefix}t") < 300


def test_a_server_that_is_away_is_told_as_such_for_everything():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        broker = RedisBroker(f"redis://user:canary@127.0.0.1:{nobody.getsockname()[1]}/0")

        receipts = broker.publish(messages_of("t", 3) + messages_of("u", 1))

        assert [type(each) for each in receipts] == [BrokerUnavailable] * 4
        with pytest.raises(BrokerUnavailable) as caught:
            broker.subscribe("c", ["t"])
        assert "canary" not in f"{caught.value!r}{receipts}{broker!r}"


def test_a_replica_that_is_read_only_takes_nothing_and_loses_nothing(broker, monkeypatch):
    monkeypatch.setattr(
        broker, "_add", lambda **_: [1, b"READONLY You can't write against a read only replica."]
    )

    receipts = broker.publish(messages_of("t", 3))

    assert receipts[0] is None
    assert [type(each) for each in receipts[1:]] == [BrokerUnavailable] * 2

"""What every broker has to do: a suite that an adapter's tests subclass.

    class TestMyBroker(BrokerConformance):
        @pytest.fixture
        def broker(self):
            made = MyBroker("my://127.0.0.1")
            yield made
            made.close()

``topic``, ``kill`` and ``outage`` may be given as well. What the broker does not promise is skipped, and the
reason says so. No test needs a database.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from django_saga.core import envelope
from django_saga.exceptions import BrokerUnavailable, MessageHeld, MessageRefused
from django_saga.ports import Broker, Subscription
from django_saga.testing.post import (
    PATIENCE,
    SOON,
    Got,
    Outage,
    a_message,
    by_id,
    fetch,
    messages_of,
    numbers,
    publish,
    quickly,
    streams,
    streams_of,
    subscribed,
    take,
    until,
)

__all__ = ["BrokerConformance", "Outage"]

Subscribe = Callable[[str], Subscription]
Kill = Callable[[Subscription], None]


class BrokerConformance:
    """The promises of ``django_saga.ports.Broker``, a test for each."""

    @pytest.fixture
    def broker(self) -> Any:
        """Give the broker under test: new, real, and closed afterwards."""
        raise NotImplementedError("give a fixture that is called broker")

    @pytest.fixture
    def topic(self) -> str:
        """Give a topic that nothing was published to."""
        return f"conformance.{uuid4().hex}"

    @pytest.fixture
    def consumer(self) -> str:
        """Give the name of a consumer that never was."""
        return f"conformance-{uuid4().hex}"

    @pytest.fixture
    def other_consumer(self) -> str:
        """Give another one."""
        return f"conformance-{uuid4().hex}"

    @pytest.fixture
    def kill(self) -> Kill:
        """Give what ends a subscription as the death of its process does, without goodbye."""
        pytest.skip("no way to kill a subscription was given (fixture kill)")

    @pytest.fixture
    def outage(self) -> Any:
        """Give an ``Outage``."""
        pytest.skip("no way to make the broker unreachable was given (fixture outage)")

    @pytest.fixture
    def unroutable(self) -> str:
        """Give a topic that the broker has nowhere to put messages of."""
        return f"conformance.nowhere.{uuid4().hex}"

    @pytest.fixture
    def subscribe(self, broker: Broker, topic: str) -> Iterator[Subscribe]:
        """Subscribe consumers to ``topic``, until the test ends."""
        if broker.features.in_database:
            pytest.skip("this broker hands over in the database: nothing is subscribed to")
        made: list[Subscription] = []

        def subscribe(consumer: str) -> Subscription:
            made.append(broker.subscribe(consumer, [topic]))
            return made[-1]

        yield subscribe
        for each in made:
            each.close()

    # --- what arrives ---------------------------------------------------------------------------------

    def test_a_message_arrives_as_it_was_sent(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str
    ) -> None:
        subscription = subscribe(consumer)
        sent = [
            a_message(topic, key="schlüssel/1", data='{"total":"9.90","text":"\\u0000 ü \\n"}'),
            a_message(
                topic, key=None, data='[1,2.5,null,"☃"]', headers={"traceparent": "00-1", "x-Y.z": "é"}
            ),
        ]

        assert [*broker.publish(sent)] == [None, None]

        got = take(subscription, 2)
        assert by_id([each.message for each in got]) == by_id(sent)
        assert {bytes(each.delivery.body) for each in got} == {envelope.write(each) for each in sent}
        assert {each.delivery.topic for each in got} == {topic}

    def test_the_order_of_a_stream_is_kept_over_calls_and_large_batches(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str
    ) -> None:
        subscription = subscribe(consumer)
        sent = messages_of(topic, 900, keys=7)

        for begin in range(0, 900, 300):
            assert [*broker.publish(sent[begin : begin + 300])] == [None] * 300

        got = take(subscription, 900)
        assert streams(got) == streams_of(sent)

    def test_every_consumer_gets_every_message(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str, other_consumer: str
    ) -> None:
        subscriptions = [subscribe(consumer), subscribe(other_consumer)]
        sent = messages_of(topic, 40, keys=3)

        broker.publish(sent)

        assert [streams(take(each, 40)) for each in subscriptions] == [streams_of(sent)] * 2

    def test_a_new_consumer_gets_what_was_published_before(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str
    ) -> None:
        if not broker.features.keeps_for_later_consumers:
            pytest.skip("this broker keeps nothing for consumers that subscribe for the first time later")
        sent = messages_of(topic, 5)
        broker.publish(sent)

        assert streams(take(subscribe(consumer), 5)) == streams_of(sent)

    def test_what_is_published_while_a_consumer_is_away_waits_for_it(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str
    ) -> None:
        subscribe(consumer).close()
        sent = messages_of(topic, 5)

        broker.publish(sent)

        assert streams(take(subscribe(consumer), 5)) == streams_of(sent)

    def test_two_subscriptions_of_a_consumer_share_its_messages(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str
    ) -> None:
        both = [subscribe(consumer), subscribe(consumer)]
        sent = messages_of(topic, 120, keys=12)

        for begin in range(0, 120, 40):
            broker.publish(sent[begin : begin + 40])

        shares: list[list[Got]] = [[], []]
        ends_at = time.monotonic() + PATIENCE
        while sum(map(len, shares)) < 120 and time.monotonic() < ends_at:
            for share, subscription in zip(shares, both, strict=True):
                share += fetch(subscription, 50, SOON / 5)
        share_of = [{each.message.id for each in share} for share in shares]
        assert share_of[0] & share_of[1] == set()
        assert share_of[0] | share_of[1] == {each.id for each in sent}
        for share in shares:
            assert all(each == sorted(each) for each in numbers(share).values())

    # --- what is acknowledged ---------------------------------------------------------------------------

    def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str
    ) -> None:
        first = subscribe(consumer)
        sent = messages_of(topic, 10)
        broker.publish(sent)
        got = take(first, 6, acknowledge=False)
        first.acknowledge([each.delivery for each in got[:4]])

        first.close()

        assert streams(take(subscribe(consumer), 6, more=True)) == streams_of(sent[4:])

    def test_a_subscription_that_dies_gives_back_what_was_not_acknowledged(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str, kill: Kill
    ) -> None:
        first = subscribe(consumer)
        sent = messages_of(topic, 10)
        broker.publish(sent)
        got = take(first, 6, acknowledge=False)
        first.acknowledge([each.delivery for each in got[:4]])

        kill(first)

        assert streams(take(subscribe(consumer), 6, more=True)) == streams_of(sent[4:])

    def test_no_more_is_given_than_asked_for(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str
    ) -> None:
        subscription = subscribe(consumer)
        broker.publish(messages_of(topic, 10))

        assert len(take(subscription, 3, at_once=3)) == 3
        assert len(take(subscription, 7)) == 7

    def test_nothing_to_fetch_costs_no_more_time_than_told(
        self, broker: Broker, subscribe: Subscribe, consumer: str
    ) -> None:
        subscription = subscribe(consumer)
        for wait in (timedelta(0), timedelta(seconds=0.3)):
            began = time.monotonic()

            assert [*subscription.fetch(10, wait)] == []

            assert time.monotonic() - began < wait.total_seconds() + 1

    # --- what is refused --------------------------------------------------------------------------------

    def test_a_message_that_is_too_large_holds_up_its_own_stream_only(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str
    ) -> None:
        limit = broker.features.max_message_bytes
        if limit is None:
            pytest.skip("this broker has no limit of its own for the size of a message")
        subscription = subscribe(consumer)
        large = json.dumps("x" * (limit + 1))
        sent = [
            a_message(topic, key="a", number=1),
            a_message(topic, key="a", number=2, data=large),
            a_message(topic, key="b", number=1),
            a_message(topic, key="a", number=3),
            a_message(topic, key="b", number=2),
        ]

        receipts = broker.publish(sent)

        assert [type(each) for each in (receipts[0], receipts[2], receipts[4])] == [type(None)] * 3
        assert isinstance(receipts[1], MessageRefused)
        assert isinstance(receipts[3], (MessageHeld, MessageRefused))
        assert streams(take(subscription, 3, more=True)) == streams_of([sent[0], sent[2], sent[4]])

    def test_a_message_that_has_nowhere_to_go_is_refused(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str, unroutable: str
    ) -> None:
        if not broker.features.refuses_unroutable:
            pytest.skip("this broker takes messages of any topic")
        subscription = subscribe(consumer)
        sent = [
            a_message(unroutable, number=1),
            a_message(topic, number=1),
            a_message(unroutable, number=2),
        ]

        receipts = broker.publish(sent)

        assert isinstance(receipts[0], MessageRefused)
        assert receipts[1] is None
        assert isinstance(receipts[2], (MessageHeld, MessageRefused))
        assert streams(take(subscription, 1, more=True)) == streams_of(sent[1:2])

    # --- who is away ------------------------------------------------------------------------------------

    def test_a_broker_that_is_away_takes_nothing_and_says_so_quickly(
        self, outage: Outage, topic: str, consumer: str
    ) -> None:
        outage.broker.subscribe(consumer, [topic]).close()
        first, *others = messages_of(topic, 4)
        assert [*outage.broker.publish([first])] == [None]
        outage.begin()

        assert all(isinstance(each, (BrokerUnavailable, MessageHeld)) for each in publish(outage, others))
        with pytest.raises(BrokerUnavailable):
            quickly(lambda: outage.broker.subscribe(consumer, [topic]))

        outage.end()
        until(lambda: [*publish(outage, others)] == [None] * 3)
        subscription = until(lambda: subscribed(outage.broker, consumer, topic))
        assert streams(take(subscription, 4)) == streams_of([first, *others])
        subscription.close()

    def test_a_subscription_says_that_its_broker_is_away(
        self, outage: Outage, topic: str, consumer: str
    ) -> None:
        subscription = outage.broker.subscribe(consumer, [topic])
        sent = messages_of(topic, 3)
        outage.broker.publish(sent)
        got = take(subscription, 3, acknowledge=False)
        outage.begin()

        def until_it_says_so() -> None:
            while True:
                subscription.fetch(10, SOON)
                subscription.acknowledge([each.delivery for each in got])

        with pytest.raises(BrokerUnavailable):
            quickly(until_it_says_so)

        quickly(subscription.close)
        outage.end()
        again = until(lambda: subscribed(outage.broker, consumer, topic))
        assert streams(take(again, 3)) == streams_of(sent)
        again.close()

    def test_closing_twice_is_closing(
        self, broker: Broker, subscribe: Subscribe, topic: str, consumer: str
    ) -> None:
        subscription = subscribe(consumer)
        broker.publish([a_message(topic)])

        subscription.close()
        subscription.close()
        broker.close()
        broker.close()

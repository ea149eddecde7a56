"""Fetching: as much as can be handled is taken from a broker, and one key that fails stops no others."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import NamedTuple

import pytest

from django_saga.core import envelope
from django_saga.core.messages import Message, stream_of
from django_saga.messaging import fetching as fetching_module
from django_saga.messaging.fetching import Fetching
from django_saga.messaging.handling import Handling
from django_saga.models import InboxMessage
from django_saga.store import clock
from tests.messages.conftest import LEASE
from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)


class Came(NamedTuple):
    topic: str
    body: bytes


class Queue:
    """What a broker has for a consumer, given one at a time."""

    def __init__(self):
        self.messages = []
        self.numbers: dict[str, int] = {}

    def put(self, key, payload, count=1):
        for _ in range(count):
            number = self.numbers[key] = self.numbers.get(key, 0) + 1
            self.messages.append(self._message(key, number, payload))

    def _message(self, key, number, payload):
        return Message(
            id=f"{key} {number}",
            source="test",
            topic="test.noted",
            key=key,
            stream=stream_of("test.noted", key),
            number=number,
            data=json.dumps(payload),
            at=clock.now("default"),
        )

    def subscribe(self, consumer, topics):
        return self

    def fetch(self, limit, wait):
        return [Came("test.noted", envelope.write(message)) for message in self.messages[:1]]

    def acknowledge(self, deliveries):
        del self.messages[0]

    def close(self):
        pass


@pytest.fixture
def queue(monkeypatch):
    monkeypatch.setattr(fetching_module, "_ENOUGH", 3)
    monkeypatch.setattr(fetching_module, "_MOST", 12)
    return Queue()


@pytest.fixture
def fetch(queue):
    fetching = Fetching("default", "notes", ["test.noted"], lambda: queue, wait=timedelta(0))

    def all_it_takes():
        while fetching.turn():
            pass

    return all_it_takes


def test_no_more_is_fetched_than_can_be_handled_soon(queue, fetch):
    queue.put("a", {"n": 1}, 6)
    fetch()
    assert (InboxMessage.objects.count(), len(queue.messages)) == (4, 2)

    while Handling("default", lease=LEASE).turn():
        pass
    fetch()

    assert queue.messages == []


def test_what_is_behind_a_failed_message_does_not_stop_what_comes_for_other_keys(queue, fetch):
    queue.put("bad", {"n": 0, "do": "later"})
    fetch()
    Handling("default", lease=LEASE).turn()
    queue.put("bad", {"n": 1}, 6)
    queue.put("good", {"n": 7})
    fetch()
    while Handling("default", lease=LEASE).turn():
        pass
    assert list(Effect.objects.values_list("key", "kind")) == [("good", "7")]

    # But the database is not filled with what cannot be handled.
    queue.put("bad", {"n": 1}, 9)
    fetch()
    assert InboxMessage.objects.filter(status="waiting").count() == 13

"""The relay: order, failures, and what happens when another one takes over."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction

from django_saga import publish
from django_saga.core.messages import PARTITIONS
from django_saga.messaging import relay as relay_module
from django_saga.models import OutboxMessage, OutboxPartition
from django_saga.signals import message_event
from django_saga.store import clock, outbox
from tests.together import in_threads

pytestmark = pytest.mark.django_db(transaction=True)


def statuses():
    return dict(OutboxMessage.objects.order_by("id").values_list("number", "status"))


def all_turns(relay):
    while relay.turn():
        pass


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """Let circuits be tried again at once."""
    monkeypatch.setattr(relay_module.Circuit, "is_open", False)


def test_messages_are_sent_in_their_order_and_marked(new_relay, shelf):
    for n in range(3):
        for key in ("a", "b"):
            publish("t", n, key=key, headers={"h": key})

    all_turns(new_relay())

    for key in ("a", "b"):
        sent = [message for message in shelf.got if message.key == key]
        assert [(each.number, each.data, each.headers) for each in sent] == [
            (n + 1, str(n), {"h": key}) for n in range(3)
        ]
    assert set(OutboxMessage.objects.values_list("status", flat=True)) == {"published"}
    assert OutboxPartition.objects.count() == PARTITIONS
    assert not OutboxPartition.objects.exclude(owner=None).exists()


def test_nothing_is_sent_of_what_is_not_committed(new_relay, shelf):
    relay = new_relay()

    with transaction.atomic():
        publish("t", key="a")
        transaction.set_rollback(True)
    relay.turn()

    assert shelf.got == []


def test_a_refused_message_stops_its_stream_alone_until_its_time_comes(new_relay, shelf, later):
    for key in ("a", "a", "b"):
        publish("t", key=key)
    shelf.refuses = lambda message: message.key == "a"
    relay = new_relay()

    all_turns(relay)
    publish("t", key="a")
    all_turns(relay)

    [held] = OutboxMessage.objects.exclude(due_at=None)
    assert (held.number, held.attempts, held.error_class) == (
        1,
        1,
        "django_saga.exceptions.MessageRefused",
    )
    assert [message.key for message in shelf.got] == ["b"]

    shelf.refuses = lambda message: False
    later(timedelta(minutes=1))
    all_turns(relay)

    assert [message.number for message in shelf.got if message.key == "a"] == [1, 2, 3]


def test_a_message_that_stays_refused_is_parked_and_its_stream_goes_on(new_relay, shelf, later, settings):
    settings.DJANGO_SAGA = {"MESSAGE_ATTEMPTS": 3}
    publish("t", key="a")
    publish("t", key="a")
    shelf.refuses = lambda message: message.number == 1
    relay = new_relay()
    told = []

    def hear(*, event, **facts):
        told.append(facts["due_at"])

    message_event.connect(hear)
    for _ in range(3):
        all_turns(relay)
        later(timedelta(hours=1))
    all_turns(relay)
    message_event.disconnect(hear)

    dead = OutboxMessage.objects.get(status="dead")
    assert [due is None for due in told] == [False, False, True]
    assert (dead.number, dead.attempts) == (1, 3)
    assert len(dead.fingerprint) == 16
    assert dead.failed_at is not None
    assert dead.ended_at is not None
    assert dead.failed_at < dead.ended_at
    assert [message.number for message in shelf.got] == [2]


def test_a_broker_that_is_away_costs_no_message_an_attempt(new_relay, shelf, settings):
    settings.DJANGO_SAGA = {"MESSAGE_ATTEMPTS": 1}
    for _ in range(5):
        publish("t", key="a")
    shelf.away = True
    relay = new_relay()
    heard = []

    def hear(*, event, **_):
        heard.append(event)

    message_event.connect(hear)
    for _ in range(20):
        relay.turn()
    shelf.away = False
    all_turns(relay)

    message_event.disconnect(hear)
    assert [message.number for message in shelf.got] == [1, 2, 3, 4, 5]
    assert set(OutboxMessage.objects.values_list("attempts", flat=True)) == {0}
    assert heard == ["broker_away"] * 20 + ["broker_back"]


def test_a_broker_that_failed_is_left_alone_and_then_tried_with_one_message(new_relay, shelf, monkeypatch):
    monkeypatch.undo()  # of what lets circuits be tried at once
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in range(3):
        publish("t")
    shelf.away = True
    relay = new_relay()

    relay.turn()
    shelf.away = False
    relay.turn()
    assert shelf.got == []

    now[0] += 0.5
    relay.turn()
    assert len(shelf.got) == 1
    relay.turn()
    assert len(shelf.got) == 3


def test_an_adapter_that_breaks_counts_as_a_broker_that_is_away(new_relay, shelf):
    publish("t", key="a")

    def breaks():
        raise TypeError("a mistake")

    shelf.while_sending = breaks
    new_relay().turn()

    row = OutboxMessage.objects.get()
    assert (row.status, row.attempts) == ("pending", 0)


def test_a_relay_that_lost_its_lease_marks_nothing(new_relay, shelf, later):
    publish("t", key="a")
    first, second = new_relay(), new_relay()

    def meanwhile():
        shelf.while_sending = lambda: None
        later(timedelta(minutes=1))
        second.turn()
        OutboxMessage.objects.update(status="pending")  # as if the second had not marked it yet

    shelf.while_sending = meanwhile
    first.turn()

    assert statuses() == {1: "pending"}
    assert [message.id for message in shelf.got] == [shelf.got[0].id] * 2


def test_two_relays_do_not_send_from_one_partition(new_relay, shelf):
    publish("t", key="a")
    second = new_relay()
    shelf.while_sending = second.turn

    new_relay().turn()

    assert len(shelf.got) == 1


def test_what_is_held_up_does_not_hide_what_is_behind_it(new_relay, shelf, monkeypatch):
    monkeypatch.setattr(relay_module, "_AT_ONCE", 3)
    for _ in range(10):
        publish("t", key="a")
    shelf.refuses = lambda message: message.key == "a"
    relay = new_relay()
    all_turns(relay)
    # A stream of the same partition, written later.
    part = OutboxMessage.objects.earliest("id").part_number
    other = next(key for key in map(str, range(1000)) if _part(key) == part)
    publish("t", key=other)

    all_turns(relay)

    assert [message.key for message in shelf.got] == [other]


def _part(key):
    from django_saga.core.messages import part_of, stream_of

    return part_of(stream_of("t", key))


@pytest.mark.postgres
@pytest.mark.mariadb
@pytest.mark.fault("F59")
def test_a_message_that_is_committed_late_is_sent_though_later_ones_were(new_relay, shelf):
    relay = new_relay()
    written, sent = threading.Event(), threading.Event()

    def write_late(_):
        with transaction.atomic():
            publish("t", key="late")
            written.set()
            assert sent.wait(30)

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(in_threads, 1, write_late)
        assert written.wait(30)
        publish("t", key="soon")
        all_turns(relay)
        assert [message.key for message in shelf.got] == ["soon"]
        sent.set()
        assert late.result(30) == [None]
    all_turns(relay)

    assert [message.key for message in shelf.got] == ["soon", "late"]


def test_what_was_refused_does_not_hide_the_rest_from_a_relay_that_tries_a_single_message(new_relay, shelf):
    shelf.refuses = lambda message: message.key is None
    with transaction.atomic():
        for n in range(1_000):
            publish("test.noted", {"n": n})
    relay = new_relay()
    while relay.turn():
        pass
    # Not again while this goes on.
    OutboxMessage.objects.update(due_at=clock.now("default") + timedelta(hours=1))
    publish("test.noted", {"n": 1}, key="a")

    relay._circuits["default"].failures = 1
    for _ in range(5):  # each looks at some of the partitions
        relay.turn()

    assert [message.key for message in shelf.got] == ["a"]


@pytest.mark.postgres
@pytest.mark.mariadb
@pytest.mark.fault("F59")
def test_what_is_committed_between_two_pages_of_a_look_is_left_to_the_next(new_relay):
    new_relay()
    written, looked, pages = threading.Event(), threading.Event(), []

    def write_late(_):
        with transaction.atomic():
            publish("t", key="late")
            written.set()
            assert looked.wait(30)
        publish("t", key="late")

    def look(now):
        return outbox.read("default", "default", range(PARTITIONS), 10, now)

    def while_looking(execute, sql, params, many, context):
        pages.append(sql)
        if len(pages) == 2:
            looked.set()
            assert late.result(30) == [None]
        return execute(sql, params, many, context)

    # More than a page of what is held up, with the late one's place among it.
    publish("t", key="held")
    OutboxMessage.objects.update(due_at=clock.now("default") + timedelta(hours=1))
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(in_threads, 1, write_late)
        assert written.wait(30)
        for _ in range(120):
            publish("t", key="held")
        now = clock.now("default")
        with connection.execute_wrapper(while_looking):
            first = look(now)

    assert (len(pages), first) == (2, [])
    assert len(look(now)) == 2

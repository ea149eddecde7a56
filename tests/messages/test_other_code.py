"""Workers with other code, as in a rolling update: what one cannot handle is kept for those that can."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import handler, publish
from django_saga.dsl.handler import handlers
from django_saga.messaging import housekeeping
from django_saga.messaging.handling import Handling
from django_saga.messaging.housekeeping import Housekeeping, note_handlers
from django_saga.messaging.relay import Relay
from django_saga.models import InboxMessage, InboxSubscription
from django_saga.observability import message_log
from django_saga.runtime import broker
from django_saga.signals import message_event
from django_saga.store import subscriptions
from tests import ledger
from tests.messages.conftest import LEASE
from tests.models import Effect
from tests.together import in_threads

pytestmark = pytest.mark.django_db(transaction=True)


class Code:
    """What workers of one release know: which topics a consumer handles."""

    def __init__(self, *topics, consumer="parcels"):
        self._consumer, self._topics = consumer, topics
        self._house = Housekeeping("default")
        self.calls = 0

    def note(self):
        with handlers.isolated(*self._handlers()):
            note_handlers("default")

    def keep_house(self):
        with handlers.isolated(*self._handlers()):
            self._house.turn()

    def work(self):
        with handlers.isolated(*self._handlers()):
            relay = Relay("default", ["default"], broker, lease=LEASE)
            handling = Handling("default", lease=LEASE)
            while any([relay.turn(), handling.turn()]):
                pass

    def _handlers(self):
        with handlers.isolated():
            for topic in self._topics:
                handler(topic, consumer=self._consumer)(self._handle)
            return handlers.all()

    def _handle(self, message):
        self.calls += 1
        ledger.effect(message.key, message.topic)


def handled():
    return list(Effect.objects.order_by("id").values_list("kind", flat=True))


def test_what_only_newer_code_has_a_consumer_for_is_kept_for_it():
    old, new = Code("parcel.sent"), Code("invoice.paid", consumer="invoices")
    new.note()
    publish("invoice.paid", {}, key="a")

    old.work()
    assert handled() == []
    new.work()

    assert handled() == ["invoice.paid"]


def test_what_a_consumer_handles_in_newer_code_only_is_left_to_it_and_costs_nothing():
    old, new = Code("parcel.sent"), Code("parcel.sent", "parcel.lost")
    told = []

    def hear(*, event, **facts):
        told.append((event, facts["consumer"], facts["topics"]))

    new.note()
    for number in range(3):
        publish("parcel.lost", {}, key=f"{number}")
        publish("parcel.sent", {}, key=f"{number}")

    message_event.connect(hear)
    try:
        old.work()
    finally:
        message_event.disconnect(hear)
    assert (handled(), old.calls) == (["parcel.sent"] * 3, 3)
    lost = InboxMessage.objects.filter(topic="parcel.lost")
    assert set(lost.values_list("status", "attempts", "crashes", "error")) == {("waiting", 0, 0, "")}
    assert told == [("left", "parcels", ("parcel.lost",))]
    new.work()

    assert handled() == [*["parcel.sent"] * 3, *["parcel.lost"] * 3]


def test_newer_code_that_comes_while_a_worker_believes_that_there_is_none(later):
    old, new = Code("parcel.sent"), Code("parcel.sent", "parcel.lost")
    publish("parcel.lost", {}, key="a")
    with handlers.isolated(*new._handlers()):
        Relay("default", ["default"], broker, lease=LEASE).turn()
    with handlers.isolated(*old._handlers()):
        handling = Handling("default", lease=LEASE)
        handling._others.wanted("parcels")
        new.note()
        assert handling.turn()
        assert not handling.turn()

    letter = InboxMessage.objects.get()
    assert (letter.status, letter.attempts, letter.crashes) == ("waiting", 0, 0)
    new.work()
    assert handled() == ["parcel.lost"]


def test_what_no_code_handles_is_a_dead_letter_in_the_end(later, settings):
    settings.DJANGO_SAGA = {"MESSAGE_ATTEMPTS": 3}
    old, new = Code("parcel.sent"), Code("parcel.sent", "parcel.lost")
    publish("parcel.lost", {}, key="a")
    with handlers.isolated(*new._handlers()):
        Relay("default", ["default"], broker, lease=LEASE).turn()

    for _ in range(3):
        old.work()
        later(timedelta(hours=1))

    letter = InboxMessage.objects.get()
    assert (letter.status, letter.error_class) == ("dead", "django_saga.exceptions.HandlerMissing")


@pytest.fixture
def abandoned(later, monkeypatch):
    """Two messages wait for a consumer that no code has had for three hours; give the code that is there."""
    monkeypatch.setattr(housekeeping, "_AT_ONCE", 1)
    old, new = Code("parcel.sent"), Code("invoice.paid", consumer="invoices")
    old.note()
    publish("parcel.sent", {}, key="a")
    publish("parcel.sent", {}, key="b")
    new.work()
    new.keep_house()
    later(timedelta(hours=1))
    new.keep_house()
    assert set(InboxMessage.objects.values_list("status", flat=True)) == {"waiting"}
    later(timedelta(hours=2))
    return new


def test_what_waits_for_a_consumer_that_was_removed_is_seen_among_the_dead_letters(abandoned):
    told = []

    def hear(*, event, **facts):
        told.append((event, facts["consumer"], facts["number"]))

    message_event.connect(hear)
    try:
        abandoned.keep_house()
    finally:
        message_event.disconnect(hear)

    assert told == [("abandoned", "parcels", 2)]
    assert list(InboxSubscription.objects.values_list("consumer", flat=True)) == ["invoices"]
    assert (
        list(InboxMessage.objects.values_list("status", "attempts", "error"))
        == [("dead", 0, "no worker has had consumer parcels in its code for 2 hours")] * 2
    )


def test_whoever_begins_gives_the_others_the_time_to_be_there_again(abandoned):
    old, fresh = Code("parcel.sent"), Code("invoice.paid", consumer="invoices")
    fresh.keep_house()
    old.keep_house()
    fresh.keep_house()
    old.work()

    assert handled() == ["parcel.sent"] * 2


def test_whoever_dies_while_it_gives_up_leaves_the_rest_to_the_next(abandoned, monkeypatch):
    def die(point):
        if point == "inbox.given_up" and InboxMessage.objects.filter(status="dead").count() == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(housekeeping, "fault_point", die)
        with pytest.raises(KeyboardInterrupt):
            abandoned.keep_house()
    assert sorted(InboxMessage.objects.values_list("status", flat=True)) == ["dead", "waiting"]
    abandoned.keep_house()

    assert set(InboxMessage.objects.values_list("status", flat=True)) == {"dead"}
    assert InboxSubscription.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.mariadb
def test_code_that_says_it_is_there_while_its_consumer_is_given_up_is_not_overlooked(abandoned, monkeypatch):
    old, noted = Code("parcel.sent"), []
    lock = subscriptions.lock_unseen

    def note_before(using, consumer):
        if consumer == "parcels":
            noted.append(in_threads(1, lambda _: old.note()))
        return lock(using, consumer)

    monkeypatch.setattr(subscriptions, "lock_unseen", note_before)
    abandoned.keep_house()
    old.work()

    assert handled() == ["parcel.sent"] * 2
    assert noted == [[None]]


def test_a_worker_that_has_a_consumer_says_so_again_and_again(later):
    code = Code("parcel.sent")
    for _ in range(4):
        code.keep_house()
        later(timedelta(minutes=100))
    code.keep_house()

    assert InboxSubscription.objects.count() == 1


def test_a_process_says_once_what_it_leaves_to_others(monkeypatch, caplog):
    monkeypatch.setattr(message_log, "_left_to_others", {})
    caplog.set_level("INFO", "django_saga.worker")

    for topics in (("a",), ("a",), ("a", "b"), ("a", "b")):
        message_log.tell(event="left", consumer="parcels", topics=topics)

    assert caplog.messages == [
        "messages of a for parcels are left to workers with other code",
        "messages of a, b for parcels are left to workers with other code",
    ]

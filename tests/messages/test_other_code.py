"""Workers with other code, as in a rolling update: what one cannot handle is kept for those that can."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import handler, publish
from django_saga.dsl.handler import handlers
from django_saga.messaging.handling import Handling
from django_saga.messaging.housekeeping import Housekeeping, note_handlers
from django_saga.messaging.relay import Relay
from django_saga.models import InboxMessage, InboxSubscription
from django_saga.runtime import broker
from django_saga.signals import message_event
from tests import ledger
from tests.messages.conftest import LEASE
from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)


class Code:
    """What workers of one release know: which topics a consumer handles."""

    def __init__(self, *topics, consumer="parcels"):
        self._consumer, self._topics = consumer, topics

    def note(self):
        with handlers.isolated(*self._handlers()):
            note_handlers("default")

    def keep_house(self):
        with handlers.isolated(*self._handlers()):
            Housekeeping("default").turn()

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


def test_what_a_consumer_handles_in_newer_code_only_is_left_to_it(later):
    old, new = Code("parcel.sent"), Code("parcel.sent", "parcel.lost")
    new.note()
    publish("parcel.lost", {}, key="a")
    publish("parcel.sent", {}, key="a")

    for _ in range(9):
        old.work()
        later(timedelta(seconds=6))
    assert handled() == ["parcel.sent"]
    assert InboxMessage.objects.values_list("status", "attempts").get(topic="parcel.lost") == ("waiting", 0)
    new.work()

    assert handled() == ["parcel.sent", "parcel.lost"]


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


def test_what_waits_for_a_consumer_that_was_removed_is_seen_among_the_dead_letters_after_a_day(later):
    told = []

    def hear(*, event, **facts):
        told.append((event, facts["consumer"], facts["number"]))

    old, new = Code("parcel.sent"), Code("invoice.paid", consumer="invoices")
    old.note()
    publish("parcel.sent", {}, key="a")
    publish("parcel.sent", {}, key="b")
    new.work()
    later(timedelta(hours=23))
    new.keep_house()
    assert set(InboxMessage.objects.values_list("status", flat=True)) == {"waiting"}
    later(timedelta(hours=2))
    message_event.connect(hear)
    try:
        new.keep_house()
    finally:
        message_event.disconnect(hear)

    assert told == [("abandoned", "parcels", 2)]
    assert list(InboxSubscription.objects.values_list("consumer", flat=True)) == ["invoices"]
    assert (
        list(InboxMessage.objects.values_list("status", "attempts", "error"))
        == [("dead", 0, "no worker has had consumer parcels in its code for 1 day")] * 2
    )


def test_a_worker_that_has_a_consumer_says_so_again_and_again(later):
    code = Code("parcel.sent")
    for _ in range(3):
        code.keep_house()
        later(timedelta(hours=20))
    code.keep_house()

    assert InboxSubscription.objects.count() == 1

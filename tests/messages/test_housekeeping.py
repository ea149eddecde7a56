"""What is done with is deleted after a while; what is not never is, and duplicates stay out (F61)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from django_saga import PermanentFailure, operations, publish
from django_saga.messaging import housekeeping
from django_saga.messaging.housekeeping import prune_messages
from django_saga.messaging.relay import Relay
from django_saga.models import InboxMessage, InboxStream, OutboxMessage
from django_saga.runtime import broker
from django_saga.testing import deliver_messages
from tests.messages.conftest import LEASE
from tests.messages.trip import happened
from tests.models import Effect
from tests.together import in_threads

pytestmark = pytest.mark.django_db(transaction=True)


def kinds():
    return list(Effect.objects.order_by("id").values_list("kind", flat=True))


def test_messages_that_are_done_with_are_deleted_after_a_week(deliver, later):
    publish("test.noted", {"n": 1}, key="a")
    publish("test.noted", {"n": 2})
    deliver()

    later(timedelta(days=6))
    assert prune_messages() == 0
    later(timedelta(days=2))
    assert prune_messages() == 4

    assert not OutboxMessage.objects.exists()
    assert not InboxMessage.objects.exists()


@pytest.mark.fault("F64g")
def test_what_a_relay_is_sending_is_not_pruned_under_it(new_relay, shelf, later):
    publish("t", key="a")
    later(timedelta(days=30))
    pruned: list[int] = []
    shelf.while_sending = lambda: pruned.append(prune_messages())

    new_relay().turn()

    assert pruned == [0]
    assert OutboxMessage.objects.get().status == "published"


@pytest.mark.fault("F64g")
def test_what_is_pending_waits_or_is_dead_is_never_touched(deliver, later):
    publish("test.noted", {"n": 1, "do": "fail"}, key="a")
    publish("test.noted", {"n": 1, "do": "later"}, key="b")
    deliver()
    publish("test.noted", {"n": 1}, key="c")

    later(timedelta(days=30))
    prune_messages()

    assert list(OutboxMessage.objects.values_list("status", flat=True)) == ["pending"]
    assert set(InboxMessage.objects.values_list("status", flat=True)) == {"dead", "waiting"}


@pytest.mark.fault("F61")
def test_a_duplicate_older_than_what_is_kept_stays_out(deliver, later):
    for n in (1, 2):
        publish("test.noted", {"n": n}, key="a")
    deliver()
    sent = list(OutboxMessage.objects.order_by("id"))
    later(timedelta(days=8))
    prune_messages()
    assert InboxStream.objects.values_list("stream", "last_number").get() == ("test.noted:a", 2)

    OutboxMessage.objects.bulk_create(sent)
    OutboxMessage.objects.update(status="pending")
    publish("test.noted", {"n": 3}, key="a")
    deliver()

    assert kinds() == ["1", "2", "3"]


@pytest.mark.postgres
@pytest.mark.mariadb
@pytest.mark.fault("F61")
def test_a_duplicate_that_comes_while_its_row_is_pruned_stays_out(deliver, later):
    publish("test.noted", {"n": 1}, key="a")
    deliver()
    later(timedelta(days=8))
    pruned: list[object] = []

    def prune_meanwhile(execute, sql, params, many, context):
        if sql.startswith("INSERT") and InboxMessage._meta.db_table in sql and not pruned:
            pruned.append(in_threads(1, lambda _: prune_messages()))
        return execute(sql, params, many, context)

    OutboxMessage.objects.update(status="pending")
    with connection.execute_wrapper(prune_meanwhile):
        Relay("default", ["default"], broker, lease=LEASE).turn()
    publish("test.noted", {"n": 2}, key="a")
    deliver()

    assert pruned == [[1]]
    assert kinds() == ["1", "2"]


@pytest.mark.tampers
def test_the_mark_of_a_stream_does_not_pass_what_is_missing(deliver, later, monkeypatch):
    monkeypatch.setattr(housekeeping, "_AT_ONCE", 2)
    for n in range(1, 6):
        publish("test.noted", {"n": n}, key="a")
    late = OutboxMessage.objects.get(number=3)
    OutboxMessage.objects.filter(pk=late.pk).delete()
    deliver()

    later(timedelta(days=8))
    prune_messages()

    assert InboxStream.objects.get().last_number == 2
    assert list(InboxMessage.objects.order_by("id").values_list("number", flat=True)) == [4, 5]
    late.save()
    deliver()
    assert sorted(kinds()) == ["1", "2", "3", "4", "5"]


@pytest.mark.tampers
def test_a_first_message_that_comes_after_all_others_were_pruned_is_new(deliver, later):
    for n in range(1, 4):
        publish("test.noted", {"n": n}, key="a")
    OutboxMessage.objects.filter(number=1).update(status="dead")
    deliver()
    later(timedelta(days=8))
    prune_messages()
    assert not InboxMessage.objects.exists()

    OutboxMessage.objects.filter(number=1).update(status="pending")
    deliver()
    assert kinds() == ["2", "3", "1"]
    later(timedelta(days=8))
    prune_messages()

    marks = InboxStream.objects.values_list("first_number", "last_number")
    assert list(marks) == [(1, 3)]
    assert not InboxMessage.objects.exists()


def test_what_is_still_to_be_undone_is_kept_until_it_is(trip, later):
    def undo(message, result):
        raise PermanentFailure("broken for weeks")

    trip.undo, trip.card = undo, "bad"
    publish("trip.asked", {}, key="ann")
    deliver_messages(failing=True)
    later(timedelta(days=30))
    prune_messages()
    assert happened() == ["seat", "room"]

    trip.undo = lambda message, result: None
    for row in InboxMessage.objects.filter(status="dead"):
        operations.requeue(f"inbox:{row.pk}", by="ann")
    deliver_messages()

    assert {"no seat {'number': 17}", "no room {'number': 5}"} <= set(happened())
    later(timedelta(days=60))
    prune_messages()
    assert not InboxMessage.objects.exists()

"""Publishing: what is written, numbered how, and refused why."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, transaction

from django_saga import InvalidMessage, apublish, publish
from django_saga.core.messages import message_id, stream_of
from django_saga.models import OutboxMessage, OutboxStream
from django_saga.store import errors
from tests.together import in_threads

pytestmark = pytest.mark.django_db(transaction=True)


def numbers(stream):
    rows = OutboxMessage.objects.filter(stream=stream).order_by("id")
    return list(rows.values_list("number", flat=True))


def test_a_message_is_written_in_the_callers_transaction():
    with transaction.atomic():
        publish("orders.placed", {"id": 1}, key="42")
        assert OutboxMessage.objects.count() == 1
        transaction.set_rollback(True)

    assert not OutboxMessage.objects.exists()
    assert not OutboxStream.objects.exists()


def test_numbers_of_a_key_have_no_gap_though_transactions_are_rolled_back():
    publish("orders.placed", key="42")
    with transaction.atomic():
        publish("orders.placed", key="42")
        transaction.set_rollback(True)
    with transaction.atomic():
        publish("orders.placed", key="42")
        publish("orders.placed", key="43")
        publish("orders.placed", key="42")

    assert numbers("orders.placed:42") == [1, 2, 3]
    assert numbers("orders.placed:43") == [1]


@pytest.mark.tampers  # the source is another one afterwards
def test_the_id_is_made_of_source_stream_and_number_so_that_it_can_be_made_again(settings):
    settings.DJANGO_SAGA = {"SOURCE": "https://shop.example"}

    given = [publish("orders.placed", key=key) for key in ("42", "42", "43")]

    assert given == [
        message_id("https://shop.example", "orders.placed:42", 1),
        message_id("https://shop.example", "orders.placed:42", 2),
        message_id("https://shop.example", "orders.placed:43", 1),
    ]
    assert len(set(given)) == 3


def test_without_a_key_nobody_waits_for_anybody():
    publish("orders.placed")
    publish("orders.placed")

    assert list(OutboxMessage.objects.values_list("stream", flat=True)) == [None, None]
    assert not OutboxStream.objects.exists()


def test_what_travels_is_ordinary_json():
    publish("t", {"price": Decimal("1.20"), "for": timedelta(days=1, seconds=1.5), "big": 2**70, "$x": 1})

    [row] = OutboxMessage.objects.all()
    assert json.loads(row.payload) == {"price": "1.20", "for": "PT86401.5S", "big": 2**70, "$x": 1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"topic": "no such topic"}, "cannot be a topic"),
        ({"topic": "t", "key": ""}, "the key has to be text of 1 to 200"),
        ({"topic": "t", "key": "\0"}, "without NUL"),
        ({"topic": "t", "key": 1.5}, "not 1.5"),
        ({"topic": "t", "headers": {"a b": "c"}}, "cannot be a header"),
        ({"topic": "t", "headers": {"a": 1}}, "header a has to be text"),
        ({"topic": "t", "payload": {1, 2}}, "payload: set cannot be stored as JSON; use a sorted list"),
        ({"topic": "t", "payload": float("nan")}, "payload: the float nan"),
        ({"topic": "t", "payload": "x" * 262_144}, "262,144"),
        ({"topic": "t", "payload": "x" * 200_000, "headers": {"a": "x" * 70_000}}, "the limit is 262,144"),
    ],
)
def test_what_cannot_travel_is_refused_before_anything_is_written(options, said):
    with pytest.raises(InvalidMessage, match=said):
        publish(**options)

    assert not OutboxMessage.objects.exists()


def test_keys_may_be_numbers_and_uuids_and_long():
    publish("t", key=42)
    publish("t", key=UUID(int=1))
    publish("t", key="x" * 200)

    streams = set(OutboxMessage.objects.values_list("stream", flat=True))
    assert streams == {"t:42", f"t:{UUID(int=1)}", stream_of("t", "x" * 200)}
    assert all(stream and len(stream) <= 200 for stream in streams)


def test_the_async_twin_writes_the_same():
    given = async_to_sync(apublish)("t", 1, key="k")

    row = OutboxMessage.objects.get()
    assert (row.message_id, row.payload, row.number) == (given, "1", 1)


def test_numbers_follow_the_commits_of_transactions_that_run_side_by_side():
    def write(number):
        written = 0
        while written < 10:
            try:
                with transaction.atomic():
                    publish("t", number, key="same")
                    publish("t", number, key=f"own {number}")
            except OperationalError as error:
                # InnoDB locks gaps for what is new, and has one of two make way; its numbers are free again.
                if not errors.is_conflict(error):
                    raise
            else:
                written += 1

    assert in_threads(4, write) == [None] * 4

    assert numbers("t:same") == list(range(1, 41))
    assert [numbers(f"t:own {number}") for number in range(4)] == [list(range(1, 11))] * 4

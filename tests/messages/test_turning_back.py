"""A flow that fails while a handler of it is at work: its effect is undone, or never was."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connections, transaction

from django_saga import handler, publish
from django_saga.core.flows import FLOW_FAILED
from django_saga.core.messages import part_of, stream_of
from django_saga.dsl.handler import handlers
from django_saga.messaging.handling import Handling
from django_saga.models import InboxMessage, InboxPartition
from tests import ledger
from tests.database.sessions import waiting_for_lock
from tests.messages.conftest import LEASE
from tests.messages.trip import deliver_only_to_the_inbox, happened, states
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def key_of_another_partition(topic, key):
    """Give a key whose failures are handled while a worker has the partition of ``topic`` and ``key``."""
    taken = part_of(stream_of(topic, key))
    return next(key for key in "abc" if part_of(stream_of(FLOW_FAILED, key)) != taken)


@pytest.mark.postgres
@pytest.mark.mariadb
def test_a_handler_at_work_while_its_flow_is_turned_back_leaves_no_effect(trip):
    at_work, turned, ended = threading.Event(), threading.Event(), threading.Event()

    def wait(message):
        ledger.effect(message.key, "seat")
        at_work.set()
        assert turned.wait(20)
        return {"number": 1}

    with handlers.isolated():
        handler("trip.asked", consumer="seats", compensation=trip.undoing("seat"))(wait)
        first = publish("trip.asked", {}, key="ann")
        deliver_only_to_the_inbox()

        def work():
            try:
                Handling("default", lease=LEASE).turn()
            finally:
                connections.close_all()
                ended.set()

        thread = threading.Thread(target=work)
        thread.start()
        assert at_work.wait(20)
        publish(
            FLOW_FAILED,
            {"error": "x"},
            key=key_of_another_partition("trip.asked", "ann"),
            headers={"correlationid": str(first)},
        )
        deliver_only_to_the_inbox()
        assert Handling("default", lease=LEASE).turn()
        turned.set()
        thread.join(20)
        assert ended.is_set()

    assert happened() == []
    assert states() == {"seats trip.asked": "refused", f"seats {FLOW_FAILED}": "done"}


@pytest.mark.postgres
def test_a_flow_is_not_turned_back_before_a_handler_that_is_about_to_commit(trip):
    with handlers.isolated():
        handler("trip.asked", consumer="seats", compensation=trip.undoing("seat"))(trip.take_seat)
        first = publish("trip.asked", {}, key="ann")
        deliver_only_to_the_inbox()
        Handling("default", lease=LEASE)  # makes the partitions
        row = InboxMessage.objects.get()
        # Its worker has its partition; the failure comes in another one.
        InboxPartition.objects.filter(number=row.part_number).update(
            owner=uuid4(), leased_until=row.received_at + timedelta(hours=1)
        )
        publish(
            FLOW_FAILED,
            {"error": "x"},
            key=key_of_another_partition("trip.asked", "ann"),
            headers={"correlationid": str(first)},
        )
        deliver_only_to_the_inbox()

        def turn_back():
            try:
                Handling("default", lease=LEASE).turn()
            finally:
                connections.close_all()

        with transaction.atomic():
            # What a handler's transaction has done when it is about to commit.
            ledger.effect("ann", "seat")
            InboxMessage.objects.filter(pk=row.pk).update(
                status="done", result='{"number":17}', ended_at=row.received_at
            )
            thread = threading.Thread(target=turn_back)
            thread.start()
            wait_until(waiting_for_lock)
        thread.join(20)

    assert happened() == ["seat", "no seat {'number': 17}"]

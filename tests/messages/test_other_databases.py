"""Handlers that work with another database too, which goes away: they fail, and nobody takes it for ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connections

from django_saga import handler, publish
from django_saga.dsl.handler import handlers
from django_saga.models import InboxMessage
from tests import ledger
from tests.database.sessions import strike
from tests.models import Effect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.mariadb]


@pytest.fixture
def elsewhere():
    """Another database, as far as Django knows."""
    connections.databases["elsewhere"] = dict(connections.databases["default"])
    other: Any = connections["elsewhere"]

    def ensure_connection():
        if other.connection is None:
            with other.wrap_database_errors:
                other.connect()

    other.ensure_connection = ensure_connection  # Django's test case forbids aliases that came after it
    try:
        yield other
    finally:
        other.close()
        del connections["elsewhere"]
        del connections.databases["elsewhere"]


@pytest.mark.parametrize("together", [1, 3])
def test_a_handler_whose_other_database_went_away_failed_once(deliver, later, elsewhere, together):
    away = [True]

    def look(message):
        ledger.effect(message.key, "seen")
        with elsewhere.cursor() as cursor:
            if away:
                strike(elsewhere)
            cursor.execute("SELECT 1")

    with handlers.isolated():
        handler("parcel.sent", consumer="parcels")(look)
        for number in range(together):
            publish("parcel.sent", {}, key=f"parcel {number}")
        deliver()

        rows = list(InboxMessage.objects.values_list("status", "attempts", "error_class", "crashes"))
        assert rows == [("waiting", 1, "django.db.utils.OperationalError", 0)] * together
        assert not Effect.objects.exists()
        away.clear()
        later(timedelta(minutes=10))
        deliver()

    assert set(InboxMessage.objects.values_list("status", flat=True)) == {"done"}
    assert Effect.objects.count() == together


def test_a_connection_that_broke_unnoticed_is_replaced_before_the_next_handler(deliver, elsewhere):
    def look(message):
        with elsewhere.cursor() as cursor:
            cursor.execute("SELECT 1")
            if message.key == "first":
                strike(elsewhere)
                with pytest.raises(OperationalError):
                    cursor.execute("SELECT 1")
        ledger.effect(message.key, "seen")

    with handlers.isolated():
        handler("parcel.sent", consumer="parcels")(look)
        publish("parcel.sent", {}, key="first")
        deliver()
        publish("parcel.sent", {}, key="second")
        deliver()

    assert list(Effect.objects.order_by("id").values_list("key", flat=True)) == ["first", "second"]
    assert set(InboxMessage.objects.values_list("attempts", flat=True)) == {0}

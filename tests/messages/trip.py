"""A flow of three services, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_saga import FlowFailed, handler
from django_saga.messaging.relay import Relay
from django_saga.models import InboxMessage
from django_saga.runtime import broker
from tests import ledger
from tests.messages.conftest import LEASE
from tests.models import Effect


class Trip:
    """Three services: the first takes a seat, the second a room, the third pays; each is a consumer."""

    def __init__(self) -> None:
        self.card = "good"
        self.seen: list[Any] = []
        self.undo: Callable[[Any, Any], None] = lambda message, result: None
        with_seat = self.undoing("seat")
        handler("trip.asked", consumer="seats", compensation=with_seat)(self.take_seat)
        handler("seat.taken", consumer="rooms", compensation=self.undoing("room"))(self.take_room)
        handler("room.taken", consumer="payments", compensation=self.undoing("money"))(self.pay)
        handler("trip.paid", consumer="tickets")(self.issue)
        handler("seat.free", consumer="seats")(self.offer_again)

    def undoing(self, what):
        def compensation(message, result):
            self.undo(message, result)
            ledger.effect(message.key, f"no {what} {result}")
            if what == "seat":
                message.publish("seat.free", {"seat": result["number"]}, key=message.key)

        return compensation

    def take_seat(self, message):
        ledger.effect(message.key, "seat")
        message.publish("seat.taken", key=message.key, context={"seat": 17})
        return {"number": 17}

    def take_room(self, message):
        ledger.effect(message.key, "room")
        message.publish("room.taken", key=message.key, context={"room": message.context["seat"] + 1})
        return {"number": 5}

    def pay(self, message):
        self.seen.append((message.context, message.completed, message.correlation_id))
        ledger.effect(message.key, "money")
        if self.card == "bad":
            raise FlowFailed("the card is empty")
        message.publish("trip.paid", key=message.key)

    def issue(self, message):
        ledger.effect(message.key, "ticket")
        if self.card == "lost":
            raise FlowFailed("no ticket for a lost card")

    def offer_again(self, message):
        ledger.effect(message.key, f"seat {message.payload['seat']} is free")


def deliver_only_to_the_inbox():
    relay = Relay("default", ["default"], broker, lease=LEASE)
    while relay.turn():
        pass


def happened(key="ann"):
    return list(Effect.objects.filter(key=key).order_by("id").values_list("kind", flat=True))


def states():
    rows = InboxMessage.objects.order_by("id")
    return {f"{row.consumer} {row.topic}": row.status for row in rows}

"""Handlers that make flows: one of this project alone, for sweeps, and one with the depot in the middle."""

from __future__ import annotations

from typing import Any

from django_saga import FlowFailed, Received, handler
from tests import ledger


def _no(what: str) -> Any:
    def compensation(message: Received, result: Any) -> None:
        assert result == {"was": what}
        ledger.effect(message.key or "", f"no {what}")

    return compensation


@handler("sweep.flow.asked", consumer="sweep.seats", compensation=_no("seat"))
def take_seat(message: Received) -> Any:
    """Take a seat."""
    ledger.effect(message.key or "", "seat")
    message.publish("sweep.flow.seated", message.payload, key=message.key)
    return {"was": "seat"}


@handler("sweep.flow.seated", consumer="sweep.rooms", compensation=_no("room"))
def take_room(message: Received) -> Any:
    """Take a room."""
    ledger.effect(message.key or "", "room")
    message.publish("sweep.flow.housed", message.payload, key=message.key)
    return {"was": "room"}


@handler("sweep.flow.housed", consumer="sweep.till")
def pay(message: Received) -> None:
    """Have no money."""
    ledger.effect(message.key or "", "money")
    raise FlowFailed("no money")


@handler("shelf.asked", consumer="shelves", compensation=_no("shelf"))
def clear(message: Received) -> Any:
    """Clear a shelf, and have the depot fill it."""
    ledger.effect(message.key or "", "shelf")
    message.publish("depot.wanted", message.payload, key=message.key, context={"order": message.key})
    return {"was": "shelf"}


@handler("depot.sent", consumer="till")
def charge(message: Received) -> None:
    """Take the money for what the depot sent."""
    if message.payload["fails"]:
        raise FlowFailed("no money")
    ledger.effect(message.key or "", f"money after {', '.join(message.completed)}")

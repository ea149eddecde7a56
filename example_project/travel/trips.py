"""Placing a trip: what it costs is settled, and its saga is started with it."""

from __future__ import annotations

from django_saga import SagaHandle
from example_project.cases.placing import place
from example_project.travel.models import Trip
from example_project.travel.sagas import TripInput, trip


def place_trip(draft: Trip, *, key: str | None = None) -> tuple[Trip, bool]:
    """Place a trip, and say whether it is a new one. Raises ``KeyTaken``."""
    draft.amount = draft.flight.price + draft.hotel.price + draft.car.price
    return place(draft, _start, key=key)


def _start(placed: Trip) -> SagaHandle:
    return trip.start(
        TripInput(
            trip_id=placed.pk,
            email=placed.email,
            flight=placed.flight.code,
            hotel=placed.hotel.code,
            car=placed.car.code,
            amount=placed.amount,
            card=placed.card,
        ),
        idempotency_key=placed.reference,
    )

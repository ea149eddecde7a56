"""Offers to begin with, and trips made of them: some of the offers are not to be had in the end."""

from __future__ import annotations

from random import Random
from typing import Any

OFFERS = {
    "flight": {"FLIGHT-OSLO": 240, "FLIGHT-LISBON": 180, "FLIGHT-ATHENS": 210, "FLIGHT-BALI": 890},
    "hotel": {"HOTEL-PARK": 310, "HOTEL-HARBOUR": 280, "HOTEL-STATION": 190, "HOTEL-GRAND": 900},
    "car": {"CAR-SMALL": 120, "CAR-VAN": 260, "CAR-CABRIO": 300},
}


def load() -> None:
    """Put the offers in; those that are there stay as they are."""
    from example_project.travel.models import Offer

    for kind, prices in OFFERS.items():
        for code, price in prices.items():
            Offer.objects.get_or_create(code=code, defaults={"kind": kind, "price": price})


def draw(chance: Random) -> dict[str, Any]:
    """Return the JSON of a trip to be placed."""
    # The last flight and the last hotel are booked out: few ask for them.
    parts = {
        kind: chance.choices([*prices], [*[5] * (len(prices) - 1), 1])[0] for kind, prices in OFFERS.items()
    }
    card = "tok_declined" if chance.random() < 0.05 else "tok_visa"
    return {"email": f"traveller{chance.randint(1, 99)}@example.com", **parts, "card": card}

"""Plans to begin with, and subscriptions: some get no seats, and some pay what was not due."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

# By code: the price of a seat, all seats, and the length of the trial in seconds, for want of patience.
PLANS = {"BASIC": (9, 300, 0), "TEAM": (19, 400, 2), "CLUB": (49, 12, 0)}


def load() -> None:
    """Put the plans in; those that are there stay as they are."""
    from example_project.subscription.models import Plan

    for code, (price, seats, trial) in PLANS.items():
        all_free = {"seats": seats, "free_seats": seats}
        Plan.objects.get_or_create(
            code=code, defaults={"price": price, "trial": timedelta(seconds=trial), **all_free}
        )


def draw(chance: Random) -> dict[str, Any]:
    """Return the JSON of a subscription to be placed."""
    plan = chance.choices([*PLANS], [4, 4, 2])[0]
    return {"email": f"user{chance.randint(1, 99)}@example.com", "plan": plan, "seats": chance.randint(1, 6)}


def follow_up(chance: Random, placed: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return what is posted to the case next, and where: its payment, one in ten of another amount."""
    amount = "1.00" if chance.random() < 0.1 else placed["amount"]
    return "payments/", {"payment_id": f"pay-{placed['saga']['id']}", "amount": amount}

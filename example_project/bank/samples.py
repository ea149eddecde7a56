"""Accounts to begin with, and transfers between them: most are right, some cannot be."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

OWNERS = ["Ada", "Bo", "Chen", "Dara", "Eve", "Femi", "Gus", "Hana"]
CLOSED = "ACC-0009"
OPENED_WITH = Decimal(500)


def load() -> None:
    """Open the accounts; those that are there stay as they are."""
    from example_project.bank.models import Account

    for at, owner in enumerate([*OWNERS, "Ivo, who has left"], start=1):
        number = f"ACC-{at:04}"
        opened = {"owner": owner, "email": "" if owner == "Gus" else f"customer{at}@example.com"}
        money = {"opened_with": OPENED_WITH, "balance": OPENED_WITH}
        Account.objects.get_or_create(
            number=number, defaults={**opened, **money, "is_open": number != CLOSED}
        )


def draw(chance: Random) -> dict[str, Any]:
    """Return the JSON of a transfer to be placed."""
    at, other = chance.sample(range(1, len(OWNERS) + 1), 2)
    to = CLOSED if chance.random() < 0.08 else f"ACC-{other:04}"
    # One in twelve asks for more than anybody has.
    amount = (
        10 * OPENED_WITH * len(OWNERS) if chance.random() < 0.08 else Decimal(chance.randint(1, 9000)) / 100
    )
    return {"sender": f"ACC-{at:04}", "recipient": to, "amount": str(amount), "purpose": "a sample"}

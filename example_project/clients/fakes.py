"""Services in memory, for tests: the payment service, and how a fake takes the place of a client."""

from __future__ import annotations

from decimal import Decimal
from types import ModuleType
from typing import Any
from unittest import mock

from example_project.clients import payments


class FakePayments:
    """One charge for a reference, and none for what was refunded."""

    def __init__(self) -> None:
        self.charged: dict[str, Decimal] = {}  # by reference

    def charge(self, *, card: str, amount: Decimal, reference: str, idempotency_key: str) -> payments.Charge:
        self.charged[reference] = amount
        return payments.Charge(charge_id=f"ch-{reference}", amount=amount)

    def find_charge(self, *, reference: str, key: str) -> payments.Charge | None:
        amount = self.charged.get(reference)
        return None if amount is None else payments.Charge(charge_id=f"ch-{reference}", amount=amount)

    def refund(self, *, reference: str, idempotency_key: str) -> payments.Refund:
        amount = self.charged.pop(reference, Decimal(0))
        return payments.Refund(refund_id=f"re-{reference}", amount=amount)


def standing_in(module: ModuleType, fake: object) -> Any:
    """Have the functions of ``module`` be the public methods of ``fake``, while the context is open."""
    names = [name for name in vars(type(fake)) if not name.startswith("_")]
    return mock.patch.multiple(module, **{name: getattr(fake, name) for name in names})

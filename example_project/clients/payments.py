"""The payment service, as the apps call it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings

from example_project.clients import http


@dataclass(frozen=True, slots=True)
class Charge:
    """Money taken from a card."""

    charge_id: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Refund:
    """Money given back; ``amount`` is 0 when none had been taken."""

    refund_id: str | None
    amount: Decimal


def charge(*, card: str, amount: Decimal, reference: str, idempotency_key: str) -> Charge:
    """Take ``amount`` from ``card``; at most once per key, however often this is called."""
    answer = http.post(
        f"{settings.PAYMENTS_URL}/charges",
        {"card": card, "amount": str(amount), "reference": reference},
        idempotency_key=idempotency_key,
    )
    return _charge(answer)


def find_charge(*, reference: str, key: str) -> Charge | None:
    """Return what was charged under ``key``; None if nothing was, and nothing will be."""
    answer = http.find_out(settings.PAYMENTS_URL, reference=reference, key=key)
    return None if answer is None else _charge(answer)


def refund(*, reference: str, idempotency_key: str) -> Refund:
    """Give back whatever was taken for ``reference``, and let nothing be taken for it later.

    It names what was paid for and not a charge: while the charge is in doubt, there is no charge id.
    """
    answer = http.post(
        f"{settings.PAYMENTS_URL}/refunds", {"reference": reference}, idempotency_key=idempotency_key
    )
    return Refund(refund_id=answer["refund_id"], amount=Decimal(answer["amount"]))


def _charge(answer: dict[str, Any]) -> Charge:
    return Charge(charge_id=answer["charge_id"], amount=Decimal(answer["amount"]))

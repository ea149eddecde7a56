"""The shipping service, as the shop sees it."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from example_project.clients import http


@dataclass(frozen=True, slots=True)
class Shipment:
    """Goods handed to a carrier."""

    shipment_id: str
    tracking: str


def ship(*, sku: str, quantity: int, reference: str, idempotency_key: str) -> Shipment:
    """Send the goods; at most once per key, however often this is called."""
    answer = http.post(
        f"{settings.SHIPPING_URL}/shipments",
        {"sku": sku, "quantity": quantity, "reference": reference},
        idempotency_key=idempotency_key,
    )
    return Shipment(shipment_id=answer["shipment_id"], tracking=answer["tracking"])


def cancel(*, reference: str, idempotency_key: str) -> str | None:
    """Call back whatever was sent for ``reference``; return the cancellation's number, or None."""
    answer = http.post(
        f"{settings.SHIPPING_URL}/cancellations",
        {"reference": reference},
        idempotency_key=idempotency_key,
    )
    number: str | None = answer["cancellation_id"]
    return number

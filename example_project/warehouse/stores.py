"""The service of the warehouses, as their app calls it."""

from __future__ import annotations

from django.conf import settings

from example_project.clients import http


def pick(*, warehouse: str, sku: str, pieces: int, reference: str, idempotency_key: str) -> str:
    """Have ``pieces`` of ``sku`` taken from the shelves; return the number of the box they are in."""
    answer = http.post(
        f"{settings.STORES_URL}/picks",
        {"warehouse": warehouse, "sku": sku, "pieces": pieces, "reference": reference},
        idempotency_key=idempotency_key,
    )
    return str(answer["box"])


def put_back(*, reference: str, idempotency_key: str) -> int:
    """Have whatever was picked for ``reference`` put back, return how many pieces; let nothing be later."""
    answer = http.post(
        f"{settings.STORES_URL}/returns", {"reference": reference}, idempotency_key=idempotency_key
    )
    return int(answer["pieces"])

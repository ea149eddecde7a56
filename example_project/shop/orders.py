"""Placing an order: what it costs is settled, and its saga is started with it."""

from __future__ import annotations

from django_saga import SagaHandle
from example_project.cases.placing import place
from example_project.shop.models import Order
from example_project.shop.sagas import OrderInput, OrderSaga


def place_order(draft: Order, *, key: str | None = None) -> tuple[Order, bool]:
    """Place an order, and say whether it is a new one. Raises ``KeyTaken``."""
    draft.amount = draft.product.price * draft.quantity
    return place(draft, _start, key=key)


def _start(order: Order) -> SagaHandle:
    return OrderSaga.start(
        OrderInput(
            order_id=order.pk,
            sku=order.product.sku,
            quantity=order.quantity,
            amount=order.amount,
            card=order.card,
        ),
        idempotency_key=order.reference,
    )

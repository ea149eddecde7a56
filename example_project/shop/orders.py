"""Placing an order: its row and its saga come to be in one transaction, or neither does."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import IntegrityError, transaction

from example_project.shop.models import Order, Product
from example_project.shop.sagas import OrderInput, OrderSaga


class KeyTaken(Exception):
    """The idempotency key belongs to another order, with other contents."""


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """What a customer asks for, checked."""

    customer: str
    email: str
    product: Product
    quantity: int
    card: str


def place_order(draft: OrderDraft, *, key: str | None = None) -> tuple[Order, bool]:
    """Place an order, and say whether it is a new one.

    The same ``key`` gives the order that was placed under it. Raises ``KeyTaken`` when that one asked for
    something else.
    """
    if key and (known := Order.objects.select_related("product").filter(idempotency_key=key).first()):
        return _same(known, draft), False
    try:
        return _create(draft, key), True
    except IntegrityError:
        # Two callers with one key: the other one was faster. Without a key there is nothing to collide with.
        if not key or not (
            known := Order.objects.select_related("product").filter(idempotency_key=key).first()
        ):
            raise
        return _same(known, draft), False


@transaction.atomic
def _create(draft: OrderDraft, key: str | None) -> Order:
    order = Order.objects.create(
        idempotency_key=key,
        customer=draft.customer,
        email=draft.email,
        product=draft.product,
        quantity=draft.quantity,
        amount=draft.product.price * draft.quantity,
        card=draft.card,
    )
    saga = OrderSaga.start(
        OrderInput(
            order_id=order.pk,
            sku=draft.product.sku,
            quantity=order.quantity,
            amount=order.amount,
            card=order.card,
        ),
        idempotency_key=f"order-{order.pk}",
    )
    order.saga_id = saga.id
    order.save(update_fields=["saga_id"])
    return order


def _same(order: Order, draft: OrderDraft) -> Order:
    placed = OrderDraft(order.customer, order.email, order.product, order.quantity, order.card)
    if placed != draft:
        raise KeyTaken
    return order

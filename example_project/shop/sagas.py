"""The saga of an order: what has to happen for it across three places, and how each part is undone."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import F

from django_saga import Context, NothingToUndo, PermanentFailure, Saga, step
from example_project.cases.models import CaseStatus
from example_project.clients import payments
from example_project.clients.patience import CALL, UNDO_CALL
from example_project.shop import shipping
from example_project.shop.models import Order, Product


@dataclass(frozen=True, slots=True)
class OrderInput:
    """What the saga has to know of an order."""

    order_id: int
    sku: str
    quantity: int
    amount: Decimal
    card: str

    @property
    def reference(self) -> str:
        """What the order is called outside the shop."""
        return f"order-{self.order_id}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a completed order ended."""

    order_id: int
    charge_id: str
    tracking: str


class OrderSaga(Saga):
    """Reserve the goods, charge the card, ship; undo what was done if a step fails."""

    name = "order"
    input = OrderInput
    output = Receipt

    @step(atomic=True)
    def accept_order(self, ctx: Context) -> None:
        Order.put(ctx.input.order_id, CaseStatus.PROCESSING)

    # The first step is undone last: the order is cancelled once nothing of it is left anywhere.
    @accept_order.compensation(atomic=True)
    def cancel_order(self, ctx: Context) -> None:
        Order.put(ctx.input.order_id, CaseStatus.CANCELLED, reason=ctx.error)

    @step(atomic=True)
    def reserve_inventory(self, ctx: Context) -> dict[str, str | int]:
        wanted = ctx.input
        products = Product.objects.filter(sku=wanted.sku)
        if not products.filter(stock__gte=wanted.quantity).update(stock=F("stock") - wanted.quantity):
            left = products.values_list("stock", flat=True).first()
            raise PermanentFailure(f"{wanted.quantity} of {wanted.sku} were ordered, {left or 0} are left.")
        return {"sku": wanted.sku, "quantity": wanted.quantity}

    # Atomic as well: adding the pieces twice would be as wrong as never.
    @reserve_inventory.compensation(atomic=True)
    def release_inventory(self, ctx: Context) -> None:
        reserved = ctx.result
        Product.objects.filter(sku=reserved["sku"]).update(stock=F("stock") + reserved["quantity"])

    @step(retry=CALL, timeout=30)
    def charge_payment(self, ctx: Context) -> payments.Charge:
        return payments.charge(
            card=ctx.input.card,
            amount=ctx.input.amount,
            reference=ctx.input.reference,
            idempotency_key=ctx.idempotency_key,
        )

    @charge_payment.compensation(retry=UNDO_CALL, timeout=30)
    def refund_payment(self, ctx: Context) -> None:
        refund = payments.refund(reference=ctx.input.reference, idempotency_key=ctx.idempotency_key)
        if not refund.amount:
            raise NothingToUndo("No money had been taken.")

    @step(after=[charge_payment], retry=CALL, timeout=30)
    def ship_order(self, ctx: Context) -> shipping.Shipment:
        return shipping.ship(
            sku=ctx.input.sku,
            quantity=ctx.input.quantity,
            reference=ctx.input.reference,
            idempotency_key=ctx.idempotency_key,
        )

    @ship_order.compensation(retry=UNDO_CALL, timeout=30)
    def cancel_shipment(self, ctx: Context) -> None:
        if not shipping.cancel(reference=ctx.input.reference, idempotency_key=ctx.idempotency_key):
            raise NothingToUndo("Nothing had been sent.")

    @step(atomic=True, no_compensation=True)
    def confirm_order(self, ctx: Context) -> Receipt:
        receipt = Receipt(
            order_id=ctx.input.order_id,
            charge_id=ctx.results["charge_payment"].charge_id,
            tracking=ctx.results["ship_order"].tracking,
        )
        Order.put(
            receipt.order_id,
            CaseStatus.COMPLETED,
            charge_id=receipt.charge_id,
            tracking=receipt.tracking,
        )
        order = Order.objects.get(pk=receipt.order_id)
        # Whoever wants to hear of it does; the shop need not know who.
        ctx.publish(
            "orders.completed",
            {"order": order.pk, "member": order.email, "amount": order.amount},
            key=order.pk,
        )
        return receipt

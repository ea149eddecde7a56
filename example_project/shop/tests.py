"""The order saga, whatever goes wrong: `manage.py test example_project.shop`."""

from __future__ import annotations

from decimal import Decimal

from django.test import TestCase

from django_saga.testing import SagaLab, assert_compensated, saga_matrix
from example_project.cases.models import CaseStatus
from example_project.clients import payments
from example_project.clients.fakes import FakePayments, standing_in
from example_project.shop import shipping
from example_project.shop.models import Order, Product
from example_project.shop.sagas import OrderInput, OrderSaga

IN_STOCK = 10
PIECES = 3
AMOUNT = Decimal("29.85")


class FakeShipping:
    """The shipping service in memory."""

    def __init__(self) -> None:
        self.sent: set[str] = set()

    def ship(self, *, sku: str, quantity: int, reference: str, idempotency_key: str) -> shipping.Shipment:
        self.sent.add(reference)
        return shipping.Shipment(shipment_id=f"sh-{reference}", tracking=f"T-{reference}")

    def cancel(self, *, reference: str, idempotency_key: str) -> str | None:
        if reference not in self.sent:
            return None
        self.sent.remove(reference)
        return f"ca-{reference}"


class OrderSagaTests(TestCase):
    def setUp(self) -> None:
        self.product = Product.objects.create(sku="tea", name="Tea", price=Decimal("9.95"), stock=IN_STOCK)
        self.order = Order.objects.create(
            customer="Ada", email="ada@example.org", product=self.product, quantity=PIECES, amount=AMOUNT
        )
        self.input = OrderInput(self.order.pk, "tea", PIECES, AMOUNT, "card-ok")
        self.open_services()

    def open_services(self) -> None:
        """Stand in for both services, with nothing charged and nothing sent."""
        self.payments, self.shipping = FakePayments(), FakeShipping()
        self.enterContext(standing_in(payments, self.payments))
        self.enterContext(standing_in(shipping, self.shipping))

    def test_an_order_is_paid_and_sent_or_neither_whatever_goes_wrong(self) -> None:
        for case in saga_matrix(OrderSaga):
            self.open_services()
            with self.subTest(str(case)), case.run(self.input) as saga:
                self.order.refresh_from_db()
                self.product.refresh_from_db()
                if saga.status == "completed":
                    assert self.payments.charged == {self.input.reference: AMOUNT}
                    assert self.shipping.sent == {self.input.reference}
                    assert self.product.stock == IN_STOCK - PIECES
                    assert self.order.status == CaseStatus.COMPLETED
                    continue
                assert (self.payments.charged, self.shipping.sent) == ({}, set())
                assert self.product.stock == IN_STOCK
                accepted = not str(case).startswith("accept_order: fails")
                assert self.order.status == (CaseStatus.CANCELLED if accepted else CaseStatus.PLACED)

    def test_the_customer_learns_why_an_order_was_cancelled(self) -> None:
        Product.objects.update(stock=1)

        with SagaLab():
            saga = OrderSaga.run(self.input)

        assert_compensated(saga)
        self.order.refresh_from_db()
        assert self.order.reason == "failed at reserve_inventory: 3 of tea were ordered, 1 are left."

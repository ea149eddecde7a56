"""The books of the shop: what was sold is missing from the stock, was paid and sent, and has its points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from example_project.cases.books import Books, Dealing, end_of
from example_project.club.books import points_by_order, points_disagreements
from example_project.shop.models import Order, Product
from example_project.shop.sagas import OrderSaga
from example_project.shop.stock import stock_disagreements


class OrderBooks(Books[Order]):
    """Orders, their payments and shipments, and the stock."""

    cases = Order
    saga = OrderSaga.name
    promise = "each completed order was charged and shipped once, stock and points add up"

    def __init__(self) -> None:
        super().__init__()
        self._stock_before = _stock()

    def rows(self) -> Any:
        return Order.objects.select_related("product")

    def dealings(self, case: Order) -> Iterable[Dealing]:
        end = end_of(case)
        for done, undone, amount in (
            ("charges", "refunds", case.amount),
            ("shipments", "cancellations", Decimal(case.quantity)),
        ):
            yield Dealing(reference=case.reference, done=done, undone=undone, amount=amount, end=end)

    def problems(self, cases: Sequence[Order]) -> Iterable[str]:
        lines = [(case.product.sku, case.quantity, end_of(case)) for case in cases]
        orders = [(case.pk, int(case.amount), end_of(case)) for case in cases]
        return [
            *stock_disagreements(lines, self._stock_before, _stock()),
            *points_disagreements(orders, points_by_order()),
        ]


def _stock() -> dict[str, int]:
    return dict(Product.objects.values_list("sku", "stock"))

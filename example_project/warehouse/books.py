"""The books of the warehouses: what is reserved is missing from the stock, and was picked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from django.db.models import Q, Sum

from example_project.cases.books import Books, Dealing, End, end_of
from example_project.warehouse.models import Consignment, Stock
from example_project.warehouse.sagas import ConsignmentSaga


class ConsignmentBooks(Books[Consignment]):
    """Consignments, their reservations and what was picked for them, and the stock."""

    cases = Consignment
    saga = ConsignmentSaga.name
    promise = "each line of a completed consignment was picked once, and the stock of all warehouses adds up"

    def rows(self) -> Any:
        return Consignment.objects.prefetch_related("reservations__stock__warehouse")

    def dealings(self, case: Consignment) -> Iterable[Dealing]:
        for reservation in case.reservations.all():
            yield Dealing(
                reference=f"{case.reference}-{reservation.line}-{reservation.stock.warehouse.code}",
                done="picks",
                undone="returns",
                amount=Decimal(reservation.pieces),
                end=end_of(case),
            )

    def problems(self, cases: Sequence[Consignment]) -> Iterable[str]:
        for case in cases:
            end = end_of(case)
            if end is None:
                yield f"{case.reference}: it and its saga do not tell the same end."
            held = sum(each.pieces for each in case.reservations.all() if not each.is_released)
            ordered = sum(line["quantity"] for line in case.lines)
            if end in _DUE and held != _DUE[end] * ordered:
                yield f"{case.reference} is {end.value}, and {held} of its {ordered} pieces are reserved."
        yield from _stock_problems()


# Which share of what was ordered is to be reserved in the end.
_DUE = {End.COMPLETED: 1, End.UNDONE: 0}


def _stock_problems() -> Iterator[str]:
    held = Sum("reservations__pieces", filter=Q(reservations__is_released=False), default=0)
    for stock in Stock.objects.select_related("warehouse").annotate(held=held):
        if stock.pieces + stock.held != stock.delivered:
            yield (
                f"{stock.sku} in {stock.warehouse}: {stock.delivered} came in and {stock.held} are reserved, "
                f"but {stock.pieces} are left."
            )

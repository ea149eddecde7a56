"""How far the orders are: what the home page, the API and the demo show of orders and their sagas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Model, QuerySet

from django_saga.models import SagaInstance
from example_project.shop.models import Order, OrderStatus
from example_project.shop.sagas import OrderSaga

IN_FLIGHT = (SagaInstance.Status.PENDING, SagaInstance.Status.RUNNING, SagaInstance.Status.COMPENSATING)
# Kept for sagas that were forked; an order's saga is never in it here.
_NOT_SHOWN = SagaInstance.Status.SUPERSEDED


@dataclass(frozen=True, slots=True)
class Progress:
    """Orders and sagas counted by status; every status is there, with 0 if need be."""

    orders: dict[str, int]
    sagas: dict[str, int]

    @property
    def placed(self) -> int:
        return sum(self.orders.values())

    @property
    def in_flight(self) -> int:
        return sum(self.sagas[status] for status in IN_FLIGHT)


def progress() -> Progress:
    """Count all orders and their sagas, in two queries."""
    return Progress(
        orders=_counted(Order.objects.all(), OrderStatus.values),
        sagas=_counted(
            SagaInstance.objects.filter(name=OrderSaga.name),
            [status for status in SagaInstance.Status.values if status != _NOT_SHOWN],
        ),
    )


def with_sagas(orders: Iterable[Order], *, steps: bool = False) -> list[Order]:
    """Set ``saga`` on each of ``orders``, None where it is gone; with ``steps``, fetch its steps as well."""
    found = list(orders)
    sagas = SagaInstance.objects.prefetch_related("steps") if steps else SagaInstance.objects.all()
    by_id = sagas.in_bulk([order.saga_id for order in found if order.saga_id])
    for order in found:
        order.saga = by_id.get(order.saga_id) if order.saga_id else None
    return found


def _counted(rows: QuerySet[Model], statuses: Iterable[str]) -> dict[str, int]:
    # Without order_by() the model's default ordering would be part of the grouping.
    counts = dict(rows.order_by().values_list("status").annotate(Count("pk")))
    return {status: counts.get(status, 0) for status in statuses}

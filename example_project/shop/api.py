"""The REST endpoint of the shop: place an order, see how far it is."""

from __future__ import annotations

from example_project.cases.api import CaseViewSet
from example_project.shop.models import Order
from example_project.shop.orders import place_order
from example_project.shop.serializers import NewOrderSerializer, OrderSerializer, OrderWithStepsSerializer


class OrderViewSet(CaseViewSet[Order]):
    """Orders: placed by POST, carried through by their sagas, looked at by GET."""

    queryset = Order.objects.select_related("product")
    new_serializer = NewOrderSerializer
    serializer_class = OrderSerializer
    with_steps_serializer = OrderWithStepsSerializer

    def place(self, draft: Order, *, key: str | None) -> tuple[Order, bool]:
        return place_order(draft, key=key)

"""The REST endpoint of the shop: place an order, see how far it is."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from example_project.shop.models import Order
from example_project.shop.orders import KeyTaken, place_order
from example_project.shop.progress import with_sagas
from example_project.shop.serializers import NewOrderSerializer, OrderSerializer, OrderWithStepsSerializer

LONGEST_KEY = 200


class KeyTakenError(APIException):
    """422, as the IETF draft on the Idempotency-Key header asks."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key was used for another order."
    default_code = "idempotency_key_taken"


class OrderViewSet(GenericViewSet[Order]):
    """Orders: placed by POST, carried through by their sagas, looked at by GET."""

    queryset = Order.objects.select_related("product")
    lookup_value_converter = "int"

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        by_action: dict[str, type[BaseSerializer[Any]]] = {
            "create": NewOrderSerializer,
            "list": OrderSerializer,
        }
        return by_action.get(self.action, OrderWithStepsSerializer)

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(self.get_serializer(with_sagas(page), many=True).data)

    def retrieve(self, request: Request, pk: int) -> Response:
        return Response(self._shown(get_object_or_404(self.get_queryset(), pk=pk)))

    def create(self, request: Request) -> Response:
        """Answer 202: the order is taken and its saga is on its way. ``Location`` tells how it gets on.

        The header ``Idempotency-Key`` makes it safe to send an order again.
        """
        given = NewOrderSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            order, is_new = place_order(given.draft(), key=_idempotency_key(request))
        except KeyTaken:
            raise KeyTakenError from None
        shown = self._shown(order)
        headers = {"Location": str(shown["url"]), "Idempotency-Replayed": "false" if is_new else "true"}
        return Response(shown, status=status.HTTP_202_ACCEPTED, headers=headers)

    def _shown(self, order: Order) -> Any:
        [order] = with_sagas([order], steps=True)
        return OrderWithStepsSerializer(order, context=self.get_serializer_context()).data


def _idempotency_key(request: Request) -> str | None:
    # The draft writes it as a quoted string; most clients leave the quotes out.
    key: str = request.headers.get("Idempotency-Key", "").strip().strip('"')
    if len(key) > LONGEST_KEY:
        raise ValidationError(
            {"Idempotency-Key": [f"It has {len(key)} characters; the limit is {LONGEST_KEY}."]}
        )
    return key or None

"""The REST endpoint of the warehouses: order a consignment, see how far it is."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from example_project.cases.api import CaseViewSet
from example_project.cases.serializers import SHOWN, CaseSerializer, NewCaseSerializer, WithSteps
from example_project.warehouse.consignments import place_consignment
from example_project.warehouse.models import Consignment, Stock

MOST_LINES = 10
MOST_PIECES = 1000


class LineSerializer(serializers.Serializer[dict[str, Any]]):
    """So many pieces of one kind."""

    sku = serializers.CharField(max_length=40)
    quantity = serializers.IntegerField(min_value=1, max_value=MOST_PIECES)

    def validate_sku(self, sku: str) -> str:
        if not Stock.objects.filter(sku=sku).exists():
            raise serializers.ValidationError(f"There is no {sku!r} in any warehouse.")
        return sku


class NewConsignmentSerializer(NewCaseSerializer[Consignment]):
    """A consignment to be placed."""

    lines = serializers.ListField(child=LineSerializer(), allow_empty=False, max_length=MOST_LINES)

    class Meta:
        model = Consignment
        fields = ["customer", "lines"]


class ConsignmentSerializer(CaseSerializer[Consignment]):
    """A consignment as it stands."""

    lines = serializers.ListField(child=LineSerializer(), read_only=True)

    class Meta:
        model = Consignment
        fields = [*SHOWN, "lines"]
        read_only_fields = fields


class ConsignmentWithStepsSerializer(WithSteps[Consignment], ConsignmentSerializer):
    """A consignment as it stands, with the steps of its saga."""


class ConsignmentViewSet(CaseViewSet[Consignment]):
    """Consignments: placed by POST, carried through by their sagas, looked at by GET."""

    queryset = Consignment.objects.all()
    new_serializer = NewConsignmentSerializer
    serializer_class = ConsignmentSerializer
    with_steps_serializer = ConsignmentWithStepsSerializer

    def place(self, draft: Consignment, *, key: str | None) -> tuple[Consignment, bool]:
        return place_consignment(draft, key=key)

"""Orders as JSON: what a customer sends, and what the API shows. Names and cards go in, never out."""

from __future__ import annotations

from rest_framework import serializers

from example_project.cases.serializers import (
    SHOWN,
    CardField,
    CaseSerializer,
    NewCaseSerializer,
    WithSteps,
)
from example_project.shop.models import Order, Product

MOST_PIECES = 1000


class NewOrderSerializer(NewCaseSerializer[Order]):
    """An order to be placed."""

    sku = serializers.SlugRelatedField(
        slug_field="sku",
        queryset=Product.objects.all(),
        source="product",
        error_messages={
            "does_not_exist": "There is no product {value!r}.",
            "invalid": "Not a product's SKU.",
        },
    )
    quantity = serializers.IntegerField(min_value=1, max_value=MOST_PIECES)
    card = CardField()

    class Meta:
        model = Order
        fields = ["customer", "email", "sku", "quantity", "card"]


class OrderSerializer(CaseSerializer[Order]):
    """An order as it stands."""

    sku = serializers.CharField(source="product.sku", read_only=True)

    class Meta:
        model = Order
        fields = [*SHOWN, "sku", "quantity", "amount", "charge_id", "tracking"]
        read_only_fields = fields


class OrderWithStepsSerializer(WithSteps[Order], OrderSerializer):
    """An order as it stands, with the steps of its saga."""

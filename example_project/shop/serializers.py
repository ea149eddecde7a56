"""Orders as JSON: what a customer sends, and what the API shows. Names and cards go in, never out."""

from __future__ import annotations

from rest_framework import serializers

from django_saga.models import SagaInstance, SagaStep
from example_project.shop.models import Order, Product
from example_project.shop.orders import OrderDraft

MOST_PIECES = 1000


class NewOrderSerializer(serializers.Serializer[OrderDraft]):
    """An order to be placed."""

    customer = serializers.CharField(max_length=100)
    email = serializers.EmailField(max_length=254)
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
    card = serializers.RegexField(
        r"\Atok_[a-z0-9_]{1,36}\Z",
        help_text="A card token: tok_visa is accepted, tok_declined is not.",
        error_messages={"invalid": "Not a card token such as tok_visa. Card numbers are not taken."},
    )

    def draft(self) -> OrderDraft:
        """Return what was sent; call it when ``is_valid``."""
        return OrderDraft(**self.validated_data)


class StepSerializer(serializers.ModelSerializer[SagaStep]):
    """One step of the order's saga."""

    class Meta:
        model = SagaStep
        fields = ["name", "status", "attempt", "error", "created_at", "ended_at"]


class SagaSerializer(serializers.ModelSerializer[SagaInstance]):
    """The saga of an order."""

    class Meta:
        model = SagaInstance
        fields = ["id", "status", "reason", "culprit", "created_at", "finished_at"]


class SagaWithStepsSerializer(SagaSerializer):
    """The saga of an order, with the steps that have begun."""

    steps = StepSerializer(many=True, read_only=True)

    class Meta(SagaSerializer.Meta):
        fields = [*SagaSerializer.Meta.fields, "steps"]


class OrderSerializer(serializers.ModelSerializer[Order]):
    """An order as it stands."""

    url = serializers.HyperlinkedIdentityField(view_name="order-detail")
    sku = serializers.CharField(source="product.sku", read_only=True)
    saga = SagaSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Order
        fields = [
            "id",
            "url",
            "placed_at",
            "sku",
            "quantity",
            "amount",
            "status",
            "reason",
            "charge_id",
            "tracking",
            "saga",
        ]
        read_only_fields = fields


class OrderWithStepsSerializer(OrderSerializer):
    """An order as it stands, with the steps of its saga."""

    saga = SagaWithStepsSerializer(read_only=True, allow_null=True)

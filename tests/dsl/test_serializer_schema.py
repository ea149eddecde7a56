"""Serializer classes of Django REST framework as types of inputs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

pytest.importorskip("rest_framework")

from rest_framework import serializers

from django_saga.core.encoding import decode, encode
from django_saga.dsl.scalars import SchemaError
from django_saga.dsl.schema import Schema, schema_for


class LineSerializer(serializers.Serializer):  # type: ignore[type-arg]
    sku = serializers.CharField(max_length=3)
    price = serializers.DecimalField(max_digits=6, decimal_places=2)


class OrderSerializer(serializers.Serializer):  # type: ignore[type-arg]
    lines = LineSerializer(many=True)
    due = serializers.DateField(required=False)
    codes = serializers.ListField(child=serializers.IntegerField(), default=list)

    def validate(self, attrs):
        if not attrs["lines"]:
            raise serializers.ValidationError("An order needs a line.")
        return attrs


def schema() -> Schema:
    found = schema_for(OrderSerializer)
    assert found is not None
    return found


def test_the_steps_see_the_validated_data():
    given = {"lines": [{"sku": "a", "price": "1.2"}], "due": "2030-01-02", "unheard": 1}

    text = encode(schema().to_plain(given, "input"), max_bytes=1000)

    assert schema().from_plain(decode(text), "input") == {
        "lines": [{"sku": "a", "price": Decimal("1.20")}],
        "due": date(2030, 1, 2),
        "codes": [],
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "input.lines: This field is required."),
        (
            None,
            "input: No data provided (got None)",
        ),
        (5, "input: Invalid data. Expected a dictionary, but got int. (got int)"),
        (
            {"lines": [{"sku": "a", "price": "1"}, {"sku": "a", "price": "x"}]},
            "input.lines[1].price: A valid number is required. (got str)",
        ),
        (
            {"lines": [{"sku": "aaaa", "price": "x"}], "due": 5},
            "input.lines[0].sku: Ensure this field has no more than 3 characters. (got str) (and 2 more)",
        ),
        ({"lines": []}, "input: An order needs a line. (got dict)"),
        (
            {"lines": [{"sku": "a", "price": "1"}], "codes": [1, "x"]},
            "input.codes[1]: A valid integer is required. (got str)",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_place_and_type(value, message):
    with pytest.raises(SchemaError) as caught:
        schema().to_plain(value, "input")

    assert str(caught.value) == message

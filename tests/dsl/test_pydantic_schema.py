"""Pydantic models as types of inputs and results."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

pydantic = pytest.importorskip("pydantic")

from pydantic import BaseModel, ConfigDict, Field, field_validator  # noqa: E402

from django_saga.core.encoding import decode, encode  # noqa: E402
from django_saga.dsl.scalars import SchemaError  # noqa: E402
from django_saga.dsl.schema import schema_for  # noqa: E402
from django_saga.exceptions import EncodingError  # noqa: E402


class Line(BaseModel):
    sku: str
    price: Decimal


class Order(BaseModel):
    lines: list[Line]
    due: date | None = None
    tags: set[str] = set()


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    price: Decimal
    due: date
    codes: tuple[int, ...]


class Aliased(BaseModel):
    order_no: int = Field(alias="orderNo")
    note: str = Field("", validation_alias="remark", serialization_alias="comment")


@dataclass
class Basket:
    lines: list[Line]
    aliased: Aliased | None = None


ALIASED = Aliased.model_validate({"orderNo": 5, "remark": "x"})
ORDER = Order(lines=[Line(sku="a", price=Decimal("1.20"))], due=date(2030, 1, 2), tags={"x"})


def stored(model, value):
    schema = schema_for(model)
    assert schema is not None
    return schema.from_plain(decode(encode(schema.to_plain(value, "input"), max_bytes=10**6)), "input")


def refusal(model, value):
    schema = schema_for(model)
    assert schema is not None
    with pytest.raises(SchemaError) as caught:
        schema.to_plain(value, "input")
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "value", "fitted"),
    [
        (Order, ORDER, ORDER),
        (
            Order,
            {"lines": [{"sku": "a", "price": "1.20"}], "due": "2030-01-02", "tags": ["x"]},
            ORDER,
        ),
        (
            Strict,
            Strict(price=Decimal("1.20"), due=date(2030, 1, 2), codes=(1,)),
            Strict(price=Decimal("1.20"), due=date(2030, 1, 2), codes=(1,)),
        ),
        (Aliased, {"orderNo": 5, "remark": "x"}, ALIASED),
        (
            Basket,
            Basket(ORDER.lines, ALIASED),
            Basket(ORDER.lines, ALIASED),
        ),
        (Basket, {"lines": [{"sku": "a", "price": "1.20"}]}, Basket(ORDER.lines)),
    ],
)
def test_a_value_reaches_the_steps_as_the_model(model, value, fitted):
    assert stored(model, value) == fitted


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("not even")
        return number


@pytest.mark.parametrize(
    ("model", "value", "message"),
    [
        (Order, None, "input: Input should be a valid dictionary or instance of Order (got None)"),
        (Order, {}, "input.lines: Field required"),
        (
            Order,
            {"lines": [{"sku": "a", "price": "x"}, {"sku": 5, "price": 1}]},
            "input.lines[0].price: Input should be a valid decimal (got str) (and 1 more)",
        ),
        (
            Aliased,
            {"orderNo": "x"},
            "input.orderNo: Input should be a valid integer, unable to parse string as an integer (got str)",
        ),
        (Even, {"number": 3}, "input.number: Value error, not even (got int)"),
        (Basket, {"lines": [{"sku": "a"}]}, "input.lines[0].price: Field required"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_without_showing_it(model, value, message):
    assert refusal(model, value) == message


class Loose(BaseModel):
    anything: Any


def test_a_value_that_pydantic_cannot_write_is_refused():
    message = refusal(Loose, {"anything": object()})

    assert message.startswith("input: Loose cannot be written as JSON: Unable to serialize unknown type")


class Measured(BaseModel):
    value: float


def test_what_json_lacks_is_refused_inside_a_model_too():
    schema = schema_for(Measured)
    assert schema is not None

    with pytest.raises(EncodingError) as caught:
        encode(schema.to_plain(Measured(value=float("nan")), "input"), max_bytes=100, name="input")

    assert str(caught.value) == "input.value: the float nan cannot be stored as JSON; use None or a str"


def test_stored_data_that_fits_no_longer_is_an_error_that_says_so():
    schema = schema_for(Order)
    assert schema is not None

    with pytest.raises(SchemaError) as caught:
        schema.from_plain({"lines": [{"sku": "a"}]}, "input")

    assert str(caught.value) == "input.lines[0].price: Field required"

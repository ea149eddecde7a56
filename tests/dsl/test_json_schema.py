"""JSON Schema of declared types: it takes what the type takes, as it is on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import pytest

pytest.importorskip("jsonschema", reason="jsonschema is not installed")
pytest.importorskip("pydantic", reason="pydantic is not installed")
pytest.importorskip("rest_framework", reason="REST framework is not installed")

import jsonschema
import pydantic
from rest_framework import serializers

from django_saga.core.natural import natural
from django_saga.dsl import payloads
from django_saga.dsl.json_schema import JsonSchemas

Ref = NewType("Ref", str)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Node:
    name: str
    below: list[Node] = field(default_factory=list)


@dataclass
class Everything:
    number: int
    share: float
    price: Decimal
    at: datetime
    day: date
    hour: time
    length: timedelta
    key: UUID
    colour: Colour
    kind: Literal["a", 1]
    ref: Annotated[Ref, "noted"]
    pair: tuple[int, str]
    many: tuple[int, ...]
    names: Sequence[str]
    by_name: Mapping[str, Decimal]
    tree: Node
    note: str | None = None
    more: Any = None
    loose: dict = field(default_factory=dict)  # type: ignore[type-arg]


THING = Everything(
    number=1,
    share=0.5,
    price=Decimal("9.90"),
    at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    day=date(2026, 1, 2),
    hour=time(3, 4),
    length=timedelta(hours=1),
    key=UUID(int=7),
    colour=Colour.RED,
    kind=1,
    ref=Ref("r"),
    pair=(1, "x"),
    many=(1, 2, 3),
    names=["a"],
    by_name={"a": Decimal(1)},
    tree=Node("root", [Node("leaf")]),
)


def schema_of(declared):
    schemas = JsonSchemas("#/definitions/")
    made = schemas.of(declared)
    whole = {**made, "definitions": schemas.named}
    jsonschema.Draft7Validator.check_schema(whole)
    return whole


def on_the_way(value):
    return json.loads(natural(payloads.encode(value, "payload", 100_000, "MAX_MESSAGE_BYTES")))


def errors(declared, data):
    return [error.json_path for error in jsonschema.Draft7Validator(schema_of(declared)).iter_errors(data)]


def test_what_fits_the_type_fits_the_schema():
    assert errors(Everything, on_the_way(THING)) == []


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("number", "1"),
        ("price", 9.9),
        ("key", 7),
        ("colour", "green"),
        ("kind", "b"),
        ("pair", [1]),
        ("pair", ["x", 1]),
        ("many", ["x"]),
        ("names", "a"),
        ("by_name", {"a": 1}),
        ("tree", {"name": "root", "below": [{"name": 1}]}),
        ("note", 7),
        ("loose", []),
    ],
)
def test_what_does_not_fit_it_does_not(name, wrong):
    [path, *_] = errors(Everything, {**on_the_way(THING), name: wrong})

    assert path.startswith(f"$.{name}")


def test_what_is_missing_is_missed_unless_it_has_a_default():
    assert errors(Node, {"below": []}) == ["$"]
    assert errors(Node, {"name": "x"}) == []


def test_no_type_takes_anything():
    assert errors(None, {"any": ["thing"]}) == []


def test_models_of_pydantic():
    class Line(pydantic.BaseModel):
        number: int

    class Order(pydantic.BaseModel):
        lines: list[Line]

    assert errors(Order, {"lines": [{"number": 1}]}) == []
    assert errors(Order, {"lines": [{"number": "one"}]}) == ["$.lines[0].number"]


def test_serializers_of_rest_framework():
    class Line(serializers.Serializer):  # type: ignore[type-arg]
        number = serializers.IntegerField()

    class Order(serializers.Serializer):  # type: ignore[type-arg]
        id = serializers.CharField(read_only=True)
        total = serializers.DecimalField(max_digits=8, decimal_places=2)
        paid = serializers.BooleanField(required=False, allow_null=True)
        size = serializers.ChoiceField(choices=["s", "l"])
        lines = Line(many=True)
        tags = serializers.ListField(child=serializers.CharField(), required=False)

    good = {"total": "9.90", "paid": None, "size": "s", "lines": [{"number": 1}], "tags": ["x"]}
    assert errors(Order, good) == []
    assert errors(Order, {**good, "size": "m", "lines": [{"number": "x"}], "tags": [1], "total": 1.0}) != []
    assert errors(Order, {"total": "1"}) == ["$", "$"]
    assert "id" not in schema_of(Order)["definitions"]["Order"]["properties"]


def test_types_of_one_name_are_several_types():
    schemas = JsonSchemas("#/definitions/", {"Reply": {}})
    kinds = [make_dataclass("Line", [("number", kind)]) for kind in (int, str, bool)]

    names = [schemas.of(kind)["$ref"].removeprefix("#/definitions/") for kind in kinds]

    found = [schemas.named[name]["properties"]["number"]["type"] for name in names]
    assert found == ["integer", "string", "boolean"]
    assert schemas.named["Reply"] == {}

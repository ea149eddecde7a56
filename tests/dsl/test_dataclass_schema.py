"""Dataclasses as types of inputs and results: what fits, what is converted, what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_saga.core.encoding import decode, encode
from django_saga.dsl.scalars import SchemaError, UnsupportedType
from django_saga.dsl.schema import TypeSchema, schema_for
from tests.core.json_values import TEXT

Sku = NewType("Sku", str)
T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    MANY = ("red", "blue")


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


class Level(IntEnum):
    ONE = 1


@dataclass(frozen=True)
class Line:
    sku: Sku
    price: Decimal
    count: int = 1


@dataclass
class Order:
    lines: list[Line]
    due: date | None = None
    note: Annotated[str, "free text"] = ""
    total: Decimal = field(init=False)

    def __post_init__(self):
        self.total = sum((line.price * int(line.count) for line in self.lines), Decimal(0))


@dataclass
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)


ORDER = Order([Line(Sku("a"), Decimal("1.20"), 2)], due=date(2030, 1, 2))


def stored(hint, value):
    """What a step gets of ``value`` when the type is ``hint``."""
    schema = TypeSchema(hint)
    return schema.from_plain(decode(encode(schema.to_plain(value, "input"), max_bytes=10**6)), "input")


def refusal(hint, value):
    with pytest.raises(SchemaError) as caught:
        TypeSchema(hint).to_plain(value, "input")
    return str(caught.value)


def told(value):
    """Give ``value`` in a form that tells 1 from 1.0 and True, also within containers."""
    return repr(value)


AT = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hint", "value", "fitted"),
    [
        (str, "a", "a"),
        (int, 5, 5),
        (int, Level.ONE, 1),
        (bool, True, True),
        (float, 1.5, 1.5),
        (float, 2, 2.0),
        (None, None, None),
        (Any, {"a": (1,)}, {"a": [1]}),
        (object, 1, 1),
        (T, 1, 1),
        (Sku, "a", "a"),
        (Annotated[int, "x"], 1, 1),
        (Decimal, Decimal("1.20"), Decimal("1.20")),
        (Decimal, "1.20", Decimal("1.20")),
        (Decimal, 3, Decimal(3)),
        (date, date(2030, 1, 2), date(2030, 1, 2)),
        (date, "2030-01-02", date(2030, 1, 2)),
        (datetime, AT, AT),
        (datetime, "2030-01-02T03:04:00Z", AT),
        (time, time(1, 2), time(1, 2)),
        (time, "01:02", time(1, 2)),
        (timedelta, timedelta(1), timedelta(1)),
        (UUID, UUID(int=1), UUID(int=1)),
        (UUID, "00000000-0000-0000-0000-000000000001", UUID(int=1)),
        (Colour, Colour.RED, Colour.RED),
        (Colour, "red", Colour.RED),
        (Colour, Colour.MANY, Colour.MANY),
        (Size, "l", Size.LARGE),
        (Level, 1, Level.ONE),
        (Literal["a", 1], "a", "a"),
        (Literal["a", 1], 1, 1),
        (Literal[Size.SMALL], Size.SMALL, Size.SMALL),
        (Optional[int], None, None),  # noqa: UP045
        (int | None, 3, 3),
        (date | None, "2030-01-02", date(2030, 1, 2)),
        (Union[int, str], "5", "5"),  # noqa: UP007
        (int | float, 5, 5),
        (float | int, 5, 5),
        (date | str, "2030-01-02", "2030-01-02"),
        (date | str, date(2030, 1, 2), date(2030, 1, 2)),
        (list, [1, "a"], [1, "a"]),
        (list[float], (1, 2), [1.0, 2.0]),
        (Sequence[int], [1], [1]),
        (tuple, [1], (1,)),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], (1, "a"), (1, "a")),
        (dict, {"a": 1}, {"a": 1}),
        (dict[str, date], {"a": "2030-01-02"}, {"a": date(2030, 1, 2)}),
        (dict[Size, int], {Size.SMALL: 1}, {Size.SMALL: 1}),
        (dict[Literal["a"], int], {"a": 1}, {"a": 1}),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (Line, Line(Sku("a"), Decimal(1)), Line(Sku("a"), Decimal(1))),
        (Line, {"sku": "a", "price": "1.5"}, Line(Sku("a"), Decimal("1.5"))),
        (Order, ORDER, ORDER),
        (
            Order,
            {"lines": [{"sku": "a", "price": "1.20", "count": 2}], "due": "2030-01-02"},
            ORDER,
        ),
        (Line | None, {"sku": "a", "price": 2}, Line(Sku("a"), Decimal(2))),
        (list[Line], [{"sku": "a", "price": 2}], [Line(Sku("a"), Decimal(2))]),
        (Tree, Tree("a", [Tree("b")]), Tree("a", [Tree("b")])),
        (Tree, {"name": "a", "children": [{"name": "b"}]}, Tree("a", [Tree("b")])),
    ],
)
def test_a_value_reaches_the_steps_as_the_declared_type(hint, value, fitted):
    assert told(stored(hint, value)) == told(fitted)


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (str, 5, "input: expected str, got int"),
        (str, None, "input: expected str, got None"),
        (int, "5", "input: expected int, got str"),
        (int, True, "input: expected int, got bool"),
        (int, 5.0, "input: expected int, got float"),
        (bool, 1, "input: expected bool, got int"),
        (float, "1.5", "input: expected float, got str"),
        (float, True, "input: expected float, got bool"),
        (float, 10**400, "input: expected float, got an int too large for one"),
        (None, 1, "input: expected None, got int"),
        (Decimal, 1.5, "input: expected Decimal, got float; use a Decimal or str, which keep every digit"),
        (Decimal, "much", "input: expected Decimal, got str that is not a number"),
        (Decimal, True, "input: expected Decimal, got bool"),
        (date, AT, "input: expected date, got datetime"),
        (date, "tomorrow", "input: expected date, got str that is not an ISO 8601 date"),
        (date, 5, "input: expected date, got int"),
        (datetime, "now", "input: expected datetime, got str that is not an ISO 8601 date and time"),
        (datetime, date(2030, 1, 2), "input: expected datetime, got date"),
        (time, "noon", "input: expected time, got str that is not an ISO 8601 time"),
        (timedelta, 5, "input: expected timedelta, got int"),
        (UUID, "x", "input: expected UUID, got str that is not a UUID"),
        (Colour, "green", "input: expected Colour ('red' or ('red', 'blue')), got str"),
        (Colour, {}, "input: expected Colour ('red' or ('red', 'blue')), got dict"),
        (Level, True, "input: expected Level (1), got bool"),
        (Literal["a", 1], "b", "input: expected 'a' or 1, got str"),
        (Literal["a", 1], True, "input: expected 'a' or 1, got bool"),
        (int | None, "x", "input: expected int, got str"),
        (int | str | None, 1.5, "input: expected int or str or None, got float"),
        (Literal["a"] | int, 1.5, "input: expected 'a' or int, got float"),
        (list[int], "abc", "input: expected list, got str"),
        (list[int], {1}, "input: expected list, got set"),
        (list[int], [1, "a"], "input[1]: expected int, got str"),
        (tuple[int, ...], 5, "input: expected tuple, got int"),
        (tuple[int, str], [1], "input: expected 2 values, got 1"),
        (tuple[int, str], [1, 2], "input[1]: expected str, got int"),
        (dict[str, int], [1], "input: expected dict, got list"),
        (dict[str, int], {1: 1}, "input: the key 1: expected str, got int"),
        (dict[Size, int], {"xl": 1}, "input: the key 'xl': expected Size ('s' or 'l'), got str"),
        (dict[str, list[int]], {"a b": [0, "x"]}, "input['a b'][1]: expected int, got str"),
        (Line, "a", "input: expected Line, got str"),
        (Line, {"sku": "a"}, "input.price: missing"),
        (Line, {"sku": "a", "prise": "1"}, "input.prise: unknown field. Did you mean 'price'?"),
        (Line, {"sku": "a", "zzz": "1"}, "input.zzz: unknown field."),
        (Line, {"sku": "a", 5: "1"}, "input[5]: unknown field."),
        (Order, {"lines": [{"sku": "a", "price": []}]}, "input.lines[0].price: expected Decimal, got list"),
        (Order, Order([Line(Sku("a"), Decimal(1), 1.5)]), "input.lines[0].count: expected int, got float"),  # type: ignore[arg-type]
        (Line | int, {"sku": "a", "price": []}, "input.price: expected Decimal, got list"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_place_and_type(hint, value, message):
    assert refusal(hint, value) == message


def test_an_instance_with_values_to_convert_is_replaced_not_changed():
    order = Order([], due="2030-01-02")  # type: ignore[arg-type]

    assert TypeSchema(Order).to_plain(order, "input") == Order([], due=date(2030, 1, 2))
    assert order.due == "2030-01-02"


def test_an_instance_that_fits_is_taken_as_it_is():
    assert TypeSchema(Order).to_plain(ORDER, "input") is ORDER


@dataclass
class Positive:
    count: int

    def __post_init__(self):
        if self.count < 1:
            raise ValueError("count has to be 1 or more")


def test_what_the_class_itself_refuses_is_refused_in_its_words():
    assert (
        refusal(list[Positive], [{"count": 0}]) == "input[0]: Positive refuses it: count has to be 1 or more"
    )


@dataclass
class Gift(Positive):
    ribbon: str = ""


class Special(Positive):
    pass


def test_a_subclass_with_more_fields_would_lose_them_and_is_refused():
    assert refusal(Positive, Gift(1)) == "input: expected Positive, got Gift, which has more fields"
    assert stored(Positive, Special(1)) == Positive(1)


def test_a_tree_within_itself_is_refused():
    tree = Tree("a")
    tree.children.append(tree)

    assert refusal(Tree, tree) == "input: nested too deeply, or within itself"


@dataclass
class WithInitVar:
    seed: InitVar[int]


class Plain:
    pass


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (set[int], "set is not a type that JSON can carry"),
        (bytes, "bytes is not a type that JSON can carry"),
        (complex, "complex is not a type that JSON can carry"),
        (Plain, "Plain is not a type that JSON can carry"),
        (list[set[int]], "set is not a type that JSON can carry"),
        (dict[int, str], "dict with keys of int: keys in JSON are str"),
        (dict[str | int, str], "dict with keys of str or int: keys in JSON are str"),
        (dict[Literal[1], str], "dict with keys of 1: keys in JSON are str"),
        (WithInitVar, "WithInitVar.seed: an InitVar is not stored"),
        ("int", "int is not a type that JSON can carry"),
    ],
)
def test_a_type_that_json_cannot_carry_is_refused_before_any_value(hint, message):
    with pytest.raises(UnsupportedType) as caught:
        TypeSchema(hint)

    assert str(caught.value) == message


def test_without_a_declared_type_there_is_no_schema():
    assert schema_for(None) is None


lines = st.builds(
    Line,
    sku=TEXT.map(Sku),
    price=st.decimals(-(10**9), 10**9, places=2),
    count=st.integers(0, 10**9),
)


@given(st.builds(Order, lines=st.lists(lines, max_size=4), due=st.none() | st.dates(), note=TEXT))
def test_every_instance_comes_back_equal(order):
    assert stored(Order, order) == order

"""Values become JSON text and come back with their types; what databases refuse never reaches them."""

from __future__ import annotations

import json
import sys
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given

from django_saga.core.encoding import ACCEPTED, decode, digest, encode
from django_saga.exceptions import EncodingError
from tests.core.json_values import VALUES, exactly, normalised

LIMIT = 262_144


def written(value: Any, *, max_bytes: int = LIMIT, **options: Any) -> str:
    return encode(value, max_bytes=max_bytes, **options)


def refusal(value, **options):
    with pytest.raises(EncodingError) as caught:
        written(value, **{"name": "input", "setting": "MAX_INPUT_BYTES"} | options)
    return str(caught.value)


class Colour(Enum):
    RED = "red"
    MANY = ("red", Decimal("1.5"))


class Size(StrEnum):
    SMALL = "s"


class Level(IntEnum):
    HIGH = 3


@dataclass
class Line:
    sku: str
    price: Decimal


@dataclass
class Order:
    lines: list[Line]
    at: date
    total: int = field(default=0, init=False)


class Point(NamedTuple):
    x: int
    y: int


class Model:
    """Quacks like a pydantic model."""

    def __init__(self, **fields):
        self.fields = fields

    def model_dump(self):
        return self.fields


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"ok": True, "ref": "abc"}, '{"ok":true,"ref":"abc"}'),
        ([None, 1, -2.5, "é\u2028"], '[null,1,-2.5,"é\u2028"]'),
        ((1, (2,)), "[1,[2]]"),
        (Decimal("1.20"), '{"$decimal":"1.20"}'),
        (Decimal("-0E+7"), '{"$decimal":"-0E+7"}'),
        (date(2030, 1, 2), '{"$date":"2030-01-02"}'),
        (datetime(2030, 1, 2, 3, 4, 5, 6), '{"$datetime":"2030-01-02T03:04:05.000006"}'),
        (datetime(2030, 1, 2, tzinfo=UTC), '{"$datetime":"2030-01-02T00:00:00+00:00"}'),
        (time(1, 2), '{"$time":"01:02:00"}'),
        (time(1, 2, tzinfo=timezone(timedelta(hours=2))), '{"$time":"01:02:00+02:00"}'),
        (timedelta(days=1, microseconds=1), '{"$timedelta":"86400.000001"}'),
        (timedelta(microseconds=-1), '{"$timedelta":"-0.000001"}'),
        (UUID(int=1), '{"$uuid":"00000000-0000-0000-0000-000000000001"}'),
        (2**63 - 1, "9223372036854775807"),
        (2**63, '{"$int":"9223372036854775808"}'),
        (-(2**63) - 1, '{"$int":"-9223372036854775809"}'),
        (1e16, '{"$float":"1e+16"}'),
        (-0.0, '{"$float":"-0.0"}'),
        (9007199254740993.0, "9007199254740992.0"),
        ({"$decimal": "1"}, '{"$$decimal":"1"}'),
        ({"$": 1}, '{"$$":1}'),
        ({"$decimal": "1", "more": 2}, '{"$decimal":"1","more":2}'),
        ({}, "{}"),
    ],
)
def test_a_value_is_written_as_this_text_and_read_back(value, text):
    assert written(value) == text
    assert exactly(decode(text)) == exactly(normalised(value))


@given(VALUES)
def test_every_value_comes_back_as_it_was_with_its_types(value):
    assert exactly(decode(written(value))) == exactly(normalised(value))


@given(VALUES)
def test_writing_again_what_was_read_gives_the_same_text(value):
    text = written(value)

    assert written(decode(text)) == text


def test_a_moment_keeps_its_offset_though_not_the_name_of_its_zone():
    moment = datetime(2030, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    assert written(moment) == '{"$datetime":"2030-07-01T12:00:00+02:00"}'
    assert decode(written(moment)) == moment


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (Colour.MANY, ["red", Decimal("1.5")]),
        (Size.SMALL, "s"),
        (Level.HIGH, 3),
        ({Size.SMALL: 1}, {"s": 1}),
        (Line("a", Decimal("1.0")), {"sku": "a", "price": Decimal("1.0")}),
        (
            Order([Line("a", Decimal(1))], date(2030, 1, 1)),
            {"lines": [{"sku": "a", "price": Decimal(1)}], "at": date(2030, 1, 1), "total": 0},
        ),
        (Model(a=Model(b=Decimal(1))), {"a": {"b": Decimal(1)}}),
        (Point(1, 2), [1, 2]),
        (OrderedDict(b=1, a=(2,)), {"b": 1, "a": [2]}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (type("Text", (str,), {"__str__": lambda self: "other"})("a"), "a"),
        (type("Number", (int,), {"__repr__": lambda self: "?"})(7), 7),
        (type("Fraction", (float,), {"__repr__": lambda self: "?"})(0.5), 0.5),
        (type("Fine", (Decimal,), {})("0.10"), Decimal("0.10")),
    ],
)
def test_what_has_a_plain_form_is_stored_as_that(value, plain):
    assert exactly(decode(written(value))) == exactly(plain)


def test_what_was_given_is_left_as_it_was():
    value = {"lines": [Line("a", Decimal(1))], "$": (1,)}

    written(value)

    assert value == {"lines": [Line("a", Decimal(1))], "$": (1,)}


def test_parts_that_are_shared_are_no_cycle():
    part = {"a": [1]}

    assert written([part, part, {"again": part}]) == '[{"a":[1]},{"a":[1]},{"again":{"a":[1]}}]'


def test_a_tag_of_a_newer_release_is_not_taken_for_data():
    with pytest.raises(EncodingError) as caught:
        decode('{"at":{"$instant":"1"}}')

    assert str(caught.value) == "value: unknown tag '$instant'; was this written by a newer django-saga?"


# --- what is refused ------------------------------------------------------------------------------

USE = f"use {ACCEPTED}"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "input: the float nan cannot be stored as JSON; use None or a str"),
        ({"a": float("inf")}, "input.a: the float inf cannot be stored as JSON; use None or a str"),
        ([-float("inf")], "input[0]: the float -inf cannot be stored as JSON; use None or a str"),
        (Decimal("NaN"), "input: the Decimal NaN cannot be stored as JSON; use None or a str"),
        (Decimal("sNaN"), "input: the Decimal sNaN cannot be stored as JSON; use None or a str"),
        (Decimal("-Infinity"), "input: the Decimal -Infinity cannot be stored as JSON; use None or a str"),
        (
            {"lines": [1, {"note": "a\0b"}]},
            "input.lines[1].note: str with a NUL character at position 1, which databases refuse; remove it",
        ),
        (
            {"a": {"k\0": 1}},
            "input.a: the key 'k\\x00' has a NUL character at position 1, which databases refuse; remove it",
        ),
        (
            ["é", "\ud800x"],
            "input[1]: str with the lone surrogate U+D800 at position 0, which is no text; replace it",
        ),
        (
            {"\udfff": 1},
            "input: the key '\\udfff' has the lone surrogate U+DFFF at position 0, "
            "which is no text; replace it",
        ),
        ({"tags": {"x"}}, "input.tags: set cannot be stored as JSON; use a sorted list"),
        (frozenset(), "input: frozenset cannot be stored as JSON; use a sorted list"),
        (b"x", "input: bytes cannot be stored as JSON; decode them to str, or use base64"),
        (bytearray(), "input: bytearray cannot be stored as JSON; decode them to str, or use base64"),
        (memoryview(b""), "input: memoryview cannot be stored as JSON; decode them to str, or use base64"),
        ({"a": {1: 2}}, "input.a[1]: the key 1 is an int; keys must be str"),
        ({None: 2}, "input[None]: the key None is a NoneType; keys must be str"),
        (
            {Colour.RED: 2},
            "input[<Colour.RED: 'red'>]: the key <Colour.RED: 'red'> is a Colour; keys must be str",
        ),
        ({"a": object()}, f"input.a: object cannot be stored as JSON; {USE}"),
        (1j, f"input: complex cannot be stored as JSON; {USE}"),
        (Line, f"input: type cannot be stored as JSON; {USE}"),
        ((n for n in [1]), f"input: generator cannot be stored as JSON; {USE}"),
        ({"a b": [object()]}, f"input['a b'][0]: object cannot be stored as JSON; {USE}"),
        ([10**4000], "input[0]: int of more than 4,000 digits; use a str"),
        (-(10**4000), "input: int of more than 4,000 digits; use a str"),
        (
            time(1, tzinfo=ZoneInfo("Europe/Berlin")),
            "input: time in the zone Europe/Berlin has no offset; use a datetime or a naive time",
        ),
        (
            Order([Line("a", Decimal("NaN"))], date(2030, 1, 1)),
            "input.lines[0].price: the Decimal NaN cannot be stored as JSON; use None or a str",
        ),
        (Model(a=[b""]), "input.a[0]: bytes cannot be stored as JSON; decode them to str, or use base64"),
    ],
)
def test_a_value_that_no_database_keeps_is_refused_with_its_place_and_a_remedy(value, message):
    assert refusal(value) == message


def test_the_largest_number_comes_back():
    largest = 10**4000 - 1

    assert decode(written([largest, -largest])) == [largest, -largest]


def test_the_error_carries_its_place_and_its_problem():
    with pytest.raises(EncodingError) as caught:
        written({"a": {1}}, name="result")

    assert (caught.value.path, caught.value.problem) == (
        "result.a",
        "set cannot be stored as JSON; use a sorted list",
    )


def test_a_model_that_cannot_be_dumped_is_refused():
    class Broken(Model):
        def model_dump(self):
            raise ValueError("Circular reference detected")

    assert refusal([Broken()]) == "input[0]: Broken.model_dump() failed: Circular reference detected"


# --- cycles and limits ----------------------------------------------------------------------------


def test_a_list_within_itself_is_refused():
    value: list[Any] = [1]
    value.append({"me": value})

    assert refusal(value) == "input[1].me: refers back to input; a value cannot contain itself"


def test_a_cycle_further_down_names_where_it_closes():
    inner: dict[str, Any] = {"b": {}}
    inner["b"]["c"] = inner

    assert (
        refusal({"a": [inner]}) == "input.a[0].b.c: refers back to input.a[0]; a value cannot contain itself"
    )


def test_a_dataclass_within_itself_is_refused():
    order = Order([], date(2030, 1, 1))
    order.lines.append(order)  # type: ignore[arg-type]

    assert refusal(order) == "input.lines[0]: refers back to input; a value cannot contain itself"


def nested(levels):
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_the_deepest_value_that_is_allowed_is_written():
    assert written(nested(64)) == "[" * 64 + "1" + "]" * 64


def test_a_deeper_value_is_refused_with_the_limit():
    assert refusal(nested(65)) == f"input{'[0]' * 12}…: nested more than 64 levels deep (setting MAX_DEPTH)"
    assert refusal(nested(3), max_depth=2, depth_from="the limit of MariaDB") == (
        "input[0][0]: nested more than 2 levels deep (the limit of MariaDB)"
    )


def test_a_limit_beyond_what_python_can_walk_is_no_crash():
    message = refusal(nested(100_000), max_depth=10**6)

    assert message.startswith("input: cannot be written as JSON (maximum recursion depth exceeded")


def test_a_value_of_exactly_the_limit_is_written():
    assert len(written("é" * 49, max_bytes=100).encode()) == 100


def test_a_larger_value_is_refused_with_its_size_and_the_limit():
    assert refusal("x" * 300_121) == "input: 300,123 bytes; the limit is 262,144 (setting MAX_INPUT_BYTES)"
    assert refusal("é" * 50, max_bytes=100, setting="MAX_RESULT_BYTES") == (
        "input: 102 bytes; the limit is 100 (setting MAX_RESULT_BYTES)"
    )


@pytest.mark.parametrize("doubled", [lambda part: [part, part], lambda part: {"a": part, "b": part}])
def test_a_small_value_that_unfolds_without_end_is_refused_at_once(doubled):
    value: Any = "x"
    for _ in range(60):
        value = doubled(value)

    assert refusal(value) == "input: more than 262,144 bytes; the limit is 262,144 (setting MAX_INPUT_BYTES)"


def test_a_number_that_python_is_told_not_to_write_is_no_crash():
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        message = refusal(10**700)
    finally:
        sys.set_int_max_str_digits(before)

    assert message.startswith("input: cannot be written as JSON (Exceeds the limit (640 digits)")


# --- digests --------------------------------------------------------------------------------------


@given(VALUES)
def test_the_digest_does_not_depend_on_the_order_of_keys_or_the_spacing(value):
    text = written(value)
    data = json.loads(text)
    other = json.dumps(dict(reversed(data.items())) if isinstance(data, dict) else data, indent=1)

    assert digest(other) == digest(text)


def test_the_digest_tells_values_of_other_types_apart():
    values = [1, 1.0, True, "1", Decimal(1), [1], {"1": 1}, None]

    assert len({digest(written(value)) for value in values}) == len(values)


def test_the_digest_stays_the_same_in_every_release():
    assert (
        digest(written({"b": Decimal("1.20"), "a": [None, "é"]}))
        == "391087aab140b4333100f6d368aeaa5866c4ea37a4a94b50801956988dba63e0"
    )

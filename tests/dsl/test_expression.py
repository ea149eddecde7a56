"""Data with references: what they lead to, and what is said when they lead nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from django_saga import PermanentFailure
from django_saga.dsl.expression import Reference, WrongReference, references, resolve


@dataclass
class Order:
    sku: str
    lines: list[dict[str, int]]

    @property
    def secret(self) -> str:
        return "no field"


class Results(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        raise KeyError(f"step ship has no result of {name!r}")


CTX = SimpleNamespace(
    step="ship",
    input=Order("tea", [{"n": 1}, {"n": 2}]),
    results=Results(reserve={"id": 7, "a.b": {"0": "zero"}}, empty={}),
)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (7, 7),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        ({"$input": ""}, CTX.input),
        ({"$input": []}, CTX.input),
        ({"$input": "sku"}, "tea"),
        ({"$input": "lines.1.n"}, 2),
        ({"$input": ["lines", -1, "n"]}, 2),
        ({"$result": "reserve"}, {"id": 7, "a.b": {"0": "zero"}}),
        ({"$result": ["reserve", "a.b", "0"]}, "zero"),
        ([{"x": {"$result": "reserve.id"}}, {"$input": "sku"}], [{"x": 7}, "tea"]),
        ({"$literal": {"$input": "sku"}}, {"$input": "sku"}),
        ({"$input": "sku", "more": 1}, {"$input": "sku", "more": 1}),
    ],
)
def test_references_are_replaced_at_any_depth(data, value):
    assert resolve(data, CTX) == value


def test_each_resolution_is_a_copy_of_its_own():
    data = {"a": [1], "b": {"c": 1}, "d": {"$literal": {"$e": [1]}}}

    resolved = resolve(data, CTX)
    resolved["a"].append(2)
    resolved["b"]["c"] = 2
    resolved["d"]["$e"].append(2)

    assert data == {"a": [1], "b": {"c": 1}, "d": {"$literal": {"$e": [1]}}}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"$input": "price"}, "the input has no 'price'; there is 'sku', 'lines'."),
        ({"$input": "secret"}, "the input has no 'secret'; there is 'sku', 'lines'."),
        ({"$input": "__class__"}, "the input has no '__class__'; there is 'sku', 'lines'."),
        ({"$input": "sku.upper"}, "the input.sku has no 'upper'; it is of type str."),
        ({"$input": "lines.2.n"}, "the input.lines has no '2'; it is a list of 2."),
        ({"$input": "lines.n"}, "the input.lines has no 'n'; it is a list of 2."),
        ({"$result": "reserve.ID"}, "the result of step reserve has no 'ID'; there is 'id', 'a.b'."),
        ({"$result": "empty.x"}, "the result of step empty has no 'x'; it is empty."),
        ({"$result": "charge.x"}, "step ship has no result of 'charge'"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_permanent_failure_that_says_where_it_ends(data, told):
    with pytest.raises(PermanentFailure) as caught:
        resolve({"x": data}, CTX)

    assert str(caught.value) == f"The input of step 'ship' cannot be made: {told}"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"$inptu": "sku"}, "'$inptu' is no reference: there are $input, $result and $literal"),
        ({"$input": 7}, "$input leads by text with dots, or by a list of keys, not by 7"),
        ({"$input": ["a", None]}, "$input leads by text with dots, or by a list of keys, not by ['a', None]"),
        ({"$result": ""}, "$result names no step: write {'$result': 'step.key'}"),
        ({"$result": [1]}, "$result names no step: write {'$result': 'step.key'}"),
        ({"$result": ".x"}, "$result names no step: write {'$result': 'step.key'}"),
    ],
)
def test_what_only_looks_like_a_reference_is_refused(data, told):
    for ask in (lambda: list(references([data])), lambda: resolve([data], CTX)):
        with pytest.raises(WrongReference) as caught:
            ask()

        assert str(caught.value) == told


def test_references_are_found_at_any_depth_but_not_in_literals():
    data = [{"a": {"$result": "reserve.id"}}, {"$literal": {"$result": "x"}}, {"$input": "sku"}]

    assert list(references(data)) == [Reference("reserve", ("id",)), Reference("", ("sku",))]

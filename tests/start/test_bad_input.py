"""What cannot be stored is refused before a row is written; as a step's result it fails the step for good."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from django_saga import InvalidInput, SagaFailed, UnknownSaga, runtime
from django_saga.core import encoding
from django_saga.dsl.registry import registry
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from django_saga.store import claims
from tests.sagas import start_sagas
from tests.sagas.start_sagas import BadResultSaga, EchoSaga, TypedSaga

pytestmark = [pytest.mark.fault("F07"), pytest.mark.django_db, pytest.mark.usefixtures("invariants_hold")]

LIMIT = 262_144
# MariaDB refuses JSON of 32 levels, and a tag such as {"$date": …} is one.
DEEPEST = 30 if connection.vendor == "mysql" else 64


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def cyclic() -> Any:
    value: list[Any] = []
    value.append({"again": value})
    return value


@dataclass
class Pair:
    left: Any


class Model:
    """As far as encoding knows pydantic's models."""

    def model_dump(self) -> dict[str, Any]:
        return {"amount": float("inf")}


# How to make the value, and what the error has to say of it: where it is, of what type, which limit.
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "nan": (lambda: {"price": float("nan")}, r"{root}.price: the float nan cannot be stored as JSON"),
    "infinity": (lambda: [1, float("-inf")], r"{root}\[1\]: the float -inf cannot be stored as JSON"),
    "decimal nan": (lambda: Decimal("NaN"), r"{root}: the Decimal NaN cannot be stored as JSON"),
    "nul": (lambda: {"name": "a\0b"}, r"{root}.name: str with a NUL character at position 1"),
    "nul in a key": (lambda: {"a\0b": 1}, r"{root}: the key 'a\\x00b' has a NUL character at position 1"),
    "lone surrogate": (lambda: ["\ud83d"], r"{root}\[0\]: str with the lone surrogate U\+D83D at position 0"),
    "set": (lambda: {"tags": {"a"}}, r"{root}.tags: set cannot be stored as JSON; use a sorted list"),
    "bytes": (lambda: b"raw", r"{root}: bytes cannot be stored as JSON"),
    "object": (lambda: {"who": object()}, r"{root}.who: object cannot be stored as JSON"),
    "function": (lambda: len, r"{root}: builtin_function_or_method cannot be stored as JSON"),
    "complex": (lambda: 1j, r"{root}: complex cannot be stored as JSON"),
    "exception": (lambda: ValueError("x"), r"{root}: ValueError cannot be stored as JSON"),
    "key that is no text": (
        lambda: {"by_id": {7: "x"}},
        r"{root}.by_id\[7\]: the key 7 is an int; keys must be str",
    ),
    "none as key": (lambda: {None: 1}, r"{root}\[None\]: the key None is a NoneType; keys must be str"),
    "too deep": (lambda: nested(DEEPEST + 1), r"{root}(\[0\]){{12}}…: nested more than {deepest} levels"),
    "cycle": (cyclic, r"{root}\[0\].again: refers back to {root}; a value cannot contain itself"),
    "too large": (lambda: "x" * LIMIT, r"{root}: 262,146 bytes; the limit is 262,144 \(setting {setting}\)"),
    "too large in bytes": (lambda: "é" * (LIMIT // 2), r"{root}: 262,146 bytes; the limit is 262,144"),
    "too many": (lambda: [0] * (LIMIT + 1), r"{root}: more than 262,144 bytes; the limit is 262,144"),
    "huge number": (lambda: 10**5000, r"{root}: int of more than 4,000 digits"),
    "bad field": (lambda: Pair({1, 2}), r"{root}.left: set cannot be stored as JSON"),
    "bad model": (
        lambda: [Model()],
        r"{root}\[0\].amount: the float inf cannot be stored",
    ),
}
bad_values = pytest.mark.parametrize(("make", "said"), BAD.values(), ids=BAD.keys())


def stored_rows() -> int:
    return sum(model.objects.count() for model in (SagaInstance, SagaStep, SagaEvent))


def pattern(said: str, root: str, setting: str) -> str:
    return said.format(root=root, setting=setting, deepest=DEEPEST)


@bad_values
@pytest.mark.parametrize("key", [None, "k"])
def test_a_bad_input_is_refused_before_a_row_is_written(django_assert_num_queries, make, said, key):
    value = make()

    with (
        django_assert_num_queries(0),
        pytest.raises(InvalidInput, match="^Saga start_echo: " + pattern(said, "input", "MAX_INPUT_BYTES")),
    ):
        EchoSaga.start(value, idempotency_key=key)

    assert stored_rows() == 0


@bad_values
def test_one_bad_input_of_many_starts_none_of_them(django_assert_num_queries, make, said):
    inputs = ["fine", make(), "fine"]

    with (
        django_assert_num_queries(0),
        pytest.raises(InvalidInput, match=pattern(said, r"inputs\[1\]", "MAX_INPUT_BYTES")),
    ):
        EchoSaga.bulk_start(inputs)

    assert stored_rows() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kept", ["", "keep:"], ids=["result", "compensation data"])
def test_a_bad_result_fails_its_step_for_good_and_the_saga_is_undone(monkeypatch, ledger, kept):
    monkeypatch.setattr(start_sagas, "BAD_RESULTS", {name: make for name, (make, _) in BAD.items()})
    handles = {name: BadResultSaga.start(f"{kept}{name}") for name in BAD}

    runtime.build_worker(using="default", once=True).run()

    root = "compensation data of step make" if kept else "result of step make"
    for name, (_, said) in BAD.items():
        saga = SagaInstance.objects.get(pk=handles[name].id)
        assert (saga.status, saga.reason, saga.culprit) == ("compensated", "failed", "make"), name
        steps = {step.name: step for step in saga.steps.all()}
        assert (steps["before"].status, steps["make"].status) == ("undone", "failed"), name
        # Trying again would give the same value: one attempt of five, whatever the policy.
        assert (steps["make"].attempt, steps["make"].reason) == (1, "permanent failure"), name
        expected = pattern(said, root, "MAX_RESULT_BYTES")
        assert re.match(expected, steps["make"].error), (expected, steps["make"].error)
        event = saga.events.get(step="make", kind="step_failed")
        assert event.error_class.endswith("Error"), name
        assert event.error == steps["make"].error
        with pytest.raises(SagaFailed, match="was undone: failed at step make"):
            handles[name].result(timeout=0)
    calls = [line.step for line in ledger.lines()]
    assert {step: calls.count(step) for step in calls} == {
        "before:do": len(BAD),
        "make:do": len(BAD),
        "before:undo": len(BAD),
    }


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * (LIMIT - 2), id="longest text"),
        pytest.param(["é" * 100] * 1289, id="long list"),
        pytest.param(nested(DEEPEST), id="deepest"),
        pytest.param(10**3999, id="longest number"),
        pytest.param({"": {"$decimal": "1", "$": {"$$": None}}}, id="keys like tags"),
    ],
)
def test_a_value_at_the_limit_is_kept_as_it_is(value):
    handle = EchoSaga.start(value)

    assert echoed(handle) == value


def echoed(handle) -> Any:
    """Give the input as a step of the saga would see it."""
    [(_, text, _)] = claims.inputs("default", {handle.id}).values()
    return encoding.decode(text)


ORDER = {"sku": "A", "price": "1", "ordered_on": "2026-01-01"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sku": "A"}, "input.price: missing"),
        (
            {"sku": "A", "price": "cheap", "ordered_on": "2026-01-01"},
            "input.price: expected Decimal, got str",
        ),
        ({"sku": 7, "price": "1", "ordered_on": "2026-01-01"}, "input.sku: expected str, got int"),
        ({"sku": "A", "price": "1", "ordered_on": "today"}, "input.ordered_on: expected date, got str"),
        ({"sku": "A", "price": "1", "ordered_on": "2026-01-01", "colour": 1}, "input.colour: unknown field"),
        ("A-1", "input: expected Order, got str"),
        (None, "input: expected Order, got None"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_its_field(django_assert_num_queries, given, said):
    with django_assert_num_queries(0), pytest.raises(InvalidInput) as raised:
        TypedSaga.start(given)

    assert str(raised.value).startswith(f"Saga start_typed: {said}")
    assert stored_rows() == 0


def test_an_unknown_saga_is_named_with_what_was_meant():
    with pytest.raises(UnknownSaga) as raised:
        registry.latest("start_eco")

    assert "No saga is named 'start_eco'. Did you mean 'start_echo'?" in str(raised.value)


@pytest.mark.parametrize("limit", [100, 1000])
def test_the_limits_are_settings(settings, limit):
    settings.DJANGO_SAGA = {"MAX_INPUT_BYTES": limit, "MAX_DEPTH": 3}

    EchoSaga.start("x" * (limit - 2))
    with pytest.raises(InvalidInput, match=f"{limit + 1:,} bytes; the limit is {limit:,}"):
        EchoSaga.start("x" * (limit - 1))
    with pytest.raises(InvalidInput, match=r"nested more than 3 levels deep \(setting MAX_DEPTH\)"):
        EchoSaga.start(nested(4))

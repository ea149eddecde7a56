"""Values come back as they went in; everything a step sees has been through encoding, in process too."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from django_saga import SagaFailed, SagaStatus, runtime
from tests.sagas.start_sagas import EchoSaga, GreedySaga, MistypedSaga, Order, Receipt, TypedSaga

pytestmark = [pytest.mark.fault("F07"), pytest.mark.django_db(transaction=True)]


class Colour(Enum):
    RED = "red"


# The keys of a dict are in the order jsonb keeps them in, so that all databases give them in the same.
KEPT: dict[str, Any] = {
    "decimal": Decimal("1.20"),
    "tiny decimal": Decimal("1E-30"),
    "date": date(2026, 2, 28),
    "naive datetime": datetime(2026, 2, 28, 12, 30, 1, 999999),
    "datetime": datetime(2026, 2, 28, 12, 30, tzinfo=UTC),
    "datetime elsewhere": datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    "time": time(23, 59, 59, 1),
    "uuid": UUID("0197c7f0-0000-7000-8000-000000000001"),
    "timedelta": timedelta(days=3, microseconds=1),
    "negative timedelta": timedelta(microseconds=-1),
    "float": 0.1,
    "whole float": 2.0,
    "negative zero": -0.0,
    "large float": 1e300,
    "large int": 2**70,
    "bool": True,
    "none": None,
    "text": "naïve 🦄 \u2028 \\u0000 \\ \" ' \t\n",
    "empty": {"": "", "dict": {}, "list": []},
    "like a tag": {"$decimal": "1.20"},
    "nested": {"prices": [Decimal("1.20"), {"on": date(2026, 1, 1), "ids": [UUID(int=1)]}]},
}
# What JSON has no form of its own for, and what a step gets in its place.
CHANGED: dict[str, tuple[Any, Any]] = {
    "tuple": ((1, (2,)), [1, [2]]),
    "enum": (Colour.RED, "red"),
    "dataclass": (
        Receipt(Decimal("1.2"), date(2026, 1, 1)),
        {"total": Decimal("1.2"), "paid_on": date(2026, 1, 1)},
    ),
}


@pytest.fixture(params=[True, False], ids=["by a worker", "in process"])
def carry_out(request):
    """Carry a saga out in a worker, or in the caller's process; both have to show steps the same."""

    def run(saga, value):
        if not request.param:
            return saga.run(value)
        handle = saga.start(value)
        runtime.build_worker(using="default", once=True).run()
        return handle

    return run


def test_typed_values_come_back_with_their_types(carry_out, ledger, invariants_hold):
    values = list(KEPT.values())

    handle = carry_out(EchoSaga, values)

    result = handle.result(timeout=0)
    assert (result, repr(result)) == (values, repr(values))
    # What the step itself saw.
    assert [line.note for line in ledger.lines()] == [repr(values)]


def test_steps_see_what_json_makes_of_a_value(carry_out, ledger, invariants_hold):
    given = [value for value, _ in CHANGED.values()]
    seen = [value for _, value in CHANGED.values()]

    handle = carry_out(EchoSaga, given)

    assert handle.result(timeout=0) == seen
    assert [line.note for line in ledger.lines()] == [repr(seen)]


def test_no_step_sees_what_another_did_to_its_values(carry_out, ledger, invariants_hold):
    value = {"list": ["original"], "pair": ("a", "b")}

    handle = carry_out(GreedySaga, value)

    assert handle.status is SagaStatus.COMPENSATED
    fresh, taken = {"list": ["original"], "pair": ["a", "b"]}, {"own": ["a", "tuple"], "list": []}
    assert [(line.step, line.note) for line in ledger.lines()] == [
        ("take:do", repr({"list": ["original", "changed by take"], "pair": ["a", "b"]})),
        ("look:do", repr((fresh, taken))),
        ("take:undo", repr((fresh, {"kept": ["a", "tuple"]}, taken))),
    ]
    assert value == {"list": ["original"], "pair": ("a", "b")}


def test_typed_input_and_results_are_of_their_types_in_every_step(carry_out, invariants_hold):
    order = Order("A-1", Decimal("9.90"), date(2026, 5, 1), quantity=3)

    handle = carry_out(TypedSaga, order)

    assert handle.result(timeout=0) == Receipt(Decimal("29.70"), date(2026, 5, 1))


def test_an_input_changed_after_start_is_not_changed_for_the_saga(ledger, invariants_hold):
    value = {"list": [1]}
    handle = EchoSaga.start(value)
    value["list"].append(2)

    runtime.build_worker(using="default", once=True).run()

    assert handle.result(timeout=0) == {"list": [1]}


def test_a_result_that_does_not_fit_the_declared_output_fails_the_last_step(ledger, invariants_hold):
    handle = MistypedSaga.run(None)

    with pytest.raises(SagaFailed, match="was undone: failed at step last"):
        handle.result(timeout=0)
    assert [(line.step, line.note) for line in ledger.lines()] == [("first:undo", "succeeded")]

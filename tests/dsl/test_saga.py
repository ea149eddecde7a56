"""What the body of a class becomes: names, steps, order, inheritance."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.retry import DEFAULT_UNDO_RETRY, Retry
from django_saga.core.states import CompensationPolicy, FailurePolicy
from django_saga.dsl.registry import registry
from django_saga.dsl.saga import Saga, SagaType
from django_saga.dsl.step import step


def test_a_class_becomes_a_definition():
    class OrderSaga(Saga):
        """Reserve, charge, ship.

        Undo what was done if one fails.
        """

        version = 2
        queue = "orders"
        deadline = 60

        @step(atomic=True)
        def reserve(self, ctx): ...

        @reserve.compensation
        def release(self, ctx): ...

        @step(retry=Retry(attempts=5), timeout=30, deadline=timedelta(minutes=5), queue="slow")
        async def charge(self, ctx): ...

        @charge.compensation(retry=Retry(attempts=9), timeout=2.5, atomic=True)
        def refund(self, ctx): ...

        @step(after=[reserve], no_compensation=True, name="pack_goods")
        def pack(self, ctx): ...

        @step(after=[charge, "pack_goods"], no_compensation=True)
        def ship(self, ctx): ...

    assert OrderSaga.program.definition == SagaDefinition(
        name="order",
        version=2,
        deadline=timedelta(seconds=60),
        failure_policy=FailurePolicy.FAIL_FAST,
        compensation_policy=CompensationPolicy.CONTINUE,
        steps=(
            StepDefinition(
                name="reserve",
                atomic=True,
                queue="orders",
                undo=UndoDefinition(function="release", retry=DEFAULT_UNDO_RETRY),
            ),
            StepDefinition(
                name="charge",
                after=("reserve",),
                retry=Retry(attempts=5),
                timeout=timedelta(seconds=30),
                deadline=timedelta(minutes=5),
                is_async=True,
                queue="slow",
                undo=UndoDefinition(
                    function="refund",
                    retry=Retry(attempts=9),
                    timeout=timedelta(seconds=2.5),
                    atomic=True,
                ),
            ),
            StepDefinition(name="pack_goods", after=("reserve",), queue="orders", no_compensation=True),
            StepDefinition(name="ship", after=("charge", "pack_goods"), queue="orders", no_compensation=True),
        ),
    )
    assert OrderSaga.program.definition.description == (
        "Reserve, charge, ship.\n\nUndo what was done if one fails."
    )
    assert OrderSaga.program.problems == ()


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("OrderSaga", "order"),
        ("Order", "order"),
        ("PlaceOrderSaga", "place_order"),
        ("HTTPOrderSaga", "http_order"),
        ("OrderV2Saga", "order_v2"),
        ("Saga", "saga"),
        ("SagaOfOrders", "saga_of_orders"),
    ],
)
def test_a_saga_is_named_after_its_class(class_name, name):
    body = {"pay": step(no_compensation=True)(pay)}

    saga: Any = SagaType(class_name, (Saga,), body)

    assert saga.name == name


def pay(self, ctx): ...


def test_a_name_that_is_given_is_inherited_and_one_that_is_derived_is_not():
    class Order(Saga):
        @step(no_compensation=True)
        def pay(self, ctx): ...

    class OrderV2(Order):
        name = "order"
        version = 2

    class OrderV3(OrderV2):
        version = 3

    class Refund(Order):
        pass

    assert [str(saga.program.definition) for saga in (Order, OrderV2, OrderV3, Refund)] == [
        "order v1",
        "order v2",
        "order v3",
        "refund v1",
    ]


def test_steps_run_in_the_order_written_unless_after_says_otherwise():
    class Order(Saga):
        @step
        def a(self, ctx): ...

        @step
        def b(self, ctx): ...

        @step(after=[])
        def c(self, ctx): ...

        @step
        def d(self, ctx): ...

        @step(after=a)
        def e(self, ctx): ...

        @step(after="e")
        def f(self, ctx): ...

    assert {step.name: step.after for step in Order.program.definition.steps} == {
        "a": (),
        "b": ("a",),
        "c": (),
        "d": ("c",),
        "e": ("a",),
        "f": ("e",),
    }


class Base(Saga):
    abstract = True
    queue = "base"

    @step
    def reserve(self, ctx):
        return "base reserve"

    @reserve.compensation
    def release(self, ctx):
        return "base release"

    @step(no_compensation=True)
    def charge(self, ctx):
        return "base charge"


def shape(saga):
    return {
        step.name: (step.after, step.undo and step.undo.function) for step in saga.program.definition.steps
    }


def test_an_abstract_saga_is_no_saga_itself():
    assert not hasattr(Base, "program")
    assert registry.all() == []


def test_a_subclass_runs_the_steps_of_its_abstract_base_first():
    class Order(Base):
        @step(no_compensation=True)
        def ship(self, ctx): ...

    assert shape(Order) == {
        "reserve": ((), "release"),
        "charge": (("reserve",), None),
        "ship": (("charge",), None),
    }
    assert Order.abstract is False
    assert Order.program.problems == ()
    assert registry.all() == [Order.program]


def test_a_step_that_is_written_again_takes_the_place_of_the_inherited_one():
    class Order(Base):
        @step
        def reserve(self, ctx):
            return f"more than {super().reserve(ctx)}"

        @reserve.compensation
        def put_back(self, ctx): ...

    assert shape(Order) == {"reserve": ((), "put_back"), "charge": (("reserve",), None)}
    assert Order.program.do("reserve")(None) == "more than base reserve"
    assert Order.program.problems == ()


def test_a_subclass_may_compensate_an_inherited_step_in_its_own_way():
    class Order(Base):
        @Base.reserve.compensation
        def put_back(self, ctx):
            return "put back"

    class Other(Base):
        pass

    assert shape(Order)["reserve"] == ((), "put_back")
    assert Order.program.undo("reserve")(None) == "put back"
    assert shape(Other)["reserve"] == ((), "release")
    assert Order.program.problems == ()


def test_steps_may_come_from_several_bases_and_from_plain_classes():
    class Shipping:
        @step(no_compensation=True)
        def ship(self, ctx): ...

    class Order(Shipping, Base):
        @step(no_compensation=True)
        def thank(self, ctx): ...

    assert list(shape(Order)) == ["reserve", "charge", "ship", "thank"]


def test_one_function_under_two_names_is_one_step():
    class Order(Saga):
        @step(no_compensation=True)
        def charge(self, ctx): ...

        pay = charge

    assert list(shape(Order)) == ["charge"]
    assert Order.pay is Order.charge


def test_on_the_class_a_step_is_a_step_and_on_an_instance_a_method():
    class Order(Base):
        pass

    assert (repr(Order.reserve), Order.reserve.name) == ("<step reserve>", "reserve")
    assert repr(Order.release) == "<compensation release of step reserve>"
    assert Order().reserve(None) == "base reserve"
    assert Order().release(None) == "base release"


def test_a_step_keeps_the_docstring_of_its_function():
    @step
    def charge(self, ctx):
        """Charge the card."""

    assert charge.__doc__ == "Charge the card."


def test_only_a_function_can_be_a_step():
    with pytest.raises(TypeError) as caught:
        step("charge")  # type: ignore[call-overload]

    assert str(caught.value) == "step: decorate a function, not 'charge'"


def test_a_misspelt_option_is_refused_where_it_is_written():
    with pytest.raises(TypeError) as caught:
        step(retries=3)(pay)  # type: ignore[call-overload]

    assert str(caught.value) == "Step.__init__() got an unexpected keyword argument 'retries'"

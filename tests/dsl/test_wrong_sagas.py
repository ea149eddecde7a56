"""What a class body can get wrong beyond the graph: each with the whole message."""

from __future__ import annotations

import pytest

from django_saga.core.problem import Problem
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import step


class Base(Saga):
    abstract = True

    @step(no_compensation=True)
    def charge(self, ctx): ...


def problems(saga):
    return list(saga.program.problems)


def test_two_steps_of_one_name():
    class Order(Saga):
        @step(no_compensation=True)
        def charge(self, ctx): ...

        @step(no_compensation=True)  # type: ignore[no-redef]
        def charge(self, ctx): ...  # noqa: F811

    assert problems(Order) == [
        Problem(
            "duplicate-step",
            "charge",
            "2 steps have this name.",
            'Rename the functions, or set another name with @step(name="...").',
        )
    ]


def test_two_functions_that_give_their_steps_one_name():
    class Order(Saga):
        @step(no_compensation=True)
        def charge(self, ctx): ...

        @step(no_compensation=True, name="charge")
        def pay(self, ctx): ...

    assert [problem.code for problem in problems(Order)] == ["duplicate-step"]


def test_a_step_whose_name_goes_to_something_else():
    class Order(Saga):
        @step(no_compensation=True)
        def charge(self, ctx): ...

        def charge(self): ...  # type: ignore[no-redef]  # noqa: F811

    assert problems(Order) == [
        Problem(
            "overwritten",
            "charge",
            "Order.charge is written twice: the first, <step charge>, is lost.",
            "Give each function a name of its own.",
        )
    ]


def test_a_compensation_called_like_its_step():
    class Order(Saga):
        @step
        def charge(self, ctx): ...

        @charge.compensation  # type: ignore[no-redef]
        def charge(self, ctx): ...

    assert [(problem.code, problem.message) for problem in problems(Order)] == [
        ("overwritten", "Order.charge is written twice: the first, <step charge>, is lost.")
    ]


def test_two_compensations_of_one_name():
    class Order(Saga):
        @step
        def reserve(self, ctx): ...

        @reserve.compensation
        def undo(self, ctx): ...

        @step
        def charge(self, ctx): ...

        @charge.compensation  # type: ignore[no-redef]
        def undo(self, ctx): ...  # noqa: F811

    assert [(problem.code, problem.step, problem.message) for problem in problems(Order)] == [
        (
            "overwritten",
            "reserve",
            "Order.undo is written twice: the first, <compensation undo of step reserve>, is lost.",
        )
    ]


def test_two_compensations_of_one_step():
    class Order(Saga):
        @step
        def charge(self, ctx): ...

        @charge.compensation
        def refund(self, ctx): ...

        @charge.compensation
        def apologise(self, ctx): ...

    assert problems(Order) == [
        Problem(
            "second-compensation",
            "charge",
            "It has two compensations, 'refund' and 'apologise'.",
            "Keep one, and call the other from it.",
        )
    ]


def test_a_compensation_of_a_step_of_another_saga():
    class Other(Base):
        @step(no_compensation=True)
        def ship(self, ctx): ...

    class Order(Base):
        @Other.ship.compensation
        def recall(self, ctx): ...

    assert problems(Order) == [
        Problem(
            "orphan-compensation",
            "ship",
            "Order.recall compensates a step that is not one of this saga.",
            "Write it below a step of the same class: @<step>.compensation.",
        )
    ]


def test_a_compensation_of_a_step_that_was_replaced():
    class Order(Base):
        @step(no_compensation=True)
        def charge(self, ctx): ...

        @Base.charge.compensation
        def refund(self, ctx): ...

    assert [(problem.code, problem.step) for problem in problems(Order)] == [
        ("orphan-compensation", "charge")
    ]


@pytest.mark.parametrize("value", [None, lambda self, ctx: None], ids=["None", "a method"])
def test_an_inherited_step_that_is_hidden(value):
    class Order(Base):
        charge = value

    assert problems(Order) == [
        Problem(
            "hidden-step",
            "charge",
            "Order.charge hides the step of a base class.",
            "Decorate it with @step to replace the step, or rename it.",
        )
    ]


@pytest.mark.parametrize("name", ["start", "run", "get", "astart", "name", "input", "program"])
def test_a_step_called_like_something_of_the_class(name):
    class Order(Base):
        locals()[name] = step(name=f"{name}_it", no_compensation=True)(lambda self, ctx: None)

    assert problems(Order)[0] == Problem(
        "reserved-name",
        f"{name}_it",
        f"The function {name}() hides Saga.{name}.",
        f'Rename the function; @step(name="{name}") keeps the name of the step.',
    )

"""What a saga says that it locks: the function, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from django_saga.core.problem import Problem
from django_saga.core.states import LockPolicy
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import step
from django_saga.exceptions import InvalidInput

HINT = 'Write locks = lambda input: ["..."], or a @staticmethod that takes the input.'


@dataclass
class OrderInput:
    number: int


class Base(Saga):
    abstract = True
    input = OrderInput

    @step(no_compensation=True)
    def charge(self, ctx): ...


def order(given, policy=LockPolicy.REFUSE):
    """A saga with ``given`` as its ``locks``."""

    class Order(Base):
        locks = given
        lock_policy = policy

    return Order.program


def targets(given):
    program = order(given)
    return program.targets(program.encode_input(OrderInput(7)))


def test_without_locks_a_saga_locks_nothing():
    class Order(Base):
        pass

    assert (Order.program.definition.locks, Order.program.targets('{"number":7}')) == (False, ())


@pytest.mark.parametrize(
    "given",
    [
        lambda given: [f"order:{given.number}"],
        staticmethod(lambda given: [f"order:{given.number}"]),
        lambda given: (f"order:{number}" for number in [given.number]),
        lambda given, more=0: {f"order:{given.number}"},
    ],
    ids=["lambda", "staticmethod", "generator", "set"],
)
def test_the_function_takes_the_typed_input(given):
    program = order(given)

    assert (program.definition.locks, program.problems) == (True, ())
    assert program.targets('{"number":7}') == ("order:7",)


def test_a_method_of_the_class_and_what_a_base_locks_will_do():
    class First(Base):
        @classmethod
        def locks(cls, input):
            return [f"{cls.name}:{input.number}"]

    class Second(First):
        lock_policy = LockPolicy.WAIT

    assert [saga.program.targets('{"number":7}') for saga in (First, Second)] == [("first:7",), ("second:7",)]
    assert Second.program.definition.lock_policy is LockPolicy.WAIT


def test_targets_are_sorted_and_each_is_there_once():
    assert targets(lambda given: ["b", "a", "b", "B"]) == ("B", "a", "b")
    assert targets(lambda given: []) == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("order:1", "Locks = 'order:1' is not a function."),
        (lambda self, input: [], "Locks cannot be called with the input alone."),
        (lambda: ["order:1"], "Locks cannot be called with the input alone."),
    ],
)
def test_what_is_no_function_of_the_input_is_a_problem(given, said):
    assert order(given).problems == (Problem("locks", "", said, HINT),)


def test_a_coroutine_is_a_problem():
    async def locks(input):
        return ["order:1"]

    assert order(locks).problems == (Problem("locks", "", "Locks is async def.", HINT),)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("order:1", "locks gave 'order:1'; it has to give a list of texts"),
        (b"order:1", "locks gave b'order:1'; it has to give a list of texts"),
        (None, "locks gave None; it has to give a list of texts"),
        (7, "locks gave 7; it has to give a list of texts"),
        ([7], "locks gave 7; a lock's target has to be text of 1 to 200 characters"),
        ([""], "locks gave ''; a lock's target has to be text of 1 to 200 characters"),
        (["a" * 201], "; a lock's target has to be text of 1 to 200 characters"),
    ],
)
def test_what_no_lock_can_be_of_is_refused(given, said):
    with pytest.raises(InvalidInput) as caught:
        targets(lambda _: given)

    assert said in str(caught.value)
    assert str(caught.value).startswith("Saga order: ")


def test_what_the_function_raises_is_what_the_caller_sees():
    with pytest.raises(KeyError):
        targets(lambda given: {"number": given.number}["order"])

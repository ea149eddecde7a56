"""The registry knows every saga of the process by name and version."""

from __future__ import annotations

import sys
import threading
from types import ModuleType
from typing import Any

import pytest

from django_saga.dsl.program import Program
from django_saga.dsl.registry import Registry, registry
from django_saga.dsl.saga import Saga, SagaType
from django_saga.dsl.step import step
from django_saga.exceptions import UnknownSaga


def define(class_name: str, **attributes: Any) -> Program:
    def pay(self, ctx): ...

    saga: Any = SagaType(class_name, (Saga,), {"pay": step(no_compensation=True)(pay), **attributes})
    program: Program = saga.program
    return program


def test_a_saga_is_found_by_its_name_and_version():
    first, second = define("Order"), define("OrderV2", name="order", version=2)

    assert registry.get("order", 1) is first
    assert registry.get("order", 2) is second


def test_the_latest_version_is_the_highest_however_they_were_written():
    newest = define("A", name="order", version=10)
    define("B", name="order", version=9)

    assert registry.latest("order") is newest


def test_all_sagas_come_in_order_of_name_and_version():
    programs = [define("A", name="b"), define("B", name="a", version=10), define("C", name="a", version=2)]

    assert registry.all() == [programs[2], programs[1], programs[0]]


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("oder", 1, "No saga is named 'oder'. Did you mean 'order'? Known are order, refund."),
        ("zebra", 1, "No saga is named 'zebra'. Known are order, refund."),
        ("order", 7, "Saga 'order' is not known here in version 7; known versions: 1, 2."),
    ],
)
def test_an_unknown_saga_is_an_error_that_helps(name, version, message):
    define("Order"), define("OrderV2", name="order", version=2), define("Refund")

    with pytest.raises(UnknownSaga) as caught:
        registry.get(name, version)

    assert str(caught.value) == message


def test_where_no_saga_is_known_the_error_says_where_they_are_looked_for():
    with pytest.raises(UnknownSaga) as caught:
        registry.latest("order")

    assert str(caught.value) == (
        "No saga is named 'order'. None is known: is it in the sagas.py of an installed app?"
    )


def test_two_classes_of_one_name_and_version_are_rivals():
    first, second, third = (define(name, name="order") for name in ("A", "B", "C"))
    other = define("Other")

    assert registry.conflicts() == [[first, second, third]]
    assert registry.rivals(second) == [first, third]
    assert registry.rivals(other) == []
    assert registry.get("order", 1) is first
    assert (registry.all(), registry.every()) == ([first, other], [first, other, second, third])


SOURCE = """
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import step

class Order(Saga):
    @step(no_compensation=True)
    def pay(self, ctx): ...

class Rival(Saga):
    name = "order"

    @step(no_compensation=True)
    def pay(self, ctx): ...
"""


def test_a_module_that_is_loaded_again_is_no_rival_of_itself(monkeypatch):
    module = ModuleType("shop.sagas")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    for _ in range(3):
        exec(SOURCE, vars(module))  # noqa: S102

    order, rival = vars(module)["Order"].program, vars(module)["Rival"].program
    assert registry.get("order", 1) is order
    assert registry.conflicts() == [[order, rival]]
    assert (order.path, rival.path) == ("shop.sagas.Order", "shop.sagas.Rival")


def test_a_wrong_name_or_version_does_not_stop_others_from_being_listed():
    programs = [
        define("A", name=None),
        define("B", version="x"),
        define("C", name="b", version=True),
        define("D"),
    ]

    assert sorted(registry.all(), key=repr) == sorted(programs, key=repr)


def test_what_is_registered_in_isolation_is_forgotten_after_it():
    outside = define("Order")

    with registry.isolated():
        inside = define("Order", name="order")
        define("Rival", name="order")
        assert registry.get("order", 1) is inside

    assert (registry.all(), registry.conflicts()) == ([outside], [])


def test_isolation_may_begin_with_some_sagas():
    order, _ = define("Order"), define("Refund")

    with registry.isolated(order):
        assert registry.all() == [order]


def test_isolation_ends_when_the_test_fails():
    outside = define("Order")

    with pytest.raises(ZeroDivisionError), registry.isolated():
        1 / 0  # noqa: B018

    assert registry.all() == [outside]


def test_sagas_registered_by_many_threads_are_all_known():
    programs = [define(f"S{n}", name=f"s{n % 50}", version=n // 50 + 1) for n in range(400)]
    shared = Registry()
    begin = threading.Barrier(8)

    def register(part):
        begin.wait()
        for program in part:
            shared.register(program)

    threads = [threading.Thread(target=register, args=(programs[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(shared.all()) == 400
    assert shared.conflicts() == []

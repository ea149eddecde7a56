"""``start()`` and its siblings check, encode and hand over to the engine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest

from django_saga import ports
from django_saga.dsl.saga import Saga
from django_saga.dsl.step import step
from django_saga.exceptions import InvalidDefinition, InvalidInput, SagaError


@dataclass
class OrderInput:
    sku: str


class Base(Saga):
    abstract = True
    input = OrderInput

    @step(no_compensation=True)
    def charge(self, ctx): ...


class Order(Base):
    pass


PROGRAM, TEXT = Order.program, '{"sku":"a"}'
SOON = timedelta(minutes=5)


def test_a_saga_is_started_with_its_encoded_input(engine):
    assert Order.start(OrderInput("a")) == ("start", PROGRAM, TEXT, None, None, None, None)
    assert Order.start({"sku": "a"}, idempotency_key="k", run_at=SOON, priority=3, using="other") == (
        "start",
        PROGRAM,
        TEXT,
        "k",
        SOON,
        3,
        "other",
    )


def test_a_saga_is_run_with_its_encoded_input(engine):
    assert Order.run(OrderInput("a"), idempotency_key="k", using="other") == (
        "run",
        PROGRAM,
        TEXT,
        "k",
        "other",
    )


def test_many_sagas_are_started_at_once(engine):
    assert Order.bulk_start(OrderInput(sku) for sku in "ab") == [(PROGRAM, TEXT), (PROGRAM, '{"sku":"b"}')]
    assert engine.calls == [("bulk_start", PROGRAM, [TEXT, '{"sku":"b"}'], None, None, None)]


def test_one_wrong_input_of_many_starts_none(engine):
    with pytest.raises(InvalidInput) as caught:
        Order.bulk_start([OrderInput("a"), {"sku": 5}])

    assert str(caught.value) == "Saga order: inputs[1].sku: expected str, got int"
    assert engine.calls == []


def test_wrong_input_does_not_reach_the_engine(engine):
    for begin in (Order.start, Order.run):
        with pytest.raises(InvalidInput) as caught:
            begin()

        assert str(caught.value) == "Saga order: input: expected OrderInput, got None"
    assert engine.calls == []


def test_a_saga_is_found_again_by_its_class_or_by_any(engine):
    saga_id = UUID(int=1)

    assert Order.get(saga_id) == ("get", PROGRAM, saga_id, None)
    assert Saga.get(str(saga_id), using="other") == ("get", None, str(saga_id), "other")


async def asked(engine):
    await Order.astart(OrderInput("a"), idempotency_key="k", run_at=SOON, priority=3, using="other")
    await Order.arun(OrderInput("a"), idempotency_key="k", using="other")
    await Order.abulk_start([OrderInput("a")], run_at=SOON, priority=3, using="other")
    await Order.aget("id", using="other")
    return engine.calls


def test_the_async_twins_do_the_same(engine):
    from asgiref.sync import async_to_sync

    assert async_to_sync(asked)(engine) == [
        ("start", PROGRAM, TEXT, "k", SOON, 3, "other"),
        ("run", PROGRAM, TEXT, "k", "other"),
        ("bulk_start", PROGRAM, [TEXT], SOON, 3, "other"),
        ("get", PROGRAM, "id", "other"),
    ]


@pytest.mark.parametrize("saga", [Saga, Base])
def test_an_abstract_saga_cannot_be_started(engine, saga):
    with pytest.raises(InvalidDefinition) as caught:
        saga.start()

    assert str(caught.value) == f"{saga.__name__} is abstract: start a subclass that is not."


def test_of_two_classes_with_one_name_and_version_neither_can_be_started(engine):
    class First(Base):
        name = "order"

    class Second(Base):
        name = "order"

    here = First.program.path.removesuffix(".First")
    for saga, other in ((First, "Second"), (Second, "First")):
        with pytest.raises(InvalidDefinition) as caught:
            saga.start({"sku": "a"})

        assert str(caught.value) == (
            f"Saga order v1 is defined twice, by {here}.{saga.__name__} and {here}.{other}. "
            "Set another name or version in one of them."
        )
    assert engine.calls == []


def test_before_django_is_set_up_there_is_no_engine(monkeypatch):
    monkeypatch.setattr(ports, "_engine", None)

    with pytest.raises(SagaError) as caught:
        Order.start(OrderInput("a"))

    assert str(caught.value) == (
        'django_saga is not set up: add "django_saga" to INSTALLED_APPS and call django.setup().'
    )

"""Conditions in the engine: carried by ``run()`` and by workers, with limits, and composed at run time."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from django_saga import ComposedSaga, PermanentFailure, Retry, Saga, action, runtime, step
from django_saga.core.limits import Breaker
from django_saga.dsl.registry import registry
from django_saga.models import SagaEvent, SagaGate, SagaStep
from django_saga.testing import saga_steps

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def isolated(invariants_hold):
    with registry.isolated():
        yield


def by_caller(saga: type[Saga], given: Any) -> Any:
    return saga.run(given)


def by_worker(saga: type[Saga], given: Any) -> Any:
    handle = saga.start(given)
    runtime.build_worker(using="default", once=True).run()
    return handle


@pytest.mark.parametrize("carry", [by_caller, by_worker])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_saga_is_carried_past_its_conditions_and_back(carry, wanted):
    seen: list[object] = []

    class Asked(Saga):
        @step
        def one(self, ctx): ...

        @one.compensation
        def undo_one(self, ctx):
            seen.append(ctx.results["two"])

        @step(when=lambda ctx: ctx.input)
        def two(self, ctx):
            return "two"

        @two.compensation
        def undo_two(self, ctx):
            seen.append("undo two")

        @step(when=lambda ctx: True)
        async def three(self, ctx):
            raise PermanentFailure(str(ctx.results["two"]))

        @three.compensation
        def undo_three(self, ctx): ...

    handle = carry(Asked, wanted)

    assert handle.status == "compensated"
    assert seen == (["undo two", "two"] if wanted else [None])
    assert SagaStep.objects.get(name="three").error == ("two" if wanted else "None")


@pytest.mark.parametrize("carry", [by_caller, by_worker])
def test_what_is_limited_is_the_step_and_not_its_condition(carry):
    lanes: list[str] = []

    class Limited(Saga):
        def is_wanted(self, ctx):
            lanes.append(SagaStep.objects.get().executor)
            if len(lanes) == 1:
                raise ValueError("once more")
            return True

        @step(max_concurrency=1, when=is_wanted, retry=Retry(delay=0), no_compensation=True)
        def call(self, ctx):
            lanes.append(SagaStep.objects.get().executor)

    assert carry(Limited, None).status == "completed"
    assert lanes == ["thread", "thread", Limited.program.definition.lanes["call"]]


@pytest.mark.parametrize("carry", [by_caller, by_worker])
def test_an_atomic_step_is_asked_for_outside_its_transaction(carry):
    inside: list[bool] = []

    class Booked(Saga):
        def is_wanted(self, ctx):
            inside.append(connection.in_atomic_block)
            return True

        @step(atomic=True, when=is_wanted, no_compensation=True)
        def book(self, ctx):
            inside.append(connection.in_atomic_block)

    assert carry(Booked, None).status == "completed"
    assert inside == [False, True]


def test_a_breaker_hears_of_the_step_and_not_of_its_condition():
    class Broken(Saga):
        def asks(self, ctx):
            raise ConnectionRefusedError

        @step(breaker=Breaker(failures=1), when=asks, no_compensation=True)
        def call(self, ctx): ...

    handle = Broken.start()
    worker = runtime.build_worker(using="default", once=True)
    worker.run()

    assert SagaEvent.objects.filter(saga_id=handle.id, kind="step_failed").exists()
    assert not SagaGate.objects.filter(open_until__isnull=False).exists()


@action(no_compensation=True)
def look(ctx):
    return {"left": ctx.input}


@action(no_compensation=True)
def send(ctx):
    return f"sent {ctx.input}"


def test_a_composed_saga_asks_the_conditions_that_its_data_gave():
    class Shop(ComposedSaga):
        actions = (look, send)

    steps = [
        {"action": "look", "input": {"$input": "count"}},
        {"action": "send", "when": {"$result": "look.left"}, "input": {"$result": "look.left"}},
    ]

    kept, skipped = (by_worker(Shop.compose(steps), {"count": count}) for count in (2, 0))

    assert (kept.result(timeout=0), skipped.result(timeout=0)) == ("sent 2", None)
    assert saga_steps(skipped) == {"look": "succeeded", "send": "skipped"}

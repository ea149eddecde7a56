"""Sagas from the builder and from functions run as classes do, with inputs of their steps' own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from django_saga import PermanentFailure, Retry, SagaBuilder, SagaStatus, part, saga
from django_saga.dsl.registry import registry
from django_saga.models import SagaEvent, SagaStep
from tests.ledger import effect, external

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]

ONCE = Retry(attempts=1)


@pytest.fixture(autouse=True)
def sagas_of_this_test_only():
    with registry.isolated():
        yield


@dataclass(frozen=True)
class Order:
    sku: str
    prices: list[int]


def reserve(ctx) -> dict[str, Any]:
    effect(ctx.idempotency_key)
    return {"id": 7, "seen": repr(ctx.input)}


def release(ctx):
    external(ctx.idempotency_key, "undo", note=repr(ctx.input))


async def charge(ctx):
    await asyncio.sleep(0)
    return {"charged": ctx.input}


def refuse(ctx):
    raise PermanentFailure("no")


def add_up(ctx):
    return sum(ctx.input.prices)


def test_a_built_saga_maps_inputs_transforms_and_joins():
    order = (
        SagaBuilder("order", input=Order)
        .transform(add_up, name="total")
        .step(reserve, compensate=release, atomic=True, input=lambda ctx: {"sku": ctx.input.sku})
        .parallel(
            part(charge, input=lambda ctx: ctx.results["total"], no_compensation=True),
            part(charge, name="tip", input=lambda ctx: ctx.results["reserve"]["id"], no_compensation=True),
        )
        .build()
    )

    handle = order.run(Order("tea", [1, 2]))

    assert handle.result(timeout=0) == {"charge": {"charged": 3}, "tip": {"charged": 7}}
    assert SagaStep.objects.get(name="reserve").result == {"id": 7, "seen": "{'sku': 'tea'}"}
    assert order.get(handle.id) == handle


def test_a_traced_saga_passes_results_on_and_gives_what_it_returned():
    @saga(input=Order)
    def order(flow, input):
        total = flow.transform(add_up)
        reserved = flow.step(reserve, {"sku": input.sku, "first": input.prices[0]}, compensate=release)
        with flow.parallel():
            charged = flow.step(charge, [total, {"for": reserved["id"]}], no_compensation=True)
            whole = flow.step(charge, input, name="whole", no_compensation=True)
        return {"paid": charged.charged[0], "seen": reserved.seen, "whole": whole.charged, "by": "card"}

    handle = order.run(Order("tea", [1, 2]))

    assert handle.result(timeout=0) == {
        "paid": 3,
        "seen": "{'sku': 'tea', 'first': 1}",
        "whole": {"sku": "tea", "prices": [1, 2]},
        "by": "card",
    }


def test_steps_are_given_typed_results():
    def make(ctx) -> Order:
        return Order("tea", [5])

    def look(ctx):
        return type(ctx.input).__name__

    @saga
    def order(flow, input):
        made = flow.step(make, no_compensation=True)
        return flow.step(look, made, no_compensation=True)

    assert order.run().result(timeout=0) == "Order"


def test_a_compensation_sees_the_input_that_its_step_saw(ledger):
    built = (
        SagaBuilder("order")
        .step(reserve, compensate=release, input=lambda ctx: ctx.input["a"])
        .step(refuse, no_compensation=True)
        .build()
    )

    handle = built.run({"a": "for reserve"})

    assert handle.status is SagaStatus.COMPENSATED
    assert [(line.kind, line.note) for line in ledger.lines() if line.kind == "undo"] == [
        ("undo", "'for reserve'")
    ]


def test_an_input_that_cannot_be_made_fails_the_step_for_good_before_its_function_runs(ledger):
    def charge(ctx):
        external(ctx.idempotency_key)

    built = (
        SagaBuilder("order")
        .step(reserve, compensate=release, atomic=True)
        .step(charge, no_compensation=True, input=lambda ctx: ctx.results["reserve"]["amount"])
        .build()
    )

    handle = built.run({})

    assert handle.status is SagaStatus.COMPENSATED
    told = SagaEvent.objects.get(kind="step_failed")
    assert (told.step, told.error_class) == ("charge", "django_saga.exceptions.PermanentFailure")
    assert told.error == "The input of step 'charge' could not be made: KeyError: 'amount'"
    assert "ctx.results" in told.traceback
    assert ledger.steps() == ["reserve:undo"]


def test_a_placeholder_that_leads_nowhere_fails_the_step_and_says_what_there_is(ledger):
    @saga
    def order(flow, input):
        reserved = flow.step(reserve, compensate=release, atomic=True)
        flow.step(charge, {"amount": reserved["amount"]}, no_compensation=True)

    order.run({})

    assert SagaStep.objects.get(name="charge").error == (
        "The input of step 'charge' cannot be made: "
        "the result of step reserve has no 'amount'; there is 'id', 'seen'."
    )


def test_what_a_mapper_raises_by_itself_is_what_the_step_raises():
    tries = []

    def wait_for_the_price(ctx):
        tries.append(ctx.attempt)
        if ctx.attempt < 3:
            raise RuntimeError("not yet")
        return "paid"

    built = (
        SagaBuilder("order")
        .step(
            charge,
            no_compensation=True,
            input=wait_for_the_price,
            retry=Retry(attempts=3, delay=0),
        )
        .build()
    )

    assert built.run().result(timeout=0) == {"charged": "paid"}
    assert tries == [1, 2, 3]


def test_a_compensation_that_does_not_ask_for_its_input_needs_none(ledger):
    def blind(ctx):
        external(ctx.idempotency_key, "undo")

    answers = iter(["the first time", KeyError("gone")])

    def answer(ctx):
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    built = (
        SagaBuilder("order")
        .step(reserve, compensate=blind, input=answer, atomic=True)
        .step(refuse, no_compensation=True)
        .build()
    )

    assert built.run().status is SagaStatus.COMPENSATED
    assert ledger.steps() == ["reserve:undo"]

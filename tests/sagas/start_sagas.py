"""Sagas of the tests about starting, running in process, and values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django_saga import PermanentFailure, Retry, Saga, StepResult, step
from tests.ledger import external, wait_at_gate

ONCE = Retry(attempts=1)


class EchoSaga(Saga):
    """Gives its input back, and tells the ledger what the step saw."""

    name = "start_echo"

    @step(no_compensation=True, retry=ONCE)
    def echo(self, ctx):
        external(ctx.idempotency_key, note=repr(ctx.input))
        return ctx.input


class ChainSaga(Saga):
    """Three calls of the outside world. ``fail`` and ``wait`` in the input name the step that does so."""

    name = "start_chain"

    @step(retry=ONCE)
    def first(self, ctx):
        return _act(ctx)

    @first.compensation
    def undo_first(self, ctx):
        external(ctx.idempotency_key, "undo", note=repr(ctx.result))

    @step(retry=ONCE)
    def second(self, ctx):
        return _act(ctx)

    @second.compensation
    def undo_second(self, ctx):
        external(ctx.idempotency_key, "undo", note=repr(ctx.result))

    @step(retry=ONCE)
    def third(self, ctx):
        return _act(ctx)

    @third.compensation
    def undo_third(self, ctx):
        external(ctx.idempotency_key, "undo", note=repr(ctx.result))


def _act(ctx):
    external(ctx.idempotency_key, note=str(ctx.attempt))
    if ctx.input.get("wait") == ctx.step:
        wait_at_gate(ctx.step)
    if ctx.input.get("fail") == ctx.step:
        raise PermanentFailure(f"{ctx.step} was told to fail")
    return {"step": ctx.step, "after": sorted(ctx.results)}


class DiamondSaga(Saga):
    """Ends in two steps, so its result names them."""

    name = "start_diamond"

    @step(no_compensation=True)
    def top(self, ctx):
        return 1

    @step(after=[top], no_compensation=True)
    def left(self, ctx):
        return ctx.results[self.__class__.top] + 1

    @step(after=[top], no_compensation=True)
    def right(self, ctx):
        return ctx.results["top"] + 2


@dataclass(frozen=True)
class Order:
    """A typed input."""

    sku: str
    price: Decimal
    ordered_on: date
    quantity: int = 1


@dataclass(frozen=True)
class Receipt:
    """A typed result."""

    total: Decimal
    paid_on: date


class TypedSaga(Saga):
    """Declares what goes in and comes out; its last step sees a typed result."""

    name = "start_typed"
    input = Order
    output = Receipt

    @step(no_compensation=True)
    def price(self, ctx) -> Receipt:
        assert isinstance(ctx.input, Order)
        return Receipt(ctx.input.price * ctx.input.quantity, ctx.input.ordered_on)

    @step(no_compensation=True)
    def pay(self, ctx) -> Receipt:
        priced = ctx.results[self.__class__.price]
        assert isinstance(priced, Receipt)
        return priced


class GreedySaga(Saga):
    """Changes everything it is given; nobody else may see that."""

    name = "start_greedy"

    @step(retry=ONCE)
    def take(self, ctx):
        ctx.input["list"].append("changed by take")
        result = {"own": ("a", "tuple"), "list": []}
        external(ctx.idempotency_key, note=repr(ctx.input))
        return StepResult(result, compensation_data={"kept": ("a", "tuple")})

    @take.compensation
    def give_back(self, ctx):
        external(ctx.idempotency_key, "undo", note=repr((ctx.input, ctx.result, ctx.results["take"])))

    @step(after=[take], no_compensation=True, retry=ONCE)
    def look(self, ctx):
        ctx.results["take"]["list"].append("changed by look")
        external(ctx.idempotency_key, note=repr((ctx.input, ctx.results["take"])))
        raise PermanentFailure("enough seen")


BAD_RESULTS: dict[str, Callable[[], Any]] = {}


class BadResultSaga(Saga):
    """Its second step returns ``BAD_RESULTS[input]()``; after ``keep:``, for its compensation."""

    name = "start_bad_result"

    @step
    def before(self, ctx):
        external(ctx.idempotency_key)

    @before.compensation
    def undo_before(self, ctx):
        external(ctx.idempotency_key, "undo", note=ctx.error)

    @step(retry=Retry(attempts=5, delay=0.001))
    def make(self, ctx):
        external(ctx.idempotency_key)
        kept, _, name = ctx.input.rpartition(":")
        value = BAD_RESULTS[name]()
        return StepResult("fine", compensation_data=value) if kept else value

    @make.compensation
    def unmake(self, ctx):
        external(ctx.idempotency_key, "undo")


class AsyncSaga(Saga):
    """``async def`` steps and a compensation; ``slow`` in the input has the second outlive its timeout."""

    name = "start_async"

    @step(retry=ONCE)
    async def ask(self, ctx):
        await asyncio.sleep(0)
        external(ctx.idempotency_key)
        return {"asked": ctx.input}

    @ask.compensation
    async def unask(self, ctx):
        await asyncio.sleep(0)
        external(ctx.idempotency_key, "undo", note=ctx.outcome)

    @step(retry=ONCE, timeout=0.2)
    async def hear(self, ctx):
        external(ctx.idempotency_key)
        if ctx.input == "slow":
            await asyncio.sleep(60)
        return ctx.results["ask"]

    @hear.compensation
    def unhear(self, ctx):
        external(ctx.idempotency_key, "undo", note=ctx.outcome)


class RetrySaga(Saga):
    """Fails twice, then succeeds."""

    name = "start_retry"

    @step(no_compensation=True, retry=Retry(attempts=3, delay=0.02, jitter=0))
    def stubborn(self, ctx):
        external(ctx.idempotency_key, note=str(ctx.attempt))
        if ctx.attempt < 3:
            raise ValueError("not yet")
        return ctx.attempt


class StuckSaga(Saga):
    """Its compensation is dead at once."""

    name = "start_stuck"

    @step
    def hold(self, ctx):
        return None

    @hold.compensation(retry=ONCE)
    def let_go(self, ctx):
        raise ValueError("the door is jammed")

    @step(no_compensation=True, retry=ONCE)
    def trip(self, ctx):
        raise ValueError("tripped")


class MistypedSaga(Saga):
    """Its last step returns what the saga does not declare."""

    name = "start_mistyped"
    output = Receipt

    @step
    def first(self, ctx):
        return None

    @first.compensation
    def undo_first(self, ctx):
        external(ctx.idempotency_key, "undo", note=ctx.outcome)

    @step
    def last(self, ctx):
        return {"total": "a lot"}

    @last.compensation
    def undo_last(self, ctx):
        external(ctx.idempotency_key, "undo", note=ctx.outcome)


class PausedSaga(Saga):
    """Its first step waits at the gate ``first``; its second is another queue's."""

    name = "start_paused"

    @step(retry=ONCE)
    def first(self, ctx):
        external(ctx.idempotency_key)
        wait_at_gate("first")

    @first.compensation
    def undo_first(self, ctx):
        external(ctx.idempotency_key, "undo", note=ctx.error)

    @step(queue="start_elsewhere")
    def second(self, ctx):
        external(ctx.idempotency_key)

    @second.compensation
    def undo_second(self, ctx):
        external(ctx.idempotency_key, "undo", note=ctx.outcome)

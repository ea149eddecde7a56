"""Sagas that have other sagas do their work."""

from __future__ import annotations

from typing import Any

from django_saga import PermanentFailure, Retry, Saga, SagaBuilder, action, child, for_each, part, saga, step
from tests import ledger

QUICK = Retry(attempts=2, delay=0)


class PackingSaga(Saga):
    """A child of two steps."""

    @step(retry=QUICK)
    def pick(self, ctx: Any) -> str:
        ledger.external(ctx.idempotency_key)
        return f"picked {ctx.input}"

    @pick.compensation
    def put_back(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key, "undo")

    @step(no_compensation=True, retry=QUICK)
    def pack(self, ctx: Any) -> dict[str, Any]:
        if ctx.input == "glass":
            raise PermanentFailure("broken")
        return {"box": ctx.results["pick"]}


class DeliverySaga(Saga):
    """A parent: what it has packed it takes back if the door is shut."""

    packing = child(PackingSaga, input=lambda ctx: ctx.input["goods"])

    @step(no_compensation=True, retry=QUICK)
    def deliver(self, ctx: Any) -> Any:
        if ctx.input.get("shut"):
            raise PermanentFailure("nobody at home")
        return ctx.results["packing"]


class LockedPackingSaga(PackingSaga):
    """A child that keeps others from its goods until it ends."""

    locks = staticmethod(lambda input: [f"goods:{input}"])


class LockedDeliverySaga(Saga):
    """A parent of it, that fails behind it."""

    packing = child(LockedPackingSaga, input=lambda ctx: ctx.input["goods"])

    @step(no_compensation=True, retry=QUICK)
    def deliver(self, ctx: Any) -> Any:
        raise PermanentFailure("nobody at home")


@action("refund", retry=QUICK)
def refund(ctx: Any) -> str:
    """Refund one order."""
    ledger.external(ctx.idempotency_key)
    if ctx.input == "bad":
        raise PermanentFailure("no such order")
    return f"refunded {ctx.input}"


@refund.compensation(retry=QUICK)
def charge_again(ctx: Any) -> None:
    """Take the refund back."""
    ledger.external(ctx.idempotency_key, "undo")


class RecallSaga(Saga):
    """Refunds many orders, three at a time."""

    refunds = for_each(lambda ctx: ctx.input["orders"], refund, max_parallel=3)

    @step(no_compensation=True, retry=QUICK)
    def report(self, ctx: Any) -> Any:
        if ctx.input.get("fail"):
            raise PermanentFailure("printer on fire")
        return [ctx.results["refunds"], list(ctx.items("refunds"))]


class WarehouseSaga(Saga):
    """Packs many things: each item is a saga of its own."""

    packed = for_each(lambda ctx: ctx.input, PackingSaga, max_parallel=None)


def _first(ctx: Any) -> str:
    return "first"


BuiltRecall = (
    SagaBuilder("built_recall")
    .step(_first, name="first", no_compensation=True)
    .step(for_each(lambda ctx: ctx.input, part(refund, name="one"), max_parallel=2), name="all")
    .step(child(PackingSaga, input=lambda ctx: "thanks"), name="thank")
    .build()
)


@saga
def traced_recall(flow: Any, input: Any) -> Any:
    """The same, traced."""
    flow.step(_first, name="first", no_compensation=True)
    flow.step(for_each(lambda ctx: ctx.input, part(refund, name="one"), max_parallel=2), name="all")
    return flow.step(child(PackingSaga), "thanks", name="thank")


class RaceSingleSaga(Saga):
    """A child of one step."""

    @step(retry=QUICK)
    def act(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key)

    @act.compensation(retry=QUICK)
    def undo_act(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key, "undo")


class RaceParentSaga(Saga):
    """A parent of one child."""

    only = child(RaceSingleSaga)


class RaceBatchSaga(Saga):
    """A parent of two items."""

    both = for_each(lambda ctx: [1, 2], RaceSingleSaga, max_parallel=None)

"""The sagas that are measured."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from django_saga import Context, PermanentFailure, Saga, SagaBuilder, action, for_each, sleep, step


class OrderSaga(Saga):
    """Three external steps in a row, each with a compensation."""

    name = "bench.order"

    @step
    def reserve(self, ctx: Context) -> dict[str, object]:
        return {"ok": True, "ref": "reservation"}

    @reserve.compensation
    def release(self, ctx: Context) -> None:
        return None

    @step
    def charge(self, ctx: Context) -> dict[str, object]:
        return {"ok": True, "ref": "charge"}

    @charge.compensation
    def refund(self, ctx: Context) -> None:
        return None

    @step
    def ship(self, ctx: Context) -> dict[str, object]:
        return {"ok": True, "ref": "parcel"}

    @ship.compensation
    def recall(self, ctx: Context) -> None:
        return None


class LaterOrderSaga(OrderSaga):
    """The same order, after a sleep."""

    name = "bench.later_order"

    rest = sleep(timedelta(days=1), after=[])

    @step(after=[rest])
    def reserve(self, ctx: Context) -> dict[str, object]:
        return {"ok": True, "ref": "reservation"}

    @reserve.compensation
    def release(self, ctx: Context) -> None:
        return None


class FailingOrderSaga(Saga):
    """As the order, but the third step fails: two compensations."""

    name = "bench.failing_order"

    @step
    def reserve(self, ctx: Context) -> dict[str, object]:
        return {"ok": True, "ref": "reservation"}

    @reserve.compensation
    def release(self, ctx: Context) -> None:
        return None

    @step
    def charge(self, ctx: Context) -> dict[str, object]:
        return {"ok": True, "ref": "charge"}

    @charge.compensation
    def refund(self, ctx: Context) -> None:
        return None

    @step
    def ship(self, ctx: Context) -> dict[str, object]:
        raise PermanentFailure("nothing leaves today")

    @ship.compensation
    def recall(self, ctx: Context) -> None:
        return None


class FanOutSaga(Saga):
    """One step, then three that wait 50 ms side by side, then one."""

    name = "bench.fan_out"

    @step(no_compensation=True)
    async def split(self, ctx: Context) -> int:
        return 1

    @step(after=[split], no_compensation=True)
    async def left(self, ctx: Context) -> int:
        await asyncio.sleep(0.05)
        return 1

    @step(after=[split], no_compensation=True)
    async def middle(self, ctx: Context) -> int:
        await asyncio.sleep(0.05)
        return 1

    @step(after=[split], no_compensation=True)
    async def right(self, ctx: Context) -> int:
        await asyncio.sleep(0.05)
        return 1

    @step(after=[left, middle, right], no_compensation=True)
    async def join(self, ctx: Context) -> int:
        return 1


@action("one")
def one(ctx: Context) -> dict[str, object]:
    """Do what is to be done for one item."""
    return {"ok": True}


@one.compensation
def undo_one(ctx: Context) -> None:
    """Undo it."""
    return


# The same for many items, by how many of them are under way at most.
BatchSaga = {
    at_once: SagaBuilder(f"bench.batch_{at_once}")
    .step(for_each(lambda ctx: range(ctx.input), one, max_parallel=at_once), name="items")
    .build()
    for at_once in (50, 500)
}

"""Sagas of the worker's tests; what their steps do is in their input (``tests/worker/script.py``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django_saga import FailurePolicy, NothingToUndo, Retry, Saga, step
from tests import ledger
from tests.worker.script import aplay, play

SOON = Retry(attempts=3, delay=0.05, jitter=0)
TWICE = Retry(attempts=2, delay=0.05, jitter=0)
ONCE = Retry(attempts=1)


class WorkerChain(Saga):
    """A step in the database, then two outside."""

    @step(atomic=True, retry=SOON)
    def reserve(self, ctx: Any) -> Any:
        ledger.effect(ctx.idempotency_key)
        return play(ctx)

    @reserve.compensation(atomic=True, retry=SOON)
    def release(self, ctx: Any) -> None:
        ledger.effect(ctx.idempotency_key, "undo")
        play(ctx, undo=True)

    @step(retry=SOON)
    def charge(self, ctx: Any) -> Any:
        return play(ctx)

    @charge.compensation(retry=SOON)
    def refund(self, ctx: Any) -> None:
        play(ctx, undo=True)

    @step(retry=SOON)
    def ship(self, ctx: Any) -> Any:
        return play(ctx)

    @ship.compensation(retry=SOON)
    def take_back(self, ctx: Any) -> None:
        play(ctx, undo=True)


class WorkerNap(Saga):
    """One atomic step, which may not take long."""

    @step(atomic=True, timeout=2, retry=SOON, no_compensation=True)
    def nap(self, ctx: Any) -> Any:
        ledger.effect(ctx.idempotency_key)
        return play(ctx)


class WorkerCall(Saga):
    """One call of the outside world."""

    @step(retry=SOON)
    def call(self, ctx: Any) -> Any:
        return play(ctx)

    @call.compensation(retry=SOON)
    def call_off(self, ctx: Any) -> None:
        play(ctx, undo=True)


class WorkerAsync(Saga):
    """An ``async def`` call, its compensation too."""

    @step(retry=SOON)
    async def ask(self, ctx: Any) -> Any:
        return await aplay(ctx)

    @ask.compensation(retry=SOON)
    async def unask(self, ctx: Any) -> None:
        await aplay(ctx, undo=True)


class WorkerNote(Saga):
    """One call that costs next to nothing."""

    @step(retry=SOON, no_compensation=True)
    def note(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key)


class WorkerTimid(Saga):
    """A call that is given half a second, behind one that takes its time."""

    @step(retry=SOON)
    def prepare(self, ctx: Any) -> Any:
        return play(ctx)

    @prepare.compensation(retry=SOON)
    def clear(self, ctx: Any) -> None:
        play(ctx, undo=True)

    @step(timeout=0.5, retry=TWICE)
    def call(self, ctx: Any) -> Any:
        return play(ctx)

    @call.compensation(retry=SOON)
    def call_off(self, ctx: Any) -> None:
        play(ctx, undo=True)


class WorkerAsyncTimid(Saga):
    """An ``async def`` call that is given half a second."""

    @step(timeout=0.5, retry=TWICE)
    async def ask(self, ctx: Any) -> Any:
        return await aplay(ctx)

    @ask.compensation(retry=SOON)
    async def unask(self, ctx: Any) -> None:
        await aplay(ctx, undo=True)


class WorkerPayment(Saga):
    """A payment whose call is lost on the way there (``{"lose": "request"}``) or back (``"answer"``)."""

    @step(timeout=0.3, retry=ONCE)
    def pay(self, ctx: Any) -> Any:
        if ctx.input["lose"] == "answer":
            ledger.external(ctx.idempotency_key, "paid")
        ledger.wait_at_gate("never")

    @pay.compensation(retry=SOON)
    def pay_back(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key, "asked", note=ctx.outcome)
        if not any(line.kind == "paid" for line in ledger.Ledger(Path(os.environ[ledger.VARIABLE])).lines()):
            raise NothingToUndo
        ledger.external(ctx.idempotency_key, "paid back")


class WorkerFork(Saga):
    """Two branches behind one step, joined again."""

    @step(retry=SOON)
    def begin(self, ctx: Any) -> Any:
        return play(ctx)

    @begin.compensation(retry=SOON)
    def unbegin(self, ctx: Any) -> None:
        play(ctx, undo=True)

    @step(after=[begin], retry=SOON)
    def left(self, ctx: Any) -> Any:
        return play(ctx)

    @left.compensation(retry=SOON)
    def unleft(self, ctx: Any) -> None:
        play(ctx, undo=True)

    @step(after=[begin], retry=SOON)
    def right(self, ctx: Any) -> Any:
        return play(ctx)

    @right.compensation(retry=SOON)
    def unright(self, ctx: Any) -> None:
        play(ctx, undo=True)

    @step(after=[left, right], retry=SOON)
    def join(self, ctx: Any) -> Any:
        return play(ctx)

    @join.compensation(retry=SOON)
    def unjoin(self, ctx: Any) -> None:
        play(ctx, undo=True)


class WorkerHurried(Saga):
    """A saga that has one second."""

    deadline = 1

    @step(retry=SOON)
    def call(self, ctx: Any) -> Any:
        return play(ctx)

    @call.compensation(retry=SOON)
    def call_off(self, ctx: Any) -> None:
        play(ctx, undo=True)


class WorkerStubborn(Saga):
    """A step that tries again and again, for one second in all."""

    @step(deadline=1, retry=Retry(attempts=1000, delay=0.2, factor=1, jitter=0))
    def call(self, ctx: Any) -> Any:
        return play(ctx)

    @call.compensation(retry=SOON)
    def call_off(self, ctx: Any) -> None:
        play(ctx, undo=True)


class WorkerPatient(Saga):
    """A step whose waits are long enough to be read from its row."""

    @step(retry=Retry(attempts=9, delay=60, factor=3, max_delay=1000, jitter=0.5), no_compensation=True)
    def call(self, ctx: Any) -> Any:
        return play(ctx)


class WorkerWaitAll(WorkerFork):
    """As ``WorkerFork``, but a branch goes on to its end when the other failed."""

    failure_policy = FailurePolicy.WAIT_ALL


class WorkerGrace(WorkerFork):
    """As ``WorkerFork``, but a branch may go on for half a minute when the other failed."""

    failure_policy = FailurePolicy.FAIL_FAST_WITH_GRACE(30)


class WorkerQueues(Saga):
    """Two steps of two queues."""

    @step(queue="worker_fast", retry=SOON, no_compensation=True)
    def fast(self, ctx: Any) -> Any:
        return play(ctx)

    @step(queue="worker_slow", retry=SOON, no_compensation=True)
    def slow(self, ctx: Any) -> Any:
        return play(ctx)


class WorkerMixed(Saga):
    """``def`` and ``async def`` by turns, and for the way back the other way round."""

    @step(retry=SOON)
    def one(self, ctx: Any) -> Any:
        return play(ctx)

    @one.compensation(retry=SOON)
    async def unone(self, ctx: Any) -> None:
        await aplay(ctx, undo=True)

    @step(retry=SOON)
    async def two(self, ctx: Any) -> Any:
        return {**await aplay(ctx), "before": ctx.results["one"]["key"]}

    @two.compensation(retry=SOON)
    def untwo(self, ctx: Any) -> None:
        play(ctx, undo=True)

    @step(retry=SOON, no_compensation=True)
    def three(self, ctx: Any) -> Any:
        return {**play(ctx), "before": ctx.results["two"]["key"]}

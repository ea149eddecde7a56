"""Sagas that are forked: what they do outside goes into the ledger, each with the input that it was given."""

from __future__ import annotations

from typing import Any

from django_saga import LockPolicy, PermanentFailure, Retry, Saga, step
from tests import ledger

ONCE = Retry(attempts=1)


def call(ctx: Any) -> dict[str, str]:
    """Call outside, unless the input says that this step fails."""
    if ctx.input.get("fails") == ctx.step:
        raise PermanentFailure("it was told to")
    ledger.external(ctx.idempotency_key, "call", ctx.input.get("to", ""))
    return {"by": ctx.idempotency_key}


def take_back(ctx: Any) -> None:
    """Undo it outside: the note says what was done, and with which input."""
    ledger.external(ctx.idempotency_key, "undo", f"{ctx.result['by']} {ctx.input.get('to', '')}")


class ForkChain(Saga):
    """Four steps one after the other; the last one has no compensation."""

    name = "fork_chain"

    @step(retry=ONCE)
    def reserve(self, ctx):
        return call(ctx)

    @reserve.compensation(retry=ONCE)
    def unreserve(self, ctx):
        take_back(ctx)

    @step(retry=Retry(attempts=3, delay=60, jitter=0))
    def charge(self, ctx):
        return call(ctx)

    @charge.compensation(retry=Retry(attempts=2, delay=60, jitter=0))
    def refund(self, ctx):
        if ctx.input.get("refuses") == "refund":
            raise PermanentFailure("no refund")
        take_back(ctx)

    @step(retry=ONCE)
    def ship(self, ctx):
        return call(ctx)

    @ship.compensation(retry=ONCE)
    def call_back(self, ctx):
        take_back(ctx)

    @step(retry=ONCE, no_compensation=True)
    def tell(self, ctx):
        return call(ctx)


class ForkPivot(Saga):
    """Past its pivot it can only go forward, and waits for a person when it cannot."""

    name = "fork_pivot"

    @step(retry=ONCE)
    def reserve(self, ctx):
        return call(ctx)

    @reserve.compensation(retry=ONCE)
    def unreserve(self, ctx):
        take_back(ctx)

    @step(retry=ONCE, pivot=True)
    def charge(self, ctx):
        return call(ctx)

    @charge.compensation(retry=ONCE)
    def refund(self, ctx):
        take_back(ctx)

    @step(retry=ONCE)
    def ship(self, ctx):
        return call(ctx)


class ForkTimed(Saga):
    """Has ten minutes until its pivot."""

    name = "fork_timed"
    deadline = 600

    @step(retry=ONCE)
    def reserve(self, ctx):
        return call(ctx)

    @reserve.compensation(retry=ONCE)
    def unreserve(self, ctx):
        take_back(ctx)

    @step(retry=ONCE, pivot=True)
    def charge(self, ctx):
        return call(ctx)

    @step(retry=ONCE)
    def ship(self, ctx):
        return call(ctx)


class ForkDiamond(Saga):
    """Two branches between a first and a last step."""

    name = "fork_diamond"

    @step(retry=ONCE)
    def first(self, ctx):
        return call(ctx)

    @first.compensation(retry=ONCE)
    def unfirst(self, ctx):
        take_back(ctx)

    @step(retry=ONCE, after=[first])
    def left(self, ctx):
        return call(ctx)

    @left.compensation(retry=ONCE)
    def unleft(self, ctx):
        take_back(ctx)

    @step(retry=ONCE, after=[first])
    def right(self, ctx):
        return call(ctx)

    @right.compensation(retry=ONCE)
    def unright(self, ctx):
        take_back(ctx)

    @step(retry=ONCE, after=[left, right])
    def last(self, ctx):
        return call(ctx)

    @last.compensation(retry=ONCE)
    def unlast(self, ctx):
        take_back(ctx)


class ForkLocked(Saga):
    """Holds an account."""

    name = "fork_locked"
    lock_policy = LockPolicy.WAIT

    @staticmethod
    def locks(input):
        return [f"account:{input['account']}"]

    @step(retry=ONCE)
    def debit(self, ctx):
        return call(ctx)

    @debit.compensation(retry=ONCE)
    def credit(self, ctx):
        take_back(ctx)

    @step(retry=ONCE, no_compensation=True)
    def tell(self, ctx):
        return call(ctx)

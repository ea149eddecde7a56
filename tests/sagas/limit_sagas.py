"""Sagas of the tests of limits; what their steps do is in their input (``tests/worker/script.py``)."""

from __future__ import annotations

from typing import Any

from django_saga import Breaker, Rate, Retry, Saga, step
from tests import ledger
from tests.worker.script import aplay, play

SOON = Retry(attempts=3, delay=0.05, jitter=0)


class LimitFew(Saga):
    """A step before one of which three may be under way; the compensations are not limited."""

    queue = "limited"

    @step(retry=SOON)
    def before(self, ctx: Any) -> Any:
        return play(ctx)

    @before.compensation(retry=SOON)
    def after_all(self, ctx: Any) -> None:
        play(ctx, undo=True)

    @step(retry=SOON, max_concurrency=3)
    def call(self, ctx: Any) -> Any:
        ledger.external(ctx.idempotency_key, "begin")
        told = play(ctx)
        ledger.external(ctx.idempotency_key, "end")
        return told

    @call.compensation(retry=SOON)
    def call_off(self, ctx: Any) -> None:
        play(ctx, undo=True)

    @step(retry=SOON, no_compensation=True)
    def last(self, ctx: Any) -> Any:
        return play(ctx)


class LimitAsync(Saga):
    """An ``async def`` step of which two may be under way."""

    queue = "limited"

    @step(retry=SOON, max_concurrency=2, no_compensation=True)
    async def ask(self, ctx: Any) -> Any:
        ledger.external(ctx.idempotency_key, "begin")
        told = await aplay(ctx)
        ledger.external(ctx.idempotency_key, "end")
        return told


class LimitAll(Saga):
    """Three branches, of which two may be under way in all sagas of the name; of one of them, one."""

    queue = "limited"
    max_concurrency = 2

    @step(after=[], no_compensation=True)
    def one(self, ctx: Any) -> Any:
        return play(ctx)

    @step(after=[], max_concurrency=1, no_compensation=True)
    def two(self, ctx: Any) -> Any:
        return play(ctx)

    @step(after=[one, two], atomic=True, no_compensation=True)
    def three(self, ctx: Any) -> Any:
        return play(ctx)


class LimitRate(Saga):
    """A step that begins five times in a second at most."""

    queue = "limited"

    @step(retry=SOON, rate_limit=Rate(5, per=1), no_compensation=True)
    def call(self, ctx: Any) -> Any:
        return play(ctx)


class LimitCircuit(Saga):
    """A step that calls nobody for a while after three failures."""

    queue = "limited"

    @step(
        retry=Retry(attempts=20, delay=0.05, factor=1, jitter=0),
        breaker=Breaker(failures=3, within=60, open_for=1),
        no_compensation=True,
    )
    def call(self, ctx: Any) -> Any:
        if not ledger.is_open("bank"):
            ledger.external(ctx.idempotency_key, "in vain")
            raise RuntimeError("the bank is closed")
        return play(ctx)

"""The saga of the crash sweep over sagas that start others."""

from __future__ import annotations

from typing import Any

from django_saga import Context, PermanentFailure, Retry, Saga, for_each, step
from tests import ledger
from tests.sagas.sweep_sagas import ask

_TRIES = Retry(attempts=3, delay=0)


class SweepFamilySaga(Saga):
    """Has a saga do the work for each order, two at a time; the last step may fail."""

    calls = for_each(lambda ctx: ctx.input["orders"], ask, max_parallel=2)

    @step(atomic=True, retry=_TRIES)
    def keep(self, ctx: Context) -> None:
        ledger.external(ctx.idempotency_key, "ran")
        ledger.effect(ctx.idempotency_key)

    @keep.compensation(atomic=True, retry=_TRIES)
    def take_away(self, ctx: Context) -> None:
        ledger.external(ctx.idempotency_key, "ran")
        ledger.effect(ctx.idempotency_key)

    @step(retry=_TRIES, no_compensation=True)
    def last(self, ctx: Context) -> Any:
        ledger.external(ctx.idempotency_key, "ran")
        if ctx.input["fails"]:
            raise PermanentFailure("the last step says no")
        return ctx.results["calls"]

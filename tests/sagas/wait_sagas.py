"""Sagas that wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils.dateparse import parse_datetime

from django_saga import PermanentFailure, Retry, Saga, SagaBuilder, saga, sleep, step
from tests import ledger


def _until(ctx: Any) -> Any:
    return parse_datetime(ctx.input["until"])


class TrialSaga(Saga):
    """A trial of a fortnight, with a way back."""

    @step
    def open(self, ctx: Any) -> str:
        ledger.external(ctx.idempotency_key)
        return "opened"

    @open.compensation
    def close(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key, "undo")

    trial = sleep(timedelta(days=14))

    @step(no_compensation=True)
    def bill(self, ctx: Any) -> str:
        if ctx.input == "fail":
            raise PermanentFailure("no money")
        return f"billed, {ctx.results['open']}"


class WakeUpSaga(Saga):
    """Sleeps until the time in its input."""

    pause = sleep(until=_until)

    @step(no_compensation=True)
    def ring(self, ctx: Any) -> str:
        return "rung"


class NapSaga(Saga):
    """A nap so short that workers see it through in a test."""

    nap = sleep(0.3)

    @step(no_compensation=True, retry=Retry(attempts=1))
    def rise(self, ctx: Any) -> str:
        ledger.external(ctx.idempotency_key)
        return "risen"


def _first(ctx: Any) -> str:
    return "first"


def _last(ctx: Any) -> str:
    return "last"


BuiltNap = (
    SagaBuilder("built_nap")
    .step(_first, name="first", no_compensation=True)
    .step(sleep(timedelta(hours=1)))
    .step(_last, name="last", no_compensation=True)
    .build()
)


@saga
def traced_nap(flow: Any, input: Any) -> Any:
    """The same, traced."""
    flow.step(_first, name="first", no_compensation=True)
    flow.step(sleep(timedelta(hours=1)))
    return flow.step(_last, name="last", no_compensation=True)

"""Sagas whose steps another service does; the other side is in ``tests.participants``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django_saga import PermanentFailure, Probe, Retry, Saga, SagaBuilder, remote, saga, step
from tests import ledger

MINUTE = timedelta(minutes=1)
TWICE = Retry(attempts=2, delay=10, jitter=0)


class OrderSaga(Saga):
    """Reserves on the other side what its input says, then ships; without an address it fails."""

    name = "remote_goods"

    @step
    def note(self, ctx: Any) -> str:
        return "noted"

    @note.compensation
    def strike_out(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key, "undo")

    reserve = remote(
        "stock.reserve",
        compensation="stock.release",
        payload=lambda ctx: {"item": ctx.input["item"], "number": ctx.input.get("number", 1)},
        reply_timeout=MINUTE,
        retry=TWICE,
    )

    @step(no_compensation=True)
    def ship(self, ctx: Any) -> Any:
        if "address" not in ctx.input:
            raise PermanentFailure("where to?")
        return ctx.results["reserve"]


class RemoteProbedSaga(Saga):
    """Asks by other means what became of a command that nobody answered; its input is the answer."""

    ask = remote("nobody.answers", reply_timeout=MINUTE, no_compensation=True, retry=Retry(attempts=1))

    @ask.probe
    def look(self, ctx: Any) -> Any:
        return Probe.HAPPENED("found") if ctx.input else Probe.DID_NOT_HAPPEN


class HoldSaga(Saga):
    """Does on the other side what that cannot undo, and turns back."""

    hold = remote("stock.hold", compensation="stock.unhold", reply_timeout=60)

    @step(no_compensation=True)
    def fail(self, ctx: Any) -> None:
        raise PermanentFailure("no")


class NobodySaga(Saga):
    """Has nobody on the other side."""

    ask = remote("nobody.answers", reply_timeout=MINUTE, no_compensation=True, retry=Retry(attempts=1))


class RemotePivotSaga(Saga):
    """From its step on the other side there is no way back."""

    pay = remote("nobody.answers", reply_timeout=MINUTE, pivot=True, retry=Retry(attempts=1))


BuiltRemote = (
    SagaBuilder("built_remote")
    .step(remote("stock.count", reply_timeout=60, no_compensation=True), name="count")
    .build()
)


@saga
def traced_remote(flow: Any, input: Any) -> Any:
    """The same, traced."""
    return flow.step(remote("stock.count", reply_timeout=60, no_compensation=True), name="count")


class DepotSaga(Saga):
    """Takes from the depot, a service of its own, as many as its input says."""

    take = remote(
        "depot.take",
        compensation="depot.put_back",
        payload=lambda ctx: {"number": ctx.input["number"]},
        reply_timeout=timedelta(minutes=10),
    )

    @step(no_compensation=True)
    def ship(self, ctx: Any) -> Any:
        if ctx.input.get("fails"):
            raise PermanentFailure("no")
        return ctx.results["take"]

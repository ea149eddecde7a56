"""A saga for the tests of what people see: it forks, joins, and does what its input says."""

from __future__ import annotations

from decimal import Decimal

from django_saga import PermanentFailure, Retry, Saga, step

TWICE = Retry(attempts=2, delay=0.001, jitter=0)


class ViewedSaga(Saga):
    """Reserve the goods, charge the card, ship; undo what was done if a step fails."""

    name = "viewed"

    @step(atomic=True, retry=TWICE)
    def reserve(self, ctx):
        return {"price": Decimal("12.50")}

    @reserve.compensation(atomic=True, retry=TWICE)
    def release(self, ctx):
        if error := ctx.input.get("release"):
            raise RuntimeError(error)

    @step(retry=TWICE)
    def charge(self, ctx):
        if ctx.input.get("lost") and ctx.attempt == 1:
            raise ConnectionError("no answer")
        if error := ctx.input.get("charge"):
            raise PermanentFailure(error)
        return {"charge": "ch_1"}

    @charge.compensation(retry=TWICE)
    def refund(self, ctx):
        pass

    @step(retry=Retry(attempts=3, delay=3600, jitter=0))
    def invoice(self, ctx):
        if error := ctx.input.get("invoice"):
            raise ValueError(error)

    @invoice.compensation(retry=TWICE)
    def void(self, ctx):
        pass

    @step(after=[charge], queue="parcels", retry=TWICE)
    def ship(self, ctx):
        if error := ctx.input.get("ship"):
            raise ValueError(error)

    @ship.compensation(retry=TWICE)
    def recall(self, ctx):
        pass

    @step(after=[invoice, ship], no_compensation=True)
    def confirm(self, ctx):
        return {"done": True}

"""A saga that says what it does."""

from __future__ import annotations

from typing import Any

from django_saga import PermanentFailure, Retry, Saga, step

_TRIES = Retry(attempts=3, delay=0, jitter=0)


class TellingSaga(Saga):
    """Tells of each step and its undoing; one of them writes in the database."""

    @step(atomic=True, retry=_TRIES)
    def reserve(self, ctx: Any) -> None:
        ctx.publish("saga.told", "reserved")

    @reserve.compensation(retry=_TRIES)
    def release(self, ctx: Any) -> None:
        ctx.publish("saga.told", "released")

    @step(retry=_TRIES, no_compensation=True)
    def charge(self, ctx: Any) -> None:
        ctx.publish("saga.told", "charged")
        ctx.publish("saga.told", "by card")

    @step(retry=_TRIES, no_compensation=True)
    def ship(self, ctx: Any) -> None:
        if ctx.input == "fail":
            ctx.publish("saga.told", "never said")
            raise PermanentFailure("no carrier")
        ctx.publish("saga.told", "shipped")

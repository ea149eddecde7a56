"""The sagas of the races: as little as each race needs."""

from __future__ import annotations

from collections.abc import Callable

from django_saga import Context, LockPolicy, Retry, Saga, step
from tests import ledger

_TRIES = Retry(attempts=3, delay=0)


def _calling(result: str) -> Callable[..., str]:
    """Give the function of a step that calls the outside world."""

    def call(self: Saga, ctx: Context) -> str:
        ledger.external(ctx.idempotency_key)
        return result

    return call


def _call_off(self: Saga, ctx: Context) -> None:
    ledger.external(ctx.idempotency_key)


class RaceForkSaga(Saga):
    """Two branches that begin at once, and their join."""

    left = step(name="left", after=[], retry=_TRIES)(_calling("left"))
    unleft = left.compensation(retry=_TRIES)(_call_off)
    right = step(name="right", after=[], retry=_TRIES)(_calling("right"))
    unright = right.compensation(retry=_TRIES)(_call_off)

    @step(after=[left, right], retry=_TRIES, no_compensation=True)
    def join(self, ctx: Context) -> str:
        ledger.external(ctx.idempotency_key)
        return f"{ctx.results['left']} and {ctx.results['right']}"


class RaceCallSaga(Saga):
    """A call of the outside world."""

    call = step(name="call", retry=_TRIES)(_calling("called"))
    uncall = call.compensation(retry=_TRIES)(_call_off)


class RaceDeadlineSaga(RaceCallSaga):
    """The same call, and a time for it."""

    deadline = 600


class RaceWriteSaga(Saga):
    """An effect in the database."""

    @step(atomic=True, retry=_TRIES)
    def write(self, ctx: Context) -> str:
        ledger.external(ctx.idempotency_key, "ran")
        ledger.effect(ctx.idempotency_key)
        return "written"

    @write.compensation(atomic=True, retry=_TRIES)
    def unwrite(self, ctx: Context) -> None:
        ledger.external(ctx.idempotency_key, "ran")
        ledger.effect(ctx.idempotency_key)


class RaceQuerySaga(Saga):
    """Asks the database something, outside any transaction."""

    @step(retry=_TRIES, no_compensation=True)
    def ask(self, ctx: Context) -> int:
        return len(ledger.effects())


class RaceRefusedSaga(Saga):
    """Locks what its input names, or is refused."""

    @staticmethod
    def locks(targets: list[str]) -> list[str]:
        return targets

    call = step(name="call", retry=_TRIES)(_calling("called"))
    uncall = call.compensation(retry=_TRIES)(_call_off)


class RaceTurnsSaga(RaceRefusedSaga):
    """Locks what its input names, or waits for it."""

    lock_policy = LockPolicy.WAIT


class RaceForkNextSaga(Saga):
    """What becomes of ``RaceForkSaga`` one day: a branch has another name, and there is a check."""

    name = "race_fork"
    version = 2

    port = step(name="port", after=[], retry=_TRIES)(_calling("port"))
    unport = port.compensation(retry=_TRIES)(_call_off)
    right = step(name="right", after=[], retry=_TRIES)(_calling("right"))
    unright = right.compensation(retry=_TRIES)(_call_off)

    @step(after=[port], retry=_TRIES, no_compensation=True)
    def check(self, ctx: Context) -> None:
        ledger.external(ctx.idempotency_key)

    @step(after=[check, right], retry=_TRIES, no_compensation=True)
    def join(self, ctx: Context) -> str:
        ledger.external(ctx.idempotency_key)
        return f"{ctx.results['port']} and {ctx.results['right']}"

"""The canonical sagas of the crash sweeps.

Every function first notes in the ledger that it runs (kind ``ran``), also when its transaction is rolled back
later; an external one then has its effect there (kind ``call``), an atomic one in the database.
"""

from __future__ import annotations

from typing import Any

from django_saga import (
    ComposedSaga,
    Context,
    FailurePolicy,
    ForwardRecovery,
    LockPolicy,
    OutcomeUnknown,
    PermanentFailure,
    Probe,
    Rate,
    Retry,
    Saga,
    action,
    step,
    wait_for_event,
)
from tests import ledger

# No wait between attempts: a sweep is to see them too.
_TRIES = Retry(attempts=3, delay=0)


def _in_database(ctx: Context) -> str:
    ledger.external(ctx.idempotency_key, "ran")
    ledger.effect(ctx.idempotency_key)
    return ctx.step


def _outside(ctx: Context) -> str:
    ledger.external(ctx.idempotency_key, "ran")
    ledger.external(ctx.idempotency_key, "call")
    return ctx.step


def _last(ctx: Context, fails: bool) -> str:
    if fails:
        ledger.external(ctx.idempotency_key, "ran")
        raise PermanentFailure("the last step says no")
    return _outside(ctx)


class SweepLinearSaga(Saga):
    """Three steps in a row; with ``{"fails": true}`` the last one fails."""

    @step(atomic=True, retry=_TRIES)
    def reserve(self, ctx: Context) -> str:
        return _in_database(ctx)

    @reserve.compensation(atomic=True, retry=_TRIES)
    def release(self, ctx: Context) -> None:
        assert (ctx.result, ctx.outcome) == ("reserve", "succeeded")
        _in_database(ctx)

    @step(retry=_TRIES)
    def charge(self, ctx: Context) -> str:
        assert ctx.results["reserve"] == "reserve"
        return _outside(ctx)

    @charge.compensation(retry=_TRIES)
    def refund(self, ctx: Context) -> None:
        assert (ctx.result, ctx.outcome) in (("charge", "succeeded"), (None, "unknown"))
        _outside(ctx)

    @step(retry=_TRIES)
    def ship(self, ctx: Context) -> str:
        assert dict(ctx.results.items()) == {"reserve": "reserve", "charge": "charge"}
        return _last(ctx, ctx.input["fails"])

    @ship.compensation(retry=_TRIES)
    def take_back(self, ctx: Context) -> None:
        assert (ctx.result, ctx.outcome) == (None, "unknown")
        _outside(ctx)


class SweepLimitedSaga(SweepLinearSaga):
    """The same, with every step claimed through a gate that has room."""

    max_concurrency = 1_000
    rate_limit = Rate(100_000)


class SweepGraphSaga(Saga):
    """Two branches between a first step and a last one that fails; one keeps the order without an undo."""

    @step(retry=_TRIES)
    def begin(self, ctx: Context) -> str:
        return _outside(ctx)

    @begin.compensation(retry=_TRIES)
    def unbegin(self, ctx: Context) -> None:
        _outside(ctx)

    @step(after=[begin], atomic=True, retry=_TRIES)
    def left(self, ctx: Context) -> str:
        return _in_database(ctx)

    @left.compensation(atomic=True, retry=_TRIES)
    def unleft(self, ctx: Context) -> None:
        _in_database(ctx)

    @step(after=[begin], retry=_TRIES, no_compensation=True)
    def look(self, ctx: Context) -> str:
        return _outside(ctx)

    @step(after=[look], retry=_TRIES)
    async def right(self, ctx: Context) -> str:
        return _outside(ctx)

    @right.compensation(retry=_TRIES)
    async def unright(self, ctx: Context) -> None:
        _outside(ctx)

    @step(after=[left, right], retry=_TRIES, no_compensation=True)
    def join(self, ctx: Context) -> str:
        assert ctx.results["left"] == "left"
        assert ctx.results["right"] == "right"
        return _last(ctx, ctx.input["fails"])


class SweepWaitSaga(Saga):
    """A branch that fails beside one that is waited for: it is undone only when it has come to its end."""

    failure_policy = FailurePolicy.WAIT_ALL

    @step(retry=_TRIES)
    def begin(self, ctx: Context) -> str:
        return _outside(ctx)

    @begin.compensation(retry=_TRIES)
    def unbegin(self, ctx: Context) -> None:
        _outside(ctx)

    @step(after=[begin], retry=_TRIES, no_compensation=True)
    def refuse(self, ctx: Context) -> str:
        return _last(ctx, True)

    @step(after=[begin], retry=_TRIES)
    def first(self, ctx: Context) -> str:
        return _outside(ctx)

    @first.compensation(retry=_TRIES)
    def unfirst(self, ctx: Context) -> None:
        _outside(ctx)

    @step(after=[first], atomic=True, retry=_TRIES)
    def second(self, ctx: Context) -> str:
        return _in_database(ctx)

    @second.compensation(atomic=True, retry=_TRIES)
    def unsecond(self, ctx: Context) -> None:
        _in_database(ctx)

    @step(after=[refuse, second], no_compensation=True)
    def join(self, ctx: Context) -> None:
        raise AssertionError("one of the two has failed")


class SweepUnknownSaga(Saga):
    """An outside call whose answer is lost each time: it may have worked, so it is undone."""

    @step(atomic=True, retry=_TRIES)
    def reserve(self, ctx: Context) -> str:
        return _in_database(ctx)

    @reserve.compensation(atomic=True, retry=_TRIES)
    def release(self, ctx: Context) -> None:
        _in_database(ctx)

    @step(retry=Retry(attempts=2, delay=0))
    def charge(self, ctx: Context) -> Any:
        _outside(ctx)
        raise OutcomeUnknown("the answer was lost")

    @charge.compensation(retry=_TRIES)
    def refund(self, ctx: Context) -> None:
        assert (ctx.result, ctx.outcome) == (None, "unknown")
        _outside(ctx)


class SweepProbeSaga(Saga):
    """An outside call whose answer is lost each time; its probe finds that it worked."""

    @step(atomic=True, retry=_TRIES)
    def reserve(self, ctx: Context) -> str:
        return _in_database(ctx)

    @reserve.compensation(atomic=True, retry=_TRIES)
    def release(self, ctx: Context) -> None:
        raise AssertionError("nothing is to be undone")

    @step(retry=Retry(attempts=2, delay=0))
    def charge(self, ctx: Context) -> Any:
        _outside(ctx)
        raise OutcomeUnknown("the answer was lost")

    @charge.probe(retry=_TRIES)
    def find_charge(self, ctx: Context) -> Any:
        assert (ctx.outcome, ctx.results["reserve"]) == ("unknown", "reserve")
        return Probe.HAPPENED("charge")

    @charge.compensation(retry=_TRIES)
    def refund(self, ctx: Context) -> None:
        raise AssertionError("nothing is to be undone")

    @step(retry=_TRIES, no_compensation=True)
    def ship(self, ctx: Context) -> str:
        assert ctx.results["charge"] == "charge"
        return _outside(ctx)


class SweepConditionSaga(Saga):
    """Steps in a row that are asked for: one of them is not wanted. The last one fails."""

    @step(atomic=True, retry=_TRIES)
    def reserve(self, ctx: Context) -> str:
        return _in_database(ctx)

    @reserve.compensation(atomic=True, retry=_TRIES)
    def release(self, ctx: Context) -> None:
        assert ctx.results["gift"] is None
        _in_database(ctx)

    @step(retry=_TRIES, when=lambda ctx: ctx.results["reserve"] == "reserve")
    def charge(self, ctx: Context) -> str:
        return _outside(ctx)

    @charge.compensation(retry=_TRIES)
    def refund(self, ctx: Context) -> None:
        assert (ctx.result, ctx.outcome) in (("charge", "succeeded"), (None, "unknown"))
        _outside(ctx)

    def is_gift(self, ctx: Context) -> bool:
        return bool(ctx.input.get("gift"))

    @step(retry=_TRIES, when=is_gift)
    def gift(self, ctx: Context) -> None:
        raise AssertionError("it is not wanted")

    @gift.compensation(retry=_TRIES)
    def ungift(self, ctx: Context) -> None:
        raise AssertionError("it never ran")

    @step(atomic=True, retry=_TRIES, when=lambda ctx: not ctx.results["gift"])
    def pack(self, ctx: Context) -> str:
        return _in_database(ctx)

    @pack.compensation(atomic=True, retry=_TRIES)
    def unpack(self, ctx: Context) -> None:
        _in_database(ctx)

    @step(retry=_TRIES, no_compensation=True)
    def ship(self, ctx: Context) -> str:
        assert dict(ctx.results) == {"reserve": "reserve", "charge": "charge", "gift": None, "pack": "pack"}
        return _last(ctx, ctx.input["fails"])


class SweepPivotSaga(Saga):
    """Past its pivot one branch is skipped, and in the other another step stands in."""

    @step(atomic=True, retry=_TRIES)
    def reserve(self, ctx: Context) -> str:
        return _in_database(ctx)

    @reserve.compensation(atomic=True, retry=_TRIES)
    def release(self, ctx: Context) -> None:
        raise AssertionError("there is no way back")

    @step(pivot=True, retry=Retry(attempts=3, delay=0))
    def pay(self, ctx: Context) -> str:
        return _outside(ctx)

    @step(after=[pay], retry=_TRIES, forward_recovery=ForwardRecovery.SKIP)
    def thank(self, ctx: Context) -> str:
        return _last(ctx, True)

    @step(retry=_TRIES)
    def post(self, ctx: Context) -> str:
        assert ctx.results["pay"] == "pay"
        return _outside(ctx)

    @step(after=[pay], atomic=True, retry=_TRIES, forward_recovery=ForwardRecovery.ALTERNATE(post))
    def ship(self, ctx: Context) -> str:
        raise PermanentFailure("no van today")

    @step(after=[thank, ship], atomic=True, retry=_TRIES)
    def close(self, ctx: Context) -> str:
        assert ctx.results["ship"] == "post"
        return _in_database(ctx)


class SweepStuckSaga(Saga):
    """Turns back, with a compensation between two others that fails until the gate ``mended`` is open."""

    @step(retry=_TRIES)
    def reserve(self, ctx: Context) -> str:
        return _outside(ctx)

    @reserve.compensation(retry=_TRIES)
    def release(self, ctx: Context) -> None:
        _outside(ctx)

    @step(retry=_TRIES)
    def charge(self, ctx: Context) -> str:
        return _outside(ctx)

    @charge.compensation(retry=_TRIES)
    def refund(self, ctx: Context) -> None:
        ledger.external(ctx.idempotency_key, "ran")
        if not ledger.is_open("mended"):
            raise ConnectionRefusedError("the bank is closed")
        ledger.external(ctx.idempotency_key, "call")

    @step(after=[reserve], retry=_TRIES)
    def pack(self, ctx: Context) -> str:
        return _outside(ctx)

    @pack.compensation(retry=_TRIES)
    def unpack(self, ctx: Context) -> None:
        _outside(ctx)

    @step(after=[charge, pack], no_compensation=True)
    def ship(self, ctx: Context) -> None:
        raise PermanentFailure("the last step says no")


@action(retry=_TRIES)
async def ask(ctx: Context) -> str:
    return _outside(ctx)


@ask.compensation(retry=_TRIES)
def ask_back(ctx: Context) -> None:
    _outside(ctx)


@action(atomic=True, retry=_TRIES)
def keep(ctx: Context) -> str:
    assert ctx.input == "begin"
    return _in_database(ctx)


@keep.compensation(atomic=True, retry=_TRIES)
def take_away(ctx: Context) -> None:
    assert (ctx.input, ctx.result) == ("begin", "left")
    _in_database(ctx)


@action(retry=_TRIES, no_compensation=True)
def last(ctx: Context) -> str:
    return _last(ctx, ctx.input["fails"])


class SweepComposedSaga(ComposedSaga):
    """Composed at run time: two branches of the same actions, joined by a step that fails."""

    actions = (ask, keep, last)


STEPS = (
    {"action": "ask", "name": "begin"},
    {"action": "keep", "name": "left", "input": {"$result": "begin"}},
    {"action": "ask", "name": "right", "after": ["begin"]},
    {"action": "last", "name": "join", "after": ["left", "right"], "input": {"fails": {"$input": "fails"}}},
)


class SweepLockSaga(SweepLinearSaga):
    """The same in a row, for ``{"order": ...}``, which only one of them has at a time."""

    lock_policy = LockPolicy.WAIT

    @staticmethod
    def locks(input: dict[str, Any]) -> list[str]:
        return [f"order:{input['order']}", "audit:" + input["order"]]


class SweepEventSaga(Saga):
    """Waits for an event, which whoever carries it sends when it waits."""

    told = wait_for_event("sweep.told")

    @step(retry=_TRIES, no_compensation=True)
    def call(self, ctx: Context) -> str:
        assert ctx.results["told"] == "news"
        return _outside(ctx)

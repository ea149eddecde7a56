"""Sagas that lock what they are about."""

from __future__ import annotations

from dataclasses import dataclass, field

from django_saga import Context, LockPolicy, PermanentFailure, Retry, Saga, step
from tests import ledger

_ONCE = Retry(attempts=1, delay=0)


@dataclass
class Parcel:
    """What the sagas are about, and how they are to end."""

    orders: list[str] = field(default_factory=list)
    fails: bool = False


class LockRefuseSaga(Saga):
    """Is refused while another saga has one of its orders."""

    input = Parcel

    @staticmethod
    def locks(parcel: Parcel) -> list[str]:
        return [f"order:{order}" for order in parcel.orders]

    @step(retry=_ONCE)
    def pack(self, ctx: Context) -> str:
        ledger.external(ctx.idempotency_key)
        return "packed"

    @pack.compensation(retry=_ONCE)
    def unpack(self, ctx: Context) -> None:
        ledger.external(ctx.idempotency_key)

    @step(retry=_ONCE, no_compensation=True)
    def send(self, ctx: Context) -> str:
        if ctx.input.fails:
            raise PermanentFailure("nobody is at home")
        ledger.external(ctx.idempotency_key)
        return "sent"


class LockWaitSaga(LockRefuseSaga):
    """Waits for its orders."""

    lock_policy = LockPolicy.WAIT


class LockLateSaga(LockWaitSaga):
    """Waits, but not for ever."""

    deadline = 600


class LockStuckSaga(LockWaitSaga):
    """Its compensation is dead until the gate ``mended`` is open."""

    @step(retry=_ONCE)
    def pack(self, ctx: Context) -> str:
        return "packed"

    @pack.compensation(retry=_ONCE)
    def unpack(self, ctx: Context) -> None:
        if not ledger.is_open("mended"):
            raise ConnectionRefusedError("the cellar is shut")

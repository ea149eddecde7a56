"""A saga whose step writes to this database outside of its own transaction, guarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import F

from django_saga import OutcomeUnknown, Retry, Saga, do_once, step, undo_once
from tests.models import Account

# Called in place of the effect, which then comes later, or never.
hanging: Callable[[str], None] | None = None


def charge(key: str) -> Any:
    """Take 10 from the account, once."""

    def effect() -> int:
        Account.objects.update(balance=F("balance") - 10)
        return 10

    return do_once(key, effect)


class FencedSaga(Saga):
    """Charges an account, and ships."""

    @step(retry=Retry(attempts=2, delay=1))
    def charge(self, ctx: Any) -> Any:
        if hanging is not None:
            hanging(ctx.idempotency_key)
            raise OutcomeUnknown("no answer in time")
        return charge(ctx.idempotency_key)

    @charge.compensation
    def refund(self, ctx: Any) -> None:
        undo_once(ctx.idempotency_key, lambda paid: Account.objects.update(balance=F("balance") + paid))

    @step(no_compensation=True)
    def ship(self, ctx: Any) -> None: ...

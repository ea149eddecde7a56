"""The saga of the sweep whose step another service does, and that service."""

from __future__ import annotations

from datetime import timedelta

from django_saga import Command, Context, PermanentFailure, Saga, participant, remote, step
from tests import ledger


class SweepRemoteSaga(Saga):
    """Has another service act, and turns back if its input says so."""

    # Longer than what passes until all that was struck is finished.
    asked = remote("sweep.asked", compensation="sweep.unasked", reply_timeout=timedelta(days=30))

    @step(no_compensation=True)
    def last(self, ctx: Context) -> str:
        assert ctx.results["asked"] == "done"
        ledger.external(ctx.idempotency_key, "ran")
        if ctx.input["fails"]:
            raise PermanentFailure("no")
        return "done"


@participant("sweep.asked")
def do_what_is_asked(command: Command) -> str:
    """Have an effect."""
    ledger.external(command.idempotency_key, "ran")
    ledger.effect(command.idempotency_key)
    return "done"


@participant("sweep.unasked")
def undo_what_was_asked(command: Command) -> None:
    """Undo it."""
    assert command.result == "done"
    ledger.external(command.idempotency_key, "ran")
    ledger.effect(command.idempotency_key, "undo")

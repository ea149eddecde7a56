"""Participants of the tests: the other side of sagas with remote steps. Their stock is kept in accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async

from django_saga import Command, PermanentFailure, Retry, participant
from tests import ledger
from tests.models import Account

OFTEN = Retry(attempts=3, delay=60, jitter=0)


@dataclass
class Wanted:
    """What is to be reserved."""

    item: str
    number: int = 1


@participant("stock.reserve", input=Wanted)
def reserve(command: Command) -> Any:
    """Take what is wanted off the stock."""
    ledger.external(command.idempotency_key)
    wanted: Wanted = command.payload
    stock = Account.objects.select_for_update().filter(name=wanted.item).first()
    if stock is None:
        raise ConnectionError("the stock cannot be looked at")
    stock.balance -= wanted.number
    stock.save()
    if stock.balance < 0:
        raise PermanentFailure(f"there are not {wanted.number} of {wanted.item}")
    return {"left": stock.balance, "taken": wanted.number}


@participant("stock.release", input=Wanted, retry=OFTEN)
def release(command: Command) -> None:
    """Put back what was taken."""
    ledger.external(command.idempotency_key, "undo")
    stock = Account.objects.select_for_update().get(name=command.payload.item)
    stock.balance += command.result["taken"]
    stock.save()


@participant("stock.count")
async def count(command: Command) -> Any:
    """Tell who asks, and for what."""
    stock = await sync_to_async(Account.objects.get)(name=command.payload)
    return [str(command.saga_id), command.step, command.undoes, stock.balance]


@participant("stock.hold")
def hold(command: Command) -> str:
    """Do what cannot be undone."""
    return "held"


@participant("stock.unhold")
def unhold(command: Command) -> None:
    """Fail to undo it."""
    raise PermanentFailure("it is gone")

"""Handlers of the tests: each writes into the database what it got, and into the ledger that it ran."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from django_saga import PermanentFailure, Received, Retry, RetryLater, handler
from tests import choreography, ledger, participants
from tests.models import Account

__all__ = ["choreography", "participants"]  # found with this module
OFTEN = Retry(attempts=3, delay=60, jitter=0)


@dataclass
class Deposit:
    """Money that came."""

    amount: Decimal


@handler("bank.deposited", consumer="bank", input=Deposit)
def book(message: Received) -> None:
    """Book money; the key is the account's name."""
    account, _ = Account.objects.get_or_create(name=message.key or "nobody")
    account.balance += int(message.payload.amount)
    account.save()


@handler("bank.deposited", consumer="audit")
def note(message: Received) -> None:
    """Note what came, in its order."""
    ledger.effect(f"{message.key}", f"{message.payload['amount']}")


@handler("test.noted", consumer="notes")
def write_down(message: Received) -> None:
    """Write down what came; do on the way what the payload says."""
    ledger.effect(message.key or "", str(message.payload.get("n", "")))
    _DO[message.payload.get("do", "")](message)


@handler("test.retried", consumer="retries", retry=OFTEN)
def fail_at_first(message: Received) -> None:
    """Fail until the attempt that the payload names."""
    ledger.effect(message.key or "", str(message.attempt))
    if message.attempt < message.payload["until"]:
        raise ConnectionError(f"attempt {message.attempt} failed")


@handler("test.passed_on", consumer="chain")
async def pass_on(message: Received) -> None:
    """Pass a message on."""
    await sync_to_async(ledger.effect)(message.key or "", message.correlation_id)
    await message.apublish("test.noted", {"n": message.payload["n"]}, key=message.key)


def _nothing(message: Received) -> None:
    return None


def _fail(message: Received) -> None:
    raise PermanentFailure("never")


def _later(message: Received) -> None:
    raise RetryLater(3600)


def _break(message: Received) -> None:
    with connection.cursor() as cursor:
        try:
            cursor.execute("SELECT nothing_of_the_kind")
        except Exception:
            return


def _commit(message: Received) -> None:
    with connection.cursor() as cursor:
        cursor.execute("COMMIT")


def _hang_on(message: Received) -> None:
    time.sleep(message.payload["seconds"])


_DO: dict[str, Any] = {
    "": _nothing,
    "fail": _fail,
    "later": _later,
    "break": _break,
    "commit": _commit,
    "sleep": _hang_on,
    "die": lambda message: os.kill(os.getpid(), signal.SIGKILL),
}

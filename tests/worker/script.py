"""What steps of the worker's tests do, as told by the input of their saga.

``{"charge": "kill | fail", "charge:undo": "wait door"}``: the first call of ``charge`` kills its process,
every later one fails; its compensation waits for the gate ``door``. Verbs of one call are parted by ``;``.

Every call is a line in the ledger before anything else happens, so a provider that knows its keys had one
effect for each key, however often it was called.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection, transaction

from django_saga import PermanentFailure, RetryLater
from django_saga.exceptions import OutcomeUnknown
from tests import ledger

_LOOK = 0.01
_ASYNC_LOOK = 0.05  # hundreds of steps may be looking at once
_PATIENCE = 120.0  # seconds: a test that forgot its gate has long failed by then


class Odd(BaseException):
    """What no ``except Exception`` catches."""


def play(ctx: Any, *, undo: bool = False) -> dict[str, Any]:
    """Do what the saga's input says of this call; give what tells the caller which call it was."""
    for verb in _verbs(ctx, undo=undo):
        if verb.startswith("wait "):
            while not ledger.is_open(verb.removeprefix("wait ")):
                time.sleep(_LOOK)
        elif verb == "until lost":
            while not ctx.lease_lost:
                time.sleep(_LOOK)
            ledger.external(ctx.idempotency_key, "noticed")
        else:
            _do(verb)
    return {"key": ctx.idempotency_key, "pid": os.getpid()}


async def aplay(ctx: Any, *, undo: bool = False) -> dict[str, Any]:
    """Do as ``play``, without holding up the loop where the verb is ``wait``."""
    for verb in _verbs(ctx, undo=undo):
        if verb.startswith("wait "):
            while not ledger.is_open(verb.removeprefix("wait ")):
                await asyncio.sleep(_ASYNC_LOOK)
        elif verb == "cancelled":
            raise asyncio.CancelledError
        elif verb == "exit in a task":
            await asyncio.gather(asyncio.sleep(0), _leave())
        elif verb.startswith(("sql ", "leave ")):
            await sync_to_async(_do)(verb)
        else:
            _do(verb)
    return {"key": ctx.idempotency_key, "pid": os.getpid()}


async def _leave() -> None:
    raise SystemExit(7)


def _verbs(ctx: Any, *, undo: bool) -> list[str]:
    key = ctx.idempotency_key
    end = ledger.external(key, "undo" if undo else "do", note=f"{ctx.attempt} {ctx.outcome}".strip())
    name = f"{ctx.step}:undo" if undo else ctx.step
    calls = (ctx.input or {}).get(name, "").split("|")
    # Up to its own line: a process that is frozen here finds others' calls behind it when it goes on.
    number = ledger.Ledger(Path(os.environ[ledger.VARIABLE])).calls(before=end)[key]
    return [verb.strip() for verb in calls[min(number, len(calls)) - 1].split(";") if verb.strip()]


def _do(verb: str) -> None:
    word, _, argument = verb.partition(" ")
    match word:
        case "fail":
            raise RuntimeError(argument or "it does not work")
        case "permanent":
            raise PermanentFailure("never")
        case "later":
            raise RetryLater(float(argument))
        case "unknown":
            raise OutcomeUnknown("no answer")
        case "odd":
            raise Odd("odd")
        case "interrupt":
            raise KeyboardInterrupt
        case "exit":
            raise SystemExit(7)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "deaf":
            # Nothing of this thread's signals arrives any more, as in a library that blocks them.
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
        case "hold":
            # A library that keeps the interpreter to itself: no other thread of the process moves.
            ctypes.PyDLL(None).sleep(int(_PATIENCE))
        case "hang":
            time.sleep(_PATIENCE)
        case "nap":
            time.sleep(float(argument))
        case "sql":
            with connection.cursor() as cursor:
                cursor.execute(argument)
        case "leave":
            _leave_in_disorder(argument)
        case _:
            raise ValueError(f"no verb {verb!r}")


def _leave_in_disorder(how: str) -> None:
    """Leave the thread's connection as no step should."""
    ledger.effect(f"left {how}")
    if how == "inside a transaction":
        transaction.atomic().__enter__()
    elif how == "without autocommit":
        transaction.set_autocommit(False)
    elif how == "closed":
        connection.close()
    elif how == "broken":
        connection.connection.close()
    elif how == "with a failed query":
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")
    else:
        raise ValueError(how)

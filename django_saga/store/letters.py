"""Messages that failed; dead ones are neither sent nor handled any more until a person says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Model, QuerySet

from django_saga.models import InboxMessage, OutboxMessage

OUTBOX, INBOX = "outbox", "inbox"
MODELS: dict[str, type[OutboxMessage] | type[InboxMessage]] = {OUTBOX: OutboxMessage, INBOX: InboxMessage}
# What is dead of sagas: compensations, and steps past the pivot. Their letters are named by the step's id.
COMPENSATION, STEP = "compensation", "step"
BOXES = (OUTBOX, INBOX, COMPENSATION, STEP)
_AGAIN = {OUTBOX: OutboxMessage.Status.PENDING, INBOX: InboxMessage.Status.WAITING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a message was not sent or handled. ``due_at``: when it is tried again; None: it is dead."""

    due_at: datetime | None
    error_class: str
    error: str
    fingerprint: str


def fail(rows: QuerySet[Any], failure: Failure, now: datetime, **fields: Any) -> int:
    """Note that messages failed, and ``fields`` of their table besides; the caller holds their partitions.
    Gives how many there were.
    """
    fields |= {"error_class": failure.error_class, "error": failure.error}
    fields |= {"fingerprint": failure.fingerprint, "due_at": failure.due_at}
    if failure.due_at is None:
        fields |= {"status": "dead", "ended_at": now}
    with transaction.atomic(using=rows.db, savepoint=False):
        rows.filter(failed_at=None).update(failed_at=now)
        return rows.update(**{"attempts": F("attempts") + 1, **fields})


def locked(using: str, box: str, letter_id: int) -> OutboxMessage | InboxMessage | None:
    """Lock a message and give it; None when there is none."""
    model: type[Model] = MODELS[box]
    found = model._default_manager.using(using).select_for_update().filter(pk=letter_id).first()
    assert found is None or isinstance(found, (OutboxMessage, InboxMessage))
    return found


def requeue(using: str, box: str, letter_id: int) -> None:
    """Have a dead message tried again at once, with fresh attempts; the caller holds its lock."""
    fields = {"status": _AGAIN[box], "attempts": 0, "due_at": None, "ended_at": None}
    if box == INBOX:
        fields["crashes"] = 0
    MODELS[box]._default_manager.using(using).filter(pk=letter_id).update(**fields)


def discard(using: str, box: str, letter_id: int, now: datetime) -> None:
    """Have a dead message left alone for good; the caller holds its lock."""
    MODELS[box]._default_manager.using(using).filter(pk=letter_id).update(status="discarded", ended_at=now)

"""Dead letters: having a message tried again, or left alone for good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.actions import Action
from django_saga.engine import wake
from django_saga.exceptions import LetterNotFound, OperationRefused
from django_saga.faults import fault_point
from django_saga.models import InboxMessage, OutboxMessage, SagaInstance, SagaStep
from django_saga.operations import audit
from django_saga.operations.access import PERMISSIONS, By, actor_of
from django_saga.operations.actions import retry_compensation, retry_step, skip_compensation, skip_step
from django_saga.store import clock, letters

_CHANNELS = {letters.OUTBOX: wake.OUTBOX, letters.INBOX: wake.INBOX}
_AFTER = {("requeue", letters.OUTBOX): "pending", ("requeue", letters.INBOX): "waiting"}
# What is done with what is dead of sagas; the letters are named by their steps.
_OF_SAGAS: dict[str, dict[str, Callable[..., None]]] = {
    letters.COMPENSATION: {"requeue": retry_compensation, "discard": skip_compensation},
    letters.STEP: {"requeue": retry_step, "discard": skip_step},
}


def requeue(letter: str, *, by: By, why: str = "", using: str | None = None) -> None:
    """Have a dead letter tried again, with fresh attempts: a message (``outbox:7``, ``inbox:7``), a
    compensation (``compensation:<id of its step>``), or a step past the pivot (``step:<id>``).

    A message takes its old place; what came after it in its stream may have gone already. ``using`` is a
    database alias, by default the setting ``DATABASE``. Raises ``PermissionDenied`` (recorded) for a user who
    may not, ``OperationRefused`` (recorded) when it is not dead, ``LetterNotFound`` when there is none.
    """
    using = using or get_settings().database
    box, key = _parsed(letter)
    if isinstance(key, UUID):
        step = _step(using, letter, key)
        _OF_SAGAS[box]["requeue"](step.saga_id, step.name, by=by, why=why, using=using)
        return
    _act("requeue", using, box, key, lambda now: letters.requeue(using, box, key), by=by, why=why)


def discard(letter: str, *, by: By, why: str, using: str | None = None) -> None:
    """Have a dead letter left alone for good: a message is not sent or handled; a step whose compensation is
    dead counts as undone, one that is dead itself is skipped.

    Its row stays until it is pruned. Raises as ``requeue`` does, ``ValueError`` without a reason.
    """
    if not why.strip():
        raise ValueError(f"discard {letter}: say why it is not needed any more (why=…)")
    using = using or get_settings().database
    box, key = _parsed(letter)
    if isinstance(key, UUID):
        step = _step(using, letter, key)
        _OF_SAGAS[box]["discard"](step.saga_id, step.name, by=by, why=why, using=using)
        return
    _act("discard", using, box, key, lambda now: letters.discard(using, box, key, now), by=by, why=why)


def _act(
    action: str, using: str, box: str, key: int, do: Callable[[datetime], None], *, by: By, why: str
) -> None:
    who = actor_of(by)
    with transaction.atomic(using=using):
        row = letters.locked(using, box, key)
        if row is None:
            raise LetterNotFound(f"There is no message {box}:{key}.")
        fault_point("operator.after_lock")
        denied = who.lacks(permission(action, box))
        now = clock.now(using)
        about = f"message {box}:{key}, {row.topic} {row.message_id}"
        refusal = denied or ("" if row.status == "dead" else f"it is {row.status}, not dead")
        if refusal:
            refusal = f"{action} refused for {about}: {refusal}"
        else:
            do(now)
            wake.after_commit(using, _CHANNELS[box])
        saga = _saga(using, row)
        this = audit.Act(
            action=Action(f"{action} message"), who=who, why=why, about=row, saga_id=saga.pk if saga else None
        )
        audit.record(
            using,
            this,
            at=now,
            before=row.status,
            after=row.status if refusal else _AFTER.get((action, box), "discarded"),
            refusal=refusal,
            detail=about,
        )
    if denied:
        raise PermissionDenied(refusal)
    if refusal:
        raise OperationRefused(refusal)


def permission(action: str, box: str) -> str:
    """Give the permission that requeuing or discarding a letter of ``box`` takes."""
    if box in _OF_SAGAS:
        return PERMISSIONS[Action.RETRY_STEP if action == "requeue" else Action.SKIP_STEP]
    options = letters.MODELS[box]._meta
    return f"{options.app_label}.{get_permission_codename(action, options)}"


def _saga(using: str, row: OutboxMessage | InboxMessage) -> SagaInstance | None:
    """Give the saga that published a message, if it is still there."""
    if not isinstance(row, OutboxMessage) or row.saga_id is None:
        return None
    return SagaInstance.objects.using(using).filter(pk=row.saga_id).first()


def _parsed(letter: str) -> tuple[str, int | UUID]:
    """Read a letter's name. Raises ``LetterNotFound``."""
    box, _, key = letter.partition(":")
    try:
        if box in _OF_SAGAS:
            return box, UUID(key)
        if box in letters.MODELS and key.isascii() and key.isdecimal() and len(key) < 19:
            return box, int(key)
    except ValueError:
        pass
    raise LetterNotFound(
        f"{letter!a:.80} names no dead letter: they are called outbox:7, inbox:7, compensation:<id> or "
        "step:<id>."
    )


def _step(using: str, letter: str, key: UUID) -> SagaStep:
    step = SagaStep.objects.using(using).filter(pk=key).first()
    if step is None:
        raise LetterNotFound(f"There is no {letter}.")
    return step

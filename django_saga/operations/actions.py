"""Actions on one saga."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.actions import Action
from django_saga.core.events import (
    CancelRequested,
    CompensateRequested,
    Event,
    StepMarkedDone,
    StepRetried,
    StepSkipped,
    UndoRetried,
    UndoSkipped,
)
from django_saga.core.states import SagaStatus
from django_saga.dsl.registry import registry
from django_saga.engine import announcing, journal, settling, wake
from django_saga.engine.graphs import program_of
from django_saga.engine.tasks import Recorded
from django_saga.exceptions import IllegalTransition, OperationRefused, SagaNotFound, UnknownSaga
from django_saga.models import SagaInstance
from django_saga.operations import audit
from django_saga.operations.access import PERMISSIONS, By, actor_of
from django_saga.store import clock, history, sagas


def cancel(saga_id: UUID | str, *, by: By, why: str = "", using: str | None = None) -> None:
    """Have a saga that still goes forward turn back and undo what was done.

    ``by`` is the user who does it, or a name that the caller answers for. ``using`` is a database alias, by
    default the setting ``DATABASE``. Raises ``PermissionDenied`` (of Django; recorded) for a user who may
    not, ``OperationRefused`` (recorded) when the saga has ended, turns back already, or its definition is not
    in this code; ``SagaNotFound`` when there is none.
    """
    act(Action.CANCEL, saga_id, CancelRequested(), step="", by=by, why=why, using=using)


def retry_compensation(
    saga_id: UUID | str, step: str, *, by: By, why: str = "", using: str | None = None
) -> None:
    """Have a dead compensation tried again, with fresh attempts. Raises as ``cancel`` does."""
    act(Action.RETRY_COMPENSATION, saga_id, UndoRetried(step=step), step=step, by=by, why=why, using=using)


def skip_compensation(saga_id: UUID | str, step: str, *, by: By, why: str, using: str | None = None) -> None:
    """Have ``step`` count as undone though its compensation is dead: what it did was undone by other means,
    or is to stay. Raises as ``cancel`` does, ``ValueError`` without a reason.
    """
    if not why.strip():
        raise ValueError(f"skip_compensation of step {step}: say why it needs no undoing any more (why=…)")
    act(Action.SKIP_COMPENSATION, saga_id, UndoSkipped(step=step), step=step, by=by, why=why, using=using)


def retry_step(saga_id: UUID | str, step: str, *, by: By, why: str = "", using: str | None = None) -> None:
    """Have a step that is dead past the pivot tried again, with fresh attempts. Raises as ``cancel`` does."""
    act(Action.RETRY_STEP, saga_id, StepRetried(step=step), step=step, by=by, why=why, using=using)


def skip_step(saga_id: UUID | str, step: str, *, by: By, why: str = "", using: str | None = None) -> None:
    """Have a saga go on without a step that is dead past the pivot. Raises as ``cancel`` does."""
    act(Action.SKIP_STEP, saga_id, StepSkipped(step=step), step=step, by=by, why=why, using=using)


def mark_done(
    saga_id: UUID | str, step: str, result: Any = None, *, by: By, why: str = "", using: str | None = None
) -> None:
    """Have a step that is dead past the pivot count as done, with ``result``: its effect is there by other
    means. Raises as ``cancel`` does, and ``EncodingError`` for a result that is none of the step's.
    """
    event = StepMarkedDone(step=step)
    act(Action.MARK_DONE, saga_id, event, step=step, by=by, why=why, using=using, result=result)


def compensate(saga_id: UUID | str, *, by: By, why: str = "", using: str | None = None) -> None:
    """Have a saga turn back and undo what was done, in spite of its pivot. Raises as ``cancel`` does."""
    act(Action.COMPENSATE, saga_id, CompensateRequested(), step="", by=by, why=why, using=using)


def act(
    action: Action,
    saga_id: UUID | str,
    event: Event,
    *,
    step: str,
    by: By,
    why: str,
    using: str | None,
    result: Any = None,
) -> None:
    """Feed ``event`` to a saga and record that it was done, or refused."""

    def tell(using: str, saga: SagaInstance) -> tuple[Recorded, str]:
        registered = registry.get(saga.definition.name, saga.definition.version)
        program = program_of(using, registered, saga.pk)
        text = program.encode_result(step, result) if isinstance(event, StepMarkedDone) else None
        return journal.tell(using, saga.pk, program.definition, event, why=why, result=text), ""

    carry_out(action, saga_id, tell, step=step, by=by, why=why, using=using)


def carry_out(
    action: Action,
    saga_id: UUID | str,
    do: Callable[[str, SagaInstance], tuple[Recorded, str]],
    *,
    step: str,
    by: By,
    why: str,
    using: str | None,
) -> None:
    """Do something to a saga and record in the same transaction that it was done, or refused.

    ``do`` takes the alias and the saga; it gives what it recorded, and what the audit is to say of it. Raises
    ``PermissionDenied`` (recorded) for a user who may not.
    """
    using = using or get_settings().database
    who = actor_of(by)
    saga = find(using, saga_id)
    this = audit.Act(action=action, who=who, why=why, about=saga, saga_id=saga.pk, step=step)
    refusal = detail = ""
    since = None
    with transaction.atomic(using=using):
        # Under this lock: what allows it, and whether the user may, is so as it is done.
        before = after = locked_status(using, saga.pk)
        denied = who.lacks(PERMISSIONS[action])
        try:
            if not denied:
                recorded, detail = do(using, saga)
        except (IllegalTransition, UnknownSaga) as error:
            refusal = str(error)
        else:
            after = locked_status(using, saga.pk)
            wake.after_commit(using)
        if refusal := denied or refusal:
            refusal = f"{action} refused for saga {saga.name} {saga.pk}: {refusal}"
        elif action in settling.COMES_LATER and SagaStatus(after).is_live:
            since = history.newest(using, saga.pk)
        audit.record(
            using,
            this,
            at=clock.now(using),
            before=before,
            after=after,
            refusal=refusal,
            detail=detail,
            since_event=since,
        )
    if denied:
        raise PermissionDenied(refusal)
    if refusal:
        raise OperationRefused(refusal)
    announcing.after_commit(using, recorded.transitions)


def find(using: str, saga_id: UUID | str) -> SagaInstance:
    """Give the row of a saga. Raises ``SagaNotFound``."""
    try:
        key = saga_id if isinstance(saga_id, UUID) else UUID(str(saga_id))
        return SagaInstance.objects.using(using).select_related("definition").get(pk=key)
    except (ValueError, SagaInstance.DoesNotExist):
        raise SagaNotFound(f"There is no saga {saga_id!s:.80}.") from None


def locked_status(using: str, saga_id: UUID) -> str:
    """Lock a saga and give its status."""
    return sagas.lock(using, [saga_id])[saga_id].status

"""Approving and rejecting: what a person decides whom a step waits for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.actions import Action
from django_saga.core.external import approval_address
from django_saga.core.problem import did_you_mean
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.core.waits import WaitKind
from django_saga.dsl.forms import filled_in
from django_saga.dsl.program import Program
from django_saga.dsl.registry import registry
from django_saga.engine import ringing
from django_saga.engine.graphs import program_of
from django_saga.exceptions import OperationRefused, SagaNotFound, UnknownSaga
from django_saga.models import SagaStep
from django_saga.operations import audit
from django_saga.operations.access import Actor, User, actor_of
from django_saga.operations.actions import find, locked_status
from django_saga.store import approvals, clock

_FORWARD = (SagaStatus.PENDING, SagaStatus.RUNNING)
_ASKING = (StepStatus.SCHEDULED, StepStatus.RUNNING, StepStatus.WAITING)


def approve(
    saga_id: UUID | str,
    step: str,
    *,
    by: User | Actor,
    data: Any = None,
    why: str = "",
    using: str | None = None,
) -> None:
    """Have a step that waits for approval go on, with ``data`` as its form wants it.

    ``using`` is a database alias, by default the setting ``DATABASE``. Raises ``PermissionDenied`` (of
    Django; recorded) for a user who may not decide, ``InvalidForm`` with the messages by field,
    ``OperationRefused`` (recorded) when the step waits for nobody any more or somebody decided before, and
    ``SagaNotFound`` when there is no such saga or step.
    """
    _decide(Action.APPROVE, saga_id, step, by=by, data=data, why=why, using=using)


def reject(
    saga_id: UUID | str, step: str, *, by: User | Actor, why: str = "", using: str | None = None
) -> None:
    """Have a step that waits for approval fail, and the saga turn back. Raises as ``approve`` does."""
    _decide(Action.REJECT, saga_id, step, by=by, data=None, why=why, using=using)


def _decide(
    action: Action,
    saga_id: UUID | str,
    step: str,
    *,
    by: User | Actor,
    data: Any,
    why: str,
    using: str | None,
) -> None:
    using = using or get_settings().database
    who = None if isinstance(by, str) else actor_of(by)
    if who is None or who.user is None:
        raise TypeError(f"{action}: by={by!r} is no user. Who decides is checked for the step's permission.")
    saga = find(using, saga_id)
    text, denied = "null", ""
    try:
        program = program_of(using, registry.get(saga.name, saga.definition.version), saga.pk)
    except UnknownSaga as error:
        refusal = str(error)
    else:
        permission, form = _asked(program, step)
        denied = refusal = who.lacks(permission)
        if not denied and action == Action.APPROVE:
            text = filled_in(form, data, f"Step {step} of saga {saga.pk} cannot be approved")
    this = audit.Act(action=action, who=who, why=why, about=saga, saga_id=saga.pk, step=step)
    with transaction.atomic(using=using):
        # Under this lock the step acts on what was decided, or on its time being up.
        before = locked_status(using, saga.pk)
        row = SagaStep.objects.using(using).filter(saga_id=saga.pk, name=step).first()
        refusal = refusal or _standing(before, step, row)
        now = clock.now(using)
        if not refusal:
            assert row is not None
            approved = action == Action.APPROVE
            if not approvals.decide(
                using, row.pk, approved=approved, actor=who.name[:150], why=why, data=text, at=now
            ):
                earlier = approvals.pending(using, row.pk)
                assert earlier is not None
                verb = "approved" if earlier.approved else "rejected"
                refusal = f"{earlier.actor} has {verb} it already"
        if refusal:
            refusal = f"{action} refused for step {step} of saga {saga.name} {saga.pk}: {refusal}"
        audit.record(using, this, at=now, before=before, after=before, refusal=refusal)
        if row is not None and not refusal:
            ringing.after_commit(using, [approval_address(row.pk)])
    if denied:
        raise PermissionDenied(refusal)
    if refusal:
        raise OperationRefused(refusal)


def _asked(program: Program, step: str) -> tuple[str, Any]:
    """Give the permission and the form of ``step``. Raises ``SagaNotFound``."""
    asking = [
        each.name for each in program.definition.steps if each.wait and each.wait.kind is WaitKind.APPROVAL
    ]
    if step not in asking:
        told = f"Those that do: {', '.join(asking)}." if asking else "None of its steps does."
        raise SagaNotFound(
            f"Saga {program.definition} has no step {step!r} that waits for approval."
            f"{did_you_mean(step, asking)} {told}"
        )
    wait = program.definition[step].wait
    assert wait is not None
    return wait.name, program.do(step)(None)


def _standing(status: str, step: str, row: SagaStep | None) -> str:
    """Say why nobody can decide about a step now; nothing when somebody can."""
    if row is None:
        return f"step {step} is not opened yet"
    if row.status in _ASKING and status in _FORWARD:
        return ""
    decided = row.approvals.order_by("-id").first()
    if decided is None:
        return f"the step is {row.status}, its saga {status}"
    verb = "approved" if decided.approved else "rejected"
    return f"the step is {row.status}: it was {verb} by {decided.actor}"

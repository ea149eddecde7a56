"""What waits for a person: steps that ask for approval, and whom of."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db.models import QuerySet

from django_saga.conf import get_settings
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.core.waits import WaitKind
from django_saga.dsl.registry import registry
from django_saga.engine.graphs import programs_of
from django_saga.exceptions import UnknownSaga
from django_saga.models import SagaStep


class User(Protocol):
    """A user of the project, as ``request.user`` is one."""

    def has_perm(self, perm: str) -> bool: ...


class Asked(NamedTuple):
    """A step that waits for approval. ``form`` is what ``approval(form=...)`` was given."""

    saga_id: UUID
    saga: str
    step: str
    permission: str
    form: Any
    since: datetime
    until: datetime | None


def approvals(user: User, *, limit: int = 100, using: str | None = None) -> list[Asked]:
    """Give the steps that wait for approval and that ``user`` may decide about, oldest first.

    ``using`` is a database alias, by default the setting ``DATABASE``. Sagas whose code is not in this
    process are left out.
    """
    using = using or get_settings().database
    allowed: dict[str, bool] = {}
    found: list[Asked] = []
    for row in _waiting(using).order_by("created_at", "id").iterator(chunk_size=200):
        asked = _asked(using, row)
        if asked is None:
            continue
        if asked.permission not in allowed:
            allowed[asked.permission] = user.has_perm(asked.permission)
        if allowed[asked.permission]:
            found.append(asked)
            if len(found) == limit:
                break
    return found


def asked_of(user: User, saga_id: UUID, step: str, *, using: str | None = None) -> Asked | None:
    """Give what a step asks of ``user``; None when it waits for nobody, or for somebody else."""
    using = using or get_settings().database
    row = _waiting(using).filter(saga_id=saga_id, name=step).first()
    asked = _asked(using, row) if row else None
    return asked if asked and user.has_perm(asked.permission) else None


def _waiting(using: str) -> QuerySet[SagaStep]:
    return (
        SagaStep.objects.using(using)
        .filter(
            status=StepStatus.WAITING,
            waits_for__startswith="approval:",
            saga__status__in=(SagaStatus.PENDING, SagaStatus.RUNNING),
        )
        .exclude(approvals__pending=True)
        .select_related("saga__definition")
        .defer("saga__input", "saga__graph", "result", "compensation_data", "undo_result")
    )


def _asked(using: str, row: SagaStep) -> Asked | None:
    definition = row.saga.definition
    try:
        registered = registry.get(definition.name, definition.version)
    except UnknownSaga:
        return None
    known = programs_of(using, {definition.pk: registered}, [(row.saga_id, definition.pk)])
    program = known.get(row.saga_id)
    spec = program.definition.by_name.get(row.name) if program else None
    if program is None or spec is None or spec.wait is None or spec.wait.kind is not WaitKind.APPROVAL:
        return None
    form = program.do(row.name)(None)
    return Asked(
        row.saga_id, definition.name, row.name, spec.wait.name, form, row.created_at, row.deadline_at
    )

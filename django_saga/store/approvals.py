"""Persons' decisions that steps wait for, written and acted upon under the lock of the saga."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connections

from django_saga.core.external import approval_address
from django_saga.core.states import StepStatus
from django_saga.models import SagaApproval, SagaStep
from django_saga.store import sql, waiting

_COLUMNS = ("step", "pending", "approved", "actor", "why", "data", "at")


class Decision(NamedTuple):
    """What a person decided; ``data`` is JSON text."""

    id: int
    approved: bool
    actor: str
    why: str
    data: str | None


def pending(using: str, step_id: UUID) -> Decision | None:
    """Give the decision that a step has not acted on yet."""
    found = sql.read(
        using,
        SagaApproval,
        ("id", "approved", "actor", "why", "data"),
        f"SELECT id, approved, actor, why, data FROM {sql.table(SagaApproval)}"
        " WHERE step_id = %s AND pending IS NOT NULL",
        [sql.to_db(connections[using], step_id)],
    )
    return Decision(*found[0]) if found else None


def decide(
    using: str, step_id: UUID, *, approved: bool, actor: str, why: str, data: str, at: datetime
) -> bool:
    """Write a decision, ``data`` as JSON text; False when there is one already."""
    row = (step_id, True, approved, actor, why, data, at)
    return sql.insert(using, SagaApproval, _COLUMNS, [row], ignore=True) == 1


def acted_on(using: str, decision: Decision) -> None:
    """Note that the step acted on a decision."""
    SagaApproval.objects.using(using).filter(pk=decision.id).update(pending=None)


def there(using: str, addresses: Collection[str]) -> set[str]:
    """Give those of ``addresses`` for which there is a decision to act on."""
    known = {UUID(address.partition(":")[2]): address for address in addresses}
    decided = SagaApproval.objects.using(using).filter(step_id__in=known, pending=True)
    return {known[step_id] for step_id in decided.values_list("step_id", flat=True)}


def missed(using: str) -> set[str]:
    """Give the addresses of steps that wait though there is a decision."""
    late = SagaStep.objects.using(using).filter(status=StepStatus.WAITING, approvals__pending=True)
    return {approval_address(step_id) for step_id in late.values_list("pk", flat=True)}


waiting.SOURCES["approval"] = there
waiting.MISSED["approval"] = missed

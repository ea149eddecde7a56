"""What became of a saga, as values to compare."""

from __future__ import annotations

from typing import Any

from django_saga.core.states import LIVE_SAGA
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from tests.processes import wait_until


def ended(*sagas: Any, timeout: float = 30) -> list[str]:
    """Wait until all of ``sagas`` are at rest and give their statuses."""
    ids = [saga.id for saga in sagas]
    live = SagaInstance.objects.filter(id__in=ids, status__in=LIVE_SAGA)
    wait_until(lambda: not live.exists(), timeout=timeout, message="all sagas at rest")
    found = dict(SagaInstance.objects.filter(id__in=ids).values_list("id", "status"))
    return [found[key] for key in ids]


def steps(saga: Any) -> dict[str, tuple[str, int, int]]:
    """Give status, attempts and crashes of each step."""
    rows = SagaStep.objects.filter(saga_id=saga.id).order_by("name")
    return {row.name: (row.status, row.attempt, row.crashes) for row in rows}


def story(saga: Any, step: str | None = None) -> list[str]:
    """Give the history in words: ``charge 1 unknown: worker lost``, ``charge 1 undone``."""
    rows = SagaEvent.objects.filter(saga_id=saga.id).order_by("id")
    return [_said(row) for row in rows if step in (None, row.step)]


def _said(row: SagaEvent) -> str:
    facts = row.data or {}
    what = row.kind.removeprefix("step_")
    if facts.get("undo"):
        what = f"undo {what}"
    cause = facts.get("cause")
    if row.kind == "step_unknown" and cause is None:
        cause = "timed out"
    words = [row.step, str(row.attempt or ""), f"{what}: {cause}" if cause else what]
    return " ".join(word for word in words if word)

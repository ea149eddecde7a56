"""How long steps took lately: medians of what the history says."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from statistics import median

from django_saga.core.spans import between
from django_saga.core.states import SagaStatus
from django_saga.models import SagaDefinition, SagaEvent, SagaInstance

# Enough for a median, and few rows to read however many sagas there are.
_SAGAS = 100


def medians(using: str, name: str, version: int) -> dict[str, timedelta]:
    """Give, for each step, the median of its last successful attempts; steps that never succeeded are left
    out.
    """
    row = SagaDefinition.objects.using(using).filter(name=name, version=version).only("pk").first()
    if row is None:
        return {}
    completed = SagaInstance.objects.using(using).filter(definition=row, status=SagaStatus.COMPLETED)
    newest = list(completed.order_by("-pk").values_list("pk", flat=True)[:_SAGAS])
    ended = SagaEvent.objects.using(using).filter(saga_id__in=newest, kind="step_succeeded")
    took: dict[str, list[float]] = defaultdict(list)
    for step, started_at, ended_at in ended.values_list("step", "started_at", "ended_at"):
        if started_at is not None and ended_at is not None:
            took[step].append(between(started_at, ended_at).total_seconds())
    return {step: timedelta(seconds=median(seconds)) for step, seconds in took.items()}

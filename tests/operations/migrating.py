"""What the tests of migrations do and look at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django_saga import Saga, operations, runtime
from django_saga.models import SagaDefinition, SagaEvent, SagaInstance, SagaOperation, SagaStep
from django_saga.testing import shift_clock

MAPPING = {"reserve": "book"}


def work(*queues: str, **ahead: int) -> None:
    """Have a worker do what is due, perhaps some time later."""
    with shift_clock(timedelta(**ahead)):
        runtime.build_worker(using="default", queue_names=queues or None, concurrency=1, once=True).run()


def reserved(saga: type[Saga], **options: Any) -> Any:
    """Start a saga whose first step is done, and whose second was never begun."""
    handle = saga.start({"sku": "A-1"}, **options)
    work("default")
    return handle


def migrate(**options: Any) -> Any:
    given = {"from_version": 1, "to_version": 2, "mapping": MAPPING, "by": "ada", "why": "to check"}
    return operations.migrate_sagas("order", **{**given, **options})


def fates(report: Any) -> list[tuple[str, str, int]]:
    return sorted((fate.outcome, fate.detail, fate.number) for fate in report.fates.values())


def rows(saga: Any) -> dict[str, tuple[str, int, str]]:
    found = SagaStep.objects.filter(saga_id=saga.id)
    return {row.name: (row.status, row.attempt, row.queue) for row in found}


def everything(*models: Any) -> list[object]:
    models = models or (SagaDefinition, SagaInstance, SagaStep, SagaEvent, SagaOperation)
    return [list(model.objects.order_by("pk").values()) for model in models]

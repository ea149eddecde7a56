"""What the tests of forks do and look at."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_saga import (
    OperationRefused,
    operations,
    runtime,
)
from django_saga.models import SagaEvent, SagaInstance, SagaLock, SagaOperation, SagaStep
from django_saga.testing import shift_clock


def work(**ahead: float) -> None:
    """Have a worker carry all sagas as far as they go, perhaps some time later."""
    with shift_clock(timedelta(**ahead)):
        runtime.build_worker(using="default", concurrency=1, once=True).run()


def held_before(saga: Any, step: str, input: dict[str, Any], **options: Any) -> Any:
    """Start a saga that stands before ``step``: all before it is done, nothing of it has begun."""
    handle = saga.start(input, **options)
    operations.pause(definition=handle.name, step=step, by="ann")
    work()
    operations.resume(definition=handle.name, step=step, by="ann")
    return handle


def fork(handle: Any, step: str, **options: Any) -> Any:
    return operations.fork(handle.id, step, by="ann", why="wrong town", **options)


def steps(handle: Any) -> dict[str, str]:
    return dict(SagaStep.objects.filter(saga_id=handle.id).values_list("name", "status"))


def kinds(handle: Any) -> list[str]:
    return list(SagaEvent.objects.filter(saga_id=handle.id).order_by("id").values_list("kind", flat=True))


def refusal(handle: Any, step: str, **options: Any) -> str:
    """Fork in vain, and give why; nothing was changed and the refusal is recorded."""
    before = everything()
    with pytest.raises(OperationRefused) as refused:
        fork(handle, step, **options)
    assert everything() == before
    audit = SagaOperation.objects.filter(saga_id=handle.id, action="fork").latest("pk")
    assert (audit.result, audit.detail, audit.actor) == ("refused", str(refused.value), "ann")
    return str(refused.value).partition(": ")[2]


def everything() -> list[Any]:
    models = (SagaInstance, SagaStep, SagaEvent, SagaLock)
    return [list(model.objects.order_by("pk").values()) for model in models]


def calls(ledger: Any) -> list[tuple[str, str, str]]:
    return [(line.kind, line.key, line.note) for line in ledger.lines()]

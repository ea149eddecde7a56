"""Rows as the engine writes them, for the tests of what people see."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django_saga.models import (
    SagaDefinition,
    SagaEvent,
    SagaInstance,
    SagaLock,
    SagaOperation,
    SagaStep,
    SagaWorker,
    uuid7,
)
from django_saga.store import clock

ORDER = "order"
STEPS = (("reserve", (), "release"), ("charge", ("reserve",), "refund"), ("ship", ("charge",), ""))


def a_definition(
    name: str = ORDER, version: int = 1, steps: Any = STEPS, *, lock_policy: str = ""
) -> SagaDefinition:
    """A definition's row; made once. ``lock_policy`` is that of sagas that take locks."""
    nodes = [
        {
            "name": step,
            "after": list(after),
            "atomic": False,
            "queue": "default",
            "compensation": undo or None,
        }
        for step, after, undo in steps
    ]
    graph = {"steps": nodes, **({"locks": True, "lock_policy": lock_policy} if lock_policy else {})}
    ours = {"fingerprint": "f" * 64, "graph": graph}
    row, _ = SagaDefinition.objects.get_or_create(
        name=name, version=version, defaults={**ours, "created_at": clock.now("default")}
    )
    if row.fingerprint != ours["fingerprint"]:
        # Emptying the tables writes the rows of sagas that are registered then: of another test's "order".
        row.fingerprint, row.graph = "f" * 64, graph
        row.save()
    return row


def a_saga(
    status: str = "running",
    *,
    definition: SagaDefinition | None = None,
    ago: timedelta = timedelta(hours=3, minutes=10, seconds=20),
    took: timedelta | None = None,
    **values: Any,
) -> SagaInstance:
    """A saga that began ``ago``."""
    definition = definition or a_definition()
    began = clock.now("default") - ago
    given = {"id": uuid7(), "created_at": began, "input": {"sku": "A-1"}, "input_digest": "d" * 64}
    if took is not None:
        given["finished_at"] = began + took
    return SagaInstance.objects.create(
        definition=definition, name=definition.name, status=status, **{**given, **values}
    )


def a_step(saga: SagaInstance, name: str = "reserve", status: str = "scheduled", **values: Any) -> SagaStep:
    """A step of ``saga``; owned by some worker if its status says so."""
    now = clock.now("default")
    given: dict[str, Any] = {"id": uuid7(), "created_at": now, "definition_id": saga.definition_id}
    if status in ("running", "undoing"):
        given |= {"owner": uuid4(), "claimed_at": now, "due_at": now + timedelta(hours=1), "attempt": 1}
    elif status in ("scheduled", "undo_scheduled"):
        given["due_at"] = now
    if due_at := values.get("due_at"):
        given["created_at"] = min(now, due_at)
    return SagaStep.objects.create(saga=saga, name=name, status=status, **{**given, **values})


def an_event(saga: SagaInstance, kind: str, step: str = "", **values: Any) -> SagaEvent:
    """An event of the history."""
    return SagaEvent.objects.create(
        **{"saga": saga, "kind": kind, "step": step, "at": clock.now("default"), **values}
    )


def a_worker(worker: UUID, **values: Any) -> SagaWorker:
    """A worker that is there."""
    now = clock.now("default")
    given = {
        "host": "web-1",
        "pid": 77,
        "state": "running",
        "queues": ["default"],
        "definitions": ["order v1"],
    }
    return SagaWorker.objects.create(
        **{"id": worker, "started_at": now - timedelta(hours=2), "seen_at": now, **given, **values}
    )


def an_operation(saga: SagaInstance, **values: Any) -> SagaOperation:
    """What an operator did."""
    given = {
        "action": "cancel",
        "actor": "mia",
        "result": "done",
        "before": "running",
        "after": "compensating",
    }
    return SagaOperation.objects.create(**{"saga": saga, "at": clock.now("default"), **given, **values})


def a_lock(saga: SagaInstance, target: str = "order:1", *, held: bool = True, **values: Any) -> SagaLock:
    """A lock that ``saga`` holds, or waits for."""
    given = {"target": target, "held": held or None, "since": clock.now("default")}
    return SagaLock.objects.create(**{"saga": saga, **given, **values})

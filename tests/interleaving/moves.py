"""What actors do: the engine's own moves, for one saga at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django_saga import Saga, runtime
from django_saga.core.events import StepNotStarted
from django_saga.engine import atomic, attempt, journal, recovery
from django_saga.engine.tasks import Outcome, Recorded, Task
from django_saga.models import SagaInstance, SagaStep
from django_saga.store import claims, definitions
from django_saga.testing import assert_saga_invariants, shift_clock

DB = "default"
LEASE = timedelta(seconds=30)
LONG_AFTER = timedelta(hours=1)  # when every lease has run out


def programs(saga: type[Saga]) -> dict[int, Any]:
    """The one program of a worker that knows ``saga`` alone."""
    assert saga.program is not None
    return {definitions.identify(DB, saga.program.definition): saga.program}


def claim(saga: type[Saga], saga_id: UUID, limit: int = 10, step: str = "") -> list[Task]:
    """Claim due steps as a worker of its own; ``step``: that one only."""
    known = programs(saga)
    step_id = SagaStep.objects.get(saga_id=saga_id, name=step).pk if step else None
    rows = claims.claim(
        DB,
        owner=uuid4(),
        queue="default",
        executor="thread",
        definitions=list(known),
        limit=limit,
        lease=LEASE,
        saga_id=saga_id,
        step_id=step_id,
    )
    return recovery.load(DB, known, rows)


def attempted(task: Task) -> Outcome:
    """Run the step's function, unless the saga was found to have turned back."""
    if task.wanted:
        return attempt.run(task)
    return Outcome(task, StepNotStarted(step=task.row.name, attempt=task.row.attempt))


def record(outcomes: Sequence[Outcome]) -> Recorded:
    """Record outcomes; what they open is left for anyone."""
    return journal.record(DB, outcomes, None)


def work(saga: type[Saga], saga_id: UUID) -> list[Recorded]:
    """Claim what is due of the saga and carry it out, once."""
    return [
        record([attempted(task)]) if not task.atomic or not task.wanted else write(task)
        for task in claim(saga, saga_id)
    ]


def write(task: Task) -> Recorded:
    """Carry out an atomic step."""
    ended = atomic.run(DB, task, None)
    return record([ended]) if isinstance(ended, Outcome) else ended


def rescue(saga: type[Saga]) -> list[str]:
    """Rescue steps whose lease ran out; give their names."""
    recorded = recovery.reap(DB, programs(saga))
    return [outcome.event.step for outcome in recorded.outcomes] if recorded else []


def carry_on() -> Counter[str]:
    """Have a worker carry all sagas to their end, and check the invariants; count how they ended."""
    for hours in range(2, 5):
        with shift_clock(hours * LONG_AFTER):
            worker = runtime.build_worker(using=DB, concurrency=2, once=True)
            while recovery.reap(DB, worker.programs):
                pass
            worker.run()
    assert_saga_invariants()
    return Counter(SagaInstance.objects.values_list("status", flat=True))

"""Recovery: steps whose worker is gone, sagas whose deadline passed. Every worker does it; none is needed
in particular.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from django_saga.core.events import Cause, DeadlinePassed
from django_saga.core.states import SagaStatus
from django_saga.engine import attempt, journal, locking
from django_saga.engine.graphs import programs_of
from django_saga.engine.tasks import Recorded, Task
from django_saga.exceptions import IllegalTransition, UnknownSaga
from django_saga.faults import fault_point
from django_saga.store import claims, pauses, sagas
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

# Few at a time: when many leases end at once, workers share the work instead of queueing for the same rows.
_BATCH = 100


def rescue(using: str, programs: Mapping[int, Program]) -> Iterator[Recorded]:
    """Take over what lost workers left, turn back sagas that are late, and let in those whose locks are
    free; yield each batch as it is committed.
    """
    while (recorded := reap(using, programs)) is not None:
        yield recorded
        if len(recorded.outcomes) + len(recorded.lost) < _BATCH:
            break
    yield from enforce_deadlines(using, programs)
    yield from locking.let_in(using, programs)


def reap(using: str, programs: Mapping[int, Program]) -> Recorded | None:
    """Record the loss of workers whose leases ran out; None when there are none.

    Nothing is locked between finding such a step and recording it: the token tells whether it is still the
    same attempt.
    """
    found = claims.expired(using, definitions=list(programs), limit=_BATCH)
    fault_point("reap.after_select")
    carried = programs_of(using, programs, ((row.saga_id, row.definition_id) for row in found))
    found = [row for row in found if row.saga_id in carried]
    if not found:
        return None
    outcomes = []
    for row in found:
        task = Task(row, carried[row.saga_id], "null", using=using)
        outcome = attempt.unknown(task, Cause.WORKER_LOST, f"worker {row.owner} let its lease run out")
        outcome.started_at, outcome.ended_at = row.claimed_at, None
        outcomes.append(outcome)
    # Rows that are locked now are being recorded by an owner that came back: it may have its way.
    recorded = journal.record(using, outcomes, None, skip_locked=True)
    fault_point("reap.after_commit")
    return recorded


def enforce_deadlines(using: str, programs: Mapping[int, Program]) -> list[Recorded]:
    """Turn back sagas whose own deadline passed."""
    done = []
    late = sagas.past_deadline(using, definitions=list(programs), limit=_BATCH)
    for saga_id, program in programs_of(using, programs, late).items():
        try:
            done.append(journal.tell(using, saga_id, program.definition, DeadlinePassed()))
        except (IllegalTransition, UnknownSaga):
            continue  # it ended, turned back, or went on by another version since it was found
    return done


def unheard(using: str, owner: UUID, known: Mapping[UUID, int]) -> list[StepRow]:
    """Give the steps ``owner`` holds in the database without knowing it (``known``: step id → token).

    After a commit whose reply was lost, this is how a worker learns what it committed. None of them has
    begun, so each may be given back, due as it was.
    """
    rows = [row for row in claims.held_by(using, owner) if known.get(row.id) != row.token]
    for row in rows:
        row.was_due_at = row.claimed_at
    return rows


def load(using: str, programs: Mapping[int, Program], rows: Sequence[StepRow]) -> list[Task]:
    """Make tasks of claimed rows, with all payloads they may ask for."""
    if not rows:
        return []
    inputs = claims.inputs(using, {row.saga_id for row in rows})
    # It was being claimed as its saga was paused, so it kept its lane.
    if paused := [row for row in rows if inputs[row.saga_id][2] and row.was_due_at is not None]:
        pauses.put_aside_of_sagas(using, paused)
        return load(using, programs, [row for row in rows if row not in paused])
    tasks = []
    carried = programs_of(using, programs, ((row.saga_id, row.definition_id) for row in rows))
    rows = [row for row in rows if row.saga_id in carried]
    rich = {row.id for row in rows if row.undo or carried[row.saga_id].definition[row.name].after}
    stored = sagas.payloads(using, list({row.saga_id for row in rows if row.id in rich})) if rich else {}
    turned = {row.saga_id for row in rows if row.undo}
    why = sagas.reasons(using, list(turned)) if turned else {}
    for row in rows:
        status, text, _ = inputs[row.saga_id]
        task = Task(row, carried[row.saga_id], text, using=using)
        task.wanted = task.undo or status in (SagaStatus.RUNNING, SagaStatus.PENDING)
        if row.id in rich:
            task.payloads = stored.get(row.saga_id, {})
            task.background = why.get(row.saga_id, "")
        tasks.append(task)
    return tasks

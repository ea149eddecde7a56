"""What a worker that has to go does with the steps it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import connections

from django_saga.core.events import Cause
from django_saga.engine import attempt, recorder
from django_saga.engine.tasks import Task
from django_saga.store import claims

if TYPE_CHECKING:
    from django_saga.engine.worker import Worker


def give_back(worker: Worker, unbegun: Sequence[Task]) -> None:
    """Give back steps that were not begun, as if they had never been claimed."""
    # Of a step that was found after a doubtful commit it is not known when it was due.
    known = [task.row for task in unbegun if task.row.was_due_at is not None]
    try:
        claims.release(worker.using, owner=worker.id, rows=known)
    except recorder.DATABASE_ERRORS as error:
        recorder.wait_out(worker, error)  # their leases run out: later, but as surely
    leave_behind(worker, [task for task in unbegun if task.row.was_due_at is None])


def leave_behind(worker: Worker, left: Sequence[Task]) -> None:
    """Record attempts as in doubt, due for anyone at once, and not charged."""
    for task in left:
        task.lost = True
    outcomes = [attempt.unknown(task, Cause.RELEASED, "the worker had to stop") for task in left]
    if outcomes:
        recorder.record_leaving(worker, outcomes)


def give_up(worker: Worker, hung: Sequence[Task]) -> None:
    """Record atomic attempts that hang as timed out, if the server has ended their transactions; else their
    leases run out.
    """
    if hung and connections[worker.using].features.has_select_for_update_skip_locked:
        outcomes = [attempt.unknown(task, Cause.TIMED_OUT, f"no end within {task.timeout}") for task in hung]
        recorder.record_leaving(worker, outcomes)

"""Runs an atomic attempt: the step's writes, its result, what it opens and the history commit together, or
not at all.

The step's row is locked and its token checked first (the fence). While that lock is held nobody can take
the step over, so the open transaction is the proof of life and needs no heartbeat; on PostgreSQL ``SET
LOCAL`` timeouts bound it from the server's side. The saga is locked only to record, so a slow atomic step
holds up no other branch.
"""

from __future__ import annotations

import random
import time

from django.db import DatabaseError, InterfaceError, connections, transaction

from django_saga.core.events import Cause
from django_saga.engine import announcing, attempt, journal
from django_saga.engine.connections import refresh
from django_saga.engine.journal import Holder
from django_saga.engine.tasks import Outcome, Recorded, Task
from django_saga.engine.waiting import NoReply, Refused
from django_saga.exceptions import BrokenTransaction, LeaseLost
from django_saga.faults import fault_point
from django_saga.signals import worker_event
from django_saga.store import errors, fence

TRANSACTION_TRIES = 5


def run(using: str, task: Task, holder: Holder | None) -> Recorded | Outcome:
    """Run the attempt and give what was recorded; or an outcome that is still to be recorded, as the
    transaction is gone.
    """
    attempt.begin(task)
    announcing.begun(task)
    while True:
        try:
            return _once(using, task, holder)
        except LeaseLost:
            _give_back(holder)
            task.lost = True
            lost = attempt.unknown(task, Cause.WORKER_LOST, "the lease was lost")
            return Recorded(lost=[lost], doubtful=task.doubtful)
        except (DatabaseError, InterfaceError) as error:
            _give_back(holder)
            refresh(using, after_error=True)
            # Should only the commit's reply have been lost, the fence will tell.
            task.doubtful = task.doubtful or errors.is_away(error)
            if not _worth_another_try(task, error):
                return attempt.failed(task, _explained(error))
        # Two transactions that ran into each other should not meet again.
        time.sleep(random.uniform(0.01, 0.05) * 2**task.tries)  # noqa: S311
        task.tries += 1


def _worth_another_try(task: Task, error: BaseException) -> bool:
    """True when the transaction did not fail for itself: then it runs again, in the same attempt."""
    if task.tries >= TRANSACTION_TRIES or not (errors.is_conflict(error) or errors.is_away(error)):
        return False
    assert task.started is not None
    return time.monotonic() - task.started < task.timeout.total_seconds()


def _once(using: str, task: Task, holder: Holder | None) -> Recorded:
    committed: list[bool] = []
    try:
        with transaction.atomic(using=using, durable=True):
            # The first of the hooks that run after commit: the others are the step's, and may fail.
            transaction.on_commit(lambda: committed.append(True), using=using)
            task.waits_for = fence.hold(using, task.row.id, task.row.token, task.timeout)
            fault_point("t2.after_fence")
            outcome = _user_code(using, task)
            fault_point("t2.after_effect")
            recorded = journal.record(using, [outcome], holder, savepoint=False)
            if recorded.lost:
                raise LeaseLost(f"step {task.row.id} moved on from token {task.row.token}")
            recorded.waiting = recorded.waiting or bool(task.opened)
            recorded.left_in |= task.opened
            fault_point("t2.before_commit")
    except Exception as error:
        if not committed:
            raise
        worker_event.send_robust(Task, worker=None, event="hook_failed", task=task, error=error)
    fault_point("t2.after_commit")
    return recorded


def _give_back(holder: Holder | None) -> None:
    """The transaction that promised places to successors is gone."""
    if holder is not None:
        holder.room.give_back()


def _user_code(using: str, task: Task) -> Outcome:
    """Run user code in a savepoint: what it raises undoes its writes only, and the failure is recorded in
    their place.
    """
    connection = connections[using]
    try:
        with transaction.atomic(using=using), fence.guarded(connection):
            value = attempt.call(task)
            fault_point("comp.mid" if task.undo else "step.mid")
            if connection.needs_rollback:
                raise BrokenTransaction(
                    "the step went on after a database error inside its transaction; "
                    "wrap what may fail in a transaction.atomic() block of its own"
                )
            outcome = attempt.succeeded(task, value)
            if outcome.error and not isinstance(value, (Refused, NoReply)):
                raise _NotJson(outcome)
    except _NotJson as refused:
        return refused.outcome
    except fence.TornTransaction:
        raise
    except (DatabaseError, InterfaceError) as error:
        # A conflict concerns the whole transaction, and so does any error that left it unusable.
        if errors.is_conflict(error) or connection.needs_rollback or connection.closed_in_transaction:
            raise
        return attempt.failed(task, error)
    except (Exception, SystemExit) as error:
        return attempt.failed(task, error)
    return outcome


class _NotJson(Exception):
    """The result cannot be stored: undo the step's writes and record the failure."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


def _explained(error: BaseException) -> BaseException:
    """Say what an error at the edge of user code means: its transaction is gone."""
    if isinstance(error, fence.TornTransaction):
        return error.told
    broken = BrokenTransaction(f"the transaction of the step did not survive it: {error}")
    broken.__cause__ = error
    return broken

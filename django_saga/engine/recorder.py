"""Records a worker's outcomes whatever the database does: conflicts, restarts, commits whose reply is
lost.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from django.db import DatabaseError, InterfaceError

from django_saga import signals
from django_saga.engine import attempt, breakers, connections, journal, wake
from django_saga.engine.tasks import Outcome, Recorded
from django_saga.store import errors

if TYPE_CHECKING:
    from django_saga.engine.worker import Worker

DATABASE_ERRORS = (DatabaseError, InterfaceError)
# Waits while the database is away, in seconds.
FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0
_CONFLICTS = 10


def record(worker: Worker, outcomes: Sequence[Outcome]) -> Iterator[Recorded]:
    """Record ``outcomes`` together, or one by one if they fail together; yield what was committed.

    A lost connection leaves open whether the commit happened. The batch is then fed again with the same
    tokens: what was committed shows as lost, since its rows moved on, and the worker has to look for the
    steps it opened (``doubtful``).
    """
    doubtful, conflicts, wait = any(outcome.task.doubtful for outcome in outcomes), 0, FIRST_WAIT
    while not worker.gone:
        holder = worker.holder(len(outcomes))
        try:
            recorded = journal.record(worker.using, outcomes, holder)
            recorded.doubtful = doubtful
        except DATABASE_ERRORS as error:
            holder.room.give_back()
            connections.refresh(worker.using, after_error=True)
            conflict = errors.is_conflict(error) or errors.was_cancelled(error)
            if conflict and conflicts < _CONFLICTS:
                conflicts += 1
                time.sleep(random.uniform(0, 0.01) * conflicts)  # noqa: S311
                continue
            if conflict or errors.is_away(error):
                doubtful = doubtful or not conflict
                wait = wait_out(worker, error, wait)
                continue
            if len(outcomes) > 1:
                for outcome in outcomes:
                    yield from record(worker, [outcome])
                return
            yield from _refused(worker, outcomes[0], error)
            return
        if recorded.lost:
            _tell_lost(worker, recorded, doubtful=doubtful)
        yield recorded
        return


def record_leaving(worker: Worker, outcomes: Sequence[Outcome]) -> None:
    """Record ``outcomes`` once, as a worker's last word; leases cover what does not succeed."""
    try:
        recorded = journal.record(worker.using, outcomes, None, skip_locked=True)
        if recorded.waiting and wake.hears(worker.using):
            wake.nudge(worker.using)
    except DATABASE_ERRORS as error:
        signals.worker_event.send_robust(type(worker), worker=worker, event="trouble", error=error)


def wait_out(worker: Worker, error: BaseException, wait: float = FIRST_WAIT) -> float:
    """Drop the broken connection and wait; give how long to wait the next time, in seconds."""
    signals.worker_event.send_robust(type(worker), worker=worker, event="trouble", error=error)
    connections.refresh(worker.using, after_error=True)
    worker.troubled = True
    worker.pause(wait * random.uniform(0.5, 1))  # noqa: S311
    return min(wait * 2, _LONGEST_WAIT)


def announce(recorded: Recorded) -> None:
    """Send the signals of a committed batch, and tell circuit breakers."""
    breakers.note(recorded)
    if signals.step_recorded.receivers:
        for outcome in recorded.outcomes:
            signals.step_recorded.send_robust(Outcome, outcome=outcome)
    if signals.saga_finished.receivers:
        for done in recorded.finished:
            signals.saga_finished.send_robust(
                Recorded,
                saga_id=done.saga_id,
                name=done.name,
                status=done.status,
                reason=done.reason,
                culprit=done.culprit,
            )


def _refused(worker: Worker, outcome: Outcome, error: BaseException) -> Iterator[Recorded]:
    """Record that an outcome could not be recorded: a permanent failure of its step, not a loop."""
    if outcome.error_class:
        signals.worker_event.send_robust(type(worker), worker=worker, event="trouble", error=error)
        yield Recorded(lost=[outcome])
        return
    yield from record(worker, [attempt.refused(outcome, error)])


def _tell_lost(worker: Worker, recorded: Recorded, *, doubtful: bool) -> None:
    for outcome in recorded.lost:
        outcome.task.lost = True
        if not doubtful:
            signals.worker_event.send_robust(
                type(worker), worker=worker, event="late_result", outcome=outcome
            )

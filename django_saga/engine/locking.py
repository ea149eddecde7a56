"""Semantic locks: sagas that start take theirs, are refused, or wait; those whose turn has come are let in.

Locks are released by the journal, in the transaction in which their saga ends. Letting the next one in is
a transaction of its own, under that one's lock: what decides is what the rows say whenever somebody looks,
so a look that comes too early, or never, costs time only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import DatabaseError, transaction

from django_saga.core import machine
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import LocksGranted
from django_saga.core.states import LockPolicy
from django_saga.engine import journal
from django_saga.engine.tasks import Recorded
from django_saga.exceptions import TargetLocked
from django_saga.faults import fault_point
from django_saga.store import clock, errors, locks, sagas, starts
from django_saga.store.locks import Wish
from django_saga.store.starts import NewSaga

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

# One transaction each: few at a time, so that several who look share them.
_BATCH = 100


def write_new(using: str, definition: SagaDefinition, new: Sequence[NewSaga], now: datetime) -> list[NewSaga]:
    """Write new sagas without idempotency keys, which take their locks; give them back as they begin.

    Raises ``TargetLocked``.
    """
    if not any(saga.event.locks for saga in new):
        starts.write_whole(using, new, now)
        return list(new)
    starts.write(using, new, now)
    begun = admitted(using, definition, new, now)
    starts.finish(using, begun, now)
    return begun


def admitted(using: str, definition: SagaDefinition, new: Sequence[NewSaga], now: datetime) -> list[NewSaga]:
    """Have new sagas, whose rows are written, take their locks; give them back as they begin: those that
    have to wait without a step.

    Raises ``TargetLocked``; what was written has to be rolled back then.
    """
    if not any(saga.event.locks for saga in new):
        return list(new)
    if definition.lock_policy is LockPolicy.REFUSE:
        _hold_or_refuse(using, definition, new, now)
        waiting: dict[UUID, NewSaga] = {}
    else:
        waiting = _hold_or_wait(using, definition, new, now)
    fault_point("lock.acquired")
    return [waiting.get(saga.id, saga) for saga in new]


def let_in(using: str, programs: Mapping[int, Program]) -> Iterator[Recorded]:
    """Have waiting sagas begin that are the first in line for all their locks; yield each as it is
    committed.
    """
    known = [key for key, program in programs.items() if program.definition.locks]
    while known:
        found = locks.next_in_line(using, definitions=known, limit=_BATCH)
        begun = 0
        for saga_id, key in found:
            recorded = _let_in(using, saga_id, programs[key].definition)
            if recorded is not None:
                begun += 1
                yield recorded
        if len(found) < _BATCH or not begun:
            return


def look_after_commit(using: str, definition: SagaDefinition, saga: NewSaga) -> None:
    """Have a saga that begins to wait look for its turn once it is committed.

    Its lock may have become free since it asked, and whoever released that could not see it.
    """

    def look() -> None:
        if locks.next_in_line(using, definitions=[saga.definition_id], limit=1, saga_id=saga.id):
            _let_in(using, saga.id, definition)

    transaction.on_commit(look, using=using, robust=True)


def _hold_or_refuse(using: str, definition: SagaDefinition, new: Sequence[NewSaga], now: datetime) -> None:
    ours: dict[str, NewSaga] = {}
    for saga in new:
        for target in saga.event.locks:
            if rival := ours.get(target):
                raise _refusal(definition, locks.Holder(target, rival.id, rival.name))
            ours[target] = saga
    wishes = _wishes(new)
    while locks.taken(using, list(ours), now) or not locks.hold(using, wishes, now):
        locks.release(using, [saga.id for saga in new])
        if found := locks.holder(using, list(ours), now):
            raise _refusal(definition, found)


def _refusal(definition: SagaDefinition, found: locks.Holder) -> TargetLocked:
    return TargetLocked(
        f"Saga {definition.name} was not started: {found.target!r} is locked by saga {found.saga} "
        f"{found.saga_id}. Start it again when that one has ended, or let it wait for that with "
        "lock_policy = LockPolicy.WAIT.",
        target=found.target,
        saga_id=found.saga_id,
        saga=found.saga,
    )


def _hold_or_wait(
    using: str, definition: SagaDefinition, new: Sequence[NewSaga], now: datetime
) -> dict[UUID, NewSaga]:
    """Give those that wait. One that begins later does not stand in line before."""
    wishes = _wishes(new)
    begins_at = new[0].event.starts_at
    may_hold = (begins_at is None or begins_at <= now) and locks.collides_quietly(using)
    taken = locks.taken(using, [target for target, _ in wishes], now)
    holding: list[NewSaga] = []
    waiting: list[NewSaga] = []
    for saga in new:
        free = may_hold and taken.isdisjoint(saga.event.locks)
        (holding if free or not saga.event.locks else waiting).append(saga)
        taken.update(saga.event.locks)
    if not locks.hold(using, _wishes(holding), now):
        locks.release(using, [saga.id for saga in holding])
        waiting = [saga for saga in new if saga.event.locks]
    locks.stand_in_line(using, _wishes(waiting), begins_at or now)
    found = {saga.id: _waiting(definition, saga, now) for saga in waiting}
    sagas.write_status(using, {key: (saga.state.status, "", "") for key, saga in found.items()}, now)
    return found


def _waiting(definition: SagaDefinition, saga: NewSaga, now: datetime) -> NewSaga:
    event = replace(saga.event, waits=True)
    return saga._replace(event=event, state=machine.start(definition, event, now=now), steps=[])


def _wishes(new: Sequence[NewSaga]) -> list[Wish]:
    return [(target, saga.id) for saga in new for target in saga.event.locks]


def _let_in(using: str, saga_id: UUID, definition: SagaDefinition) -> Recorded | None:
    """Give None when the saga waits no more, or somebody else is at it, or was faster."""
    try:
        with transaction.atomic(using=using):
            if not sagas.lock(using, [saga_id], skip_locked=True):
                return None
            if not locks.take_turn(using, saga_id, clock.now(using)):
                transaction.set_rollback(True, using=using)
                return None
            recorded = journal.tell(using, saga_id, definition, LocksGranted())
            fault_point("lock.acquired")
    except DatabaseError as error:
        if errors.is_conflict(error):
            return None
        raise
    return recorded

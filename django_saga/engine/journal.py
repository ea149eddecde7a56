"""The journal: records what happened to many sagas in one transaction.

    lock the batch's sagas, ordered by id → check the steps' tokens (the fence) → load the steps they need
    → ``machine.decide`` for each → write steps, sagas and history → commit

Invariant: a step's row, its saga's row and the history change only here, in ``engine.migration``,
``engine.forking`` and ``store.claims``, always under the saga's lock (claims and leases, which no decision
depends on, under the step row's). Two branches that end together are decided one after the other by that
lock, so a join is opened exactly once. An outcome counts only while the token it was claimed with is the
row's: a late one changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core import lanes
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Event, StepEvent, StepMarkedDone, StepWaits
from django_saga.core.state import StepState
from django_saga.core.states import CLAIMABLE_STEP, OWNED_STEP, Outcome, SagaStatus, StepStatus
from django_saga.core.waits import WAITING
from django_saga.engine import publishing, transitions, versions
from django_saga.engine.intake import lane_of
from django_saga.engine.opening import new_row
from django_saga.engine.tasks import Finished, Recorded, Task
from django_saga.engine.tasks import Outcome as Ended
from django_saga.engine.work import Work, fenced, load, looks_back
from django_saga.exceptions import IllegalTransition, SagaNotFound
from django_saga.faults import fault_point
from django_saga.store import claims, clock, definitions, history, locks, pauses, sagas, sql, waiting
from django_saga.store.rows import StepRow


class Room(Protocol):
    """Tells which opened steps a holder has room for; one for each batch."""

    def take(self, row: StepRow) -> bool: ...

    def give_back(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Holder:
    """Who records: its id, the lease it takes, and which opened steps it takes straight on."""

    id: UUID
    lease: timedelta
    room: Room


def record(
    using: str,
    outcomes: Sequence[Ended],
    holder: Holder | None,
    *,
    skip_locked: bool = False,
    savepoint: bool = True,
) -> Recorded:
    """Record ``outcomes`` in one transaction, or in the one that is open.

    Outcomes whose token is no longer the row's come back as ``lost``. Opened steps that ``holder`` accepts
    are leased to it and come back as tasks; all others are left to be claimed. ``savepoint``: of ``atomic``.
    """
    with transaction.atomic(using=using, savepoint=savepoint):
        locked = sagas.lock(using, {o.task.row.saga_id for o in outcomes}, skip_locked=skip_locked)
        held, now = sagas.fences(using, fenced(outcomes, locked), skip_locked=skip_locked)
        recorded = Recorded(now=now, places=holder.room if holder else None, using=using)
        works: dict[UUID, Work] = {}
        live: list[tuple[Ended, Work]] = []
        for outcome in outcomes:
            row = outcome.task.row
            found, saga = held.get(row.id), locked.get(row.saga_id)
            if found is None or saga is None or found.token != row.token or found.status not in OWNED_STEP:
                recorded.lost.append(outcome)
                continue
            work = works.get(row.saga_id)
            if work is None:
                work = works[row.saga_id] = Work(saga, outcome.task)
            work.needs(outcome.event)
            if looks_back(outcome, saga):
                work.check(held)
            # A copy: should the transaction have to be run again, it begins from the row as it was claimed.
            work.rows[row.name] = row.copy()
            live.append((outcome, work))
        load(using, list(works.values()))
        entries: list[history.Entry] = []
        heard = transitions.heard()
        for outcome, work in live:
            _feed(work, outcome, now, entries, recorded, heard)
            if lanes.is_limited(outcome.task.row.executor):
                # Its end makes room for another one, wherever that waits.
                recorded.waiting = True
                recorded.left_in.add(outcome.task.row.queue)
        _write(using, works, entries, recorded, holder, now, prepare=True)
        says = [o.task for o in recorded.outcomes if works[o.task.row.saga_id].stands(o.event)]
        publishing.write(using, [draft for task in says for draft in task.messages])
        if keys := {o.event.waits_for for o in recorded.outcomes if isinstance(o.event, StepWaits)} - {""}:
            # The second look: it may have come meanwhile. No ``partial``: Django logs the name if it fails.
            transaction.on_commit(lambda: _look_again(using, keys, recorded), using=using, robust=True)
    return recorded


def _look_again(using: str, keys: set[str], recorded: Recorded) -> None:
    if waiting.ring(using, waiting.there(using, keys)):
        recorded.waiting = True
        recorded.left_in.update(outcome.task.row.queue for outcome in recorded.outcomes)


def _ring_parents(using: str, parents: set[UUID], recorded: Recorded) -> None:
    if queues := waiting.ring_steps(using, parents):
        recorded.waiting = True
        recorded.left_in |= queues


def tell(
    using: str,
    saga_id: UUID,
    definition: SagaDefinition,
    event: Event,
    *,
    why: str = "",
    result: str | None = None,
) -> Recorded:
    """Feed an event that is not the end of an attempt (a deadline, an operator's word), in one transaction.

    ``definition`` is the saga's as the caller knows it: if the saga was migrated since, the one it has now
    decides. ``why`` goes into the history, ``result`` (JSON text) into the event's step. Raises
    ``IllegalTransition`` when the saga's state has no rule for the event, ``SagaNotFound`` when there is
    none, ``UnknownSaga`` when the code lacks its definition.
    """
    with transaction.atomic(using=using):
        found = sagas.lock(using, [saga_id])
        if saga_id not in found:
            raise SagaNotFound(f"There is no saga {saga_id}.")
        now = clock.now(using)
        fault_point("operator.after_lock")
        work = Work(found[saga_id], None, definition)
        load(using, [work])
        held_id = versions.id_of(using, saga_id, work.rows.values())
        work.definition = versions.current(using, saga_id, held_id, definition)
        recorded = Recorded(now=now)
        event, before = work.observed(event), work.state
        decision = work.decide(event, now)
        if result is not None and isinstance(event, StepMarkedDone):
            work.rows[event.step].result = result
        transitions.note(recorded, using, work, before, decision)
        entries = [history.Entry(saga_id, event, error=why)]
        _write(using, {saga_id: work}, entries, recorded, None, now)
    return recorded


def tell_all(
    using: str, saga_ids: Sequence[UUID], known: SagaDefinition, event: Event, *, beside: UUID
) -> tuple[Recorded, int]:
    """Feed ``event`` to many sagas as ``tell`` does to one, and pass over those whose state has no rule for
    it; give also how many took it.

    ``beside``: the saga whose step has them told, and whose lock its transaction takes too: all are locked in
    one go, so that their order holds.
    """
    with transaction.atomic(using=using):
        found = sagas.lock(using, {*saga_ids, beside})
        now = clock.now(using)
        works = {each: Work(found[each], None, known) for each in saga_ids if each in found}
        load(using, list(works.values()))
        recorded, entries, told = Recorded(now=now), [], {}
        for saga_id, work in works.items():
            held_id = versions.id_of(using, saga_id, work.rows.values())
            work.definition = versions.current(using, saga_id, held_id, known)
            before, fed = work.state, work.observed(event)
            try:
                decision = work.decide(fed, now)
            except IllegalTransition:
                continue  # it turned back already; or its pivot is under way, and its parent hears of its end
            transitions.note(recorded, using, work, before, decision)
            entries.append(history.Entry(saga_id, fed))
            told[saga_id] = work
        _write(using, told, entries, recorded, None, now)
    return recorded, len(told)


def _feed(
    work: Work,
    outcome: Ended,
    now: datetime,
    entries: list[history.Entry],
    recorded: Recorded,
    heard: transitions.Heard,
) -> None:
    event, before = work.observed(outcome.event), work.state
    row = work.rows[outcome.task.row.name]
    holding, waited, began = row.owner, row.reason == WAITING, row.partial
    try:
        decision = work.decide(event, now)
    except IllegalTransition:
        # Only an outcome of a saga whose rows were changed by hand gets here: it must not hold up its batch.
        recorded.lost.append(outcome)
        return
    assert isinstance(event, StepEvent)
    if isinstance(event, StepWaits):
        now_waits = work.state.steps[row.name]
        if waited and now_waits.is_open and now_waits.partial is began:
            recorded.outcomes.append(outcome)
            return  # it looked, and waits on: that is no news
        row.waits_for = event.waits_for
    row.error = outcome.error
    if outcome.result is not None:
        row.result = outcome.result
    if outcome.compensation_data is not None:
        row.compensation_data = outcome.compensation_data
    row.undo_result = outcome.undo_result
    entries.append(
        history.Entry(
            row.saga_id,
            event,
            row.token,
            holding,
            outcome.started_at,
            outcome.ended_at,
            outcome.error_class,
            outcome.error,
            outcome.traceback,
        )
    )
    recorded.outcomes.append(outcome)
    steps = heard.steps or bool(outcome.task.program.hooks)
    if steps or (heard.sagas and work.state.status is not before.status):
        transitions.note(recorded, outcome.task.using, work, before, decision, outcome, steps=steps)


def _write(
    using: str,
    works: dict[UUID, Work],
    entries: list[history.Entry],
    recorded: Recorded,
    holder: Holder | None,
    now: datetime,
    *,
    prepare: bool = False,
) -> None:
    statuses: dict[UUID, tuple[SagaStatus, str, str]] = {}
    rows: list[StepRow] = []
    handed: list[tuple[Work, StepRow]] = []
    unlocked: list[UUID] = []
    parents: set[UUID] = set()
    for work in works.values():
        for name in work.changed:
            row = _row(using, work, work.state.steps[name], now)
            rows.append(row)
            if row.status not in CLAIMABLE_STEP or row.due_at is None:
                continue
            if work.state.paused:
                row.executor = lanes.marked(row.executor, lanes.PAUSED)
            elif row.due_at > now:
                recorded.next_due = min(recorded.next_due or row.due_at, row.due_at)
            elif holder is not None and work.task and holder.room.take(row):
                row.lease(holder.id, now=now, until=now + holder.lease)
                handed.append((work, row))
            else:
                recorded.waiting = True
                recorded.left_in.add(row.queue)
        before, after = work.saga, work.state
        if after.deadline_at != before.deadline_at:
            sagas.write_deadline(using, before.id, after.deadline_at)
        if after.paused is (before.paused_at is None):
            pauses.write(using, before.id, now if after.paused else None)
        if (before.status, before.reason, before.culprit) != (after.status, after.reason, after.culprit):
            statuses[before.id] = (after.status, after.reason, after.culprit)
            if not after.status.is_live:
                if work.definition.locks and after.status.is_terminal:
                    unlocked.append(before.id)
                recorded.finished.append(Finished(before.id, after.status))
                if before.parent_step is not None:
                    parents.add(before.parent_step)
    writes = [*sagas.steps_written(using, rows), *history.written(using, entries, now)]
    sql.together(using, writes, prepare=prepare)
    if returned := {row.id: row.undo_result for row in rows if row.undo_result is not None}:
        sagas.write_apart(using, "undo_result", returned)
    if waits := {row.id: row.waits_for for row in rows if row.waits_for is not None}:
        sagas.write_apart(using, "waits_for", waits)
    sagas.write_status(using, statuses, now)
    if unlocked:
        recorded.freed = locks.release(using, unlocked) > 0
        fault_point("lock.released")
    if parents:
        transaction.on_commit(lambda: _ring_parents(using, parents, recorded), using=using, robust=True)
    recorded.tasks = _tasks(using, handed)


def _row(using: str, work: Work, state: StepState, now: datetime) -> StepRow:
    """Give the row of ``state``, made new if the step was opened just now."""
    row = work.rows.get(state.name)
    if row is None and work.known and state.name in work.known:
        row = work.rows[state.name] = work.known[state.name].copy()
    if row is None:
        row = new_row(work.saga.id, _definition_id(using, work), work.definition, state, now)
        work.rows[state.name] = row
        return row
    row.take(state)
    if row.due_at is None:
        row.ended_at = now
    else:
        limit = get_settings().max_crashes
        row.executor = lane_of(work.definition, state, undo=row.undo, max_crashes=limit)
    return row


def _definition_id(using: str, work: Work) -> int:
    for row in work.rows.values():
        return row.definition_id
    return definitions.identify(using, work.definition)  # no step was opened yet


def _tasks(using: str, handed: Sequence[tuple[Work, StepRow]]) -> list[Task]:
    """Make tasks of the steps handed on, with the payloads they may ask for; what is at hand is not read."""
    ready: list[tuple[Work, StepRow, dict[str, tuple[str | None, str | None]]]] = []
    wanting = set()
    for work, row in handed:
        assert work.task is not None
        payloads = dict(work.task.payloads)
        for other in work.rows.values():
            if other.result is not None or other.compensation_data is not None:
                payloads[other.name] = (other.result, other.compensation_data)
            if other.undo_result is not None:
                payloads[sagas.undo_of(other.name)] = (other.undo_result, None)
        if not _wanted(work, row) <= payloads.keys() or _may_lack_undo_results(work, row):
            wanting.add(work.saga.id)
        ready.append((work, row, payloads))
    stored = sagas.payloads(using, list(wanting)) if wanting else {}
    elsewhere = {row.ran_in or row.saga_id for work, row in handed if not _shares_input(work, row)}
    inputs = claims.inputs(using, elsewhere) if elsewhere else {}
    tasks = []
    for work, row, payloads in ready:
        assert work.task is not None
        found = stored.get(work.saga.id, payloads)
        text = work.task.input if _shares_input(work, row) else inputs[row.ran_in or row.saga_id][1]
        task = Task(row, work.task.program, text, found, using=using)
        task.known = _known(work, row)
        if row.undo:
            task.background = _background(work)
        tasks.append(task)
    if unsaid := {task.row.saga_id for task in tasks if task.undo and not task.background}:
        why = sagas.reasons(using, list(unsaid))
        for task in tasks:
            if task.row.saga_id in unsaid:
                task.background = why[task.row.saga_id]
    return tasks


def _shares_input(work: Work, row: StepRow) -> bool:
    """True unless one of the step and the task at hand ran in another saga, with an input of its own."""
    return work.task is not None and work.task.row.ran_in == row.ran_in


def _known(work: Work, row: StepRow) -> dict[str, StepRow] | None:
    """Give the rows that the end of the step may ask for, as they are now."""
    if work.known is None or not work.definition.is_chain:
        return None
    before = work.definition.ancestors[row.name]
    seen = {**work.known, **work.rows}
    return {
        name: other
        for name, other in seen.items()
        if name in before or (name != row.name and other.status == StepStatus.UNDO_FAILED)
    }


def _wanted(work: Work, row: StepRow) -> frozenset[str]:
    """Name the steps whose payloads the step may ask for: those it waited for; to undo, all that have any."""
    if not row.undo:
        return work.definition.ancestors[row.name] - work.definition.mains.keys()
    steps = work.state.steps.values()
    return frozenset(step.name for step in steps if step.outcome is Outcome.SUCCEEDED or step.partial)


def _may_lack_undo_results(work: Work, row: StepRow) -> bool:
    """True for a compensation beside which others may have ended, recorded by somebody else."""
    return row.undo and not work.definition.is_chain


def _background(work: Work) -> str:
    """Say why the saga turned back; "" where that has to be looked up."""
    if work.task is not None and work.task.undo:
        return work.task.background
    if not work.state.culprit:
        return work.state.reason
    culprit = work.rows.get(work.state.culprit)
    # Of a step that is undone itself, the row may tell what its compensation said.
    if culprit is None or culprit.undo:
        return ""
    return sagas.told(work.state.reason, culprit.name, culprit.error)

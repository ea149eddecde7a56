"""Has a saga go on by another version of its definition, in one transaction under its lock.

A saga with a step in flight is left as it is: a worker that runs a step of the old version would record it
there. Nobody can begin one meanwhile, as the rows that could be claimed are locked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core import encoding, migration
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Migrated
from django_saga.core.state import SagaState, StepState
from django_saga.core.states import SagaStatus
from django_saga.engine import transitions, versions
from django_saga.engine.intake import lane_of
from django_saga.engine.opening import new_row
from django_saga.engine.tasks import Finished, Recorded
from django_saga.exceptions import EncodingError, InvalidInput, MigrationRefused
from django_saga.faults import fault_point
from django_saga.store import claims, clock, history, locks, moves, pauses, sagas
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program


@dataclass(frozen=True, slots=True)
class Route:
    """From which version to which: the definitions, and the ids of their rows."""

    old: SagaDefinition
    old_id: int
    new: Program
    new_id: int
    event: Migrated


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of one saga. ``recorded`` is None when nothing was to be written."""

    before: SagaStatus
    after: SagaStatus
    recorded: Recorded | None = None


class InFlight(MigrationRefused):
    """A worker has a step of the saga; it can be migrated once that has ended."""


def migrate(using: str, saga_id: UUID, route: Route, *, why: str = "", dry_run: bool = False) -> Moved | None:
    """Move one saga along ``route``; None: it has ended or moved meanwhile. ``dry_run`` only tells.

    Raises ``InFlight`` when a worker has a step of it, else ``MigrationRefused`` that says why it cannot go.
    """
    with transaction.atomic(using=using, savepoint=False):
        saga = sagas.lock(using, [saga_id]).get(saga_id)
        if saga is None or saga.status.is_terminal:
            return None
        steps, flying = sagas.all_steps(using, [saga_id])
        rows = {row.name: row for row in steps[saga_id]}
        if versions.id_of(using, saga_id, rows.values()) != route.old_id:
            return None
        if flying:
            names = sorted(row.name for row in rows.values() if row.id in flying)
            raise InFlight(f"step {names[0]} is running")
        now = clock.now(using)
        state = saga.state(rows.values())
        after = migration.migrate(route.old, route.new.definition, state, route.event, now=now)
        _require_fitting(using, saga_id, route, rows)
        if dry_run:
            return Moved(state.status, after.status)
        fault_point("operator.after_lock")
        recorded = _write(using, saga_id, route, rows, after, now)
        if saga.paused_at is not None:
            pauses.write(using, saga_id, saga.paused_at)  # rows that are new, or have another lane, wait too
        if state.status is not after.status:
            sagas.write_status(using, {saga_id: (after.status, after.reason, after.culprit)}, now)
        if state.status.is_live and not after.status.is_live:
            recorded.finished.append(Finished(saga_id, after.status))
            if route.new.definition.locks and after.status.is_terminal:
                recorded.freed = locks.release(using, [saga_id]) > 0
        history.append(using, [history.Entry(saga_id, route.event, error=why)], now)
        transitions.note_saga(recorded, using, route.new, saga_id, state, after)
    return Moved(state.status, after.status, recorded)


def _require_fitting(using: str, saga_id: UUID, route: Route, rows: Mapping[str, StepRow]) -> None:
    """Raise ``MigrationRefused`` when what is stored is not of the types that the new version declares."""
    if claims.graphs(using, [saga_id]).get(saga_id) is not None:
        raise MigrationRefused("it was composed at run time: its graph is its own")
    if (route.old.locks, route.old.lock_policy) != (
        route.new.definition.locks,
        route.new.definition.lock_policy,
    ):
        raise MigrationRefused("one of the versions takes locks in another way than the other")
    reasons = []
    # Steps that a fork took over are undone with the inputs they were done with.
    origins = {row.ran_in for row in rows.values() if row.ran_in is not None}
    for whose, (_, text, _) in sorted(claims.inputs(using, {saga_id, *origins}).items()):
        try:
            route.new.decode_input(encoding.decode(text))
        except (EncodingError, InvalidInput) as error:
            what = "its input" if whose == saga_id else f"the input of {whose}, which it was forked from,"
            reasons.append(f"{what} does not fit v{route.event.to_version}: {error}")
    names = dict(route.event.renamed)
    for step, (result, _) in sorted(sagas.payloads(using, [saga_id]).get(saga_id, {}).items()):
        try:
            if result is not None and step in route.old.by_name:
                route.new.decode_result(names.get(step, step), encoding.decode(result))
        except EncodingError as error:
            reasons.append(f"the result of step {step} does not fit v{route.event.to_version}: {error}")
    if reasons:
        raise MigrationRefused(*reasons)


def _write(
    using: str,
    saga_id: UUID,
    route: Route,
    rows: Mapping[str, StepRow],
    after: SagaState,
    now: datetime,
) -> Recorded:
    names = dict(route.event.renamed)
    kept = {target: row for name, row in rows.items() if (target := names.get(name, name)) in after.steps}
    changed: list[StepRow] = []
    elsewhere: list[StepRow] = []
    for name, step in after.steps.items():
        row = kept.get(name)
        if row is None:
            changed.append(new_row(saga_id, route.new_id, route.new.definition, step, now))
            continue
        before = row.copy()
        _take(row, step, route.new.definition, now)
        if (row.name, row.queue) != (before.name, before.queue):
            elsewhere.append(row)
            before.name, before.queue = row.name, row.queue
        if row != before:
            changed.append(row)
    left = {row.id for row in kept.values()}
    taken_back = [row.id for row in rows.values() if row.id not in left]
    moves.move(using, saga_id, route.new_id, after.culprit, elsewhere, taken_back=taken_back)
    sagas.write_steps(using, changed)
    due = any(step.due_at is not None and step.due_at <= now for step in after.steps.values())
    return Recorded(now=now, waiting=due)


def _take(row: StepRow, step: StepState, definition: SagaDefinition, now: datetime) -> None:
    """Make ``row`` what ``step`` is in the new version."""
    if row.due_at is not None and step.due_at is None:
        row.ended_at = now
    row.take(step)
    row.name = step.name
    if step.is_open:
        limit = get_settings().max_crashes
        row.queue = definition[step.name].queue
        row.executor = lane_of(definition, step, undo=step.undoing, max_crashes=limit)

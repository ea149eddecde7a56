"""Has another saga go on in place of one, from one of its steps, in one transaction under its lock.

A saga with a step in flight is left as it is: whatever that step does, nobody would know whose it is. Nobody
can begin one meanwhile, as the rows that could be claimed are locked, and afterwards none is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from django_saga.core import fork as rules
from django_saga.core import lanes, machine
from django_saga.core.events import Event, SagaForked, SagaStarted, SagaSuperseded, StepEvent, Taken
from django_saga.core.migration import named_as_now
from django_saga.core.state import SagaState
from django_saga.core.states import SagaStatus
from django_saga.dsl.registry import registry
from django_saga.engine import starter, transitions, versions
from django_saga.engine.graphs import program_of
from django_saga.engine.opening import new_row
from django_saga.engine.tasks import Finished, Recorded
from django_saga.exceptions import ForkRefused, SagaNotFound
from django_saga.faults import fault_point
from django_saga.models import SagaDefinition, uuid7
from django_saga.store import claims, clock, definitions, forks, history, locks, pauses, sagas, starts
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program


@dataclass(frozen=True, slots=True)
class Forked:
    """The saga that goes on, and what was written of the one it goes on in place of."""

    program: Program
    saga: starts.NewSaga
    recorded: Recorded


def fork(using: str, saga_id: UUID, from_step: str, given: Any = None, *, why: str = "") -> Forked:
    """Start a saga that goes on at ``from_step`` of ``saga_id``, with the input ``given``; None: the same.

    Raises ``ForkRefused`` that says what is in the way, ``InvalidInput`` for an input that is none of the
    saga's, ``SagaNotFound`` when there is none, ``UnknownSaga`` when the code lacks its definition.
    """
    with transaction.atomic(using=using):
        found = sagas.lock(using, [saga_id]).get(saga_id)
        if found is None:
            raise SagaNotFound(f"There is no saga {saga_id}.")
        if found.status.is_terminal:
            raise ForkRefused(_ended(found.status))
        now = clock.now(using)
        if found.parent_step is not None:
            raise ForkRefused("another saga started it and waits for its end: fork that one")
        fault_point("operator.after_lock")
        steps, flying = sagas.all_steps(using, [saga_id])
        rows = {row.name: row for row in steps[saga_id]}
        definition_id = versions.id_of(using, saga_id, rows.values())
        program = _program(using, saga_id, definition_id)
        told = [event for event, _ in history.read(using, saga_id)]
        rules.require_wanted(told)
        before = found.state(rows.values())
        event = SagaSuperseded(
            step=from_step,
            fork=str(uuid7()),
            undo_tried=_undo_tried(told),
            in_flight=tuple(sorted(row.name for row in rows.values() if row.id in flying)),
        )
        taken = rules.take_over(program.definition, before, event)
        after = machine.apply(before, machine.decide(program.definition, before, event, now=now))
        begins = _beginning(saga_id, program, before, told[0], event, taken, now)
        text, begins = _input(using, saga_id, program, given, begins)
        new = _new(program, definition_id, event, begins, text, rows, now)
        _add_payloads(using, saga_id, new.steps)
        _write(using, saga_id, new, _closed(rows, after, now), now, why, event)
        sagas.write_status(using, {saga_id: (after.status, after.reason, after.culprit)}, now)
        recorded = Recorded(now=now, finished=[Finished(saga_id, after.status)])
        transitions.note_saga(recorded, using, program, saga_id, before, after)
    return Forked(program, new, recorded)


def _ended(status: SagaStatus) -> str:
    if status is SagaStatus.SUPERSEDED:
        return "it is superseded: another saga goes on in its place already, fork that one"
    return f"it is {status}: nothing of it is left to go on with, start another one"


def _program(using: str, saga_id: UUID, definition_id: int) -> Program:
    row = SagaDefinition.objects.using(using).only("name", "version").get(pk=definition_id)
    program = registry.get(row.name, row.version)
    program.require_valid()
    definitions.identify(using, program.definition)  # raises when the code has another graph by now
    return program_of(using, program, saga_id)


def _undo_tried(told: Sequence[Event]) -> tuple[str, ...]:
    """Name the steps, as they are called now, whose compensation was ever tried."""
    pairs = zip(told, named_as_now(told), strict=True)
    tried = {now.get(e.step, e.step) for e, now in pairs if isinstance(e, StepEvent) and e.undo}
    return tuple(sorted(tried))


def _beginning(
    saga_id: UUID,
    program: Program,
    before: SagaState,
    started: Event,
    event: SagaSuperseded,
    taken: tuple[Taken, ...],
    now: datetime,
) -> SagaForked:
    """Make the first event of the fork. Raises ``ForkRefused`` when its deadline has passed."""
    assert isinstance(started, SagaStarted)
    # The row may say when a failing saga turns back; the saga's own deadline is in its first event.
    deadline_at = started.deadline_at
    if program.definition.pivot in {each.step for each in taken}:
        deadline_at = None
    if deadline_at is not None and deadline_at <= now:
        raise ForkRefused(
            f"its deadline passed at {deadline_at:%Y-%m-%d %H:%M:%S %Z}: the fork would turn back"
        )
    starts_at = None
    if before.status is SagaStatus.PENDING:
        starts_at = min(step.due_at for step in before.steps.values() if step.due_at is not None)
    return SagaForked(
        step=event.step,
        origin=str(saga_id),
        taken=taken,
        starts_at=starts_at,
        deadline_at=deadline_at,
        locks=started.locks,
        paused=before.paused,
    )


def _input(
    using: str, saga_id: UUID, program: Program, given: Any, begins: SagaForked
) -> tuple[str, SagaForked]:
    """Give the fork's input as JSON text. Raises ``ForkRefused`` for one that locks something else."""
    if given is None:
        return claims.inputs(using, {saga_id})[saga_id][1], begins
    text = program.encode_input(given)
    asked = program.targets(text)
    if asked != begins.locks:
        raise ForkRefused(
            f"with that input it would lock {_listed(asked)}, and what it did is under the lock of "
            f"{_listed(begins.locks)}: cancel it and start another"
        )
    return text, begins


def _listed(targets: Sequence[str]) -> str:
    return ", ".join(map(repr, targets)) or "nothing"


def _new(
    program: Program,
    definition_id: int,
    event: SagaSuperseded,
    begins: SagaForked,
    text: str,
    rows: Mapping[str, StepRow],
    now: datetime,
) -> starts.NewSaga:
    definition, saga_id = program.definition, UUID(event.fork)
    state = machine.start(definition, begins, now=now)
    taken = {each.step for each in begins.taken}
    made = []
    for step in state.steps.values():
        row = new_row(saga_id, definition_id, definition, step, now)
        if step.name in taken:
            old = rows[step.name]
            row.ran_in, row.error, row.ended_at = old.ran_in or old.saga_id, old.error, now
        elif state.paused:
            row.executor = lanes.marked(row.executor, lanes.PAUSED)
        made.append(row)
    return starts.NewSaga(
        saga_id,
        definition_id,
        definition.name,
        text,
        starter.digest(program, text),
        None,  # the key stays with the saga that was started with it
        state,
        begins,
        made,
        graph=program.graph,
    )


def _add_payloads(using: str, saga_id: UUID, rows: Sequence[StepRow]) -> None:
    stored = sagas.payloads(using, [saga_id]).get(saga_id, {})
    for row in rows:
        if row.ran_in is not None:
            row.result, row.compensation_data = stored.get(row.name, (None, None))


def _closed(rows: Mapping[str, StepRow], after: SagaState, now: datetime) -> list[StepRow]:
    changed = []
    for name, step in after.steps.items():
        if rows[name].state() != step:
            rows[name].take(step)
            rows[name].ended_at = now
            changed.append(rows[name])
    return changed


def _write(
    using: str,
    saga_id: UUID,
    new: starts.NewSaga,
    closed: Sequence[StepRow],
    now: datetime,
    why: str,
    event: SagaSuperseded,
) -> None:
    starts.write(using, [new], now)
    forks.link(using, saga_id, new.id)
    sagas.write_steps(using, [*closed, *new.steps])
    if new.state.reason:
        sagas.write_status(using, {new.id: (new.state.status, new.state.reason, new.state.culprit)}, now)
    if new.state.paused:
        pauses.write(using, new.id, now)
    locks.hand_over(using, saga_id, new.id)
    entries = [history.Entry(saga_id, event, error=why), history.Entry(new.id, new.event, error=why)]
    history.append(using, entries, now)

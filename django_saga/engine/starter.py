"""Starts sagas: rows in the caller's transaction, an id at once, workers woken after commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core import encoding, machine
from django_saga.core.definition import HEAD_START, MAX_PRIORITY
from django_saga.core.events import SagaStarted
from django_saga.core.names import MAX_KEY_LENGTH, fit_rule, fits
from django_saga.engine import announcing, locking, wake
from django_saga.engine.handle import SagaHandle
from django_saga.engine.opening import new_row
from django_saga.exceptions import IdempotencyConflict, InvalidInput
from django_saga.faults import fault_point
from django_saga.models import uuid7
from django_saga.store import clock, definitions, starts
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

# Rows of one statement: enough to make its cost per saga small, few enough to keep it short.
_BULK = 500


def start(
    program: Program,
    text: str,
    *,
    idempotency_key: str | None = None,
    run_at: datetime | timedelta | None = None,
    priority: int | None = None,
    using: str | None = None,
) -> SagaHandle:
    """Start a saga with the encoded input ``text`` in the caller's transaction, or in one of its own.

    Raises ``IdempotencyConflict`` when the key belongs to a saga with another input, ``TargetLocked`` when
    another saga has a lock that this one is not to wait for.
    """
    using = using or get_settings().database
    check_key(idempotency_key)
    check_time(run_at)
    check_priority(priority)
    asked = [(text, program.targets(text))]
    definition_id = definitions.identify(using, program.registered.definition)
    # A savepoint for a start that may be refused. Else nothing in the block fails that would not spoil the
    # caller's transaction anyway.
    with transaction.atomic(using=using, savepoint=program.definition.locks):
        now = clock.now(using)
        [saga] = _new(definition_id, program, asked, now, idempotency_key, run_at=run_at, priority=priority)
        saga, existing = _insert(using, program, saga, now)
        fault_point("start.after_insert")
        if existing is None:
            wake.after_commit(using)
    if existing is None:
        announcing.started(using, program, [saga])
    return SagaHandle(program, _agreed(saga, existing), using)


def bulk_start(
    program: Program,
    texts: Sequence[str],
    *,
    run_at: datetime | timedelta | None = None,
    priority: int | None = None,
    using: str | None = None,
) -> list[SagaHandle]:
    """Start many sagas in one transaction, a few statements for each 500."""
    using = using or get_settings().database
    check_time(run_at)
    check_priority(priority)
    asked = [(text, program.targets(text)) for text in texts]
    handles: list[SagaHandle] = []
    started: list[starts.NewSaga] = []
    definition_id = definitions.identify(using, program.registered.definition)
    # All locks are taken in one go, for the sake of their order.
    size = max(len(texts), 1) if program.definition.locks else _BULK
    with transaction.atomic(using=using):
        for at in range(0, len(texts), size):
            now = clock.now(using)
            new = _new(
                definition_id, program, asked[at : at + size], now, None, run_at=run_at, priority=priority
            )
            locking.write_new(using, program.definition, new, now)
            handles += [SagaHandle(program, saga.id, using) for saga in new]
            if announcing.hears_start(program):
                started += new
        wake.after_commit(using)
    announcing.started(using, program, started)
    return handles


def start_owned(
    program: Program,
    text: str,
    *,
    idempotency_key: str | None,
    using: str,
    owner: UUID,
    lease: timedelta,
    admits: Callable[[StepRow], bool],
) -> tuple[UUID, starts.NewSaga | None]:
    """Start a saga of whose first steps ``owner`` holds those that are due and it ``admits``; None in place
    of it when the key's saga exists.
    """
    check_key(idempotency_key)
    asked = [(text, program.targets(text))]
    definition_id = definitions.identify(using, program.registered.definition)
    with transaction.atomic(using=using, durable=True):
        now = clock.now(using)
        [saga] = _new(definition_id, program, asked, now, idempotency_key, worker=owner)
        for row in saga.steps:
            if row.due_at is not None and row.due_at <= now and admits(row):
                row.lease(owner, now=now, until=now + lease)
        saga, existing = _insert(using, program, saga, now)
        fault_point("start.after_insert")
    if existing is None:
        announcing.started(using, program, [saga])
    return _agreed(saga, existing), None if existing else saga


def check_key(key: str | None, name: str = "idempotency_key") -> None:
    """Refuse keys that the column cannot hold. Raises ``InvalidInput``."""
    if key is not None and not fits(key, MAX_KEY_LENGTH):
        raise InvalidInput(f"{name} has to be {fit_rule(MAX_KEY_LENGTH)}, not {key!a:.80}")


def check_time(run_at: datetime | timedelta | None) -> None:
    """Refuse times that name no moment. Raises ``InvalidInput``."""
    if run_at is None or isinstance(run_at, timedelta):
        return
    if not isinstance(run_at, datetime):
        raise InvalidInput(f"run_at has to be a datetime or a timedelta, not {type(run_at).__name__}")
    if run_at.utcoffset() is None:
        raise InvalidInput("run_at is a datetime without a time zone: make it aware, or give a timedelta")


def check_priority(priority: int | None) -> None:
    """Refuse what is no priority. Raises ``InvalidInput``."""
    if priority is not None and (type(priority) is not int or not 0 <= priority <= MAX_PRIORITY):
        raise InvalidInput(
            f"priority has to be a whole number from 0 to {MAX_PRIORITY}, not {priority!a:.80}"
        )


def _begins_at(run_at: datetime | timedelta | None, now: datetime) -> datetime | None:
    """Give when the first steps are due; None: at once, also for a time that has passed."""
    if run_at is None:
        return None
    try:
        at = now + run_at if isinstance(run_at, timedelta) else run_at.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(f"run_at={run_at!r} is beyond the calendar") from None
    return at if at > now else None


def _insert(
    using: str, program: Program, saga: starts.NewSaga, now: datetime
) -> tuple[starts.NewSaga, starts.Existing | None]:
    """Give the saga as it begins, and in its place the one that has its key."""
    if saga.idempotency_key is None:
        [saga] = locking.write_new(using, program.definition, [saga], now)
    elif existing := starts.write_once(using, saga, now):
        return saga, existing
    else:
        [saga] = locking.admitted(using, program.definition, [saga], now)
        starts.finish(using, [saga], now)
    if saga.event.waits:
        locking.look_after_commit(using, program.definition, saga)
    return saga, None


def _agreed(saga: starts.NewSaga, existing: starts.Existing | None) -> UUID:
    """Give the id of the saga that holds the key, which has to have the same input."""
    if existing is None:
        return saga.id
    if existing.input_digest != saga.input_digest:
        raise IdempotencyConflict(
            f"Saga {saga.name}: the idempotency key {saga.idempotency_key!r} belongs to saga {existing.id}, "
            "which was started with another input. Use another key, or the same input.",
            saga_id=existing.id,
        )
    return existing.id


def _new(
    definition_id: int,
    program: Program,
    asked: Sequence[tuple[str, tuple[str, ...]]],
    now: datetime,
    key: str | None,
    worker: UUID | None = None,
    *,
    run_at: datetime | timedelta | None = None,
    priority: int | None = None,
) -> list[starts.NewSaga]:
    definition = program.definition
    begins_at = _begins_at(run_at, now)
    deadline_at = (begins_at or now) + definition.deadline if definition.deadline else None
    if begins_at is None and (level := definition.priority if priority is None else priority):
        begins_at = now - level * HEAD_START
    common = SagaStarted(starts_at=begins_at, deadline_at=deadline_at)
    state = machine.start(definition, common, now=now)
    new = []
    for text, targets in asked:
        event = replace(common, locks=targets) if targets else common
        saga_id = uuid7()
        rows = [new_row(saga_id, definition_id, definition, step, now) for step in state.steps.values()]
        new.append(
            starts.NewSaga(
                saga_id,
                definition_id,
                definition.name,
                text,
                digest(program, text),
                key,
                state,
                event,
                rows,
                worker,
                program.graph,
            )
        )
    return new


def digest(program: Program, text: str) -> str:
    """Digest what starts with one idempotency key have to agree in: the input, and the graph."""
    return encoding.digest(text if program.graph is None else f"[{text},{program.graph}]")

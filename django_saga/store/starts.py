"""New sagas: the saga's row, its first steps and the first event, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django_saga.core.events import SagaStarted
from django_saga.core.state import SagaState
from django_saga.models import SagaInstance
from django_saga.store import history, sagas, sql
from django_saga.store.rows import StepRow

_COLUMNS = (
    "id",
    "definition",
    "name",
    "status",
    "reason",
    "culprit",
    "input",
    "input_digest",
    "idempotency_key",
    "created_at",
    "deadline_at",
)


class NewSaga(NamedTuple):
    """A saga to be written, with the state the machine gave it."""

    id: UUID
    definition_id: int
    name: str
    input: str  # JSON text
    input_digest: str
    idempotency_key: str | None
    state: SagaState
    event: SagaStarted
    steps: list[StepRow]
    worker: UUID | None = None
    graph: str | None = None  # JSON text, of sagas composed at run time
    parent_step: UUID | None = None
    item: int | None = None


class Existing(NamedTuple):
    """The saga that holds an idempotency key."""

    id: UUID
    input_digest: str


def write(using: str, new: Sequence[NewSaga], now: datetime) -> None:
    """Write the rows of new sagas without idempotency keys; ``finish`` has to follow.

    Either all of them bring a graph, or none does; either all are children for items, or none is.
    """
    sql.together(using, _written(using, new, now))


def write_once(using: str, saga: NewSaga, now: datetime) -> Existing | None:
    """Write the row of ``saga`` unless its key is taken; then give the saga that has it.

    The unique index decides: a concurrent start with the same key waits here until the other one's
    transaction ends.
    """
    if sql.together(using, _written(using, [saga], now, ignore=True)):
        return None
    holder = SagaInstance.objects.using(using).get(name=saga.name, idempotency_key=saga.idempotency_key)
    return Existing(holder.pk, holder.input_digest)


def finish(using: str, new: Sequence[NewSaga], now: datetime) -> None:
    """Write the first steps and the first events of new sagas."""
    sql.together(using, _finished(using, new, now))


def write_whole(using: str, new: Sequence[NewSaga], now: datetime) -> None:
    """Do what ``write`` and ``finish`` do, where nothing is to be done in between."""
    sql.together(using, [*_written(using, new, now), *_finished(using, new, now)])


def _finished(using: str, new: Sequence[NewSaga], now: datetime) -> list[sql.Statement]:
    entries = [history.Entry(saga.id, saga.event, worker=saga.worker) for saga in new]
    rows = [row for saga in new for row in saga.steps]
    return [*sagas.steps_written(using, rows), *history.written(using, entries, now)]


def _written(
    using: str, new: Sequence[NewSaga], now: datetime, *, ignore: bool = False
) -> list[sql.Statement]:
    """``new`` are alike: what the first has no value for, none has."""
    more = [name for name in ("graph", "parent_step", "item") if new and getattr(new[0], name) is not None]
    rows = [(*_values(saga, now), *(getattr(saga, name) for name in more)) for saga in new]
    return sql.insertion(using, SagaInstance, (*_COLUMNS, *more), rows, ignore=ignore)


def _values(saga: NewSaga, now: datetime) -> tuple[object, ...]:
    return (
        saga.id,
        saga.definition_id,
        saga.name,
        saga.state.status.value,
        "",
        "",
        saga.input,
        saga.input_digest,
        saga.idempotency_key,
        now,
        saga.state.deadline_at,
    )

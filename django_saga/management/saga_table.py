"""The table of ``saga_list``: columns as wide as they need, or narrower, or left out for lack of room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from django_saga.core import shapes
from django_saga.core.plain import columns, fit, plain
from django_saga.management.terminal import Terminal, ago, clock_time
from django_saga.models import SagaInstance, SagaStep
from django_saga.observability.locking import LockStory
from django_saga.observability.standing import where

_GAP = "  "


@dataclass(slots=True)
class Column:
    """One column. ``least``: how narrow it may be (0: not at all); the highest ``rank`` is left out first."""

    head: str
    cells: list[str]
    rank: int = 0
    least: int = 0
    colours: Sequence[shapes.Shape] = ()
    width: int = 0

    def __post_init__(self) -> None:
        self.width = max(columns(text) for text in (self.head, *self.cells))


def table(
    sagas: Sequence[SagaInstance],
    steps: dict[UUID, list[SagaStep]],
    locks: dict[UUID, list[LockStory]],
    now: datetime,
    terminal: Terminal,
) -> Iterator[str]:
    """Give the lines of the table, heads first; at the end, what was left out for lack of room."""
    shown = [shapes.of_saga(saga.status) for saga in sagas]
    statuses = [
        f"{terminal.bare_sign(shape)} {saga.status}" for saga, shape in zip(sagas, shown, strict=True)
    ]
    zone = timezone.localtime(now).tzname()
    given = [
        Column("ID", [str(saga.pk) for saga in sagas]),
        Column("SAGA", [plain(str(saga.definition)) for saga in sagas], rank=1, least=10),
        Column("STATUS", statuses, colours=shown),
        Column(
            "WHERE",
            [plain(where(saga, steps.get(saga.pk, []), now, locks.get(saga.pk, ()))) for saga in sagas],
            rank=2,
            least=16,
        ),
        Column("STARTED", [ago(saga.created_at, now) for saga in sagas], rank=3),
        Column(f"AT ({zone})", [clock_time(saga.created_at) for saga in sagas], rank=5),
        Column("KEY", [plain(saga.idempotency_key or "") for saga in sagas], rank=4, least=12),
    ]
    filled = [column for column in given if any(column.cells)]
    kept = _fitted(filled, terminal.width)
    yield terminal.strong(_GAP.join(_cell(column, column.head) for column in kept).rstrip())
    for number in range(len(sagas)):
        yield _GAP.join(_cell(column, column.cells[number], number, terminal) for column in kept).rstrip()
    if gone := [column.head for column in filled if column not in kept]:
        yield f"No room here for {', '.join(gone)}: widen the terminal, or use --json."


def as_json(
    saga: SagaInstance, steps: Sequence[SagaStep], locks: Sequence[LockStory], now: datetime
) -> dict[str, Any]:
    """Give a saga of the list as JSON-able data."""
    return {
        "id": str(saga.pk),
        "saga": saga.definition.name,
        "version": saga.definition.version,
        "status": saga.status,
        "where": where(saga, steps, now, locks),
        "reason": saga.reason,
        "culprit": saga.culprit,
        "idempotency_key": saga.idempotency_key,
        "started_at": saga.created_at.isoformat(),
        "finished_at": saga.finished_at.isoformat() if saga.finished_at else None,
        "steps": [
            {
                "name": step.name,
                "status": step.status,
                "attempt": step.attempt,
                "due_at": step.due_at.isoformat() if step.due_at else None,
            }
            for step in steps
        ],
    }


def _fitted(given: Sequence[Column], width: int | None) -> list[Column]:
    """Narrow the columns that can be until all fit ``width``, else leave out those of least worth."""
    kept = list(given)
    if width is None:
        return kept
    while True:
        over = sum(column.width for column in kept) + len(_GAP) * (len(kept) - 1) - width
        if over <= 0:
            return kept
        if sum(max(column.width - column.least, 0) for column in kept if column.least) >= over:
            break
        last = max(kept, key=lambda column: column.rank)
        if not last.rank:
            return kept
        kept.remove(last)
    while over > 0:
        widest = max(
            (column for column in kept if column.least), key=lambda column: column.width - column.least
        )
        widest.width -= 1
        over -= 1
    return kept


def _cell(column: Column, text: str, number: int = 0, terminal: Terminal | None = None) -> str:
    cut = fit(text, column.width)
    room = " " * (column.width - columns(cut))
    if terminal and column.colours:
        cut = terminal.paint(column.colours[number], cut)
    return cut + room

"""Step rows in memory: what the journal holds of a step while it works, and how it becomes a row again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django_saga.core.state import StepState
from django_saga.core.states import OWNED_STEP, Outcome, StepStatus
from django_saga.core.waits import WAITING

# Stands for the time a row was opened where it was not read: what is stored is never overwritten.
STORED = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class StepRow:
    """One row of ``SagaStep``. Of the last four, None leaves what is stored; the payloads are JSON text."""

    id: UUID
    saga_id: UUID
    name: str
    definition_id: int
    queue: str
    executor: str
    status: str
    attempt: int
    crashes: int
    outcome: str
    partial: bool
    token: int
    owner: UUID | None
    due_at: datetime | None
    deadline_at: datetime | None
    reason: str
    error: str
    ran_in: UUID | None = None  # the saga it ran in, and took its input from, where a fork took it over
    created_at: datetime = STORED
    claimed_at: datetime | None = None
    ended_at: datetime | None = None
    result: str | None = None
    compensation_data: str | None = None
    # Not written with the others: when the row was due before it was leased, so that it can be given back as
    # it was; what its compensation returned just now (JSON text); and what it waits for from now on.
    was_due_at: datetime | None = None
    undo_result: str | None = None
    waits_for: str | None = None

    @property
    def owned(self) -> bool:
        """True while a worker holds the row."""
        return self.status in OWNED_STEP

    @property
    def undo(self) -> bool:
        """True when the open attempt is one of the compensation."""
        return self.status in _UNDO

    def state(self) -> StepState:
        """Give the step as the machine sees it: an attempt under way is a lease, not a state."""
        status = _AT_REST[self.status]
        if self.reason == WAITING and status is StepStatus.SCHEDULED:
            status = StepStatus.WAITING
        return StepState(
            self.name,
            status,
            self.attempt,
            self.crashes,
            _OUTCOMES[self.outcome],
            self.partial,
            self.due_at,
            self.deadline_at,
            self.reason,
        )

    def take(self, state: StepState) -> None:
        """Take over what the machine decided; nobody owns the row from here on."""
        self.status = state.status
        self.attempt = state.attempt
        self.crashes = state.crashes
        self.outcome = state.outcome
        self.partial = state.partial
        self.due_at = state.due_at
        self.deadline_at = state.deadline_at
        self.reason = state.reason
        self.owner = None

    def lease(self, owner: UUID, *, now: datetime, until: datetime) -> None:
        """Give the row to ``owner``, as a claim does."""
        self.status = StepStatus.UNDOING if self.undo else StepStatus.RUNNING
        self.attempt += 1
        self.token += 1
        self.owner = owner
        self.claimed_at = now
        self.was_due_at = self.due_at
        self.due_at = until

    def copy(self) -> StepRow:
        """Give a row of its own with the same values."""
        return StepRow(*self.values())

    def values(self) -> tuple[Any, ...]:
        """Give the values in the order of ``ALL``."""
        return (
            self.id,
            self.saga_id,
            self.name,
            self.definition_id,
            self.queue,
            self.executor,
            self.status,
            self.attempt,
            self.crashes,
            self.outcome,
            self.partial,
            self.token,
            self.owner,
            self.due_at,
            self.deadline_at,
            self.reason,
            self.error,
            self.ran_in,
            self.created_at,
            self.claimed_at,
            self.ended_at,
            self.result,
            self.compensation_data,
        )


_UNDO = frozenset({StepStatus.UNDOING, StepStatus.UNDO_SCHEDULED})
_AT_REST: dict[str, StepStatus] = {status.value: status for status in StepStatus} | {
    StepStatus.RUNNING: StepStatus.SCHEDULED,
    StepStatus.UNDOING: StepStatus.UNDO_SCHEDULED,
}
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}

_APART = ("was_due_at", "undo_result", "waits_for")
ALL: tuple[str, ...] = tuple(name for name in StepRow.__slots__ if name not in _APART)
# Values that deciding never asks for are not read; where a row holds None of them, what is stored stays.
KEPT = ("claimed_at", "ended_at", "result", "compensation_data")
LIGHT = ALL[: ALL.index("created_at")]
# Of a row that is owned, it also matters since when.
OWNED = ALL[: ALL.index("claimed_at") + 1]
IMMUTABLE = frozenset({"id", "saga_id", "name", "definition_id", "queue", "ran_in", "created_at"})
CHANGING = tuple(column for column in ALL if column not in IMMUTABLE)

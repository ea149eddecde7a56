"""What executors are handed and give back: an attempt of a step, and how it ended."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from django_saga.conf import get_settings
from django_saga.core.definition import ProbeDefinition, SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.events import StepEvent
from django_saga.core.retry import Retry
from django_saga.core.state import ASKING, PROBING
from django_saga.store.outbox import Draft
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program
    from django_saga.dsl.transition import Transition


# By step: its result and its compensation data; by ``sagas.undo_of(step)``: what its compensation returned.
Payloads = Mapping[str, tuple[str | None, str | None]]


def result_of(definition: SagaDefinition, name: str, payloads: Payloads) -> tuple[str, str | None]:
    """Give the result that counts for the step ``name``, and the step it is of: itself, or what stood in."""
    for each in (name, *definition.stand_ins.get(name, ())):
        text = payloads.get(each, (None, None))[0]
        if text is not None:
            return each, text
    return name, None


@dataclass(slots=True, eq=False)
class Task:
    """One attempt that this process owns. Payloads are JSON text; each step decodes its own copy.

    ``background``: why the saga turned back, for compensations. ``started``: when user code began, by the
    monotonic clock, in seconds; None before. ``leased``: when the lease was taken or extended, by the same
    clock, and ``lease`` for how long.
    ``lost``: the lease is gone, nothing can be recorded any more. ``abandoned``: it outlived its timeout
    and was fenced.
    ``known``: in a saga whose steps never run side by side, the rows of its other steps as this process left
    them; None where it did not see them all. Whoever uses them checks them against the fence.
    ``probing``: not the step is to run, but its probe; ``asking``: its condition is to be asked, by the
    policies of the step. ``part``: the policies of what is being run.
    ``wanted``: False when the saga turned back before this step began. ``tries``: how often an atomic one
    began anew. ``doubtful``: its commit may have got through without a reply.
    ``waits_for``: what an atomic one that looks had been waiting for.
    ``opened``: queues in which it left steps of other sagas that are due. ``messages``: what it published,
    to be written with its result.
    """

    row: StepRow
    program: Program
    input: str
    using: str = field(kw_only=True)
    payloads: Payloads = field(default_factory=dict)
    background: str = ""
    known: Mapping[str, StepRow] | None = None
    undo: bool = False
    probing: bool = False
    asking: bool = False
    atomic: bool = False
    is_async: bool = False
    step: StepDefinition = field(init=False)
    part: StepDefinition | UndoDefinition | ProbeDefinition = field(init=False)
    started: float | None = None
    started_at: datetime | None = None
    lost: bool = False
    abandoned: bool = False
    tries: int = 0
    doubtful: bool = False
    leased: float = 0.0
    lease: float = math.inf
    wanted: bool = True
    waits_for: str = ""
    opened: set[str] = field(default_factory=set)
    messages: list[Draft] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.step = self.program.definition[self.row.name]
        self.undo = self.row.undo
        self.probing = self.row.reason == PROBING and not self.undo and self.step.probe is not None
        self.asking = self.row.reason == ASKING and not self.undo
        part = self.step.undo if self.undo else self.step.probe if self.probing else self.step
        assert part is not None
        self.part = part
        self.atomic = not (self.asking or isinstance(part, ProbeDefinition)) and part.atomic
        self.is_async = part.is_async and not self.asking
        if not (self.undo or self.step.after) and self.program.definition.is_chain:
            self.known = {}

    @property
    def lapsed(self) -> bool:
        """True when the lease could not be extended in time: another worker may have the step by now."""
        return time.monotonic() > self.leased + self.lease

    @property
    def lane(self) -> str:
        """The executor it runs on."""
        return "async" if self.is_async else "thread"

    @property
    def retry(self) -> Retry:
        """The policy of what is being tried."""
        return self.part.retry

    @property
    def timeout(self) -> timedelta:
        """How long this attempt may take: its own limit, or what is left of the step's deadline."""
        limit = self.part.timeout or get_settings().step_timeout
        # A look is short; the deadline of a step that waits says how long it waits.
        waits = self.step.wait is not None
        if not waits and self.row.deadline_at is not None and self.row.claimed_at is not None:
            limit = min(limit, max(self.row.deadline_at - self.row.claimed_at, timedelta(0)))
        return limit

    @property
    def idempotency_key(self) -> str:
        """The same on every attempt, also after a crash, and in whichever saga the step is undone."""
        return f"{self.row.ran_in or self.row.saga_id}:{self.row.name}:{'undo' if self.undo else 'do'}"


@dataclass(slots=True, eq=False)
class Outcome:
    """How an attempt ended, ready to be recorded: payloads are JSON text that was checked."""

    task: Task
    event: StepEvent
    result: str | None = None
    compensation_data: str | None = None
    undo_result: str | None = None
    error_class: str = ""
    error: str = ""
    traceback: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(slots=True)
class Finished:
    """A saga that came to rest."""

    saga_id: UUID
    status: str


class Places(Protocol):
    """Places promised to the tasks of a batch, held until they are handed over."""

    def give_back(self) -> None: ...


@dataclass(slots=True)
class Recorded:
    """What a committed batch of outcomes led to.

    ``doubtful``: a commit's reply was lost on the way. ``tasks`` are leased to the recorder already;
    ``waiting`` tells whether steps were left for anyone to claim at once, ``left_in`` in which queues, and
    ``next_due`` when the next one of those scheduled for later is due. ``freed``: locks were released.
    ``transitions``: what is to be announced, gathered only where somebody listens.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    lost: list[Outcome] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    transitions: list[tuple[Program, Transition]] = field(default_factory=list)
    waiting: bool = False
    left_in: set[str] = field(default_factory=set)
    next_due: datetime | None = None
    now: datetime | None = None
    places: Places | None = None
    using: str = ""
    doubtful: bool = False
    freed: bool = False

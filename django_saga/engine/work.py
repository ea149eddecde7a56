"""One saga of a batch of the journal: what is read of it before it is decided, and what changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django_saga.core import machine
from django_saga.core.decision import Decision
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Event, StepSucceeded, StepWaits
from django_saga.core.state import SagaState, is_failing
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.engine.tasks import Outcome, Task
from django_saga.store import sagas
from django_saga.store.rows import StepRow


def fenced(outcomes: Sequence[Outcome], locked: Mapping[UUID, sagas.SagaRow]) -> list[UUID]:
    """Name the steps whose tokens are read: those of the outcomes, and those that are known, if they are
    asked for.
    """
    ids = []
    for outcome in outcomes:
        ids.append(outcome.task.row.id)
        saga = locked.get(outcome.task.row.saga_id)
        if outcome.task.known and saga is not None and looks_back(outcome, saga):
            ids += [row.id for row in outcome.task.known.values()]
    return ids


def looks_back(outcome: Outcome, saga: sagas.SagaRow) -> bool:
    """True when the machine may ask for steps before the one that ended."""
    return saga.status is SagaStatus.COMPENSATING or type(outcome.event) is not StepSucceeded


class Work:
    """One saga of a batch: what was read of it, and what changes.

    ``known``: see ``Task``; ``checked`` once the fence showed that it still holds, ``known`` is None if not.
    """

    __slots__ = (
        "changed",
        "checked",
        "definition",
        "flying",
        "known",
        "names",
        "rows",
        "saga",
        "state",
        "task",
    )

    def __init__(
        self, saga: sagas.SagaRow, task: Task | None, definition: SagaDefinition | None = None
    ) -> None:
        self.saga = saga
        self.task = task  # any task of the saga: its input and results serve its successors
        self.definition = definition or task.program.definition  # type: ignore[union-attr]
        self.names: frozenset[str] | None = frozenset() if task else None
        self.rows: dict[str, StepRow] = {}
        self.known = task.known if task else None
        self.checked = False
        self.flying: set[str] = set()
        self.changed: dict[str, None] = {}
        self.state: SagaState

    def needs(self, event: Event) -> None:
        """Note which steps beside those of the batch the machine will ask for; None stands for all."""
        if self.names is not None:
            failing = is_failing(self.saga.status, self.saga.reason)
            more = machine.reads(self.definition, self.saga.status, event, failing=failing)
            self.names = None if more is None else self.names | more

    def check(self, held: Mapping[UUID, sagas.Fence]) -> None:
        """Trust the known rows if all are as they were: whoever changes one raises its token or its
        status.
        """
        if self.known is not None and all(
            row.id in held and held[row.id] == (row.token, row.status) for row in self.known.values()
        ):
            self.checked = True
        else:
            self.known = None

    @property
    def lacks(self) -> bool:
        """True when steps beside those of the batch have to be read."""
        if self.names is None or self.checked:
            return False
        return self.saga.status is SagaStatus.COMPENSATING or not self.names <= self.rows.keys()

    def loaded(self, rows: Sequence[StepRow], flying: set[UUID]) -> None:
        """Take over steps that were read; ``flying`` are in flight."""
        self.known = {}
        for row in rows:
            self.rows.setdefault(row.name, row)  # the batch's own rows are as current, and are the tasks'
            if row.id in flying:
                self.flying.add(row.name)

    def ready(self) -> None:
        """Make the state the machine begins from."""
        known = self.known if self.checked and self.known else {}
        self.state = self.saga.state([*known.values(), *self.rows.values()])

    def observed(self, event: Event) -> Event:
        """Tell the machine which steps are in flight, unless the event is one that cannot turn the saga."""
        self.flying.discard(getattr(event, "step", ""))
        if not self.flying or (type(event) is StepSucceeded and self.state.status is SagaStatus.RUNNING):
            return event
        return replace(event, in_flight=tuple(sorted(self.flying)))

    def decide(self, event: Event, now: datetime) -> Decision:
        """Feed ``event`` to the machine."""
        decision = machine.decide(self.definition, self.state, event, now=now)
        self.state = machine.apply(self.state, decision)
        self.changed.update(dict.fromkeys(decision.steps))
        return decision

    def stands(self, event: Event) -> bool:
        """True when what the attempt that ended so had to say is said: that of one that succeeded, and the
        command of a step that waits now. One whose saga turned back meanwhile does not.
        """
        if isinstance(event, StepWaits):
            waits = StepStatus.UNDO_SCHEDULED if event.undo else StepStatus.WAITING
            return self.state.steps[event.step].status is waits
        return isinstance(event, StepSucceeded)


def load(using: str, works: Sequence[Work]) -> None:
    """Read the steps that deciding takes, and give each saga its state."""
    whole = [work for work in works if work.names is None]
    some = [work for work in works if work.lacks]
    if whole:
        # The one open step of a chain is its owner's; a word from outside may meet the claim of a step.
        guard = any(work.task is None or not work.definition.is_chain for work in whole)
        steps, flying = sagas.all_steps(using, [work.saga.id for work in whole], guard=guard)
        for work in whole:
            work.loaded(steps[work.saga.id], flying)
    if some:
        names = frozenset().union(*(work.names or () for work in some))
        steps = sagas.steps_named(using, [work.saga.id for work in some], names)
        for work in some:
            work.loaded(steps[work.saga.id], set())
    for work in works:
        work.ready()

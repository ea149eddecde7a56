"""One saga as the invariants look at it: its rows, and its history with the names that steps have today."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from django_saga.core.definition import SagaDefinition
from django_saga.core.events import (
    ConditionNotMet,
    Event,
    LocksGranted,
    Migrated,
    SagaForked,
    SagaStarted,
    Settled,
    StepEvent,
    StepMarkedDone,
    StepSkipped,
    StepSucceeded,
    TakenBack,
    UndoRetried,
)
from django_saga.core.migration import named_as_now
from django_saga.core.states import (
    LIVE_SAGA,
    ForwardRecovery,
    SagaStatus,
    StepStatus,
)
from django_saga.dsl.registry import registry
from django_saga.engine.graphs import program_of
from django_saga.exceptions import UnknownSaga
from django_saga.models import SagaEvent, SagaInstance, SagaLock, SagaStep
from django_saga.store import history


@dataclass(frozen=True)
class SagaRecord:
    """One saga, with its rows and its history."""

    row: SagaInstance
    definition: SagaDefinition
    steps: dict[str, SagaStep]
    events: list[SagaEvent]
    locks: list[SagaLock]
    told: list[Event]
    facts: list[Event]  # what was told, with the names that steps have today
    moved_at: int  # how many of them are from before it went on by its present version
    heir: SagaForked | None = None  # how the saga begins that goes on in its place

    @property
    def status(self) -> SagaStatus:
        return SagaStatus(self.row.status)

    def passed(self, step: str) -> bool:
        """True when the saga went past ``step``: it, or what stood in for it, succeeded or was skipped."""
        return any(
            name in self.steps and self.steps[name].status in (StepStatus.SUCCEEDED, StepStatus.SKIPPED)
            for name in (step, *self.definition.stand_ins[step])
        )

    @property
    def in_line(self) -> bool:
        """True while it waits for its locks, by its history."""
        started = self.facts[0]
        waits = isinstance(started, SagaStarted) and started.waits and self.status in LIVE_SAGA
        return waits and not any(isinstance(fact, LocksGranted) for fact in self.facts)

    @property
    def let_go_before_its_end(self) -> bool:
        """True for one that had completed when its parent took it back: its locks were released by then."""
        taken = [at for at, fact in enumerate(self.facts) if isinstance(fact, TakenBack)]
        return bool(taken) and all(
            any(at < taken[0] for at in self.passes(name)) for name in self.definition.sinks
        )

    def ends(self, step: str, *, undo: bool) -> list[int]:
        """Positions in the history at which ``step``, or its compensation, succeeded."""
        return [
            at
            for at, event in enumerate(self.facts)
            if isinstance(event, StepSucceeded) and event.step == step and event.undo is undo
        ]

    def passes(self, step: str) -> list[int]:
        """Positions at which ``step``, or what may stand in for it, succeeded, was passed over by its
        condition or was settled by a person. For one whose failure is passed over, those at which it failed.
        """
        line = (step, *self.definition.stand_ins[step])
        found = [at for name in line for at in self.ends(name, undo=False)]
        if self.definition[line[-1]].forward_recovery is ForwardRecovery.SKIP:
            found += self.begins(line[-1], undo=False)
        settled = (StepSkipped, StepMarkedDone, ConditionNotMet)
        found += [at for at, e in enumerate(self.facts) if isinstance(e, settled) and e.step in line]
        if isinstance(self.told[0], SagaForked) and not self.moved_at:
            found += [0 for taken in self.told[0].taken if taken.step in line]
        return sorted(found)

    def begins(self, step: str, *, undo: bool) -> list[int]:
        """Positions of any end of an attempt."""
        return [
            at
            for at, event in enumerate(self.facts)
            if isinstance(event, StepEvent) and event.step == step and event.undo is undo
        ]


def read(using: str, rows: Sequence[SagaInstance]) -> Iterator[SagaRecord]:
    """Read the records of ``rows``, but for sagas that the code does not know."""
    ids = [row.pk for row in rows]
    steps: dict[UUID, dict[str, SagaStep]] = defaultdict(dict)
    for step in SagaStep.objects.using(using).filter(saga_id__in=ids):
        steps[step.saga_id][step.name] = step
    events: dict[UUID, list[SagaEvent]] = defaultdict(list)
    for event in SagaEvent.objects.using(using).filter(saga_id__in=ids).order_by("id"):
        events[event.saga_id].append(event)
    locks: dict[UUID, list[SagaLock]] = defaultdict(list)
    for lock in SagaLock.objects.using(using).filter(saga_id__in=ids):
        locks[lock.saga_id].append(lock)
    heirs = {row.superseded_by for row in rows if row.superseded_by}
    begun = {
        event.saga_id: history.fact(event)
        for event in SagaEvent.objects.using(using).filter(saga_id__in=heirs, kind=SagaForked.kind)
    }
    for row in rows:
        try:
            found = registry.get(row.name, row.definition.version)
        except UnknownSaga:
            continue
        definition = program_of(using, found, row.pk).definition
        told = [history.fact(event) for event in events[row.pk]]
        moves = [at for at, event in enumerate(told) if isinstance(event, Migrated)]
        moved_at = moves[-1] + 1 if moves else 0
        heir = begun.get(row.superseded_by) if row.superseded_by else None
        assert isinstance(heir, SagaForked | None)
        yield SagaRecord(
            row,
            definition,
            steps[row.pk],
            events[row.pk],
            locks[row.pk],
            told,
            _renamed(told),
            moved_at,
            heir,
        )


def _renamed(told: Sequence[Event]) -> list[Event]:
    found: list[Event] = []
    for event, names in zip(told, named_as_now(told), strict=True):
        if isinstance(event, StepEvent | UndoRetried | Settled):
            found.append(replace(event, step=names.get(event.step, event.step)))
        else:
            found.append(event)
    return found

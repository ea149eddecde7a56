"""What a saga would do: its layers, its critical path, and what is undone wherever it fails.

Nothing is worked out twice: events of an imagined run are fed to the machine, and what it decides is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django_saga.core import machine
from django_saga.core.compensation import needs_undo
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import (
    CancelRequested,
    CompensateRequested,
    ConditionMet,
    DeadlinePassed,
    Event,
    SagaStarted,
    StepEvent,
    StepFailed,
    StepSucceeded,
    StepUnknown,
)
from django_saga.core.state import PAST_PIVOT, SagaState, StepState
from django_saga.core.states import SagaStatus

# What a step takes of which nothing is known: steps are then counted.
UNIT = timedelta(seconds=1)
_LEAST = timedelta(microseconds=1)  # what begins when something ends, begins later than it began
_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
_FORWARD = (SagaStatus.PENDING, SagaStatus.RUNNING)
_BACK = (SagaStatus.COMPENSATING, SagaStatus.COMPENSATED, SagaStatus.STUCK)

Durations = Mapping[str, timedelta]


class UndoPlan(NamedTuple):
    """What is undone: steps whose compensations run, those of one wave at the same time.

    ``in_flight``: steps whose attempt is under way; they are undone too if they succeed, as is assumed.
    ``kept``: steps that have, or may have, an effect and no compensation. ``blocked``: those whose
    compensation never gets its turn, behind one that is dead.
    """

    waves: tuple[tuple[str, ...], ...]
    in_flight: tuple[str, ...]
    kept: tuple[str, ...]
    blocked: tuple[str, ...]
    status: SagaStatus


class Failure(NamedTuple):
    """What follows when ``step`` fails for good and all else succeeds.

    ``succeeded``: every step that did, in that order, those included that ended after the failure.
    ``doubtful``: the plan when it is not known whether the step had its effect.
    """

    step: str
    succeeded: tuple[str, ...]
    plan: UndoPlan
    doubtful: UndoPlan


class Path(NamedTuple):
    """Steps that wait for each other, and how long they take together."""

    steps: tuple[str, ...]
    length: timedelta


def layers(definition: SagaDefinition) -> list[list[str]]:
    """Give the steps layer by layer: each waits for at least one step of the layer before.

    Steps that only stand in for others are left out, here as in ``width`` and ``critical_path``.
    """
    depth: dict[str, int] = {}
    for name in definition.order:
        depth[name] = max((depth[before] + 1 for before in definition[name].after), default=0)
    found: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in _usual(definition):
        found[depth[name]].append(name)
    return found


def width(definition: SagaDefinition) -> int:
    """Give how many steps can run at the same time at most, whatever each takes.

    By Dilworth's theorem: as many chains as cover the graph, which is the steps less a largest matching.
    """
    follower: dict[str, str] = {}

    def match(name: str, seen: set[str]) -> bool:
        for before in definition.ancestors[name] - seen:
            seen.add(before)
            if before not in follower or match(follower[before], seen):
                follower[before] = name
                return True
        return False

    usual = _usual(definition)
    return len(usual) - sum(match(name, {*definition.mains}) for name in usual)


def critical_path(definition: SagaDefinition, durations: Durations) -> Path:
    """Give the longest chain of steps, which no number of workers makes shorter.

    Without any ``durations`` steps are counted; else those that have none take no time.
    """
    unknown = timedelta(0) if durations else UNIT
    longest: dict[str, Path] = {}
    for name in (name for name in definition.order if name not in definition.mains):
        paths = [longest[before] for before in definition[name].after]
        steps, length = max(
            paths, key=lambda path: (path.length, len(path.steps)), default=Path((), timedelta(0))
        )
        longest[name] = Path((*steps, name), length + durations.get(name, unknown))
    return max(longest.values(), key=lambda path: (path.length, len(path.steps)))


def failures(definition: SagaDefinition, durations: Durations) -> list[Failure]:
    """Give, for each step, what follows when it fails for good, with workers enough for every open step."""
    return [_failure(definition, durations, name) for name in _usual(definition)]


def undo_plan(
    definition: SagaDefinition,
    state: SagaState,
    now: datetime,
    in_flight: Sequence[str] = (),
    *,
    past_pivot: bool = False,
) -> UndoPlan:
    """Give what would be undone if the saga in ``state`` turned back now, or what is left to undo if it has.

    ``in_flight`` names the steps that a worker owns. ``past_pivot``: in spite of its pivot. Raises
    ``IllegalTransition`` when it cannot turn back.
    """
    if state.status not in (SagaStatus.COMPENSATING, SagaStatus.STUCK) or state.reason == PAST_PIVOT:
        told = CompensateRequested if past_pivot else CancelRequested
        event = told(in_flight=tuple(sorted(in_flight)))
        state = machine.apply(state, machine.decide(definition, state, event, now=now))
    before = {name for name, step in state.steps.items() if step.undoing}
    run = _Run(definition, {}, state, now)
    run.waves = [tuple(before)] if before else []
    list(run.events())
    return run.plan(tuple(sorted(in_flight)))


def _usual(definition: SagaDefinition) -> list[str]:
    return [step.name for step in definition.steps if step.name not in definition.mains]


def _failure(definition: SagaDefinition, durations: Durations, step: str) -> Failure:
    plans = []
    for kind in (StepFailed, StepUnknown):
        state = machine.start(definition, SagaStarted(), now=_BEGIN)
        run = _Run(definition, durations, state, _BEGIN, fails=(step, kind))
        succeeded: list[str] = []
        in_flight: tuple[str, ...] = ()
        for event in run.events():
            if isinstance(event, StepSucceeded) and not event.undo:
                succeeded.append(event.step)
            elif isinstance(event, kind) and event.step == step:
                in_flight = event.in_flight
        plans.append((tuple(succeeded), run.plan(in_flight)))
    (succeeded_then, plan), (_, doubtful) = plans
    return Failure(step, succeeded_then, plan, doubtful)


class _Run:
    """An imagined run: every open step begins at once and ends when it has taken its time."""

    def __init__(
        self,
        definition: SagaDefinition,
        durations: Durations,
        state: SagaState,
        now: datetime,
        fails: tuple[str, type[StepFailed] | type[StepUnknown]] | None = None,
    ) -> None:
        self.definition = definition
        self.durations = durations
        self.state = state
        self.now = now
        self.fails = fails
        self.waves: list[tuple[str, ...]] = []
        self._ends: dict[str, datetime] = {}
        self._wave_at: datetime | None = None

    def events(self) -> Iterator[Event]:
        """Feed the machine until it is at rest, and give each event."""
        while self.state.status.is_live and self._begin():
            event = self._next()
            decision = machine.decide(self.definition, self.state, event, now=self.now)
            self.state = machine.apply(self.state, decision)
            self._ends = {name: at for name, at in self._ends.items() if self.state.steps[name].is_open}
            self._note([step.name for step in decision.steps.values() if step.undoing])
            yield event

    def plan(self, in_flight: tuple[str, ...]) -> UndoPlan:
        """Give what was undone by now."""
        undoable = [step.name for step in self.definition.steps if step.undo is not None]
        turned = self.state.status in _BACK and self.state.reason != PAST_PIVOT
        left = [name for name, step in self.state.steps.items() if turned and needs_undo(step)]
        return UndoPlan(
            tuple(tuple(name for name in undoable if name in wave) for wave in self.waves),
            in_flight,
            tuple(name for name in left if name not in undoable),
            tuple(name for name in left if name in undoable),
            self.state.status,
        )

    def _begin(self) -> bool:
        for name, step in self.state.steps.items():
            if step.is_open and name not in self._ends:
                # Conditions are taken for met, at once.
                took = timedelta(0) if step.asking else max(self.durations.get(name, UNIT), _LEAST)
                self._ends[name] = max(step.due_at or self.now, self.now) + took
        return bool(self._ends)

    def _next(self) -> Event:
        # At the same instant, a failure comes first: so the others are shown in flight.
        failing = self.fails[0] if self.fails else ""
        name = min(self._ends, key=lambda name: (self._ends[name], name != failing))
        limit = self.state.deadline_at
        if self.state.status in _FORWARD and limit is not None and limit <= self._ends[name]:
            self.now = max(self.now, limit)
            return DeadlinePassed(in_flight=tuple(sorted(self._ends)))
        self.now = max(self.now, self._ends.pop(name))
        event = self._end(self.state.steps[name])
        return replace(event, in_flight=tuple(sorted(self._ends)))

    def _end(self, step: StepState) -> StepEvent:
        attempt = step.attempt + 1
        if step.asking:
            return ConditionMet(step=step.name, attempt=attempt)
        if self.fails and self.fails[0] == step.name and not step.undoing:
            kind, self.fails = self.fails[1], None
            return kind(step=step.name, attempt=attempt, permanent=True)
        return StepSucceeded(step=step.name, attempt=attempt, undo=step.undoing)

    def _note(self, opened: list[str]) -> None:
        """Note compensations that were opened; those of one instant are a wave."""
        if not opened:
            return
        if self.waves and self._wave_at == self.now:
            self.waves[-1] = (*self.waves[-1], *opened)
        else:
            self.waves.append(tuple(opened))
        self._wave_at = self.now

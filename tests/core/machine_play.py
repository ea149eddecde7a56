"""Plays sagas on the pure machine: workers that claim steps, end them, get lost and come back late."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import combinations, permutations, product
from types import MappingProxyType
from typing import Any, NamedTuple

from django_saga.core import events, machine
from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.events import Cause, Event, StepEvent, StepFailed, StepSucceeded, StepUnknown
from django_saga.core.retry import Retry
from django_saga.core.state import SagaState, StepState
from django_saga.core.states import CompensationPolicy, FailurePolicy, StepStatus
from django_saga.core.waits import WaitDefinition, WaitKind
from tests.core.machine_laws import FORWARD, Laws

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)
ALWAYS_READ = (StepStatus.UNDO_SCHEDULED, StepStatus.UNDO_FAILED)

# --- definitions ----------------------------------------------------------------------------------


def define(
    graph: str,
    *,
    bare: str = "",
    atomic: str = "",
    remote: str = "",
    attempts: int = 1,
    undo_attempts: int = 1,
    delay: float = 0,
    deadline: float | None = None,
    policy: CompensationPolicy = CompensationPolicy.CONTINUE,
    failure_policy: FailurePolicy = FailurePolicy.FAIL_FAST,
    grace: float | None = None,
) -> SagaDefinition:
    """Make a definition from a graph such as "a b<a c<a d<bc": b and c wait for a, d for both.

    ``bare`` names the steps without a compensation, ``remote`` those that send commands; ``delay`` (a
    constant wait) and ``deadline`` (of each step) are seconds.
    """
    limit = None if deadline is None else timedelta(seconds=deadline)
    undo = UndoDefinition(function="undo", retry=_steady(undo_attempts, delay))
    steps = []
    for word in graph.split():
        name, _, after = word.partition("<")
        steps.append(
            StepDefinition(
                name=name,
                after=tuple(after),
                retry=_steady(attempts, delay),
                deadline=limit,
                atomic=name in atomic,
                undo=None if name in bare else undo,
                no_compensation=name in bare,
                wait=WaitDefinition(kind=WaitKind.REMOTE, name="do") if name in remote else None,
            )
        )
    return SagaDefinition(
        name="played",
        steps=tuple(steps),
        failure_policy=failure_policy,
        grace=None if grace is None else timedelta(seconds=grace),
        compensation_policy=policy,
    )


def _steady(attempts: int, delay: float) -> Retry:
    return Retry(attempts=attempts, delay=delay, factor=1, jitter=0)


Shape = tuple[str, dict[str, Any]]


def shapes(size: int, kinds: tuple[str, ...] = ("", "bare")) -> Iterator[Shape]:
    """Give every graph of ``size`` steps with every choice of ``kinds`` for them, once up to renaming.

    Each comes as arguments of ``define``: the graph, and {"bare": ..., "atomic": ...} for the kinds, of which
    "bare atomic" is both.
    """
    names = "abcdef"[:size]
    edges = list(combinations(range(size), 2))
    seen = set()
    for chosen in product((False, True), repeat=len(edges)):
        arrows = [edge for edge, there in zip(edges, chosen, strict=True) if there]
        for kind in product(range(len(kinds)), repeat=size):
            key = min(_renamed(arrows, kind, order) for order in permutations(range(size)))
            if key in seen:
                continue
            seen.add(key)
            words = [names[i] + "<" + "".join(names[a] for a, b in arrows if b == i) for i in range(size)]
            which = {
                word: "".join(names[i] for i in range(size) if word in kinds[kind[i]].split())
                for word in ("bare", "atomic", "remote")
            }
            yield " ".join(word.removesuffix("<") for word in words), which


def _renamed(
    arrows: list[tuple[int, int]], kind: tuple[int, ...], order: tuple[int, ...]
) -> tuple[object, ...]:
    colours = [0] * len(order)
    for old, new in enumerate(order):
        colours[new] = kind[old]
    return (*colours, *sorted((order[a], order[b]) for a, b in arrows))


# --- what may happen to an attempt ----------------------------------------------------------------


def _failed(**facts: Any) -> Callable[..., StepEvent]:
    return lambda limit, **who: StepFailed(**who, **facts)


def _unknown(cause: Cause, **facts: Any) -> Callable[..., StepEvent]:
    return lambda limit, **who: StepUnknown(**who, cause=cause, crash_limit=limit, **facts)


ENDINGS: dict[str, Callable[..., StepEvent]] = {
    "succeeded": lambda limit, **who: StepSucceeded(**who),
    "failed": _failed(),
    "permanent": _failed(permanent=True),
    "partial": _failed(permanent=True, partial=True),
    "timed out": _unknown(Cause.TIMED_OUT),
    "reported": _unknown(Cause.REPORTED),
    "reported for good": _unknown(Cause.REPORTED, permanent=True),
    "lost": _unknown(Cause.WORKER_LOST),
    "released": _unknown(Cause.RELEASED),
    "not started": lambda limit, **who: events.StepNotStarted(**who),
}
# How a look ends that found nothing, and one that began something to be undone.
LOOKS: dict[str, Callable[..., StepEvent]] = {
    "waits": lambda limit, **who: events.StepWaits(**who),
    "began": lambda limit, **who: events.StepWaits(**who, partial=True),
}
# What becomes of a command.
REPLIES: dict[str, Callable[..., StepEvent]] = {
    "declined": _failed(permanent=True, declined=True),
    "no reply": _unknown(Cause.NO_REPLY),
}


@lru_cache(maxsize=100_000)
def ending(how: str, step: str, attempt: int, undo: bool, crash_limit: int) -> StepEvent:
    """Make the event of an attempt that ended like ``how``, a key of one of the three tables."""
    return (ENDINGS | LOOKS | REPLIES)[how](crash_limit, step=step, attempt=attempt, undo=undo)


@lru_cache(maxsize=100_000)
def stored(event: Event) -> Event:
    """Give ``event`` as it comes back from its row of the history."""
    data = json.loads(json.dumps(events.to_data(event), allow_nan=False))
    step, attempt = getattr(event, "step", ""), getattr(event, "attempt", 0)
    return events.from_data(event.kind, step=step, attempt=attempt, data=data or None)


# --- the player -----------------------------------------------------------------------------------


class Effect(NamedTuple):
    """A function of a step began or ended: ``how`` is empty for a beginning."""

    work: str  # do or undo
    step: str
    how: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """An attempt that a worker owns; the object itself is the token."""

    step: str
    attempt: int
    undo: bool
    worker: str


class Late(Exception):
    """The claim is no longer the step's: nothing was recorded."""


class Player:
    """One saga and its workers. Everything it feeds to the machine is checked against the laws."""

    def __init__(
        self,
        definition: SagaDefinition,
        *,
        crash_limit: int = 1,
        starts_at: datetime | None = None,
        laws: Laws | None = None,
    ) -> None:
        self.definition = definition
        self.crash_limit = crash_limit
        self.laws = laws or Laws(definition, crash_limit)
        self.now = EPOCH
        started = events.SagaStarted(starts_at=starts_at)
        self.state = _sealed(machine.start(definition, started, now=self.now))
        self.ledger = self.laws.begin(self.state)
        self.history: list[tuple[Event, datetime]] = [(started, self.now)]
        self.claims: dict[str, Claim] = {}
        self.effects: list[Effect] = []

    def copy(self) -> Player:
        """Give a player that goes its own way from here."""
        twin = object.__new__(Player)
        twin.__dict__.update(self.__dict__)
        twin.history, twin.claims, twin.effects = [*self.history], {**self.claims}, [*self.effects]
        return twin

    # --- workers

    def due(self) -> list[str]:
        """Name the steps that may be claimed now."""
        return [
            name
            for name, step in self.state.steps.items()
            if step.due_at is not None and step.due_at <= self.now and name not in self.claims
        ]

    def next_due(self) -> datetime | None:
        """Say when the next step that nobody owns is due, if any is."""
        free = [
            s.due_at for n, s in self.state.steps.items() if n not in self.claims and s.due_at is not None
        ]
        return min(free, default=None)

    def advance(self, by: timedelta | None = None) -> None:
        """Let time pass: until the next step is due, or ``by``."""
        until = self.next_due() if by is None else self.now + by
        assert until is not None
        self.now = max(self.now, until)

    def claim(self, name: str, worker: str = "w") -> Claim:
        """Have ``worker`` own the step's next attempt."""
        assert name in self.due(), f"{name} is not due"
        step = self.state.steps[name]
        claim = self.claims[name] = Claim(name, step.attempt + 1, step.undoing, worker)
        return claim

    def claim_all(self) -> None:
        """Have every due step owned, and its function begun."""
        for name in self.due():
            self.begin(self.claim(name))

    def begin(self, claim: Claim) -> None:
        """Begin the function of a claimed attempt."""
        if claim.undo:
            assert self.state.status not in FORWARD
        else:
            done = [e.step for e in self.effects if (e.work, e.how) == ("do", "succeeded")]
            assert set(done).issuperset(self.definition[claim.step].after), f"{claim.step} began too early"
        self.effects.append(Effect("undo" if claim.undo else "do", claim.step))

    def end(self, which: Claim | str, how: str = "succeeded", **facts: Any) -> None:
        """Record how the attempt ended, begun here if need be. Raises ``Late`` for one that was lost."""
        if isinstance(which, str):
            if which not in self.claims:
                self.begin(self.claim(which))
            which = self.claims[which]
        if self.claims.get(which.step) is not which:
            raise Late(which.step)
        event = ending(how, which.step, which.attempt, which.undo, self.crash_limit)
        self.feed(replace(event, **facts) if facts else event)
        if how != "not started":
            self.effects.append(Effect("undo" if which.undo else "do", which.step, how))

    # --- events

    def cancel(self) -> None:
        """Have the saga cancelled."""
        self.feed(events.CancelRequested())

    def pass_deadline(self) -> None:
        """Have the saga's own deadline pass."""
        self.feed(events.DeadlinePassed())

    def retry_undo(self, name: str) -> None:
        """Have a dead compensation tried again by an operator."""
        self.feed(events.UndoRetried(step=name))

    def skip_undo(self, name: str) -> None:
        """Have a dead compensation skipped by an operator."""
        self.feed(events.UndoSkipped(step=name))

    def feed(self, event: Event) -> None:
        """Feed ``event`` to the machine, as the engine does, and check all laws."""
        own = getattr(event, "step", "")
        flying = tuple(sorted(name for name in self.claims if name != own))
        if flying and not (type(event) is StepSucceeded and self.state.status in FORWARD):
            event = replace(event, in_flight=flying)
        before = self.state
        decision = machine.decide(self.definition, before, event, now=self.now)
        for seen in self._views(event):
            assert decision == machine.decide(self.definition, seen, event, now=self.now), seen
        after = _sealed(machine.apply(before, decision))
        assert stored(event) == event
        assert type(stored(event)) is type(event)
        self.ledger = self.laws.hold(self.ledger, before, event, after)
        self.state = after
        self.history.append((event, self.now))
        if isinstance(event, StepEvent):
            self.claims.pop(event.step, None)

    def _views(self, event: Event) -> Iterator[SagaState]:
        """Give the state as the engine loads it: owned rows count their attempt, some are not read."""
        rows = {name: self._row(step) for name, step in self.state.steps.items()}
        whole = self.state._replace(steps=MappingProxyType(rows))
        yield whole
        yield read(self.definition, whole, event)

    def _row(self, step: StepState) -> StepState:
        claim = self.claims.get(step.name)
        return step._replace(attempt=claim.attempt, due_at=self.now + LEASE) if claim else step

    # --- reading

    def folded(self) -> SagaState:
        """Give the state that the stored history folds to."""
        return machine.fold(self.definition, [(stored(event), at) for event, at in self.history])

    def statuses(self) -> dict[str, str]:
        """Give the status of each step that was opened."""
        return {name: step.status.value for name, step in sorted(self.state.steps.items())}

    def undone(self) -> list[str]:
        """Name the steps whose compensation succeeded, in that order."""
        return [e.step for e in self.effects if (e.work, e.how) == ("undo", "succeeded")]


def read(definition: SagaDefinition, state: SagaState, event: Event) -> SagaState:
    """Give what the engine reads of ``state`` to decide on ``event``."""
    names = machine.reads(definition, state.status, event, failing=state.failing)
    if names is None:
        return state
    names |= {getattr(event, "step", "")}
    some = {n: s for n, s in state.steps.items() if n in names or s.status in ALWAYS_READ}
    return state._replace(steps=MappingProxyType(some))


def _sealed(state: SagaState) -> SagaState:
    """Make the state read-only: a machine that changed what it was given would raise."""
    return state._replace(steps=MappingProxyType(dict(state.steps)))

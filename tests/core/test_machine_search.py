"""Every history of small sagas: all states that any history leads to, and every event in each of them.

Time stands still (no waits), so histories that differ only in order meet in the same state, and walking all
states by all events covers every history without playing each one. How many histories that are is counted on
the way: the number of ways from the start to a rest. Walked are, for every graph up to renaming:

* attempts of steps and compensations that end in each way listed, parallel ones in every order, until spent
* cancel and deadline at every point; and whatever turns a saga back finds any of the open steps in flight
* steps in flight then that are found unwanted before they began
* looks that find nothing yet, of steps that wait and of compensations that do
* commands that are replied to, declined, or not answered in time, and the same of those that undo them
* dead compensations retried or skipped by an operator, as often as listed, at every point

After each event all of ``machine_laws`` hold. Every history comes to rest (completed, compensated or stuck)
within the events that its tries allow. The numbers are asserted, so that nothing is walked less by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import pytest

from django_saga.core import machine
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import (
    CancelRequested,
    DeadlinePassed,
    Event,
    SagaStarted,
    UndoRetried,
    UndoSkipped,
)
from django_saga.core.state import SagaState, StepState
from django_saga.core.states import CompensationPolicy, FailurePolicy, StepStatus
from django_saga.core.waits import WAITING as WAITS
from tests.core.machine_laws import FORWARD, Laws, Ledger, Mark
from tests.core.machine_play import EPOCH, LOOKS, REPLIES, define, ending, read, shapes, stored

PLAIN = ("",)
BARE = ("", "bare")
KINDS = ("", "bare", "atomic", "bare atomic")
REMOTE = ("remote", "bare remote")
COMMANDS = ("succeeded", "permanent", "lost", "waits", "began", "declined", "no reply")
DO = ("succeeded", "failed", "permanent", "partial", "timed out", "lost")
UNDO = ("succeeded", "failed", "timed out", "lost")
CRASH_LIMIT = 1


class Bounds(NamedTuple):
    """What is walked: numbers of steps, kinds of step, ways to end, tries, operator's words."""

    sizes: tuple[int, ...]
    kinds: tuple[str, ...]
    do: tuple[str, ...]
    undo: tuple[str, ...]
    attempts: int = 1
    undo_attempts: int = 1
    operator: int = 0
    policy: CompensationPolicy = CompensationPolicy.CONTINUE
    failure_policy: FailurePolicy = FailurePolicy.FAIL_FAST


class Walked(NamedTuple):
    """What was walked. ``longest``: the events of the longest history, beside its start."""

    definitions: int
    states: int
    events: int
    histories: int
    longest: int


DEAD = Bounds((3,), BARE, ("succeeded", "permanent", "timed out"), ("succeeded", "permanent"), operator=2)
WAITING = FailurePolicy.WAIT_ALL
WALKS = {
    "one or two steps that wait for each other's end, all kinds, all ways to end, two tries each": (
        Bounds((1, 2), KINDS, DO, ("succeeded",), attempts=2, failure_policy=WAITING),
        Walked(definitions=30, states=2416, events=19860, histories=24673730, longest=9),
    ),
    "three steps that wait for each other's end": (
        Bounds((3,), BARE, ("succeeded", "permanent", "timed out"), ("succeeded",), failure_policy=WAITING),
        Walked(definitions=40, states=2968, events=8196, histories=64726, longest=7),
    ),
    "four steps that wait for each other's end": (
        Bounds((4,), PLAIN, ("succeeded", "permanent"), ("succeeded",), failure_policy=WAITING),
        Walked(definitions=31, states=3763, events=10108, histories=276204, longest=9),
    ),
    "three steps, dead compensations that stop the others, an operator's two words": (
        DEAD._replace(policy=CompensationPolicy.STOP),
        Walked(definitions=40, states=11280, events=28500, histories=4945124, longest=11),
    ),
    "three steps, dead compensations that hold back those that follow, an operator's two words": (
        DEAD._replace(policy=CompensationPolicy.SKIP_DEPENDENTS),
        Walked(definitions=40, states=10224, events=26324, histories=6825407, longest=11),
    ),
    "four steps, a dead compensation holds back those that follow": (
        Bounds(
            (4,),
            PLAIN,
            ("succeeded", "permanent"),
            ("succeeded", "permanent"),
            operator=1,
            policy=CompensationPolicy.SKIP_DEPENDENTS,
        ),
        Walked(definitions=31, states=12292, events=34264, histories=18241713, longest=11),
    ),
    "one or two steps, all kinds, all ways to end, two tries each, an operator's word": (
        Bounds((1, 2), KINDS, DO, UNDO, attempts=2, undo_attempts=2, operator=1),
        Walked(definitions=30, states=7656, events=50986, histories=3222631324726, longest=17),
    ),
    "three steps, failures of each kind, dead compensations, an operator's two words": (
        Bounds(
            (3,),
            BARE,
            ("succeeded", "permanent", "partial", "timed out"),
            ("succeeded", "permanent"),
            operator=2,
        ),
        Walked(definitions=40, states=21169, events=61078, histories=20081260, longest=11),
    ),
    "three steps, two tries each, lost workers": (
        Bounds((3,), BARE, ("succeeded", "failed", "lost"), ("succeeded",), attempts=2),
        Walked(definitions=40, states=7500, events=52748, histories=142484184182, longest=13),
    ),
    "steps that wait, some for what they began, and compensations that wait": (
        Bounds((1, 2, 3), BARE, ("succeeded", "permanent", "waits", "began"), ("succeeded", "waits")),
        Walked(definitions=49, states=7845, events=40734, histories=323954311250, longest=16),
    ),
    "steps that wait, in doubt, two tries each": (
        Bounds((1, 2), KINDS, (*DO, "waits", "began"), (*UNDO, "waits"), attempts=2, undo_attempts=2),
        Walked(definitions=30, states=27406, events=373416, histories=10960756813451592, longest=19),
    ),
    "steps that another service does, two commands each": (
        Bounds((1, 2), REMOTE, COMMANDS, ("succeeded", "permanent", "no reply", "waits"), attempts=2),
        Walked(definitions=9, states=4823, events=72250, histories=8356663401346, longest=17),
    ),
    "three steps, some of them done by another service": (
        Bounds(
            (3,), ("", "remote"), ("succeeded", "began", "declined", "no reply"), ("succeeded", "no reply")
        ),
        Walked(definitions=40, states=9857, events=29168, histories=81656769, longest=10),
    ),
    "four steps with compensations, dead ones too": (
        Bounds((4,), PLAIN, ("succeeded", "permanent"), ("succeeded", "permanent")),
        Walked(definitions=31, states=8254, events=17836, histories=813704, longest=9),
    ),
    "four steps with and without compensations, in doubt": (
        Bounds((4,), BARE, ("succeeded", "timed out"), ("succeeded",)),
        Walked(definitions=420, states=35670, events=83177, histories=700414, longest=9),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("bounds", "expected"), WALKS.values(), ids=WALKS)
def test_every_history_within_bounds_keeps_all_laws_and_comes_to_an_end(bounds, expected):
    assert walk(bounds) == expected


def walk(bounds: Bounds) -> Walked:
    """Walk all definitions within ``bounds``."""
    definitions = states = events = histories = longest = 0
    for size in bounds.sizes:
        for graph, kinds in shapes(size, bounds.kinds):
            definition = define(
                graph,
                **kinds,
                attempts=bounds.attempts,
                undo_attempts=bounds.undo_attempts,
                policy=bounds.policy,
                failure_policy=bounds.failure_policy,
            )
            found = Walk(definition, bounds)
            ways, length = found.run()
            assert length <= _most_events(size, bounds)
            definitions += 1
            states += len(found.known)
            events += found.events
            histories += ways
            longest = max(longest, length)
    return Walked(definitions, states, events, histories, longest)


def _most_events(size: int, bounds: Bounds) -> int:
    """Say how long a history may be: all tries, the crashes that cost none, and a word from outside."""
    undo = bounds.undo_attempts + CRASH_LIMIT + ("waits" in bounds.undo)
    looks = len({"waits", "began"}.intersection(bounds.do))
    return size * looks + size * (bounds.attempts + CRASH_LIMIT + undo) + bounds.operator * (1 + undo) + 1


class Walk:
    """The walk over all states of one definition."""

    def __init__(self, definition: SagaDefinition, bounds: Bounds) -> None:
        self.definition = definition
        self.bounds = bounds
        self.laws = Laws(definition, CRASH_LIMIT)
        self.events = 0
        self.known: dict[object, tuple[int, int]] = {}

    def run(self) -> tuple[int, int]:
        """Walk; give how many histories there are, and how many events the longest has."""
        state = machine.start(self.definition, SagaStarted(), now=EPOCH)
        return self._from(state, self.laws.begin(state), self.bounds.operator)

    def _from(self, state: SagaState, ledger: Ledger, operator: int) -> tuple[int, int]:
        key = (
            state.status,
            state.failing,
            operator,
            *(_essence(state.steps.get(n), mark) for n, mark in ledger.items()),
        )
        if key in self.known:
            return self.known[key]
        # A stuck saga is at rest, and may go on.
        histories, longest = int(not state.status.is_live), 0
        for event in self._moves(state, operator):
            self.events += 1
            assert stored(event) == event
            decision = machine.decide(self.definition, state, event, now=EPOCH)
            seen = read(self.definition, state, event)
            assert seen is state or machine.decide(self.definition, seen, event, now=EPOCH) == decision
            after = machine.apply(state, decision)
            noted = self.laws.hold(ledger, state, event, after)
            ways, length = self._from(after, noted, operator - isinstance(event, UndoRetried | UndoSkipped))
            histories += ways
            longest = max(longest, length + 1)
        assert histories, "a live saga has nothing to wait for"
        self.known[key] = histories, longest
        return self.known[key]

    def _moves(self, state: SagaState, operator: int) -> Iterator[Event]:
        opened = [step for step in state.steps.values() if step.is_open]
        forward = state.status in FORWARD
        names = tuple(step.name for step in opened)
        for step in opened:
            ways = self.bounds.undo if step.undoing else self.bounds.do
            if not forward and not step.undoing:
                ways = (*ways, "not started")
            for how in ways:
                if how in REPLIES and self.definition[step.name].wait is None:
                    continue
                if how in LOOKS and step.reason == WAITS and (how == "waits" or step.partial):
                    continue  # nothing new: the engine does not feed that
                event = ending(how, step.name, step.attempt + 1, step.undoing, CRASH_LIMIT)
                if forward and how != "succeeded":
                    yield from _in_flight(event, tuple(name for name in names if name != step.name))
                else:
                    yield event
        if forward:
            yield from _in_flight(CancelRequested(), names)
            yield from _in_flight(DeadlinePassed(), names)
        if operator:
            for step in state.steps.values():
                if step.status is StepStatus.UNDO_FAILED:
                    yield UndoRetried(step=step.name)
                    yield UndoSkipped(step=step.name)


def _essence(step: StepState | None, mark: Mark) -> object:
    """Give what may matter of a step later: a closed one's count of attempts and reason are history."""
    if step is None or step.is_open:
        return step, mark
    return step.status, step.outcome, step.partial, mark.effect, mark.undo


@lru_cache(maxsize=100_000)
def _in_flight(event: Event, others: tuple[str, ...]) -> list[Event]:
    """Give ``event`` with every choice of which of the other open steps are in flight."""
    found = [event]
    for count in range(1, len(others) + 1):
        found += [replace(event, in_flight=chosen) for chosen in combinations(others, count)]
    return found

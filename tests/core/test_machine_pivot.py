"""Past the pivot: every history of small sagas, checked by laws that are fed the events alone.

Walked are all ways for steps before, at and past the pivot to end, with each forward recovery for those past
it, in a row and side by side; cancel, deadline and every word of an operator at every point, any open step in
flight. The numbers are asserted, so that nothing is walked less by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any, NamedTuple

import pytest

from django_saga.core import events, machine
from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.events import Cause, Event
from django_saga.core.retry import Retry
from django_saga.core.state import PAST_PIVOT, SKIPPED_OVER, STOOD_IN, SagaState
from django_saga.core.states import ForwardRecovery, SagaStatus, StepStatus
from django_saga.exceptions import IllegalTransition
from tests.core.machine_play import EPOCH, read, stored

ONCE = Retry(attempts=1, jitter=0, delay=0)
UNDO = UndoDefinition(function="undo", retry=ONCE)
BACK = (SagaStatus.COMPENSATING, SagaStatus.COMPENSATED)
WORDS = (events.StepRetried, events.StepSkipped, events.StepMarkedDone)


def define(graph: str, recoveries: dict[str, ForwardRecovery], *, pivot_undo: bool) -> SagaDefinition:
    """Make a saga of "a p<a x<p": ``p`` is the pivot, upper-case letters stand in for lower-case ones."""
    steps = []
    for word in graph.split():
        name, _, after = word.partition("<")
        recovery = recoveries.get(name)
        steps.append(
            StepDefinition(
                name=name,
                after=tuple(after),
                retry=ONCE,
                undo=UNDO if name == "a" or (name == "p" and pivot_undo) else None,
                pivot=name == "p",
                forward_recovery=recovery,
                alternate=name.upper() if recovery is ForwardRecovery.ALTERNATE else "",
            )
        )
    return SagaDefinition(name="played", steps=tuple(steps))


_HOW = {events.StepSucceeded: "succeeded", events.StepFailed: "failed", events.StepUnknown: "unknown"}


class Facts(NamedTuple):
    """What the events alone say: steps by how they ended, and whether a person asked for the way back."""

    ended: tuple[tuple[str, str], ...] = ()
    settled: frozenset[str] = frozenset()
    asked_back: bool = False

    def of(self, name: str) -> str:
        return dict(self.ended).get(name, "")

    def after(self, event: Event) -> Facts:
        ended = dict(self.ended)
        if isinstance(event, events.StepEvent) and not event.undo:
            how = _HOW[type(event)]
            # Once in doubt, a later failure does not say that the first attempt had no effect.
            ended[event.step] = "unknown" if (how, self.of(event.step)) == ("failed", "unknown") else how
        settled = self.settled
        if isinstance(event, (events.StepSkipped, events.StepMarkedDone)):
            settled |= {event.step}
        asked = self.asked_back or isinstance(event, events.CompensateRequested)
        return Facts(tuple(sorted(ended.items())), settled, asked)


class Walk:
    """The walk over all states of one definition."""

    def __init__(self, definition: SagaDefinition, words: int) -> None:
        self.definition = definition
        self.words = words
        self.events = 0
        self.seen: set[object] = set()

    def run(self) -> None:
        start = events.SagaStarted(deadline_at=EPOCH)
        self._from(machine.start(self.definition, start, now=EPOCH), Facts(), self.words)

    def _from(self, state: SagaState, facts: Facts, words: int) -> None:
        key = (
            state.status,
            state.reason,
            state.culprit,
            state.deadline_at,
            tuple(sorted(state.steps.items())),
            facts,
            words,
        )
        if key in self.seen:
            return
        self.seen.add(key)
        moved = False
        for event in self._moves(state, words):
            try:
                decision = machine.decide(self.definition, state, event, now=EPOCH)
            except IllegalTransition:
                self._may_be_refused(state, facts, event)
                continue
            self.events += 1
            moved = True
            assert stored(event) == event
            partly = machine.decide(self.definition, read(self.definition, state, event), event, now=EPOCH)
            assert partly == decision, "what the engine reads is enough"
            after = machine.apply(state, decision)
            now = facts.after(event)
            self._hold(state, event, after, now)
            self._from(after, now, words - isinstance(event, (*WORDS, events.CompensateRequested)))
        assert moved or not state.status.is_live, "a live saga has nothing to wait for"

    def _moves(self, state: SagaState, words: int) -> Iterator[Event]:
        opened = tuple(step.name for step in state.steps.values() if step.is_open)
        for name in opened:
            step = state.steps[name]
            facts: dict[str, Any] = {"step": name, "attempt": step.attempt + 1, "undo": step.undoing}
            ways: list[Event] = [events.StepSucceeded(**facts)]
            if not step.undoing:
                ways.append(events.StepFailed(**facts, permanent=True))
                ways.append(events.StepUnknown(**facts, cause=Cause.TIMED_OUT, permanent=True))
            for way in ways:
                yield from _in_flight(way, tuple(other for other in opened if other != name))
        if state.status is SagaStatus.RUNNING:
            yield from _in_flight(events.CancelRequested(), opened)
            yield from _in_flight(events.DeadlinePassed(), opened)
        if words and state.status in (SagaStatus.RUNNING, SagaStatus.STUCK):
            yield from _in_flight(events.CompensateRequested(), opened)
            for word, name in product(WORDS, state.steps):
                yield word(step=name)

    # --- the laws ---------------------------------------------------------------------------------

    def _happened(self, facts: Facts) -> bool:
        """True when the pivot has happened, or may have and cannot be undone."""
        if facts.of("p") == "unknown":
            return self.definition["p"].undo is None
        return facts.of("p") == "succeeded" or "p" in facts.settled

    def _may_be_refused(self, state: SagaState, facts: Facts, event: Event) -> None:
        if isinstance(event, (events.CancelRequested, events.DeadlinePassed)):
            assert self._happened(facts) or "p" in event.in_flight
        elif isinstance(event, events.CompensateRequested):
            assert "p" in event.in_flight
        else:
            assert isinstance(event, WORDS)
            skipped_pivot = isinstance(event, events.StepSkipped) and event.step == "p"
            assert skipped_pivot or not (
                state.reason == PAST_PIVOT
                and state.steps[event.step].status in (StepStatus.FAILED, StepStatus.UNKNOWN)
                and self._is_dead(state, event.step)
            ), "a person may settle every step that holds the saga up"

    def _is_dead(self, state: SagaState, name: str) -> bool:
        past = name in "xyzXY" or (name == "p" and self.definition["p"].undo is None)
        return past and not any(other in state.steps for other in self.definition.stand_ins[name])

    def _hold(self, before: SagaState, event: Event, after: SagaState, facts: Facts) -> None:
        steps = after.steps
        assert not before.status.is_terminal
        # 1. No way back from a pivot that happened, unless somebody said so.
        wants_back = facts.asked_back or any(
            self.definition[name].forward_recovery is ForwardRecovery.COMPENSATE
            and how in ("failed", "unknown")
            for name, how in facts.ended
        )
        if self._happened(facts) and not wants_back:
            assert after.status not in BACK
            assert not any(step.undoing or step.status is StepStatus.UNDONE for step in steps.values())
        if after.status in BACK and before.status not in BACK and "p" in steps:
            assert not (steps["p"].is_open and not steps["p"].undoing), "the pivot was left in flight"
        # 2. What is open had everything before it.
        for name, step in steps.items():
            if step.status is StepStatus.SCHEDULED and name not in self.definition.mains:
                assert all(self._passed(after, each) for each in self.definition[name].after), name
        # 3. A stand-in only runs for a step that certainly failed.
        for name, main in self.definition.mains.items():
            if name in steps:
                assert facts.of(main) == "failed"
        # 4. The end.
        opened = any(step.is_open for step in steps.values())
        dead = [
            name
            for name, step in steps.items()
            if step.status in (StepStatus.FAILED, StepStatus.UNKNOWN) and self._is_dead(after, name)
        ]
        if after.status is SagaStatus.COMPLETED:
            assert all(self._passed(after, name) for name in self.definition.sinks)
            assert not dead
            skipped = any(step.status is StepStatus.SKIPPED for step in steps.values())
            stood_in = any(name in steps for name in self.definition.mains)
            assert bool(after.reason) is (skipped or stood_in)
            assert after.reason in ("", SKIPPED_OVER, STOOD_IN)
        elif after.status is SagaStatus.STUCK:
            assert not opened
            assert (after.reason, after.culprit in dead) == (PAST_PIVOT, True)
        elif after.status is SagaStatus.RUNNING:
            assert opened
            assert (after.reason == PAST_PIVOT) is bool(dead)
            assert not dead or after.culprit in dead
        # 5. The deadline is over with the pivot.
        if after.status is SagaStatus.RUNNING and (facts.of("p") == "succeeded" or "p" in facts.settled):
            assert after.deadline_at is None

    def _passed(self, state: SagaState, name: str) -> bool:
        return any(
            each in state.steps and state.steps[each].status in (StepStatus.SUCCEEDED, StepStatus.SKIPPED)
            for each in (name, *self.definition.stand_ins[name])
        )


def _in_flight(event: Event, others: tuple[str, ...]) -> Iterator[Event]:
    for count in range(len(others) + 1):
        for chosen in combinations(others, count):
            yield replace(event, in_flight=chosen)


ROW = "a p<a x<p X<p"
SIDE = "a p<a x<p X<p y<p Y<p z<xy"
KINDS = [None, *ForwardRecovery]


def _definitions(graph: str, *names: str) -> Iterator[SagaDefinition]:
    for chosen in product(KINDS, repeat=len(names)):
        given = {name: kind for name, kind in zip(names, chosen, strict=True) if kind}
        without = {name.upper() for name, kind in zip(names, chosen, strict=True) if kind is not KINDS[3]}
        words = [word for word in graph.split() if word[0] not in without]
        for pivot_undo in (False, True):
            yield define(" ".join(words), given, pivot_undo=pivot_undo)


@pytest.mark.parametrize(
    ("graph", "names", "words", "expected"),
    [
        (ROW, ("x",), 2, (12, 1324, 1471)),
        (SIDE, ("x", "y"), 1, (72, 27014, 40124)),
    ],
    ids=["in a row", "side by side"],
)
def test_every_history_past_the_pivot_keeps_the_laws(graph, names, words, expected):
    walked = [Walk(definition, words) for definition in _definitions(graph, *names)]
    for walk in walked:
        walk.run()

    found = (len(walked), sum(len(walk.seen) for walk in walked), sum(walk.events for walk in walked))
    assert found == expected

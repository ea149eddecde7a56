"""Probes: every history of small sagas whose steps end in doubt and are asked about.

The laws are checked against what the events alone say: an effect that is there, may be there, or is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

import pytest

from django_saga.core import events, machine
from django_saga.core.definition import ProbeDefinition, SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.events import Cause, Event, StepFailed, StepSucceeded, StepUnknown
from django_saga.core.retry import Retry
from django_saga.core.state import PROBING, SagaState
from django_saga.core.states import FailurePolicy, Outcome, SagaStatus, StepStatus
from tests.core.machine_play import EPOCH, read, stored

ONCE, TWICE = (Retry(attempts=count, jitter=0, delay=0) for count in (1, 2))
UNDO = UndoDefinition(function="undo", retry=ONCE)


def define(graph: str, policy: FailurePolicy = FailurePolicy.FAIL_FAST) -> SagaDefinition:
    """Make a saga of "a b<a"; each step has a compensation, and a probe that is tried twice."""
    steps = []
    for word in graph.split():
        name, _, after = word.partition("<")
        probe = ProbeDefinition(function="ask", retry=TWICE)
        steps.append(StepDefinition(name=name, after=tuple(after), retry=ONCE, undo=UNDO, probe=probe))
    return SagaDefinition(name="played", steps=tuple(steps), failure_policy=policy)


class Effects(NamedTuple):
    """By step: "there", "doubted", "not there", and whether it was undone."""

    of: tuple[tuple[str, str], ...] = ()
    undone: frozenset[str] = frozenset()

    def after(self, event: Event) -> Effects:
        if not isinstance(event, events.StepEvent):
            return self
        found = dict(self.of)
        if event.undo:
            return self._replace(undone=self.undone | {event.step})
        if isinstance(event, StepSucceeded):
            found[event.step] = "there"
        elif isinstance(event, StepUnknown) and not event.probe:
            found[event.step] = "doubted"
        elif isinstance(event, StepFailed) and event.disproved:
            found[event.step] = "not there"
        return self._replace(of=tuple(sorted(found.items())))


class Walk:
    """All states of one definition, by all events in each."""

    def __init__(self, definition: SagaDefinition) -> None:
        self.definition = definition
        self.events = 0
        self.seen: set[object] = set()

    def run(self) -> None:
        self._from(machine.start(self.definition, events.SagaStarted(), now=EPOCH), Effects())

    def _from(self, state: SagaState, effects: Effects) -> None:
        key = (state.status, tuple(sorted(state.steps.items())), effects)
        if key in self.seen:
            return
        self.seen.add(key)
        moves = list(self._moves(state))
        assert moves or not state.status.is_live
        for event in moves:
            self.events += 1
            assert stored(event) == event
            decision = machine.decide(self.definition, state, event, now=EPOCH)
            assert (
                machine.decide(self.definition, read(self.definition, state, event), event, now=EPOCH)
                == decision
            )
            after = machine.apply(state, decision)
            now = effects.after(event)
            self._hold(state, after, now)
            self._from(after, now)

    def _moves(self, state: SagaState) -> Iterator[Event]:
        opened = [step for step in state.steps.values() if step.is_open]
        for step in opened:
            facts: dict[str, Any] = {"step": step.name, "attempt": step.attempt + 1, "undo": step.undoing}
            ways: list[Event] = [StepSucceeded(**facts, probe=step.probing)]
            if step.probing:
                ways += [
                    StepFailed(**facts, probe=True, permanent=True, disproved=True),
                    StepFailed(**facts, probe=True),
                    StepUnknown(**facts, probe=True, cause=Cause.TIMED_OUT),
                ]
            elif not step.undoing:
                ways += [StepFailed(**facts, permanent=True), StepUnknown(**facts, cause=Cause.TIMED_OUT)]
            if state.status is SagaStatus.COMPENSATING and not step.undoing:
                ways.append(events.StepNotStarted(**facts))
            others = [other.name for other in opened if other is not step]
            for way in ways:
                yield from _in_flight(way, others)
        if state.status is SagaStatus.RUNNING:
            yield from _in_flight(events.CancelRequested(), [step.name for step in opened])

    def _hold(self, before: SagaState, after: SagaState, effects: Effects) -> None:
        known = dict(effects.of)
        for name, step in after.steps.items():
            effect = known.get(name, "")
            if step.undoing or step.status is StepStatus.UNDONE:
                assert effect in ("there", "doubted"), "what is not there is not undone"
                assert step.outcome == ("succeeded" if effect == "there" else "unknown")
            if step.probing:
                assert (effect, step.outcome) == ("doubted", Outcome.UNKNOWN)
            if name in before.steps and before.steps[name].probing and step.is_open and not step.undoing:
                assert step.reason == PROBING, "a step that is probed does not run again"
            if step.status is StepStatus.FAILED:
                assert effect != "doubted"
                assert step.outcome == "failed"
        if after.status in (SagaStatus.COMPENSATED, SagaStatus.COMPLETED):
            assert not any(step.is_open for step in after.steps.values())
        if after.status is SagaStatus.COMPENSATED:
            left = {name for name, effect in known.items() if effect in ("there", "doubted")}
            assert left == effects.undone, "all that is there, or may be, was undone"
        if after.status is SagaStatus.COMPLETED:
            assert set(known.values()) == {"there"}


def _in_flight(event: Event, others: list[str]) -> Iterator[Event]:
    for count in range(len(others) + 1):
        for chosen in combinations(others, count):
            yield replace(event, in_flight=chosen)


@pytest.mark.parametrize(
    ("graph", "policy", "expected"),
    [
        ("a b<a c<b", FailurePolicy.FAIL_FAST, (113, 259)),
        ("a b<a c<a", FailurePolicy.FAIL_FAST, (351, 1641)),
        ("a b<a c<a", FailurePolicy.WAIT_ALL, (401, 1914)),
        ("a b c<ab", FailurePolicy.WAIT_ALL, (257, 1090)),
    ],
)
def test_every_history_with_probes_undoes_what_is_there_or_may_be_and_nothing_else(graph, policy, expected):
    walk = Walk(define(graph, policy))
    walk.run()

    assert (len(walk.seen), walk.events) == expected


def test_a_step_is_probed_only_when_it_is_not_tried_again():
    definition = define("a")
    step = replace(definition.steps[0], retry=TWICE)
    definition = replace(definition, steps=(step,))
    state = machine.start(definition, events.SagaStarted(), now=EPOCH)

    once = StepUnknown(step="a", attempt=1, cause=Cause.TIMED_OUT)
    state = machine.apply(state, machine.decide(definition, state, once, now=EPOCH))
    assert not state.steps["a"].probing
    twice = StepFailed(step="a", attempt=2, permanent=True)
    state = machine.apply(state, machine.decide(definition, state, twice, now=EPOCH))

    # The second attempt failed for certain, but that says nothing about the first.
    assert state.steps["a"].probing
    assert state.status is SagaStatus.RUNNING

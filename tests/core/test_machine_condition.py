"""Conditions: every history of small sagas of which steps are asked first whether they are to run.

The laws are checked against what the events alone say: what a condition said, and which effect a step has or
may have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_saga.core import events, machine
from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.events import (
    Cause,
    ConditionMet,
    ConditionNotMet,
    Event,
    StepFailed,
    StepSucceeded,
    StepUnknown,
)
from django_saga.core.retry import Retry
from django_saga.core.state import ASKING, PAST_PIVOT, SagaState
from django_saga.core.states import FailurePolicy, ForwardRecovery, Outcome, SagaStatus, StepStatus
from django_saga.exceptions import IllegalTransition
from tests.core.machine_play import EPOCH, read, stored

ONCE, TWICE = (Retry(attempts=count, jitter=0, delay=0) for count in (1, 2))
UNDO = UndoDefinition(function="undo", retry=ONCE)


def define(
    graph: str, asked: str, policy: FailurePolicy = FailurePolicy.FAIL_FAST, retry: Retry = ONCE
) -> SagaDefinition:
    """Make a saga of "a b<a"; each step has a compensation, those ``asked`` a condition."""
    steps = []
    for word in graph.split():
        name, _, after = word.partition("<")
        when = "wanted" if name in asked else ""
        steps.append(StepDefinition(name=name, after=tuple(after), retry=retry, undo=UNDO, when=when))
    return SagaDefinition(name="played", steps=tuple(steps), failure_policy=policy)


def fed(definition: SagaDefinition, *told: Event) -> SagaState:
    """Give the state of a new saga after ``told``."""
    state = machine.start(definition, events.SagaStarted(), now=EPOCH)
    for event in told:
        state = machine.apply(state, machine.decide(definition, state, event, now=EPOCH))
    return state


class Known(NamedTuple):
    """By step: what its condition said, which effect it has ("there" or "doubted"), and what was undone."""

    said: tuple[tuple[str, bool], ...] = ()
    effects: tuple[tuple[str, str], ...] = ()
    undone: tuple[str, ...] = ()

    def after(self, event: Event) -> Known:
        if not isinstance(event, events.StepEvent):
            return self
        said, effects = dict(self.said), dict(self.effects)
        if event.undo:
            return self._replace(undone=(*self.undone, event.step))
        if isinstance(event, (ConditionMet, ConditionNotMet)):
            said[event.step] = isinstance(event, ConditionMet)
        elif isinstance(event, StepSucceeded):
            effects[event.step] = "there"
        elif isinstance(event, StepUnknown) and not event.asking:
            effects[event.step] = "doubted"
        return self._replace(said=tuple(sorted(said.items())), effects=tuple(sorted(effects.items())))


class Walk:
    """All states of one definition, by all events in each."""

    def __init__(self, definition: SagaDefinition) -> None:
        self.definition = definition
        self.events = 0
        self.ends: set[tuple[str, ...]] = set()
        self.seen: set[object] = set()

    def run(self) -> None:
        self._from(machine.start(self.definition, events.SagaStarted(), now=EPOCH), Known())

    def _from(self, state: SagaState, known: Known) -> None:
        key = (state.status, tuple(sorted(state.steps.items())), known)
        if key in self.seen:
            return
        self.seen.add(key)
        moves = list(self.moves(state))
        assert moves or not state.status.is_live
        if not state.status.is_live:
            self.ends.add((state.status, *(f"{n} {s.status}" for n, s in sorted(state.steps.items()))))
        for event in moves:
            self.events += 1
            assert stored(event) == event
            decision = machine.decide(self.definition, state, event, now=EPOCH)
            seen = read(self.definition, state, event)
            assert machine.decide(self.definition, seen, event, now=EPOCH) == decision
            after = machine.apply(state, decision)
            now = known.after(event)
            self.hold(after, now)
            self._from(after, now)

    def moves(self, state: SagaState) -> Iterator[Event]:
        opened = [step for step in state.steps.values() if step.is_open]
        for step in opened:
            facts: dict[str, Any] = {"step": step.name, "attempt": step.attempt + 1, "undo": step.undoing}
            if step.asking:
                ways: list[Event] = [
                    ConditionMet(**facts),
                    ConditionNotMet(**facts),
                    StepFailed(**facts, asking=True),
                    StepFailed(**facts, asking=True, permanent=True),
                    StepUnknown(**facts, asking=True, cause=Cause.TIMED_OUT),
                    StepUnknown(**facts, asking=True, cause=Cause.WORKER_LOST, crash_limit=1),
                ]
            else:
                ways = [StepSucceeded(**facts)]
            if not (step.asking or step.undoing):
                ways += [StepFailed(**facts, permanent=True), StepUnknown(**facts, cause=Cause.TIMED_OUT)]
            if state.status is SagaStatus.COMPENSATING and not step.undoing:
                ways.append(events.StepNotStarted(**facts))
            others = [other.name for other in opened if other is not step]
            for way in ways:
                yield from _in_flight(way, others)
        if state.status is SagaStatus.RUNNING:
            yield from _in_flight(events.CancelRequested(), [step.name for step in opened])

    def hold(self, after: SagaState, known: Known) -> None:
        said, effects = dict(known.said), dict(known.effects)
        for name, step in after.steps.items():
            asked = bool(self.definition[name].when)
            if name in effects:
                assert said.get(name, not asked), "it ran, so it was wanted"
                assert step.status is not StepStatus.SKIPPED, "what ran, or may have, is not passed over"
            if step.asking:
                assert asked
                assert name not in said
                assert step.outcome is Outcome.NONE
            if step.undoing or step.status is StepStatus.UNDONE:
                assert effects[name] == ("there" if step.outcome == "succeeded" else "doubted")
            if step.omitted:
                assert said[name] is False
            if not step.is_open:
                assert (step.due_at, step.deadline_at) == (None, None)
        passed = {n for n, s in after.steps.items() if s.status is StepStatus.SUCCEEDED or s.omitted}
        if after.status in (SagaStatus.RUNNING, SagaStatus.COMPLETED):
            ready = {step.name for step in self.definition.steps if passed.issuperset(step.after)}
            assert after.steps.keys() == ready, "open is exactly what is ready"
        if after.status is SagaStatus.COMPLETED:
            assert passed == self.definition.by_name.keys()
            assert (after.reason, after.culprit) == ("", "")
        if after.status is SagaStatus.COMPENSATED:
            assert sorted(effects) == sorted(known.undone), "all that is there, or may be, was undone, once"
        for at, name in enumerate(known.undone):
            behind = {n for n in effects if name in self.definition.ancestors[n]}
            assert behind <= set(known.undone[:at]), "the order holds across steps that were passed over"


def _in_flight(event: Event, others: list[str]) -> Iterator[Event]:
    for count in range(len(others) + 1):
        for chosen in combinations(others, count):
            yield replace(event, in_flight=chosen)


@pytest.mark.parametrize(
    ("graph", "asked", "policy", "expected"),
    [
        ("a b<a c<b", "abc", FailurePolicy.FAIL_FAST, (196, 342, 29)),
        ("a b<a c<a", "bc", FailurePolicy.FAIL_FAST, (471, 1337, 16)),
        ("a b<a c<a", "abc", FailurePolicy.WAIT_ALL, (860, 2968, 29)),
        ("a b c<ab", "abc", FailurePolicy.WAIT_ALL, (493, 1642, 29)),
        ("a b c<ab", "ac", FailurePolicy.FAIL_FAST, (244, 602, 19)),
    ],
)
def test_every_history_with_conditions_runs_what_is_wanted_and_undoes_what_ran(
    graph, asked, policy, expected
):
    walk = Walk(define(graph, asked, policy))
    walk.run()

    assert (len(walk.seen), walk.events, len(walk.ends)) == expected


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.data())
def test_random_histories_with_conditions_keep_the_laws_and_fold(data):
    names = "abcdef"[: data.draw(st.integers(2, 6), label="size")]
    words = [
        f"{name}<{''.join(sorted(data.draw(st.sets(st.sampled_from(names[:at])))))}" if at else name
        for at, name in enumerate(names)
    ]
    asked = data.draw(st.sets(st.sampled_from(names), min_size=1), label="asked")
    policy = data.draw(st.sampled_from([FailurePolicy.FAIL_FAST, FailurePolicy.WAIT_ALL]))
    walk = Walk(define(" ".join(word.removesuffix("<") for word in words), "".join(asked), policy, TWICE))
    started = events.SagaStarted()
    state, known = machine.start(walk.definition, started, now=EPOCH), Known()
    history: list[Event] = [started]

    while moves := list(walk.moves(state)):
        event = data.draw(st.sampled_from(moves))
        history.append(event)
        decision = machine.decide(walk.definition, read(walk.definition, state, event), event, now=EPOCH)
        state, known = machine.apply(state, decision), known.after(event)
        walk.hold(state, known)

    assert not state.status.is_live
    assert machine.fold(walk.definition, [(stored(event), EPOCH) for event in history]) == state


def test_a_step_is_asked_for_until_there_is_an_answer_and_then_begins_with_fresh_attempts():
    definition = define("a", "a", retry=TWICE)
    failed = StepFailed(step="a", attempt=1, asking=True)
    once = fed(definition, failed).steps["a"]
    assert (once.status, once.attempt, once.reason) == ("scheduled", 1, ASKING)

    met = fed(definition, failed, ConditionMet(step="a", attempt=2)).steps["a"]

    assert met == once._replace(attempt=0, reason="")


def test_the_deadline_of_a_step_holds_from_its_question_on():
    definition = define("a", "a")
    step = replace(definition.steps[0], deadline=timedelta(minutes=1))
    definition = replace(definition, steps=(step,))

    opened = fed(definition).steps["a"]
    met = fed(definition, ConditionMet(step="a", attempt=1)).steps["a"]

    assert opened.deadline_at == met.deadline_at == EPOCH + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("told", "event", "why"),
    [
        ((), StepSucceeded(step="a"), "is not known yet"),
        ((ConditionMet(step="a"),), ConditionNotMet(step="a"), "is known"),
        ((ConditionMet(step="a"),), ConditionMet(step="a"), "is known"),
    ],
)
def test_no_step_succeeds_unasked_and_none_that_may_have_run_is_passed_over(told, event, why):
    definition = define("a", "a")

    with pytest.raises(IllegalTransition, match=f"what the condition of step a says {why}"):
        fed(definition, *told, event)


def test_a_step_in_doubt_is_tried_again_without_being_asked_for():
    definition = define("a", "a", retry=TWICE)
    in_doubt = fed(definition, ConditionMet(step="a"), StepUnknown(step="a", cause=Cause.WORKER_LOST))

    assert not in_doubt.steps["a"].asking
    with pytest.raises(IllegalTransition):
        machine.decide(definition, in_doubt, ConditionNotMet(step="a", attempt=2), now=EPOCH)


# --- past the pivot -------------------------------------------------------------------------------


def past_pivot(recovery: ForwardRecovery | None, when: str = "wanted") -> SagaDefinition:
    alternate = "d" if recovery is ForwardRecovery.ALTERNATE else ""
    steps = [
        StepDefinition(name="a", pivot=True, retry=ONCE),
        StepDefinition(
            name="b", after=("a",), retry=ONCE, when=when, forward_recovery=recovery, alternate=alternate
        ),
        StepDefinition(name="c", after=("b",), retry=ONCE),
    ]
    if alternate:
        steps.append(StepDefinition(name="d", after=("a",), retry=ONCE))
    return SagaDefinition(name="played", steps=tuple(steps))


PIVOT, NO = StepSucceeded(step="a"), StepFailed(step="b", asking=True, permanent=True)


def test_past_the_pivot_a_step_is_passed_over_without_its_stand_in_and_without_a_word():
    definition = past_pivot(ForwardRecovery.ALTERNATE)

    state = fed(definition, PIVOT, ConditionNotMet(step="b"), StepSucceeded(step="c"))

    assert (state.status, state.reason, state.culprit) == ("completed", "", "")
    assert "d" not in state.steps


@pytest.mark.parametrize("recovery", [None, ForwardRecovery.ALTERNATE, ForwardRecovery.MANUAL])
def test_past_the_pivot_a_condition_without_an_answer_holds_the_saga_up(recovery):
    state = fed(past_pivot(recovery), PIVOT, NO)

    assert (state.status, state.reason, state.culprit) == (SagaStatus.STUCK, PAST_PIVOT, "b")


def test_a_step_that_a_person_has_tried_again_is_asked_for_only_if_there_was_no_answer():
    definition = past_pivot(None)
    retried = events.StepRetried(step="b")

    unanswered = fed(definition, PIVOT, NO, retried)
    failed = fed(definition, PIVOT, ConditionMet(step="b"), StepFailed(step="b", permanent=True), retried)
    in_doubt = fed(definition, PIVOT, ConditionMet(step="b"), StepUnknown(step="b", permanent=True), retried)

    assert unanswered.steps["b"].asking
    assert (failed.steps["b"].asking, failed.steps["b"].outcome) == (False, Outcome.NONE)
    assert (in_doubt.steps["b"].asking, in_doubt.steps["b"].outcome) == (False, Outcome.UNKNOWN)


def test_settling_one_dead_step_names_no_step_that_was_passed_over_as_the_culprit():
    definition = past_pivot(None)
    steps = (*definition.steps, StepDefinition(name="e", after=("a",), retry=ONCE, when="wanted"))
    definition = replace(definition, steps=steps)
    dead = [PIVOT, ConditionNotMet(step="e"), NO]

    state = fed(definition, *dead, events.StepMarkedDone(step="b"))

    assert (state.status, state.reason, state.culprit) == (SagaStatus.RUNNING, "", "")


def test_a_condition_that_is_tried_for_ever_is_asked_for_ever():
    definition = past_pivot(ForwardRecovery.RETRY)

    state = fed(
        definition, PIVOT, StepFailed(step="b", asking=True), StepFailed(step="b", attempt=2, asking=True)
    )

    assert state.steps["b"].asking

"""A saga whose parent is undone turns back from wherever it stands, in every short history."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from django_saga.core import events, machine
from django_saga.core.events import StepFailed, StepSucceeded
from django_saga.core.state import SagaState
from django_saga.core.states import SagaStatus
from django_saga.core.waits import NEVER
from django_saga.exceptions import IllegalTransition
from tests.core.machine_play import EPOCH, define

GRAPHS = ("a", "a b<a", "a b<a c<a", "a b<a c<b", "a b", "a b c<ab")


def feed(definition, state: SagaState, event) -> SagaState:
    return machine.apply(state, machine.decide(definition, state, event, now=EPOCH))


def finish(definition, state: SagaState) -> SagaState:
    """Have every open step succeed until the saga is at rest."""
    while open_now := [step for step in state.steps.values() if step.is_open]:
        step = open_now[0]
        state = feed(definition, state, StepSucceeded(step=step.name, attempt=1, undo=step.undoing))
    return state


@pytest.mark.parametrize("graph", GRAPHS)
def test_in_every_short_history_all_that_was_done_is_undone(graph):
    definition = define(graph)
    reached = set()
    for ends, taken_after in product(product((True, False), repeat=4), range(5)):
        state = machine.start(definition, events.SagaStarted(), now=EPOCH)
        for number, good in enumerate([*ends, True, True]):
            if number == taken_after:
                break
            open_now = [step for step in state.steps.values() if step.is_open]
            if not open_now:
                break
            who: dict[str, Any] = {"step": open_now[-1].name, "attempt": 1, "undo": open_now[-1].undoing}
            good = good or open_now[-1].undoing
            state = feed(
                definition, state, StepSucceeded(**who) if good else StepFailed(**who, permanent=True)
            )
        reached.add(state.status)
        if state.status in (SagaStatus.COMPENSATING, SagaStatus.COMPENSATED):
            with pytest.raises(IllegalTransition):
                feed(definition, state, events.TakenBack())
            continue
        state = finish(definition, feed(definition, state, events.TakenBack()))
        assert (state.status, state.reason) == (SagaStatus.COMPENSATED, "taken back")
        assert {step.status.value for step in state.steps.values()} <= {"undone", "skipped", "failed"}
    assert SagaStatus.COMPLETED in reached


def test_one_that_is_held_has_no_time_yet_and_ends_without_having_begun():
    definition = define("a b<a", deadline=60)

    held = machine.start(definition, events.SagaStarted(held=True), now=EPOCH)

    assert (held.status, held.steps["a"].due_at) == (SagaStatus.PENDING, NEVER)
    begun = machine.start(definition, events.SagaStarted(), now=EPOCH)
    assert held.steps["a"].deadline_at == begun.steps["a"].deadline_at
    back = feed(definition, held, events.TakenBack())
    assert (back.status, back.steps["a"].status) == (SagaStatus.COMPENSATED, "skipped")


def test_a_dead_compensation_is_for_a_person_and_not_for_the_parent():
    definition = define("a")
    done = finish(definition, machine.start(definition, events.SagaStarted(), now=EPOCH))
    back = feed(definition, done, events.TakenBack())
    stuck = feed(definition, back, StepFailed(step="a", attempt=1, undo=True, permanent=True))

    assert stuck.status is SagaStatus.STUCK
    with pytest.raises(IllegalTransition):
        feed(definition, stuck, events.TakenBack())

"""A saga with a pivot goes on by another version as long as both say when there is no way back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from django_saga.core import events, machine, simulation
from django_saga.core.definition import SagaDefinition
from django_saga.core.migration import migrate
from django_saga.core.state import SagaState
from django_saga.core.states import ForwardRecovery, SagaStatus
from django_saga.exceptions import IllegalTransition, MigrationRefused
from tests.core.machine_play import EPOCH, define


def pivoted(graph: str, pivot: str, version: int = 1, **recoveries: ForwardRecovery) -> SagaDefinition:
    """A saga with a pivot; of what comes after it, nothing has a compensation. ``d`` stands in for ``c``."""
    definition = define(graph, bare="cde")
    steps = [
        replace(
            step,
            pivot=step.name == pivot,
            forward_recovery=recoveries.get(step.name),
            alternate="d" if recoveries.get(step.name) is ForwardRecovery.ALTERNATE else "",
        )
        for step in definition.steps
    ]
    return replace(definition, steps=tuple(steps), version=version)


def went(definition: SagaDefinition, *words: str) -> SagaState:
    """Give the state after steps succeeded (``a``), or failed for good (``a!``)."""
    state = machine.start(definition, events.SagaStarted(), now=EPOCH)
    for word in words:
        state = told(definition, state, _end(word))
    return state


def told(definition: SagaDefinition, state: SagaState, event: events.Event) -> SagaState:
    return machine.apply(state, machine.decide(definition, state, event, now=EPOCH))


def _end(word: str) -> events.StepEvent:
    if word.endswith("!"):
        return events.StepFailed(step=word[:-1], permanent=True)
    return events.StepSucceeded(step=word)


def moved(old: SagaDefinition, state: SagaState, new: SagaDefinition, **renamed: str) -> SagaState:
    route = events.Migrated(from_version=1, to_version=2, renamed=tuple(renamed.items()))
    return migrate(old, new, state, route, now=EPOCH)


def refused(old: SagaDefinition, state: SagaState, new: SagaDefinition) -> list[str]:
    with pytest.raises(MigrationRefused) as caught:
        moved(old, state, new)
    return list(caught.value.reasons)


def statuses(state: SagaState) -> dict[str, str]:
    return {name: step.status.value for name, step in state.steps.items()}


OLD = pivoted("a b<a c<b", "b")


def test_past_its_pivot_a_saga_goes_on_by_a_version_with_the_same_one():
    state = moved(OLD, went(OLD, "a", "b"), pivoted("a b<a e<b c<e", "b", 2))

    assert statuses(state) == {"a": "succeeded", "b": "succeeded", "e": "scheduled"}


def test_a_pivot_may_have_another_name():
    state = moved(OLD, went(OLD, "a", "b"), pivoted("a x<a c<x", "x", 2), b="x")

    assert statuses(state) == {"a": "succeeded", "x": "succeeded", "c": "scheduled"}


def test_before_it_began_the_pivot_may_be_another_step():
    new = pivoted("a b<a c<b", "c", 2)
    state = told(new, moved(OLD, went(OLD, "a"), new), _end("b"))

    assert told(new, state, events.CancelRequested()).status is SagaStatus.COMPENSATING


@pytest.mark.parametrize(
    ("words", "new", "reason"),
    [
        ("ab", pivoted("a b<a c<b", "", 2), "step b, the pivot of v1 only, has begun"),
        ("ab", pivoted("a b<a c<b", "a", 2), "step b, the pivot of v1 only, has begun"),
        ("a", pivoted("a b<a c<b", "a", 2), "step a, the pivot of v2 only, has begun"),
    ],
)
def test_another_pivot_is_refused_once_either_has_begun(words, new, reason):
    assert reason in refused(OLD, went(OLD, *words), new)


def test_a_saga_that_is_held_up_past_its_pivot_is_settled_first():
    state, new = went(OLD, "a", "b", "c!"), replace(OLD, version=2)
    assert state.status is SagaStatus.STUCK

    assert refused(OLD, state, new) == ["it is held up past its pivot at step c: settle that first"]
    again = told(OLD, state, events.StepRetried(step="c"))
    assert moved(OLD, again, new) == again


def test_a_saga_that_went_past_a_step_another_way_is_refused():
    old = pivoted("a b<a c<b e<c", "b", c=ForwardRecovery.SKIP)
    state = went(old, "a", "b", "c!")
    assert statuses(state)["e"] == "scheduled"

    why = "it has gone past step c another way (step skipped)"
    assert refused(old, state, replace(old, version=2))[0] == why


WITH_STAND_IN = pivoted("a b<a c<b d e<c", "b", 2, c=ForwardRecovery.ALTERNATE)


def test_a_step_that_may_stand_in_is_neither_opened_nor_waited_for():
    old = pivoted("a b<a c<b e<c", "b")

    state = moved(old, went(old, "a", "b", "c"), WITH_STAND_IN)

    done = dict.fromkeys("abc", "succeeded")
    assert statuses(state) == {**done, "e": "scheduled"}
    assert told(WITH_STAND_IN, state, _end("e")).status is SagaStatus.COMPLETED


# --- looking ahead --------------------------------------------------------------------------------


def failure(definition: SagaDefinition, step: str) -> simulation.Failure:
    [found] = [each for each in simulation.failures(definition, {}) if each.step == step]
    return found


def test_what_only_stands_in_is_no_layer_and_no_point_of_failure():
    assert simulation.layers(WITH_STAND_IN) == [["a"], ["b"], ["c"], ["e"]]
    assert simulation.width(WITH_STAND_IN) == 1
    assert simulation.critical_path(WITH_STAND_IN, {}).steps == ("a", "b", "c", "e")
    assert [each.step for each in simulation.failures(WITH_STAND_IN, {})] == ["a", "b", "c", "e"]


def test_past_the_pivot_nothing_is_undone():
    assert failure(OLD, "b").plan.waves == (("a",),)
    assert failure(OLD, "c").plan == ((), (), (), (), SagaStatus.STUCK)


def test_a_stand_in_carries_the_saga_to_its_end():
    found = failure(WITH_STAND_IN, "c")

    assert found.succeeded == ("a", "b", "d", "e")
    assert found.plan == ((), (), (), (), SagaStatus.COMPLETED)


def test_a_saga_past_its_pivot_has_no_plan_to_undo_it():
    with pytest.raises(IllegalTransition, match="past its pivot b"):
        simulation.undo_plan(OLD, went(OLD, "a", "b"), EPOCH)

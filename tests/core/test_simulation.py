"""What a saga would do, told from its definition by the machine itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import combinations, product

import pytest

from django_saga.core import machine, simulation
from django_saga.core.events import SagaStarted, StepFailed, StepSucceeded
from django_saga.core.states import CompensationPolicy, FailurePolicy, SagaStatus
from django_saga.exceptions import IllegalTransition
from tests.core.machine_play import EPOCH, define, shapes

DIAMOND = define("a b<a c<a d<bc")


def secs(**seconds: float) -> dict[str, timedelta]:
    return {name: timedelta(seconds=value) for name, value in seconds.items()}


def failure(definition, step, **durations):
    [found] = [each for each in simulation.failures(definition, secs(**durations)) if each.step == step]
    return found


def played(definition, *events):
    """Give the state after ``events``, a second between two of them."""
    return machine.fold(
        definition,
        [(event, EPOCH + timedelta(seconds=at)) for at, event in enumerate([SagaStarted(), *events])],
    )


def did(step, undo=False):
    return StepSucceeded(step=step, undo=undo)


# --- the graph ------------------------------------------------------------------------------------


def test_a_step_stands_in_the_layer_behind_the_last_step_it_waits_for():
    assert simulation.layers(define("a b<a c d<bc e<c")) == [["a", "c"], ["b", "e"], ["d"]]


def brute_width(definition) -> int:
    """The largest set of steps none of which waits for another."""
    names = [step.name for step in definition.steps]
    free = [
        size
        for size in range(len(names) + 1)
        for some in combinations(names, size)
        if not any(a in definition.ancestors[b] for a, b in product(some, some))
    ]
    return max(free)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_width_of_every_small_graph_is_that_of_its_largest_set_of_independent_steps(size):
    for graph, _ in shapes(size, ("",)):
        definition = define(graph)

        assert simulation.width(definition) == brute_width(definition), graph


def test_the_width_counts_steps_of_different_layers_that_can_meet():
    # No layer has more than two steps, yet b, e and d need not wait for each other.
    definition = define("a b<a c d<c e<a f<e g<d")

    assert simulation.width(definition) == brute_width(definition) == 3


@pytest.mark.parametrize(
    ("durations", "steps", "seconds"),
    [
        ({}, "abd", 3),
        ({"c": 0.5}, "acd", 0.5),
        ({"a": 1, "b": 2, "c": 5, "d": 1}, "acd", 7),
        ({"b": 2, "c": 1}, "abd", 2),
    ],
)
def test_the_critical_path_is_the_longest_by_time_or_else_by_steps(durations, steps, seconds):
    path = simulation.critical_path(DIAMOND, secs(**durations))

    assert path == (tuple(steps), timedelta(seconds=seconds))


# --- points of failure ----------------------------------------------------------------------------


def test_what_ran_is_undone_in_reverse_in_waves_and_what_is_in_flight_too():
    found = failure(DIAMOND, "c")

    assert found.succeeded == ("a", "b")
    assert found.plan == ((("b",), ("a",)), ("b",), (), (), SagaStatus.COMPENSATED)
    assert found.doubtful == ((("b", "c"), ("a",)), ("b",), (), (), SagaStatus.COMPENSATED)


def test_a_failure_in_the_last_step_undoes_branches_at_the_same_time():
    assert failure(DIAMOND, "d").plan.waves == (("b", "c"), ("a",))


def test_times_decide_what_has_run_by_then():
    late = failure(DIAMOND, "c", b=1, c=5)
    early = failure(DIAMOND, "c", b=5, c=1)

    assert (late.succeeded, late.plan.in_flight) == (("a", "b"), ())
    assert (early.succeeded, early.plan.in_flight) == (("a", "b"), ("b",))


def test_a_step_without_a_compensation_stays_and_keeps_the_order():
    found = failure(define("a b<a c<b d<c", bare="b"), "d")

    assert found.plan.waves == (("c",), ("a",))
    assert found.plan.kept == ("b",)


def test_by_wait_all_the_other_branch_goes_on_to_its_end_and_is_undone():
    definition = define("a b<a c<a d<c e<bd", failure_policy=FailurePolicy.WAIT_ALL)

    assert failure(definition, "b").succeeded == ("a", "c", "d")
    assert failure(definition, "b").plan.waves == (("d",), ("c",), ("a",))


def test_grace_ends_what_takes_longer():
    definition = define(
        "a b<a c<a d<c e<d f<be", failure_policy=FailurePolicy.FAIL_FAST_WITH_GRACE, grace=2.5
    )

    # b fails at 2 s; c ended then, d ends within the grace, e does not and is undone once it has ended.
    assert failure(definition, "b", c=1, d=2, e=9).succeeded == ("a", "c", "d", "e")
    assert failure(definition, "b", c=1, d=2, e=9).plan.waves == (("e",), ("d",), ("c",), ("a",))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_whatever_fails_in_whatever_graph_all_is_undone_behind_what_waited_for_it(size):
    for graph, kinds in shapes(size):
        definition = define(graph, **kinds)
        for found in simulation.failures(definition, {}):
            for plan in (found.plan, found.doubtful):
                place = {name: at for at, wave in enumerate(plan.waves) for name in wave}
                ran = {*found.succeeded, *([found.step] if plan is found.doubtful else [])}
                owed = {name for name in ran if definition[name].undo}

                assert set(place) == owed
                assert set(plan.kept) == ran - owed
                assert plan.status is SagaStatus.COMPENSATED
                assert all(
                    place[behind] < place[name]
                    for name, behind in product(owed, owed)
                    if name in definition.ancestors[behind]
                )


# --- of a saga under way --------------------------------------------------------------------------


def test_the_plan_of_a_saga_under_way_takes_what_is_in_flight_for_done():
    state = played(DIAMOND, did("a"), did("b"))

    plan = simulation.undo_plan(DIAMOND, state, EPOCH, in_flight=["c"])

    # b waits for nobody: it is undone while c is still under way.
    assert plan == ((("b",), ("c",), ("a",)), ("c",), (), (), SagaStatus.COMPENSATED)
    assert simulation.undo_plan(DIAMOND, state, EPOCH).waves == (("b",), ("a",))


def test_the_plan_of_a_saga_that_turned_back_is_what_is_left_of_it():
    state = played(DIAMOND, did("a"), did("b"), did("c"), StepFailed(step="d"), did("b", undo=True))

    assert simulation.undo_plan(DIAMOND, state, EPOCH).waves == (("c",), ("a",))


@pytest.mark.parametrize(
    ("policy", "waves", "blocked"),
    [
        (CompensationPolicy.CONTINUE, (("c",), ("a",)), ()),
        (CompensationPolicy.STOP, (("c",),), ("a",)),
        (CompensationPolicy.SKIP_DEPENDENTS, (("c",),), ("a",)),
    ],
)
def test_what_waits_behind_a_dead_compensation_is_blocked_as_the_policy_says(policy, waves, blocked):
    definition = define("a b<a c<a d<bc", policy=policy)
    dead = StepFailed(step="b", undo=True, permanent=True)
    state = played(definition, did("a"), did("b"), did("c"), StepFailed(step="d"), dead)

    plan = simulation.undo_plan(definition, state, EPOCH)

    assert (plan.waves, plan.blocked, plan.status) == (waves, blocked, SagaStatus.STUCK)


def test_a_step_that_the_present_version_does_not_have_stays():
    state = played(define("x a<x b<a", bare="x"), did("x"), did("a"))

    plan = simulation.undo_plan(define("a b<a"), state, EPOCH)

    assert (plan.waves, plan.kept, plan.status) == ((("a",),), ("x",), SagaStatus.COMPENSATED)


def test_a_saga_that_has_ended_has_no_plan():
    with pytest.raises(IllegalTransition, match="completed"):
        simulation.undo_plan(DIAMOND, played(DIAMOND, *map(did, "abcd")), EPOCH)


def test_conditions_are_taken_for_met_and_take_no_time():
    steps = (*DIAMOND.steps[:1], *(replace(step, when="wanted") for step in DIAMOND.steps[1:]))
    asked = replace(DIAMOND, steps=steps)

    assert simulation.failures(asked, secs(b=1, c=2)) == simulation.failures(DIAMOND, secs(b=1, c=2))
    assert simulation.failures(asked, {}) == simulation.failures(DIAMOND, {})

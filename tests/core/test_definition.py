"""What is read off a definition's graph."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from graphlib import CycleError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.retry import Retry
from django_saga.core.states import LockPolicy


def saga(**graph):
    steps = tuple(StepDefinition(name=name, after=tuple(after)) for name, after in graph.items())
    return SagaDefinition(name="order", steps=steps)


CHAIN = saga(a="", b="a", c="b")
DIAMOND = saga(a="", b="a", c="a", d="bc")
FORK = saga(a="", b="a", c="a")


def test_it_is_called_by_its_name_and_version():
    assert str(SagaDefinition(name="order", version=3)) == "order v3"


def test_a_step_is_found_by_its_name():
    assert DIAMOND["d"] == StepDefinition(name="d", after=("b", "c"))


@pytest.mark.parametrize(
    ("definition", "roots", "sinks", "dependents"),
    [
        (saga(), (), (), {}),
        (CHAIN, ("a",), ("c",), {"a": ("b",), "b": ("c",), "c": ()}),
        (DIAMOND, ("a",), ("d",), {"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ()}),
        (FORK, ("a",), ("b", "c"), {"a": ("b", "c"), "b": (), "c": ()}),
        (saga(a="", b="", c="ab"), ("a", "b"), ("c",), {"a": ("c",), "b": ("c",), "c": ()}),
    ],
)
def test_the_ends_of_the_graph(definition, roots, sinks, dependents):
    assert (definition.roots, definition.sinks, definition.dependents) == (roots, sinks, dependents)


def test_ancestors_are_all_steps_before():
    assert DIAMOND.ancestors == {
        "a": frozenset(),
        "b": frozenset("a"),
        "c": frozenset("a"),
        "d": frozenset("abc"),
    }


def test_a_success_in_a_chain_looks_at_no_other_step():
    assert CHAIN.consulted == {"a": frozenset(), "b": frozenset(), "c": frozenset()}


def test_a_success_before_a_join_looks_at_those_it_waits_with():
    assert DIAMOND.consulted == {"a": frozenset(), "b": frozenset("c"), "c": frozenset("b"), "d": frozenset()}


def test_a_success_at_an_end_looks_at_the_other_ends():
    assert FORK.consulted == {"a": frozenset(), "b": frozenset("c"), "c": frozenset("b")}


@st.composite
def graphs(draw):
    names = [f"s{n}" for n in range(draw(st.integers(1, 8)))]
    after = {
        name: draw(st.sets(st.sampled_from(names[:at]))) if at else set() for at, name in enumerate(names)
    }
    return saga(**{name: sorted(after[name]) for name in draw(st.permutations(names))})


@given(graphs())
def test_every_step_stands_behind_those_it_waits_for(definition):
    at = {name: place for place, name in enumerate(definition.order)}

    assert sorted(at) == sorted(definition.by_name)
    assert all(at[before] < at[step.name] for step in definition.steps for before in step.after)


@given(graphs())
def test_an_ancestor_is_a_step_before_or_one_of_its_ancestors(definition):
    for step in definition.steps:
        further = [definition.ancestors[before] for before in step.after]

        assert definition.ancestors[step.name] == frozenset(step.after).union(*further)


def test_a_cycle_has_no_order():
    with pytest.raises(CycleError):
        _ = saga(a="b", b="a").order


UNDO = UndoDefinition(function="undo")


def test_whether_sagas_take_locks_is_in_the_fingerprint_and_what_is_done_when_they_are_taken_is_not():
    plain, locking = (replace(CHAIN, locks=locks) for locks in (False, True))

    assert plain.fingerprint == CHAIN.fingerprint != locking.fingerprint
    assert replace(locking, lock_policy=LockPolicy.WAIT).fingerprint == locking.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"retry": Retry(attempts=9)},
        {"timeout": timedelta(1)},
        {"deadline": timedelta(1)},
        {"queue": "slow"},
        {"is_async": True},
        {"no_compensation": True},
        {
            "undo": replace(
                UNDO, function="other", retry=Retry(attempts=9), timeout=timedelta(1), is_async=True
            )
        },
    ],
)
def test_what_may_be_tuned_leaves_the_fingerprint_alone(change):
    step = StepDefinition(name="a", undo=UNDO)

    tuned = SagaDefinition(
        name="order", steps=(replace(step, **change),), deadline=timedelta(1), description="new"
    )

    assert tuned.fingerprint == SagaDefinition(name="order", steps=(step,)).fingerprint


@pytest.mark.parametrize(
    "other",
    [
        replace(CHAIN, name="other"),
        replace(CHAIN, version=2),
        saga(a="", b="a", d="b"),
        saga(a="", b="a", c="ab"),
        saga(a="", b="a", c="b", d="c"),
        replace(CHAIN, steps=tuple(replace(step, atomic=True) for step in CHAIN.steps)),
        replace(CHAIN, steps=tuple(replace(step, undo=UNDO) for step in CHAIN.steps)),
        replace(CHAIN, steps=tuple(replace(step, undo=replace(UNDO, atomic=True)) for step in CHAIN.steps)),
    ],
)
def test_what_sagas_in_flight_depend_on_changes_the_fingerprint(other):
    assert other.fingerprint != CHAIN.fingerprint


def test_the_fingerprint_does_not_depend_on_the_order_in_after():
    assert saga(a="", b="", c="ab").fingerprint == saga(a="", b="", c="ba").fingerprint


def test_the_fingerprint_stays_the_same_in_every_release():
    assert DIAMOND.fingerprint == "995e044f07f8dab32abf0f5c494105de9fd015045a01a15e3e70dd692e644b37"


def test_the_description_is_no_part_of_the_definition():
    assert replace(CHAIN, description="new") == CHAIN

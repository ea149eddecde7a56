"""A definition survives being stored; what differs between two is told so that a person can act on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.difference import changes
from django_saga.core.retry import Retry
from django_saga.core.states import CompensationPolicy, FailurePolicy
from django_saga.core.stored import _is_kept, from_data, step_data, to_data
from tests.core.machine_play import define, shapes

RICH = SagaDefinition(
    name="order",
    version=3,
    deadline=timedelta(hours=2),
    failure_policy=FailurePolicy.FAIL_FAST_WITH_GRACE,
    grace=timedelta(seconds=1.5),
    compensation_policy=CompensationPolicy.STOP,
    steps=(
        StepDefinition(
            name="charge",
            retry=Retry(attempts=7, delay=0.5, factor=1, max_delay=timedelta(minutes=2), jitter=0),
            timeout=timedelta(seconds=30),
            queue="bank",
            undo=UndoDefinition(function="refund", retry=Retry(attempts=2), atomic=True),
        ),
        StepDefinition(name="ship", after=("charge",), is_async=True, no_compensation=True),
    ),
)


def stored(definition: SagaDefinition) -> Any:
    return json.loads(json.dumps(to_data(definition)))


def said(old: SagaDefinition, new: SagaDefinition) -> list[str]:
    return [str(change) for change in changes(stored(old), stored(new))]


def changed(step: str, **values: Any) -> SagaDefinition:
    steps = tuple(replace(each, **values) if each.name == step else each for each in RICH.steps)
    return replace(RICH, steps=steps)


def test_a_definition_comes_back_as_it_was():
    assert from_data("order", 3, stored(RICH)) == RICH


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_small_graph_comes_back_with_its_fingerprint(size):
    for graph, kinds in shapes(size):
        definition = define(graph, **kinds)

        assert from_data("played", 1, stored(definition)).fingerprint == definition.fingerprint


def test_types_of_errors_stay_behind():
    picky = changed("charge", retry=Retry(retry_on=(OSError,), give_up_on=(KeyError,)))

    assert from_data("order", 3, stored(picky))["charge"].retry == Retry()
    assert "step charge: retry retry_on default → builtins.OSError" in said(
        changed("charge", retry=Retry()), picky
    )


def test_functions_stay_behind_and_are_told_by_name():
    @dataclass(frozen=True)
    class Guarded(StepDefinition):
        guard: Callable[[object], bool] | None = None

    step = Guarded(name="a", guard=callable, no_compensation=True)

    assert step_data(step)["guard"] == "builtins.callable"
    assert not _is_kept(Callable[[object], bool] | None)


def test_what_only_drawings_need_is_enough_for_the_graph():
    outline = {"steps": [{"name": "a", "compensation": "undo_a"}, {"name": "b", "after": ["a"]}]}

    found = from_data("old", 1, outline)

    assert [(step.name, step.after) for step in found.steps] == [("a", ()), ("b", ("a",))]
    assert (found["a"].undo, found["b"].no_compensation) == (UndoDefinition(function="undo_a"), True)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "is no graph"),
        ({"steps": "x"}, "is no graph"),
        ({"steps": []}, "It has no steps"),
        ({"steps": ["x"]}, "cannot be read"),
        ({"steps": [{"after": []}]}, "cannot be read"),
        ({"steps": [{"name": "a", "timeout": "soon"}]}, "cannot be read"),
        ({"steps": [{"name": "a", "after": ["b"]}, {"name": "b", "after": ["a"]}]}, "wait for each other"),
    ],
)
def test_what_is_no_definition_is_refused(data, why):
    with pytest.raises(ValueError, match=f"stored of saga order v3 .*{why}"):
        from_data("order", 3, data)


@pytest.mark.parametrize(
    ("new", "difference"),
    [
        (changed("charge", queue="slow"), "step charge: queue bank → slow"),
        (changed("charge", timeout=None), "step charge: timeout 30 s → default"),
        (changed("charge", atomic=True), "step charge: atomic False → True"),
        (changed("charge", undo=None, no_compensation=True), "step charge: compensation refund removed"),
        (
            changed("ship", undo=UndoDefinition(function="take_back")),
            "step ship: compensation take_back added",
        ),
        (changed("ship", after=()), "step ship: after charge → nothing"),
        (
            changed("charge", undo=UndoDefinition(function="refund", retry=Retry(attempts=9), atomic=True)),
            "step charge: compensation retry attempts 2 → 9",
        ),
        (
            replace(RICH, compensation_policy=CompensationPolicy.CONTINUE),
            "compensation_policy stop → default",
        ),
        (replace(RICH, steps=RICH.steps[:1]), "step ship: removed"),
        (
            replace(RICH, steps=(*RICH.steps, StepDefinition(name="mail", after=("ship", "charge")))),
            "step mail: added, after ship, charge",
        ),
        (replace(RICH, steps=RICH.steps[::-1]), "order written charge, ship → ship, charge"),
    ],
)
def test_what_differs_is_said(new, difference):
    assert any(line.startswith(difference) for line in said(RICH, new))
    assert said(RICH, RICH) == []

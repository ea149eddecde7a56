"""A saga goes on by another version where steps have conditions there, had them, or were skipped by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from django_saga.core import events, machine
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Cause, ConditionMet, ConditionNotMet, Event, Migrated
from django_saga.core.migration import migrate
from django_saga.core.state import SagaState
from django_saga.exceptions import MigrationRefused
from tests.core.machine_play import EPOCH
from tests.core.test_machine_condition import TWICE, define, fed


def second(graph: str, asked: str) -> SagaDefinition:
    return replace(define(graph, asked, retry=TWICE), version=2)


def moved(state: SagaState, old: SagaDefinition, new: SagaDefinition, **renamed: str) -> SagaState:
    told = Migrated(from_version=1, to_version=2, renamed=tuple(renamed.items()))
    return migrate(old, new, state, told, now=EPOCH)


OLD = define("a b<a", "a", retry=TWICE)
SKIPPED: tuple[Event, ...] = (ConditionNotMet(step="a"),)


def test_what_was_skipped_counts_as_passed_where_its_step_still_has_a_condition():
    state = moved(fed(OLD, *SKIPPED), OLD, second("x b<x c<b", "xc"), a="x")

    assert {name: step.status for name, step in state.steps.items()} == {"x": "skipped", "b": "scheduled"}
    assert state.steps["x"].omitted


def test_a_saga_of_which_all_that_is_left_was_skipped_is_completed():
    assert moved(fed(OLD, *SKIPPED), OLD, second("a", "a")).status == "completed"


def test_what_was_skipped_by_its_condition_cannot_go_on_where_it_has_none():
    with pytest.raises(
        MigrationRefused, match="step a was passed over by its condition, and a of v2 has none"
    ):
        moved(fed(OLD, *SKIPPED), OLD, second("a b<a", ""))


def test_a_skipped_step_that_is_gone_is_no_obstacle():
    state = moved(fed(OLD, *SKIPPED), OLD, second("b", ""))

    assert {name: step.status for name, step in state.steps.items()} == {"a": "skipped", "b": "scheduled"}


@pytest.mark.parametrize(
    "told", [(), (events.StepFailed(step="a", asking=True),), (events.StepUnknown(step="a", asking=True),)]
)
def test_a_step_that_is_asked_for_never_began_and_goes_on_under_any_name(told):
    asking = moved(fed(OLD, *told), OLD, second("x b<x", "x"), a="x").steps["x"]
    unasked = moved(fed(OLD, *told), OLD, second("x b<x", ""), a="x").steps["x"]

    assert asking.asking
    assert (unasked.asking, unasked.attempt, unasked.crashes) == (False, 0, 0)


def test_a_step_that_never_began_asks_the_condition_that_it_has_now():
    old = define("a b<a", "", retry=TWICE)

    assert moved(fed(old), old, second("a b<a", "a")).steps["a"].asking


def test_a_step_that_may_have_begun_is_not_asked_for():
    in_doubt = fed(OLD, ConditionMet(step="a"), events.StepUnknown(step="a", cause=Cause.WORKER_LOST))

    step = moved(in_doubt, OLD, second("a b<a", "a")).steps["a"]

    assert (step.asking, step.outcome) == (False, "unknown")


def test_the_history_of_a_saga_that_was_migrated_while_it_asked_folds():
    new = second("a b<a", "")
    told = Migrated(from_version=1, to_version=2)
    history: list[tuple[Event, object]] = [
        (events.SagaStarted(), EPOCH),
        (told, EPOCH),
        (events.StepSucceeded(step="a"), EPOCH),
    ]

    state = machine.fold(new, history, {1: OLD, 2: new}.__getitem__)  # type: ignore[arg-type]

    assert state.steps["a"].status == "succeeded"

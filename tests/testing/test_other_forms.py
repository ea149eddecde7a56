"""The lab and the matrix try sagas that no class was written for as they try all others."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from django_saga import ComposedSaga, Saga, SagaBuilder, action, part, saga
from django_saga.dsl.registry import registry
from django_saga.testing import saga_matrix
from tests.ledger import effects
from tests.sagas.composed_sagas import ComposedTestSaga, later, look, reserve

STEPS: list[Any] = [
    {"action": "reserve", "name": "hold", "input": {"$input": "who"}},
    {"action": "look", "input": {"$result": "hold.id"}},
    {"action": "reserve", "name": "hold_more", "after": ["hold"]},
]


def sagas() -> list[type[Saga]]:
    with registry.isolated():
        built = SagaBuilder("built").step(reserve).parallel(look, part(reserve, name="more")).build()

        @saga
        def traced(flow, input):
            held = flow.step(reserve, input)
            flow.step(reserve, held["id"], name="more")
            return flow.step(look, held)

    return [built, traced, ComposedTestSaga.compose(STEPS)]


CASES = [case for each in sagas() for case in saga_matrix(each)]


@pytest.mark.django_db
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.saga.name}-{case}")
def test_a_saga_of_any_form_is_done_or_undone_in_every_case(case, ledger):
    with registry.isolated(case.saga.program.registered), case.run({"who": "Ada"}) as handle:
        kept = Counter(key.rpartition(":")[2] for key in effects().elements())
        if handle.status == "completed":
            assert kept == {"do": 2}
        else:
            assert kept["do"] == kept["undo"]


@pytest.mark.django_db
def test_faults_are_planned_for_steps_that_only_the_data_names(saga_lab, ledger):
    composed = ComposedTestSaga.compose(STEPS)
    saga_lab.fail_at("hold_more")

    handle = composed.start({"who": "Ada"})
    saga_lab.run()

    assert handle.status == "compensated"


@pytest.mark.django_db
def test_a_composed_saga_turns_back_at_the_deadline_of_its_class(saga_lab):
    with registry.isolated():

        class LateSaga(ComposedSaga):
            deadline = 60
            actions = (reserve, later)

        handle = LateSaga.compose([{"action": "reserve", "name": "hold"}, "later"]).start()
        saga_lab.run()

        assert handle.status == "compensated"
        assert effects() == {f"{handle.id}:hold:do": 1, f"{handle.id}:hold:undo": 1}


def test_a_limit_of_a_class_holds_for_sagas_that_are_composed_of_its_actions(lab):
    with registry.isolated():

        @action("note", no_compensation=True)
        def note(ctx):
            return ctx.step

        class LimitedSaga(ComposedSaga):
            name = "limited_composed"
            max_concurrency = 1
            actions = (note,)

        composed = LimitedSaga.compose(
            [{"action": "note", "name": "first"}, {"action": "note", "name": "last"}]
        )
        saga = composed.start()

        lab.run()

        assert saga.result(timeout=1) == "last"


def test_an_action_with_a_limit_cannot_be_composed():
    with registry.isolated():

        @action("call", max_concurrency=2, no_compensation=True)
        def call(ctx): ...

        class LimitedSaga(ComposedSaga):
            name = "limited_actions"
            actions = (call,)

        [problem] = LimitedSaga.program.problems

    assert (problem.code, problem.step, problem.message) == ("action-type", "call", "It has max_concurrency.")
    assert "on the class" in problem.hint

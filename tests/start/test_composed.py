"""Sagas composed at run time in the database: started, run, found, shown, and nothing for all others."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from django_saga import (
    ComposedSaga,
    IdempotencyConflict,
    SagaStatus,
    action,
    operations,
    runtime,
)
from django_saga.dsl.registry import registry
from django_saga.engine import recovery
from django_saga.exceptions import FingerprintConflict
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from django_saga.observability import story
from tests.ledger import effects
from tests.sagas.composed_sagas import ComposedTestSaga, look, refuse, reserve
from tests.sagas.start_sagas import ChainSaga

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]

DIAMOND: list[str | dict[str, Any]] = [
    "reserve",
    {"action": "call", "input": {"id": {"$result": "reserve.id"}, "who": {"$input": "who"}}},
    {"action": "look", "after": ["reserve"], "input": [{"$result": ["reserve", "for", "who"]}]},
    {"action": "look", "name": "last", "after": ["call", "look"], "input": {"all": {"$result": "call"}}},
]


def test_a_composed_saga_runs_like_any_other(ledger):
    handle = ComposedTestSaga.compose(DIAMOND).run({"who": "Ada"})

    assert handle.result(timeout=0) == {"all": {"called": {"id": 7, "who": "Ada"}}}
    assert SagaStep.objects.get(name="look").result == ["Ada"]
    assert ledger.steps() == ["call:do"]


def test_what_was_done_is_undone_with_the_inputs_that_the_data_gave(ledger):
    steps: list[Any] = [{"action": "call", "input": ["for", {"$input": "who"}]}, "reserve", "refuse"]

    handle = ComposedTestSaga.compose(steps).run({"who": "Ada"})

    assert handle.status is SagaStatus.COMPENSATED
    assert [(line.step, line.note) for line in ledger.lines() if line.kind == "undo"] == [
        ("call:undo", "['for', 'Ada']")
    ]
    assert effects() == {f"{handle.id}:reserve:do": 1, f"{handle.id}:reserve:undo": 1}


def test_two_sagas_of_one_class_have_steps_of_their_own_and_a_worker_carries_both(ledger):
    first = ComposedTestSaga.compose(["reserve", "look"]).start(1)
    [second, third] = ComposedTestSaga.compose([{"action": "call", "name": "reserve"}]).bulk_start([2, 3])
    other = ChainSaga.start({})

    runtime.build_worker(using="default", once=True).run()

    assert [each.result(timeout=0) for each in (first, second, third)] == [1, {"called": 2}, {"called": 3}]
    assert other.status is SagaStatus.COMPLETED
    assert SagaInstance.objects.filter(graph__isnull=True).count() == 1


def test_the_graph_is_stored_as_data_and_found_again():
    composed = ComposedTestSaga.compose(DIAMOND)

    handle = composed.start({"who": "Ada"})

    row = SagaInstance.objects.select_related("definition").get()
    assert row.graph == json.loads(str(composed.program.graph))
    assert (row.name, str(row.definition)) == ("composed_test", "composed_test v1")
    found = ComposedTestSaga.get(handle.id)
    assert found == handle
    assert [step.name for step in found._program.definition.steps] == ["reserve", "call", "look", "last"]  # type: ignore[attr-defined]


def test_one_key_belongs_to_one_input_and_one_graph():
    first = ComposedTestSaga.compose(["reserve"]).start(1, idempotency_key="k")

    assert ComposedTestSaga.compose([{"action": "reserve"}]).start(1, idempotency_key="k") == first
    for composed, given in ((["look"], 1), (["reserve"], 2)):
        with pytest.raises(IdempotencyConflict):
            ComposedTestSaga.compose(composed).start(given, idempotency_key="k")


def test_operators_act_on_composed_sagas(ledger):
    handle = ComposedTestSaga.compose([{"action": "reserve", "name": "only_here"}, "later"]).start()
    runtime.build_worker(using="default", once=True).run()

    operations.cancel(handle.id, by="a person")
    runtime.build_worker(using="default", once=True).run()

    assert handle.status is SagaStatus.COMPENSATED
    assert effects() == {f"{handle.id}:only_here:do": 1, f"{handle.id}:only_here:undo": 1}


def test_a_step_of_a_lost_worker_is_rescued_by_its_own_graph():
    handle = ComposedTestSaga.compose([{"action": "look", "name": "only_here"}, "reserve"]).start(5)
    lose(handle.id)

    recovery.reap("default", runtime.programs("default"))
    runtime.build_worker(using="default", once=True).run()

    assert handle.result(timeout=0) == {"id": 7, "for": 5}


def lose(saga_id):
    from django_saga.store import clock

    now = clock.now("default")
    SagaStep.objects.filter(saga_id=saga_id).update(
        status="running", attempt=1, token=1, owner=uuid4(), claimed_at=now, due_at=now
    )


CIRCLE = {"steps": [{"action": "look", "name": "reserve", "after": ["reserve"]}]}


@pytest.mark.parametrize("graph", [None, {"steps": ["gone"]}, {"steps": 7}, {"$what": "7"}, CIRCLE])
def test_a_graph_that_was_spoilt_by_hand_holds_up_no_other_saga(graph):
    spoilt = ComposedTestSaga.compose(["reserve"]).start()
    late = ComposedTestSaga.compose(["reserve"]).start()
    lose(late.id)
    good = ComposedTestSaga.compose(["reserve"]).start()
    SagaInstance.objects.filter(pk__in=[spoilt.id, late.id]).update(graph=graph)

    recovery.reap("default", runtime.programs("default"))
    runtime.build_worker(using="default", once=True).run()

    assert (good.status, spoilt.status, late.status) == ("completed", "running", "running")
    for model in (SagaStep, SagaEvent):
        model.objects.exclude(saga_id=good.id).delete()
    SagaInstance.objects.exclude(pk=good.id).delete()


def test_people_see_the_steps_that_are_to_come():
    ComposedTestSaga.compose(["call", {"action": "reserve", "name": "hold"}, "refuse"]).start()

    told = story.read("default", SagaInstance.objects.select_related("definition").get(), events=10)

    nodes = [(s.node.name, s.node.after, s.node.atomic, s.node.compensation) for s in told.steps]
    assert nodes == [
        ("call", (), False, "call_back"),
        ("hold", ("call",), True, "release"),
        ("refuse", ("hold",), False, ""),
    ]


def test_actions_that_changed_under_sagas_in_flight_are_refused():
    with registry.isolated():

        class Pinned(ComposedSaga):
            actions = (reserve, look)

    Pinned.compose(["reserve"]).start()

    @action("look", atomic=True, no_compensation=True)
    def changed(ctx): ...

    for actions in ((reserve, changed), (reserve,), (reserve, look, refuse)):
        with registry.isolated():
            type("Pinned", (ComposedSaga,), {"actions": actions})
            with pytest.raises(FingerprintConflict, match="pinned v1"):
                runtime.programs("default")
    SagaStep.objects.all().delete()


def test_sagas_that_bring_no_graph_pay_nothing_for_those_that_do():
    runtime.programs("default")  # their rows are there
    ChainSaga.start({})
    statements: list[str] = []

    def noted(execute, sql, *rest):
        statements.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(noted):
        ChainSaga.run({})
        ChainSaga.start({})
        runtime.build_worker(using="default", once=True).run()

    assert len(statements) > 10
    assert [sql for sql in statements if "graph" in sql] == []

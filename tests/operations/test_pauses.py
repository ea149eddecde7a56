"""Pauses: nothing new begins, what is in flight ends, and everything goes on where it stood."""

import threading

import pytest
from django.db import OperationalError, connections

from django_saga import (
    OperationRefused,
    PermanentFailure,
    Saga,
    SagaNotFound,
    operations,
    runtime,
    step,
)
from django_saga.dsl.registry import registry
from django_saga.models import SagaGate, SagaInstance, SagaOperation, SagaStep
from django_saga.testing import SagaLab, assert_saga_invariants
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def begun():
    """The steps that began, in order."""
    return []


@pytest.fixture
def sagas(begun):
    """Two sagas: an order, which pauses itself where its input says so, and a mail."""
    with registry.isolated():

        class OrderSaga(Saga):
            @step
            def charge(self, ctx):
                begun.append("charge")
                if ctx.input == "pause me":
                    operations.pause(saga=ctx.saga_id, by="ada")

            @charge.compensation
            def refund(self, ctx):
                begun.append("refund")

            @step(no_compensation=True)
            def ship(self, ctx):
                begun.append("ship")
                if ctx.input == "fail":
                    raise PermanentFailure("no parcels today")

        class MailSaga(Saga):
            @step(no_compensation=True)
            def send(self, ctx):
                begun.append("send")

        yield OrderSaga, MailSaga
        assert_saga_invariants()


def work() -> None:
    runtime.build_worker(using="default", once=True).run()


def recorded() -> list[tuple[str, ...]]:
    rows = SagaOperation.objects.order_by("pk")
    return list(rows.values_list("action", "definition", "step", "result", "before", "after"))


def test_a_paused_saga_does_not_begin_and_goes_on_when_it_is_resumed(sagas, begun):
    order, other = sagas[0].start(), sagas[0].start()
    operations.pause(saga=order.id, by="ada", why="the customer asks")

    work()
    assert (order.status, other.status, begun) == ("running", "completed", ["charge", "ship"])

    operations.resume(saga=str(order.id), by="ada")
    work()
    assert (order.status, begun) == ("completed", ["charge", "ship"] * 2)
    kinds = SagaInstance.objects.get(pk=order.id).events.order_by("pk").values_list("kind", "error")
    assert list(kinds)[1:3] == [("saga_paused", "the customer asks"), ("saga_resumed", "")]


def test_what_is_in_flight_when_its_saga_is_paused_ends_and_opens_nothing_that_runs(sagas, begun):
    order = sagas[0].start("pause me")

    work()

    assert begun == ["charge"]
    rows = SagaStep.objects.order_by("pk").values_list("name", "status", "executor")
    assert list(rows) == [("charge", "succeeded", "thread"), ("ship", "scheduled", "paused/thread")]
    operations.resume(saga=order.id, by="ada")
    work()
    assert (order.status, begun) == ("completed", ["charge", "ship"])


def test_a_saga_that_turns_back_while_it_is_paused_undoes_nothing_before_it_is_resumed(sagas, begun):
    order = sagas[0].start("pause me")
    work()

    operations.cancel(order.id, by="ada")
    work()
    assert (order.status, begun) == ("compensating", ["charge"])

    operations.resume(saga=order.id, by="ada")
    work()
    assert (order.status, begun) == ("compensated", ["charge", "refund"])


def test_a_pause_of_a_definition_holds_what_waits_and_what_is_started_later(sagas, begun):
    OrderSaga, MailSaga = sagas
    before = OrderSaga.start()
    operations.pause(definition="order", by="ada", why="the bank is down")
    later, mail = OrderSaga.start(), MailSaga.start()

    work()
    assert (before.status, later.status, mail.status, begun) == ("running", "running", "completed", ["send"])
    assert set(SagaStep.objects.filter(name="charge").values_list("executor", "attempt")) == {
        ("held/thread", 0)
    }

    operations.resume(definition="order", by="ada")
    work()
    assert (before.status, later.status) == ("completed", "completed")
    assert set(SagaStep.objects.values_list("executor", "attempt")) == {("thread", 1)}


def test_a_pause_of_a_step_lets_the_steps_before_it_run(sagas, begun):
    order = sagas[0].start()
    operations.pause(definition="order", step="ship", by="ada")

    work()
    assert (order.status, begun) == ("running", ["charge"])

    operations.resume(definition="order", step="ship", by="ada")
    work()
    assert (order.status, begun) == ("completed", ["charge", "ship"])


def test_a_pause_of_a_step_holds_its_compensation_too(sagas, begun):
    order = sagas[0].start("fail")
    operations.pause(definition="order", step="charge", by="ada")
    operations.resume(definition="order", step="charge", by="ada")
    operations.pause(definition="order", step="ship", by="ada")
    work()
    operations.pause(definition="order", step="charge", by="ada")
    operations.resume(definition="order", step="ship", by="ada")

    work()
    assert (order.status, begun) == ("compensating", ["charge", "ship"])

    operations.resume(definition="order", step="charge", by="ada")
    work()
    assert (order.status, begun) == ("compensated", ["charge", "ship", "refund"])


def test_what_is_paused_in_three_ways_goes_on_when_all_three_are_ended(sagas, begun):
    order = sagas[0].start()
    ways = [{"saga": order.id}, {"definition": "order"}, {"definition": "order", "step": "charge"}]
    for way in ways:
        operations.pause(**way, by="ada")

    for way in ways:
        work()
        assert begun == []
        operations.resume(**way, by="ada")

    work()
    assert order.status == "completed"


@pytest.mark.parametrize("way", [{"definition": "order"}, {"definition": "order", "step": "ship"}])
def test_a_saga_carried_by_run_waits_for_the_end_of_its_names_pause(sagas, begun, way):
    sagas[0].run()
    operations.pause(**way, by="ada")
    before = list(begun)

    def resume_once_it_waits() -> None:
        try:
            wait_until(lambda: SagaStep.objects.filter(executor="held/thread").exists())
            before.extend(begun[len(before) :])
            operations.resume(**way, by="ada")
        finally:
            connections.close_all()

    thread = threading.Thread(target=resume_once_it_waits)
    thread.start()
    handle = sagas[0].run()
    thread.join()

    waited_at = ["charge"] if "step" in way else []
    assert before == ["charge", "ship", *waited_at]
    assert (handle.status, begun) == ("completed", ["charge", "ship"] * 2)


@pytest.mark.parametrize("way", ["saga", "definition", "step"])
def test_what_is_paused_before_the_worker_hears_that_it_claimed_it_does_not_begin(
    sagas, begun, monkeypatch, way
):
    order = sagas[0].start()
    ways = {
        "saga": {"saga": order.id},
        "definition": {"definition": "order"},
        "step": {"definition": "order", "step": "charge"},
    }
    worker = runtime.build_worker(using="default", once=True)
    claim = worker.admission.claim

    def claim_in_vain(**asked):
        rows = claim(**asked)
        if rows:
            monkeypatch.undo()
            operations.pause(**ways[way], by="ada")
            raise OperationalError("the reply to the commit was lost")
        return rows

    monkeypatch.setattr(worker.admission, "claim", claim_in_vain)
    worker.run()

    assert begun == []
    row = SagaStep.objects.get(saga_id=order.id)
    assert (row.status, row.attempt, row.owner) == ("scheduled", 0, None)

    operations.resume(**ways[way], by="ada")
    runtime.build_worker(using="default", once=True).run()
    assert (order.status, begun) == ("completed", ["charge", "ship"])


def test_a_lab_leaves_alone_what_is_paused(sagas, begun):
    OrderSaga, MailSaga = sagas
    with SagaLab() as lab:
        first = OrderSaga.start()
        operations.pause(saga=first.id, by="ada")
        operations.pause(definition="order", by="ada")
        second, mail = OrderSaga.start(), MailSaga.start()

        lab.run()
        assert (first.status, second.status, mail.status) == ("running", "running", "completed")

        operations.resume(saga=first.id, by="ada")
        operations.resume(definition="order", by="ada")
        lab.run()
        assert (first.status, second.status) == ("completed", "completed")


def test_what_cannot_be_paused_or_resumed_is_refused_and_recorded(sagas):
    order = sagas[0].start()
    operations.pause(saga=order.id, by="ada")
    operations.pause(definition="order", step="ship", by="ada", why="no parcels")

    with pytest.raises(OperationRefused, match=r"pause refused for saga order \S+: it is paused already"):
        operations.pause(saga=order.id, by="bob")
    with pytest.raises(
        OperationRefused,
        match=r"pause refused for order.ship: it is paused already, by ada \(no parcels\)",
    ):
        operations.pause(definition="order", step="ship", by="bob")
    with pytest.raises(OperationRefused, match="resume refused for order: it is not paused"):
        operations.resume(definition="order", by="bob")
    operations.resume(saga=order.id, by="ada")
    with pytest.raises(OperationRefused, match="it is not paused"):
        operations.resume(saga=order.id, by="bob")
    operations.resume(definition="order", step="ship", by="ada")
    work()
    with pytest.raises(OperationRefused, match="a saga that is completed takes no event saga_paused"):
        operations.pause(saga=order.id, by="bob")

    assert recorded() == [
        ("pause", "", "", "done", "running", "running"),
        ("pause", "order", "ship", "done", "", "paused"),
        ("pause", "", "", "refused", "running", "running"),
        ("pause", "order", "ship", "refused", "paused", "paused"),
        ("resume", "order", "", "refused", "", ""),
        ("resume", "", "", "done", "running", "running"),
        ("resume", "", "", "refused", "running", "running"),
        ("resume", "order", "ship", "done", "paused", ""),
        ("pause", "", "", "refused", "completed", "completed"),
    ]


@pytest.mark.parametrize("action", [operations.pause, operations.resume])
def test_what_names_nothing_is_not_found_and_says_what_was_meant(sagas, action):
    sagas[0].start()

    with pytest.raises(SagaNotFound, match=r"No saga is named 'oder' in this database. Did you mean 'order'"):
        action(definition="oder", by="ada")
    with pytest.raises(
        SagaNotFound, match=r"Saga 'order' has no step 'shp'. Did you mean 'ship'\? Its steps"
    ):
        action(definition="order", step="shp", by="ada")
    for wrong in ({}, {"step": "ship"}, {"saga": "x", "definition": "y"}, {"saga": "x", "step": "y"}):
        with pytest.raises(TypeError, match="Name one of the three"):
            action(**wrong, by="ada")

    assert recorded() == []
    assert not SagaGate.objects.exists()

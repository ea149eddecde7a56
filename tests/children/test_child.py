"""A saga that has another one do the work of a step: it ends with it, and is undone with it."""

from __future__ import annotations

import pytest

from django_saga import OperationRefused, operations
from django_saga.models import SagaEvent, SagaInstance, SagaLock, SagaStep
from django_saga.testing import assert_compensated, assert_completed, saga_steps
from tests.sagas.child_sagas import (
    DeliverySaga,
    LockedDeliverySaga,
    LockedPackingSaga,
    PackingSaga,
    WarehouseSaga,
)


def only_child(parent):
    [child] = parent.children
    return child


def test_what_the_child_gives_is_the_result_of_the_step(lab, ledger):
    delivery = DeliverySaga.start({"goods": "books"})

    lab.run()

    assert_completed(delivery)
    assert delivery.result(timeout=0) == {"box": "picked books"}
    assert only_child(delivery).result(timeout=0) == {"box": "picked books"}


def test_the_handle_links_both_ways(lab, ledger):
    delivery = DeliverySaga.start({"goods": "books"})
    lab.run()

    child = only_child(delivery)

    assert (child.name, child.parent, delivery.parent) == ("packing", delivery, None)


def test_a_child_that_is_undone_fails_the_step_which_names_it_and_its_reason(lab, ledger):
    delivery = DeliverySaga.start({"goods": "glass"})

    lab.run()

    assert_compensated(delivery)
    assert only_child(delivery).status == "compensated"
    error = SagaEvent.objects.get(saga_id=delivery.id, kind="step_failed").error
    assert str(only_child(delivery).id) in error
    assert "failed at pack: broken" in error
    assert [call.partition(":")[2] for call in ledger.calls()] == ["pick:do", "pick:undo"]


def test_a_completed_child_is_undone_with_its_parent(lab, ledger):
    delivery = DeliverySaga.start({"goods": "books", "shut": True})

    lab.run()

    assert_compensated(delivery)
    child = only_child(delivery)
    assert child.status == "compensated"
    assert SagaInstance.objects.get(pk=child.id).reason == "taken back"
    assert saga_steps(child) == {"pick": "undone", "pack": "succeeded"}


@pytest.mark.parametrize("looks", range(4))
def test_a_child_under_way_turns_back_with_its_parent(lab, ledger, looks):
    delivery = DeliverySaga.start({"goods": "books"})
    for _ in range(looks):
        lab.step()

    delivery.cancel()
    lab.run()

    assert_compensated(delivery)
    assert [child.status for child in delivery.children] == ["compensated"] * (looks > 0)
    calls = ledger.calls()
    assert sum(call.endswith(":do") for call in calls) == sum(call.endswith(":undo") for call in calls)


def test_the_parent_is_not_undone_before_its_child_is(lab, ledger):
    delivery = DeliverySaga.start({"goods": "books", "shut": True})
    lab.fail_at(PackingSaga.put_back, undo=True, times=None)

    lab.run()

    child = only_child(delivery)
    assert (child.status, delivery.status) == ("stuck", "compensating")
    assert saga_steps(delivery)["packing"] == "undo_scheduled"


def test_a_stuck_child_that_a_person_settles_lets_its_parent_be_undone(lab, ledger):
    delivery = DeliverySaga.start({"goods": "books", "shut": True})
    lab.fail_at(PackingSaga.put_back)
    lab.run()
    child = only_child(delivery)
    assert (child.status, delivery.status) == ("stuck", "compensating")

    operations.retry_compensation(child.id, "pick", by="ada")
    lab.run()

    assert_compensated(delivery)
    assert child.status == "compensated"


def test_a_completed_child_that_gets_stuck_as_it_is_taken_back_has_no_locks_any_more(lab, ledger):
    delivery = LockedDeliverySaga.start({"goods": "books"})
    lab.fail_at(LockedPackingSaga.put_back, undo=True, times=None)

    lab.run()

    assert (only_child(delivery).status, delivery.status) == ("stuck", "compensating")
    assert not SagaLock.objects.exists()


def test_a_child_that_a_person_cancels_turns_its_parent_back(lab, ledger):
    delivery = DeliverySaga.start({"goods": "books"})
    lab.step()

    operations.cancel(only_child(delivery).id, by="ada")
    lab.run()

    assert_compensated(delivery)


def test_nobody_but_its_parent_takes_back_what_is_completed(lab, ledger):
    delivery = DeliverySaga.start({"goods": "books"})
    lab.run()

    for act in (operations.cancel, operations.compensate):
        with pytest.raises(OperationRefused):
            act(only_child(delivery).id, by="ada")


def test_a_crash_after_the_child_was_started_starts_no_second_one(lab, ledger):
    delivery = DeliverySaga.start({"goods": "books"})
    lab.crash_at("packing", after_effect=True)

    lab.run()

    assert_completed(delivery)
    assert len(delivery.children) == 1
    assert SagaStep.objects.filter(saga_id=delivery.id, name="packing").get().attempt == 2


@pytest.mark.django_db(transaction=True)
def test_run_carries_the_children_too(ledger, invariants_hold):
    assert DeliverySaga.run({"goods": "books"}).result(timeout=0) == {"box": "picked books"}
    assert WarehouseSaga.run(["a", "b"]).result(timeout=0) == {"items": 2}
    assert DeliverySaga.run({"goods": "books", "shut": True}).status == "compensated"

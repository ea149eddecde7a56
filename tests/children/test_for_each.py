"""A step that does the same for each of many items."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from django_saga import for_each
from django_saga.core.waits import NEVER
from django_saga.models import SagaEvent, SagaInstance, SagaStep, child_id
from django_saga.testing import assert_compensated, assert_completed
from tests.processes import wait_until
from tests.sagas.child_sagas import BuiltRecall, RecallSaga, WarehouseSaga, refund, traced_recall
from tests.worker.looking import ended


def orders(number, **more):
    return {"orders": [f"o{each}" for each in range(number)], **more}


def test_every_item_is_done_and_gives_its_result_in_order(lab, ledger):
    recall = RecallSaga.start(orders(10))

    lab.run()

    assert_completed(recall)
    assert recall.result(timeout=0) == [{"items": 10}, [f"refunded o{each}" for each in range(10)]]
    assert len(ledger.calls()) == 10


def test_no_items_are_done_at_once(lab, ledger):
    recall = RecallSaga.start(orders(0))

    lab.run()

    assert recall.result(timeout=0) == [{"items": 0}, []]


def test_no_more_items_are_under_way_than_it_says(lab, ledger):
    recall = RecallSaga.start(orders(10))
    seen = set()

    while lab.step():
        open_now = SagaStep.objects.filter(name="refund", status="scheduled", due_at__lt=NEVER)
        seen.add(open_now.count())

    assert_completed(recall)
    assert max(seen) == 3


def test_one_that_fails_has_all_others_undone_and_is_named(lab, ledger):
    recall = RecallSaga.start({"orders": ["a", "b", "c", "bad", "d", "e", "f", "g"]})

    lab.run()

    assert_compensated(recall)
    assert {child.status for child in recall.children} == {"compensated"}
    error = SagaEvent.objects.get(saga_id=recall.id, kind="step_failed").error
    assert error.startswith("item 3: saga recall.refunds ")
    assert "no such order" in error
    calls = [call.rpartition(":")[0].partition(":")[0] for call in ledger.calls() if call.endswith(":undo")]
    done = [call.partition(":")[0] for call in ledger.calls() if call.endswith(":do")]
    bad = str(SagaInstance.objects.get(item=3).pk)
    assert sorted(calls) == sorted(set(done) - {bad})


def test_a_later_step_that_fails_undoes_every_item_once(lab, ledger):
    recall = RecallSaga.start(orders(7, fail=True))

    lab.run()

    assert_compensated(recall)
    assert sorted(call.rpartition(":")[2] for call in ledger.calls()) == ["do"] * 7 + ["undo"] * 7


@pytest.mark.parametrize("looks", range(1, 9))
def test_cancelled_at_any_time_it_leaves_nothing_behind(lab, ledger, looks):
    recall = RecallSaga.start(orders(5))
    for _ in range(looks):
        lab.step()

    recall.cancel()
    lab.run()

    assert_compensated(recall)
    assert {child.status for child in recall.children} <= {"compensated"}
    calls = ledger.calls()
    assert sum(call.endswith(":do") for call in calls) == sum(call.endswith(":undo") for call in calls)


@pytest.mark.parametrize("looks", range(3))
def test_a_crash_in_any_look_starts_no_item_twice(lab, ledger, looks):
    recall = RecallSaga.start(orders(5))
    for _ in range(looks):
        lab.step()
    lab.crash_at("refunds", after_effect=True)

    lab.run()

    assert_completed(recall)
    items = SagaInstance.objects.filter(name="recall.refunds").values_list("item", flat=True)
    assert set(items) == set(range(5))
    assert len(items) == 5
    assert len(ledger.calls()) == 5


def test_the_id_of_an_item_follows_from_its_step_so_that_no_second_one_can_be_stored(lab, ledger):
    recall = RecallSaga.start(orders(2))
    lab.run()
    step = SagaStep.objects.get(saga_id=recall.id, name="refunds")

    assert [child.id for child in recall.children] == [child_id(step.pk, 0), child_id(step.pk, 1)]
    again = SagaInstance.objects.get(item=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        SagaInstance.objects.bulk_create([again])


def test_saga_list_shows_what_nobody_started_and_saga_show_both_ways(lab, ledger):
    recall = RecallSaga.start(orders(4))
    lab.run()
    listed, parent, one = StringIO(), StringIO(), StringIO()

    call_command("saga_list", stdout=listed)
    call_command("saga_show", str(recall.id), stdout=parent)
    call_command("saga_show", str(recall.children[2].id), stdout=one)

    assert "recall.refunds" not in listed.getvalue()
    assert "4 sagas: 4 completed" in parent.getvalue()
    assert f"parent    recall {recall.id}, step refunds for item 2" in one.getvalue()


def test_a_whole_saga_may_be_what_is_done(lab, ledger):
    warehouse = WarehouseSaga.start(["a", "b", "c"])

    lab.run()

    assert_completed(warehouse)
    assert {child.name for child in warehouse.children} == {"packing"}


@pytest.mark.parametrize("form", [BuiltRecall, traced_recall])
def test_a_builder_and_a_flow_take_it_where_a_class_does(lab, ledger, form):
    recall = form.start(["a", "b", "c"])

    lab.run()

    assert recall.result(timeout=0) == {"box": "picked thanks"}
    assert [child.name for child in recall.children] == [f"{recall.name}.all"] * 3 + ["packing"]


@pytest.mark.parametrize("items", ["text", None, 5])
def test_what_is_no_list_fails_the_step_and_says_what_to_give(lab, items):
    recall = RecallSaga.start({"orders": items})

    lab.run()

    assert_compensated(recall)
    assert "items= of step refunds gave" in SagaEvent.objects.get(saga_id=recall.id, kind="step_failed").error


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True])
def test_a_number_at_a_time_that_cannot_be_is_refused_where_it_is_written(wrong):
    with pytest.raises(ValueError, match="whole number from 1 on"):
        for_each(lambda ctx: [], refund, max_parallel=wrong)


@pytest.mark.crash
@pytest.mark.django_db(transaction=True)
def test_workers_that_are_killed_in_the_middle_do_every_item_and_none_twice(
    start_worker, ledger, invariants_hold
):
    first = start_worker()
    first.wait_for_line("started")
    recall = RecallSaga.start(orders(500))
    wait_until(lambda: len(ledger.calls()) > 20)
    first.kill9()

    start_worker()

    # What the dead one held is taken over when its leases have run out.
    assert ended(recall, timeout=90) == ["completed"]
    assert len(recall.children) == 500
    assert set(ledger.calls()) == {f"{child.id}:refund:do" for child in recall.children}

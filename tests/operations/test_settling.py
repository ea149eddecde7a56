"""What came of an operator's action: a retry is done when the step has run again, and not before."""

from __future__ import annotations

import pytest

from django_saga import operations, runtime
from django_saga.engine import settling
from django_saga.models import SagaOperation
from django_saga.testing import SagaLab

pytestmark = pytest.mark.django_db(transaction=True)


def work() -> None:
    runtime.build_worker(using="default", once=True).run()


def came_of_it() -> list[tuple[str, str]]:
    return list(SagaOperation.objects.order_by("pk").values_list("result", "detail"))


def test_a_retry_is_open_until_the_step_has_run_again_and_then_done(order, world):
    handle = order.run()
    world["refund"] = None
    operations.retry_compensation(handle.id, "charge", by="ada")

    assert settling.settle("default") == 0
    assert came_of_it() == [("open", "")]
    work()

    assert came_of_it() == [("done", "attempt 1 succeeded")]
    row = SagaOperation.objects.get()
    assert row.known_at is not None
    assert row.known_at > row.at
    assert settling.settle("default") == 0


@pytest.mark.parametrize(
    ("error", "told"),
    [("the bank is closed", "with the same error"), ("no such customer", "with another error")],
)
def test_a_retry_that_fails_again_says_with_which_error(order, world, error, told):
    handle = order.run()
    world["refund"] = error
    operations.retry_compensation(handle.id, "charge", by="ada")
    work()

    [(result, detail)] = came_of_it()
    assert result == "failed"
    assert detail == f"attempt 1 failed again, {told}: RuntimeError: {error}"


def test_each_of_two_retries_has_the_attempt_that_came_of_it(order, world):
    handle = order.run()
    operations.retry_compensation(handle.id, "charge", by="ada")
    work()
    world["refund"] = None
    operations.retry_compensation(handle.id, "charge", by="ada")
    work()

    assert [result for result, _ in came_of_it()] == ["failed", "done"]
    assert handle.status == "compensated"


def test_a_step_past_the_pivot_is_retried(sent, world):
    handle = sent.run()
    world["tell"] = None
    operations.retry_step(handle.id, "tell", by="ada")
    assert came_of_it() == [("open", "")]
    work()

    assert came_of_it() == [("done", "attempt 1 succeeded")]
    assert handle.status == "completed"


def test_a_retry_that_somebody_overtook_did_not_run(sent):
    handle = sent.run()
    operations.retry_step(handle.id, "tell", by="ada")
    operations.compensate(handle.id, by="bob", why="the customer has gone")
    work()

    [retried, undone] = came_of_it()
    assert retried[0] == "failed"
    assert "did not run again" in retried[1]
    assert undone == ("done", "the saga is compensated")


@pytest.mark.parametrize(
    ("refund", "came"),
    [
        (None, ("done", "the saga is compensated")),
        (
            "the bank is closed",
            ("failed", "the saga is stuck: the compensation of charge is dead: the bank is closed"),
        ),
    ],
)
def test_a_cancellation_is_open_until_all_is_undone(order, world, refund, came):
    world["refund"] = refund
    with SagaLab() as lab:
        handle = order.start()
        lab.step()
        operations.cancel(handle.id, by="ada", why="ordered twice")
        settling.settle("default")
        assert came_of_it() == [("open", "")]
        lab.run()
    settling.settle("default")

    assert came_of_it() == [came]


def test_what_has_its_effect_at_once_is_never_open(order):
    handle = order.start()
    operations.pause(saga=handle.id, by="ada")
    operations.resume(saga=handle.id, by="ada")
    operations.cancel(handle.id, by="ada")

    assert [result for result, _ in came_of_it()] == ["done", "done", "done"]
    assert handle.status == "compensated"


def test_one_that_closes_it_second_changes_nothing(order, monkeypatch):
    handle = order.run()
    operations.retry_compensation(handle.id, "charge", by="ada")
    with SagaLab() as lab:
        lab.run()
    effect, closed = settling.effect, []

    def another_worker_is_faster(using, row):
        monkeypatch.setattr(settling, "effect", effect)
        found = effect(using, row)
        assert settling.settle(using) == 1
        closed.append(SagaOperation.objects.get())
        return found

    monkeypatch.setattr(settling, "effect", another_worker_is_faster)

    assert settling.settle("default") == 0
    assert SagaOperation.objects.get().known_at == closed[0].known_at


def test_many_that_stay_open_do_not_hold_up_those_behind_them(order, world, monkeypatch):
    monkeypatch.setattr(settling, "_AT_ONCE", 2)
    handles = [order.run() for _ in range(5)]
    for handle in handles:
        operations.retry_compensation(handle.id, "charge", by="ada")
    for handle in handles[:3]:
        operations.pause(saga=handle.id, by="ada")
    world["refund"] = None
    work()

    retries = SagaOperation.objects.filter(action="retry compensation").order_by("pk")
    assert list(retries.values_list("result", flat=True)) == ["open"] * 3 + ["done"] * 2


def test_a_look_costs_one_query_while_nothing_has_happened(order, django_assert_num_queries):
    for _ in range(3):
        operations.retry_compensation(order.run().id, "charge", by="ada")

    with django_assert_num_queries(1):
        assert settling.settle("default") == 0

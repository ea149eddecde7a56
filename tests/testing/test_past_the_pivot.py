"""Past the pivot: what becomes of a step that failed for good, and what a person may do about it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import (
    ForwardRecovery,
    OperationRefused,
    OutcomeUnknown,
    PermanentFailure,
    Retry,
    Saga,
    SagaFailed,
    operations,
    step,
)
from django_saga.dsl.registry import registry
from django_saga.models import SagaEvent, SagaInstance
from django_saga.testing import assert_saga_invariants, assert_stuck, saga_matrix, saga_steps

TWICE = Retry(attempts=2, delay=60, jitter=0)


def order(recovery=None, *, pivot_undo=False, deadline_in=None):
    """Make a saga: reserve, pay (the pivot), ship, thank; ``post`` stands in for ``ship`` where asked for."""

    class OrderSaga(Saga):
        name = "past_the_pivot"
        deadline = deadline_in

        @step
        def reserve(self, ctx):
            return "reserved"

        @reserve.compensation
        def release(self, ctx):
            pass

        @step(pivot=True, retry=TWICE)
        def pay(self, ctx):
            return "paid"

        if pivot_undo:

            @pay.compensation
            def refund(self, ctx):
                pass

        if recovery is ForwardRecovery.ALTERNATE:

            @step
            def post(self, ctx):
                return {"parcel": "by post"}

        @step(
            retry=TWICE,
            forward_recovery=recovery(post) if recovery is ForwardRecovery.ALTERNATE else recovery,
        )
        def ship(self, ctx):
            return {"parcel": "by van"}

        @step
        def thank(self, ctx):
            return ctx.results.get("ship")

    return OrderSaga


@pytest.fixture
def make(lab):
    with registry.isolated():
        yield order
        assert_saga_invariants()


def stands(saga):
    row = SagaInstance.objects.get(pk=saga.id)
    return row.status, row.reason, row.culprit


def test_by_default_the_saga_waits_for_a_person_and_says_so(lab, make):
    saga = make().start()
    lab.fail_at("ship", times=2)

    lab.run()

    assert stands(saga) == ("stuck", "failed past the pivot", "ship")
    assert saga_steps(saga) == {"reserve": "succeeded", "pay": "succeeded", "ship": "failed"}
    with pytest.raises(SagaFailed, match=r"a person is needed \(failed past the pivot at step ship\)"):
        saga.result(timeout=1)


def test_a_saga_past_its_pivot_cannot_be_cancelled_and_has_no_deadline_any_more(lab, make):
    saga = make(deadline_in=timedelta(hours=1)).start()
    assert SagaInstance.objects.get(pk=saga.id).deadline_at is not None
    lab.fail_at("ship", OSError("no van"))
    for _ in range(3):
        lab.step()

    with pytest.raises(OperationRefused, match=r"past its pivot pay: it can only go forward"):
        saga.cancel()
    assert SagaInstance.objects.get(pk=saga.id).deadline_at is None
    lab.advance(hours=2)

    assert saga.status == "completed"


def test_before_the_pivot_a_deadline_turns_the_saga_back(lab, make):
    saga = make(deadline_in=timedelta(seconds=30)).start()
    lab.fail_at("pay", OSError("no line"))

    lab.run()

    assert saga_steps(saga) == {"reserve": "undone", "pay": "failed"}


def test_a_pivot_that_fails_turns_the_saga_back(lab, make):
    saga = make().start()
    lab.fail_at("pay")

    lab.run()

    assert stands(saga) == ("compensated", "failed", "pay")


def test_a_pivot_in_doubt_that_cannot_be_undone_is_for_a_person_to_settle(lab, make):
    saga = make().start()
    lab.fail_at("pay", after_effect=True, times=2)
    lab.run()
    assert stands(saga) == ("stuck", "failed past the pivot", "pay")
    with pytest.raises(OperationRefused, match="it happened, or the saga has to turn back"):
        operations.skip_step(saga.id, "pay", by="ann")

    operations.mark_done(saga.id, "pay", "by hand", by="ann", why="it is on the statement")
    lab.run()

    assert stands(saga) == ("completed", "", "")
    assert saga_steps(saga)["pay"] == "succeeded"


def test_a_pivot_in_doubt_that_did_not_happen_is_compensated_on_request(lab, make):
    saga = make().start()
    lab.fail_at("pay", after_effect=True, times=2)
    lab.run()

    operations.compensate(saga.id, by="ann", why="it is not on the statement")
    lab.run()

    assert stands(saga) == ("compensated", "compensated on request", "")
    assert saga_steps(saga) == {"reserve": "undone", "pay": "unknown"}


def test_a_pivot_in_doubt_that_can_be_undone_is_undone(lab, make):
    saga = make(pivot_undo=True).start()
    lab.fail_at("pay", after_effect=True, times=2)

    lab.run()

    assert saga_steps(saga) == {"reserve": "undone", "pay": "undone"}


def test_retry_tries_for_ever_at_the_pace_of_the_policy(lab, make):
    saga = make(ForwardRecovery.RETRY).start()
    lab.fail_at("ship", OSError("no van"), times=20)

    lab.run()

    assert stands(saga) == ("completed", "", "")
    attempts = SagaEvent.objects.filter(saga_id=saga.id, step="ship").order_by("id")
    assert [event.attempt for event in attempts] == list(range(1, 22))


def test_retry_does_not_try_again_what_cannot_help(lab, make):
    saga = make(ForwardRecovery.RETRY).start()
    lab.fail_at("ship", PermanentFailure("no such street"))

    lab.run()

    assert stands(saga) == ("stuck", "failed past the pivot", "ship")


def test_skip_goes_on_without_the_step_and_the_end_tells(lab, make):
    saga = make(ForwardRecovery.SKIP).start()
    lab.fail_at("ship")

    lab.run()

    assert stands(saga) == ("completed", "step skipped", "ship")
    assert saga_steps(saga)["ship"] == "skipped"
    assert saga.result(timeout=1) is None


def test_an_alternate_stands_in_and_its_result_counts(lab, make):
    saga = make(ForwardRecovery.ALTERNATE).start()
    lab.fail_at("ship")

    lab.run()

    assert stands(saga) == ("completed", "alternate taken", "ship")
    assert saga.result(timeout=1) == {"parcel": "by post"}


def test_an_alternate_is_not_run_while_its_step_goes_well(lab, make):
    saga = make(ForwardRecovery.ALTERNATE).start()

    lab.run()

    assert stands(saga) == ("completed", "", "")
    assert "post" not in saga_steps(saga)
    assert saga.result(timeout=1) == {"parcel": "by van"}


def test_a_step_in_doubt_has_no_alternate_for_both_might_have_their_effect(lab, make):
    saga = make(ForwardRecovery.ALTERNATE).start()
    lab.fail_at("ship", OutcomeUnknown("no answer"), after_effect=True, times=2)

    lab.run()

    assert stands(saga) == ("stuck", "failed past the pivot", "ship")


def test_an_alternate_that_fails_too_is_for_a_person(lab, make):
    saga = make(ForwardRecovery.ALTERNATE).start()
    lab.fail_at("ship")
    lab.fail_at("post")
    lab.run()
    assert stands(saga) == ("stuck", "failed past the pivot", "post")

    operations.retry_step(saga.id, "post", by="ann")
    lab.run()

    assert stands(saga) == ("completed", "alternate taken", "ship")


def test_compensate_undoes_what_was_done_in_spite_of_the_pivot(lab, make):
    saga = make(ForwardRecovery.COMPENSATE, pivot_undo=True).start()
    lab.fail_at("ship")

    lab.run()

    assert stands(saga) == ("compensated", "failed", "ship")
    assert saga_steps(saga) == {"reserve": "undone", "pay": "undone", "ship": "failed"}


@pytest.mark.parametrize(
    ("settle", "ended"),
    [
        (lambda saga: operations.retry_step(saga.id, "ship", by="ann"), ("completed", "", "")),
        (lambda saga: operations.skip_step(saga.id, "ship", by="ann"), ("completed", "step skipped", "ship")),
        (
            lambda saga: operations.mark_done(saga.id, "ship", {"parcel": "on foot"}, by="ann"),
            ("completed", "", ""),
        ),
        (
            lambda saga: operations.compensate(saga.id, by="ann"),
            ("compensated", "compensated on request", ""),
        ),
    ],
    ids=["retry", "skip", "mark done", "compensate"],
)
def test_a_person_settles_what_is_held_up(lab, make, settle, ended):
    saga = make(pivot_undo=True).start()
    lab.fail_at("ship")
    lab.run()
    assert_stuck(saga)

    settle(saga)
    lab.run()

    assert stands(saga) == ended


def test_the_result_given_by_hand_is_the_one_that_later_steps_see(lab, make):
    saga = make().start()
    lab.fail_at("ship")
    lab.run()

    operations.mark_done(saga.id, "ship", {"parcel": "on foot"}, by="ann", why="she walked")
    lab.run()

    assert saga.result(timeout=1) == {"parcel": "on foot"}


@pytest.mark.parametrize("action", [operations.retry_step, operations.skip_step, operations.mark_done])
@pytest.mark.parametrize("name", ["reserve", "thank", "nothing"])
def test_what_holds_nothing_up_is_not_settled(lab, make, action, name):
    saga = make().start()
    lab.fail_at("ship")
    lab.run()

    with pytest.raises(OperationRefused, match=f"step {name} is"):
        action(saga.id, name, by="ann")

    assert stands(saga) == ("stuck", "failed past the pivot", "ship")


def test_the_matrix_knows_that_there_is_no_way_back(lab, make, subtests):
    del lab
    for case in saga_matrix(make(ForwardRecovery.ALTERNATE, pivot_undo=True)):
        with subtests.test(case=str(case)), case.run() as saga:
            stands_still = saga_steps(saga)["reserve"] == "succeeded"
            assert stands_still is (saga.status in ("completed", "stuck"))


def test_the_matrix_leaves_out_that_a_step_which_is_tried_for_ever_never_gets_an_answer(make):
    told = {
        recovery: {str(case) for case in saga_matrix(make(recovery))}
        for recovery in (None, ForwardRecovery.RETRY)
    }

    assert told[None] - told[ForwardRecovery.RETRY] == {"ship: loses every answer"}
    assert "ship: loses its answer" in told[ForwardRecovery.RETRY]

"""Events and decisions that come while a step looks for them, in every order.

No waking is lost, each event is taken once, and each decision counts that somebody was told counts.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import OperationRefused, operations, send_event
from django_saga.models import ExternalEvent, SagaApproval, SagaStep
from django_saga.testing import assert_saga_invariants, shift_clock
from tests.interleaving.moves import claim, work, write
from tests.sagas.outside_sagas import BareApprovalSaga, BuiltWait, HastySaga, PatientSaga, RefundSaga
from tests.waits.people import ANN, BOB

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

LONG = timedelta(days=20)


def status(handle, name):
    return SagaStep.objects.get(saga_id=handle.id, name=name).status


def taken(handle, name):
    return SagaStep.objects.get(saga_id=handle.id, name=name).events_taken.count()


def test_an_event_that_is_sent_while_the_step_looks_for_it_wakes_it_in_every_order(stage, ledger):
    woken = 0
    for play in stage.every_schedule(preemptions=2):
        handle = PatientSaga.start()
        [task] = claim(PatientSaga, handle.id)

        _, sent = play(lambda task=task: write(task), lambda handle=handle: send_event("answer", saga=handle))

        assert sent is True
        if status(handle, "answer") == "waiting":
            woken += 1
            work(PatientSaga, handle.id)
        assert (handle.status, taken(handle, "answer")) == ("completed", 1)
    assert 0 < woken < len(stage.played)
    assert_saga_invariants()


def test_a_step_that_waits_already_is_woken_in_every_order(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        handle = PatientSaga.start()
        work(PatientSaga, handle.id)
        SagaStep.objects.filter(saga_id=handle.id).update(due_at="2026-01-01T00:00Z")  # rung for nothing
        [task] = claim(PatientSaga, handle.id)

        play(lambda task=task: write(task), lambda handle=handle: send_event("answer", saga=handle))

        if status(handle, "answer") == "waiting":
            work(PatientSaga, handle.id)
        assert handle.status == "completed"


def test_two_who_wait_for_one_event_take_it_once_in_every_order(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        key = len(stage.played)
        both = [BuiltWait.start(key), BuiltWait.start(key)]
        send_event("answer", "once", key=key)
        tasks = [claim(BuiltWait, handle.id)[0] for handle in both]

        play(*[lambda task=task: write(task) for task in tasks])

        assert sorted(handle.status for handle in both) == ["completed", "running"]
        assert sum(taken(handle, "answer") for handle in both) == 1
    assert_saga_invariants()


def test_two_who_wait_take_two_events_though_both_see_the_older_one_first(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        key = len(stage.played)
        both = [BuiltWait.start(key), BuiltWait.start(key)]
        for number in (1, 2):
            send_event("answer", number, key=key)
        tasks = [claim(BuiltWait, handle.id)[0] for handle in both]

        play(*[lambda task=task: write(task) for task in tasks])

        assert sorted(handle.result(timeout=0) for handle in both) == [1, 2]


def test_an_event_that_comes_as_the_time_is_up_is_taken_or_kept(stage, ledger):
    kept = 0
    for play in stage.every_schedule(preemptions=2):
        handle = HastySaga.start()
        work(HastySaga, handle.id)
        with shift_clock(LONG):
            [task] = claim(HastySaga, handle.id)

            play(
                lambda task=task: write(task), lambda handle=handle: send_event("answer", "came", saga=handle)
            )

        assert handle.status == "completed"
        came = handle.result(timeout=0) == "came"
        kept += not came
        assert taken(handle, "answer") == came
    assert 0 < kept < len(stage.played)


def test_an_event_that_two_send_is_sent_once_in_every_order(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        key = len(stage.played)

        def send(key=key):
            return send_event("answer", key=key, event_id="webhook")

        answers = play(send, send)

        assert sorted(answers) == [False, True]
        assert ExternalEvent.objects.filter(key=key).count() == 1


def test_a_saga_that_is_cancelled_as_its_event_comes_has_taken_it_or_not(stage, ledger):
    for play in stage.every_schedule(preemptions=1):
        handle = PatientSaga.start()
        send_event("answer", saga=handle)
        [task] = claim(PatientSaga, handle.id)

        play(lambda task=task: write(task), lambda handle=handle: operations.cancel(handle.id, by="ann"))
        work(PatientSaga, handle.id)

        assert (handle.status, taken(handle, "answer")) in [("completed", 1), ("compensated", 1)]
    assert_saga_invariants()


def decide(handle, by, approved=True, name="agreed"):
    def do():
        act = operations.approve if approved else operations.reject
        act(handle.id, name, by=by)

    return do


def test_a_decision_that_is_made_while_the_step_looks_for_it_wakes_it_in_every_order(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        handle = BareApprovalSaga.start()
        [task] = claim(BareApprovalSaga, handle.id)

        answers = play(lambda task=task: write(task), decide(handle, ANN))

        assert answers[1] is None
        if status(handle, "agreed") == "waiting":
            work(BareApprovalSaga, handle.id)
        assert handle.result(timeout=0)["approved_by"] == "ann"


def test_of_two_who_decide_at_once_one_is_told_that_he_came_second(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        handle = BareApprovalSaga.start()
        work(BareApprovalSaga, handle.id)

        answers = play(decide(handle, ANN), decide(handle, BOB, approved=False))

        assert [type(answer) for answer in answers if answer is not None] == [OperationRefused]
        work(BareApprovalSaga, handle.id)
        assert handle.status == ("completed" if answers[0] is None else "compensated")
        assert SagaApproval.objects.filter(step__saga_id=handle.id).count() == 1
    assert_saga_invariants()


def test_who_decides_as_the_time_is_up_is_told_truly_whether_it_counts(stage, ledger):
    late = 0
    for play in stage.every_schedule(preemptions=2):
        handle = RefundSaga.start()
        for _ in range(2):
            work(RefundSaga, handle.id)
        with shift_clock(LONG):
            [task] = claim(RefundSaga, handle.id)

            _, answer = play(
                lambda task=task: write(task), decide(handle, ANN, approved=False, name="approved")
            )

        late += answer is not None
        step = SagaStep.objects.get(saga_id=handle.id, name="approved")
        assert step.error.startswith("nobody decided" if answer is not None else "rejected by ann")
    assert 0 < late < len(stage.played)

"""A lab carries sagas as workers do, one attempt at a time, on a clock that stands until it is moved."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from django_saga import Saga, SagaError, operations, step
from django_saga.dsl.registry import registry
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from django_saga.signals import saga_finished
from django_saga.store import clock
from django_saga.testing import (
    SagaLab,
    assert_compensated,
    assert_completed,
    assert_stuck,
    saga_steps,
)
from tests.ledger import effects
from tests.sagas.lab_sagas import LabDeadlineSaga, LabGraphSaga, LabRestlessSaga, LabSaga

FIVE = {"amount": 5}
MINUTE = timedelta(minutes=1)


# --- work -----------------------------------------------------------------------------------------


def test_a_saga_is_carried_to_its_end_without_a_worker(lab, bank):
    saga = LabSaga.start(FIVE)

    lab.run()

    assert_completed(saga)
    assert saga.result(timeout=0) == f"{saga.id}:charge:do"
    assert (bank.balance, dict(effects())) == (6, {f"{saga.id}:reserve:do": 1})


def test_step_carries_one_attempt_and_says_which(lab):
    saga = LabSaga.start(FIVE)

    assert lab.step() == "reserve:do"
    assert saga_steps(saga) == {"reserve": "succeeded", "charge": "scheduled"}
    assert [lab.step(), lab.step(), lab.step()] == ["charge:do", "ship:do", None]
    assert saga.status == "completed"


def test_what_is_due_at_once_goes_by_saga_and_as_written_and_is_undone_the_other_way_round(lab):
    first, second = LabGraphSaga.start(), LabGraphSaga.start()
    forward = ["begin:do", "left:do", "right:do"]
    lab.cancel_at("right")

    assert [lab.step() for _ in range(3)] == forward
    assert [lab.step() for _ in range(3)] == ["right:undo", "left:undo", "begin:undo"]
    assert [lab.step() for _ in range(4)] == [*forward, None]
    assert (first.status, second.status) == ("compensated", "completed")


def test_every_saga_of_the_database_is_carried_whoever_started_it(lab):
    sagas = LabGraphSaga.bulk_start([None, None])

    lab.run()

    assert [saga.status for saga in sagas] == ["completed", "completed"]


def test_a_saga_that_is_run_at_once_is_carried_by_the_lab_with_its_faults(lab, bank):
    lab.fail_at("charge", ConnectionRefusedError("closed"))
    before = lab.now

    saga = LabSaga.run(FIVE)

    assert_completed(saga)
    assert bank.calls == ["charge:do", "ship:do"]
    assert lab.now == before + MINUTE


def test_signals_are_sent_as_by_a_worker(lab):
    finished = []

    def note(sender, **facts):
        finished.append((facts["saga_id"], facts["status"], facts["culprit"]))

    saga_finished.connect(note)
    lab.fail_at("ship")
    saga = LabSaga.start(FIVE)
    lab.run()
    saga_finished.disconnect(note)

    assert finished == [(saga.id, "compensated", "ship")]


def test_an_operator_can_act_between_two_steps(lab, bank):
    saga = LabSaga.start(FIVE)
    lab.fail_at("ship")
    lab.fail_at("charge", undo=True)
    lab.run()
    assert_stuck(saga)

    operations.retry_compensation(saga.id, "charge", by="ada")
    lab.run()

    assert_compensated(saga)
    assert bank.balance == 0


@pytest.mark.django_db(transaction=True)
def test_nothing_is_carried_inside_a_transaction_of_the_test_itself(bank):
    with SagaLab() as lab:
        LabSaga.start(FIVE)

        for carry in (lab.run, lambda: LabSaga.run(FIVE)):
            with transaction.atomic(), pytest.raises(SagaError, match=r"inside transaction\.atomic"):
                carry()

        lab.run()
    assert (bank.balance, SagaInstance.objects.count()) == (6, 1)


# --- time -----------------------------------------------------------------------------------------


def test_the_clock_stands_until_it_is_moved(lab):
    began = lab.now
    saga = LabSaga.start(FIVE)
    lab.run()

    assert lab.now == began
    assert set(SagaEvent.objects.filter(saga_id=saga.id).values_list("at", flat=True)) == {began}
    lab.advance(hours=2, seconds=3)
    lab.advance(timedelta(days=1))
    assert lab.now == began + timedelta(days=1, hours=2, seconds=3)


def test_time_passes_again_as_it_did_when_the_lab_is_closed(lab):
    with SagaLab() as inner:
        inner.advance(days=400)
        assert clock.now("default") == lab.now
        ahead = lab.now

    assert ahead - lab.now == timedelta(days=400)


def test_run_passes_the_time_that_retries_wait_for(lab, bank):
    saga = LabSaga.start(FIVE)
    lab.fail_at("charge", ValueError("no"), times=2)
    began = lab.now

    lab.run()

    assert_completed(saga)
    # One minute, then two: chance takes nothing off.
    assert lab.now - began == 3 * MINUTE
    assert SagaStep.objects.get(saga_id=saga.id, name="charge").attempt == 3


def test_advance_carries_what_becomes_due_each_at_its_time_and_nothing_later(lab):
    saga = LabSaga.start(FIVE)
    lab.fail_at("charge", ValueError("no"), times=2)
    began = lab.now

    lab.advance(MINUTE)
    assert saga_steps(saga) == {"reserve": "succeeded", "charge": "scheduled"}
    lab.advance(hours=1)

    assert_completed(saga)
    events = SagaEvent.objects.filter(saga_id=saga.id, step="charge").order_by("pk")
    assert [event.at - began for event in events] == [timedelta(0), MINUTE, 3 * MINUTE]
    assert lab.now == began + timedelta(hours=1) + MINUTE


def test_a_saga_that_begins_later_is_begun_then(lab):
    saga = LabSaga.start(FIVE, run_at=timedelta(days=30))

    lab.advance(timedelta(days=30) - timedelta(milliseconds=1))
    assert saga.status == "pending"
    lab.advance(milliseconds=1)

    assert_completed(saga)


def test_what_was_started_for_later_since_the_lab_last_looked_is_waited_for(lab):
    with registry.isolated():

        class ReminderSaga(Saga):
            @step(no_compensation=True)
            def remind(self, ctx):
                pass

        lab.run()
        saga = ReminderSaga.start(run_at=timedelta(days=1))
        lab.run()

        assert_completed(saga)


def test_a_deadline_passes_while_a_retry_is_waited_for(lab, bank):
    saga = LabDeadlineSaga.start(FIVE)
    lab.fail_at("charge", after_effect=True)
    began = lab.now

    lab.run()

    assert_compensated(saga)
    assert (bank.balance, lab.now - began) == (0, timedelta(hours=1))
    kinds = SagaEvent.objects.filter(saga_id=saga.id).order_by("pk").values_list("kind", flat=True)
    assert kinds[2] == "deadline_passed"


def test_a_saga_that_never_rests_is_shown_where_it_hangs(lab):
    saga = LabRestlessSaga.start()

    with pytest.raises(AssertionError, match="not at rest after 51 attempts and waits") as raised:
        lab.run(limit=51)

    [story] = raised.value.__notes__
    assert f"lab_restless v1 {saga.id}: running" in story
    assert "attempt 26: failed: RuntimeError: not yet" in story
    assert "attempt 27: due in 10 min" in story

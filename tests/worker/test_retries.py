"""When the next attempt is due, as the rows say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import runtime
from django_saga.models import SagaEvent, SagaStep
from django_saga.testing import shift_clock
from tests.sagas.worker_sagas import WorkerCall, WorkerPatient
from tests.worker.looking import ended, steps, story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold", "ledger")]


def work() -> None:
    """Do here and now what is due."""
    runtime.build_worker(using="default", once=True, concurrency=2).run()


def wait_of(saga) -> tuple[timedelta, float]:
    """Say how long after its last failure the step is due, and the chance that was taken then."""
    failure = SagaEvent.objects.filter(saga_id=saga.id, kind="step_failed").latest("id")
    step = SagaStep.objects.get(saga_id=saga.id)
    assert step.due_at is not None
    return step.due_at - failure.at, (failure.data or {}).get("chance", 0.0)


def test_waits_grow_by_their_factor_less_a_chance_share_up_to_a_cap():
    saga = WorkerPatient.start({"call": "fail"})
    waits, chances = [], []

    for failures in range(1, 6):
        with shift_clock(timedelta(hours=failures)):
            work()
        wait, chance = wait_of(saga)
        waits.append(wait)
        chances.append(chance)

    full = [60, 180, 540, 1000, 1000]
    expected = [
        timedelta(seconds=most * (1 - 0.5 * chance)) for most, chance in zip(full, chances, strict=True)
    ]
    assert waits == expected
    assert len(set(chances)) == 5
    assert steps(saga) == {"call": ("scheduled", 5, 0)}


def test_steps_that_failed_together_do_not_come_back_together():
    sagas = WorkerPatient.bulk_start([{"call": "fail"}] * 100)

    work()

    waits = [wait_of(saga)[0] for saga in sagas]
    assert len(set(waits)) == 100
    assert timedelta(seconds=30) <= min(waits) < timedelta(seconds=40)
    assert timedelta(seconds=50) < max(waits) <= timedelta(seconds=60)


def test_a_step_that_asks_to_be_tried_later_is_tried_then_and_not_by_its_policy():
    saga = WorkerPatient.start({"call": "later 7.5 |"})

    work()
    assert wait_of(saga)[0] == timedelta(seconds=7.5)
    with shift_clock(timedelta(seconds=7)):
        work()
    assert steps(saga) == {"call": ("scheduled", 1, 0)}
    with shift_clock(timedelta(seconds=8)):
        work()

    assert steps(saga) == {"call": ("succeeded", 2, 0)}


@pytest.mark.crash
def test_the_next_attempt_is_not_made_early_and_not_much_later(worker):
    worker()

    saga = WorkerCall.start({"call": "later 1 |"})

    assert ended(saga) == ["completed"]
    assert story(saga) == ["saga_started", "call 1 failed", "call 2 succeeded"]
    failed = SagaEvent.objects.get(kind="step_failed").at
    again = SagaStep.objects.get().claimed_at
    assert again is not None
    assert timedelta(seconds=1) <= again - failed < timedelta(seconds=5)

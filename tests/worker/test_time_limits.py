"""Time limits of attempts, steps and sagas; and what never ends."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection

from django_saga.models import SagaEvent, SagaInstance, SagaStep, SagaWorker
from tests.ledger import effects
from tests.processes import wait_until
from tests.sagas.worker_sagas import (
    WorkerAsyncTimid,
    WorkerCall,
    WorkerHurried,
    WorkerNap,
    WorkerPayment,
    WorkerStubborn,
    WorkerTimid,
)
from tests.worker.looking import ended, steps, story

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


@pytest.mark.fault("F20")
@pytest.mark.parametrize(
    ("saga_class", "step", "before"),
    [(WorkerTimid, "call", ["prepare 1 succeeded"]), (WorkerAsyncTimid, "ask", [])],
    ids=["def", "async def"],
)
def test_a_step_that_never_ends_is_tried_again_with_its_key_and_then_undone_itself(
    worker, ledger, saga_class, step, before
):
    saga = saga_class.start({step: "wait never"})

    process = worker("--concurrency", "4")

    assert ended(saga) == ["compensated"]
    after = ["prepare 1 undo succeeded"] if before else []
    assert story(saga) == [
        "saga_started",
        *before,
        f"{step} 1 unknown: timed out",
        f"{step} 2 unknown: timed out",
        f"{step} 1 undo succeeded",
        *after,
    ]
    undone = [line for line in ledger.lines("undo") if line.step == f"{step}:undo"]
    assert [line.note for line in undone] == ["1 unknown"]
    assert ledger.calls("do")[f"{saga.id}:{step}:do"] == 2
    wait_until(SagaWorker.objects.exists)
    assert SagaWorker.objects.count() == 1

    # The threads that were given up come back one day: nobody listens any more.
    ledger.open("never")
    process.terminate()
    assert process.wait() == 0
    assert saga.status == "compensated"


@pytest.mark.fault("F21")
def test_a_process_in_which_too_many_threads_hang_is_replaced_and_others_sagas_go_on(worker, ledger):
    hung = [WorkerTimid.start({"call": "deaf; hang |"}) for _ in range(2)]
    others = WorkerCall.bulk_start([{}] * 20)

    process = worker("--concurrency", "2", "--drain-timeout", "5")

    process.wait_for_line("retired, as steps hang in it; replacing it$")
    assert ended(*hung, *others) == ["completed"] * 22
    wait_until(lambda: SagaWorker.objects.count() == 2)
    assert set(SagaEvent.objects.filter(kind="step_unknown").values_list("step", flat=True)) == {"call"}
    process.terminate()
    assert process.wait() == 0


@pytest.mark.fault("F21")
def test_an_async_step_that_blocks_its_loop_has_the_process_replaced(worker, ledger):
    blocked = WorkerAsyncTimid.start({"ask": "hang |"})
    others = WorkerAsyncTimid.bulk_start([{}] * 5)

    process = worker("--drain-timeout", "5")

    process.wait_for_line("retired, as steps hang in it; replacing it$")
    assert ended(blocked, *others) == ["completed"] * 6


@pytest.mark.fault("F21")
@pytest.mark.slow
def test_a_process_that_a_step_holds_altogether_is_killed_by_its_parent(worker, ledger):
    saga = WorkerCall.start({"call": "hold |"})

    process = worker()

    process.wait_for_line("gives no sign of life; killing it")
    assert ended(saga) == ["completed"]
    assert story(saga) == ["saga_started", "call 1 unknown: worker lost", "call 2 succeeded"]


@pytest.mark.fault("F21")
@pytest.mark.slow
def test_an_atomic_step_that_hangs_has_its_process_replaced(worker, ledger):
    hung = WorkerNap.start({"nap": "hang |"})
    others = WorkerCall.bulk_start([{}] * 5)

    # A lease that a busy machine does not cost the worker while it waits for the step.
    process = worker("--drain-timeout", "5", "--lease", "5")

    process.wait_for_line("retired, as steps hang in it; replacing it$")
    assert ended(hung, *others) == ["completed"] * 6
    assert effects() == {f"{hung.id}:nap:do": 1}
    # Only PostgreSQL ends the transaction before the process does, so that the outcome can be recorded.
    cause = "timed out" if connection.vendor == "postgresql" else "worker lost"
    assert story(hung) == ["saga_started", f"nap 1 unknown: {cause}", "nap 2 succeeded"]


@pytest.mark.fault("F47")
@pytest.mark.parametrize(("lost", "paid"), [("request", 0), ("answer", 1)])
def test_a_payment_in_doubt_is_paid_back_if_it_was_made_and_never_otherwise(worker, ledger, lost, paid):
    saga = WorkerPayment.start({"lose": lost})

    worker("--once")

    assert ended(saga) == ["compensated"]
    assert story(saga) == ["saga_started", "pay 1 unknown: timed out", "pay 1 undo succeeded"]
    assert Counter(line.kind for line in ledger.lines()) == Counter(
        {"asked": 1, "paid": paid, "paid back": paid}
    )
    assert [line.note for line in ledger.lines("asked")] == ["unknown"]


@pytest.mark.fault("F55")
def test_a_step_that_succeeds_after_its_sagas_deadline_is_undone(relief, ledger):
    relief()
    saga = WorkerHurried.start({"call": "wait bank"})
    wait_until(lambda: saga.status == "compensating")
    assert steps(saga) == {"call": ("running", 1, 0)}

    ledger.open("bank")

    assert ended(saga) == ["compensated"]
    assert story(saga) == ["saga_started", "deadline_passed", "call 1 succeeded", "call 1 undo succeeded"]
    assert SagaInstance.objects.get().reason == "deadline passed"
    assert _turned_back_after(saga) < timedelta(seconds=10)


@pytest.mark.fault("F55")
def test_a_deadline_ends_the_wait_for_another_attempt(relief):
    relief()

    saga = WorkerHurried.start({"call": "later 60"})

    assert ended(saga, timeout=10) == ["compensated"]
    assert story(saga) == ["saga_started", "call 1 failed", "deadline_passed"]


def test_a_steps_deadline_ends_its_attempts(relief):
    relief()

    saga = WorkerStubborn.start({"call": "fail"})

    assert ended(saga, timeout=10) == ["compensated"]
    attempts = [line for line in story(saga) if line.endswith("failed")]
    assert 1 < len(attempts) < 6
    assert SagaStep.objects.get().reason == "step deadline passed"


def test_a_steps_deadline_cuts_an_attempt_short(relief, ledger):
    relief()

    saga = WorkerStubborn.start({"call": "wait never"})

    assert ended(saga, timeout=10) == ["compensated"]
    assert story(saga) == ["saga_started", "call 1 unknown: timed out", "call 1 undo succeeded"]
    ledger.open("never")


def _turned_back_after(saga) -> timedelta:
    started, passed = (
        SagaEvent.objects.filter(saga_id=saga.id).order_by("id").values_list("at", flat=True)[:2]
    )
    return passed - started

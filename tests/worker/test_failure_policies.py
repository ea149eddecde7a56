"""Failure policies on real rows, with a clock to move and with real workers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import runtime
from django_saga.models import SagaInstance
from django_saga.testing import shift_clock
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerGrace, WorkerWaitAll
from tests.worker.looking import ended, steps, story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]

LATER = {"left": "permanent", "right": "later 20"}


def work() -> None:
    runtime.build_worker(using="default", once=True).run()


def stands(saga) -> tuple[str, str, str]:
    return SagaInstance.objects.values_list("status", "reason", "culprit").get(id=saga.id)


def test_wait_all_waits_for_the_other_branchs_next_attempt(ledger):
    saga = WorkerWaitAll.start({"left": "permanent", "right": "later 20 |"})

    work()
    assert stands(saga) == ("running", "failed", "left")
    with shift_clock(timedelta(seconds=21)):
        work()

    assert stands(saga) == ("compensated", "failed", "left")
    assert steps(saga) == {"begin": ("undone", 1, 0), "left": ("failed", 1, 0), "right": ("undone", 1, 0)}


def test_grace_waits_so_long_and_no_longer(ledger):
    saga = WorkerGrace.start(LATER)

    work()
    assert stands(saga) == ("running", "failed", "left")
    with shift_clock(timedelta(seconds=29)):
        work()
    assert steps(saga)["right"] == ("scheduled", 2, 0)
    with shift_clock(timedelta(seconds=31)):
        work()

    assert stands(saga) == ("compensated", "failed", "left"), (steps(saga), story(saga))
    assert steps(saga) == {"begin": ("undone", 1, 0), "left": ("failed", 1, 0), "right": ("failed", 2, 0)}
    assert "deadline_passed" in story(saga)


@pytest.mark.crash
def test_a_killed_worker_changes_nothing_about_what_is_waited_for(worker, relief, ledger):
    saga = WorkerWaitAll.start({"left": "permanent", "right": "wait right"})
    process = worker("--concurrency", "2")
    wait_until(lambda: stands(saga) == ("running", "failed", "left") and "right:do" in ledger.steps())

    process.kill9()
    relief()
    wait_until(lambda: ledger.steps().count("right:do") == 2)
    assert stands(saga) == ("running", "failed", "left")
    ledger.open("right")

    assert ended(saga) == ["compensated"]
    assert ledger.steps("undo") == ["right:undo", "begin:undo"]

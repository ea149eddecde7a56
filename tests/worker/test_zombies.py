"""A worker that was frozen and comes back finds that its steps have moved on."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from django_saga.models import SagaStep
from tests.ledger import effects
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerCall, WorkerNap
from tests.worker.freezing import freeze
from tests.worker.looking import ended, steps, story

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

TAKEN_OVER = ["saga_started", "call 1 unknown: worker lost", "call 2 succeeded"]
LATE = "late result dropped: saga .* step call attempt 1"


@pytest.mark.fault("F16")
def test_a_result_that_comes_after_another_worker_has_finished_changes_nothing(worker, relief, ledger):
    saga = WorkerCall.start({"call": "wait bank |"})
    zombie = worker()
    wait_until(ledger.steps)
    freeze(zombie)
    relief()
    assert ended(saga) == ["completed"]

    ledger.open("bank")
    zombie.cont()
    zombie.wait_for_line(LATE)

    assert story(saga) == TAKEN_OVER
    assert steps(saga) == {"call": ("succeeded", 2, 1)}
    assert saga.result()["pid"] == os.getpid()
    assert Counter(ledger.steps()) == {"call:do": 2}
    zombie.terminate()
    assert zombie.wait() == 0


@pytest.mark.fault("F17")
def test_a_result_that_comes_while_another_worker_is_at_it_changes_nothing(worker, relief, ledger):
    saga = WorkerCall.start({"call": "wait first | wait second"})
    zombie = worker()
    wait_until(ledger.steps)
    freeze(zombie)
    relief()
    wait_until(lambda: len(ledger.steps()) == 2)

    ledger.open("first")
    zombie.cont()
    zombie.wait_for_line(LATE)
    assert steps(saga) == {"call": ("running", 2, 1)}
    ledger.open("second")

    assert ended(saga) == ["completed"]
    assert story(saga) == TAKEN_OVER
    assert saga.result()["pid"] == os.getpid()


@pytest.mark.fault("F17")
def test_a_late_failure_changes_nothing_either(worker, relief, ledger):
    saga = WorkerCall.start({"call": "wait bank; permanent |"})
    zombie = worker()
    wait_until(ledger.steps)
    freeze(zombie)
    relief()
    assert ended(saga) == ["completed"]

    ledger.open("bank")
    zombie.cont()
    zombie.wait_for_line(LATE)

    assert story(saga) == TAKEN_OVER
    assert saga.status == "completed"


@pytest.mark.fault("F16")
def test_steps_in_line_in_a_frozen_worker_are_not_begun_when_it_comes_back(worker, relief, ledger):
    # At the pace of these the worker takes steps on ahead of need; so many that it has time to find out.
    WorkerCall.bulk_start([{}] * 400)
    blocked = WorkerCall.bulk_start([{"call": "wait bank |"}] * 10)
    keys = [f"{saga.id}:call:do" for saga in blocked]
    zombie = worker("--concurrency", "1")
    mine = SagaStep.objects.filter(saga_id__in=[saga.id for saga in blocked])
    wait_until(lambda: mine.filter(status="running").count() > 1 and set(keys) & ledger.calls().keys())
    freeze(zombie)
    ledger.open("bank")
    relief()
    assert ended(*blocked) == ["completed"] * 10

    zombie.cont()
    zombie.wait_for_line(LATE)
    zombie.terminate()

    assert zombie.wait() == 0
    assert sorted(ledger.calls()[key] for key in keys) == [1] * 9 + [2]


@pytest.mark.fault("F18")
@pytest.mark.postgres  # only its server ends a transaction that sits idle
def test_a_worker_frozen_inside_an_atomic_step_is_relieved_when_the_server_ends_its_session(
    worker, relief, ledger
):
    saga = WorkerNap.start({"nap": "wait bank |"})
    zombie = worker()
    wait_until(ledger.steps)
    zombie.stop()
    relief()
    assert ended(saga, timeout=10) == ["completed"]

    ledger.open("bank")
    zombie.cont()
    zombie.wait_for_line("late result dropped: saga .* step nap attempt 1")

    assert story(saga) == ["saga_started", "nap 1 unknown: worker lost", "nap 2 succeeded"]
    assert effects() == {f"{saga.id}:nap:do": 1}
    assert Counter(ledger.steps()) == {"nap:do": 2}

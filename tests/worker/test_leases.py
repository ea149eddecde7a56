"""Leases: kept while a step runs, told as lost when they could not be."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db.models.functions import Now

from django_saga.models import SagaStep
from tests.ledger import effects
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerAsync, WorkerCall, WorkerNap
from tests.worker.conftest import LEASE
from tests.worker.looking import ended, steps, story

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


def test_steps_that_outlast_their_lease_are_run_once_while_their_worker_lives(worker, relief, ledger):
    long = [WorkerCall.start({"call": "nap 2.5"}), WorkerAsync.start({"ask": "wait bank"})]
    worker()
    wait_until(lambda: len(ledger.steps()) == 2)

    relief()

    assert ended(long[0]) == ["completed"]
    ledger.open("bank")
    assert ended(*long) == ["completed"] * 2
    assert [steps(saga) for saga in long] == [{"call": ("succeeded", 1, 0)}, {"ask": ("succeeded", 1, 0)}]
    assert Counter(ledger.steps()) == {"call:do": 1, "ask:do": 1}


def test_an_atomic_step_that_outlasts_its_lease_is_run_once(worker, relief, ledger):
    saga = WorkerNap.start({"nap": "nap 1.7"})
    worker()
    wait_until(ledger.steps)

    relief()

    assert ended(saga) == ["completed"]
    assert steps(saga) == {"nap": ("succeeded", 1, 0)}
    assert set(effects().values()) == {1}


def test_steps_in_line_behind_a_long_one_keep_their_leases_too(worker, relief, ledger):
    # At the pace of these the worker takes steps on ahead of need; so many that it has time to find out.
    WorkerCall.bulk_start([{}] * 400)
    waiting = WorkerCall.bulk_start([{"call": "wait bank"}] * 10)
    worker("--concurrency", "1")
    first = [f"{saga.id}:call:do" for saga in waiting]
    wait_until(lambda: any(key in first for key in ledger.calls()))

    relief()
    claimed_before = SagaStep.objects.filter(status="running", claimed_at__lt=Now() - 2 * LEASE)
    wait_until(claimed_before.exists)
    ledger.open("bank")

    assert ended(*waiting) == ["completed"] * 10
    assert {steps(saga)["call"] for saga in waiting} == {("succeeded", 1, 0)}
    assert set(ledger.calls().values()) == {1}


@pytest.mark.fault("F19")
def test_a_worker_that_cannot_keep_its_leases_lives_on_and_its_step_is_told(worker, relief, ledger):
    saga = WorkerCall.start({"call": "until lost; wait bank |"})
    process = worker(faults="heartbeat.tick@1%=raise")
    wait_until(ledger.steps)
    relief()

    assert ended(saga) == ["completed"]
    ledger.open("bank")
    process.wait_for_line("late result dropped")

    assert story(saga) == ["saga_started", "call 1 unknown: worker lost", "call 2 succeeded"]
    assert [line.kind for line in ledger.lines()].count("noticed") == 1
    after = WorkerCall.start({})
    assert ended(after) == ["completed"]
    process.terminate()
    assert process.wait() == 0

"""Leases: kept while a step runs, told as lost when they could not be."""

from __future__ import annotations

import os
from collections import Counter
from urllib.parse import quote

import pytest
from django.db import connection
from django.db.models.functions import Now

from django_saga.models import SagaStep
from tests.database.proxy import Proxy
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


@pytest.fixture
def behind():
    """A proxy that the test's own connection does not go through, and the address of the database there."""
    at = connection.settings_dict
    with Proxy(at["HOST"], at["PORT"]) as proxy:
        who = ":".join(quote(at[part], safe="") for part in ("USER", "PASSWORD") if at[part])
        query = "sslmode=disable&gssencmode=disable"
        yield proxy, f"postgresql://{who}@127.0.0.1:{proxy.port}/{quote(at['NAME'], safe='')}?{query}"
        proxy.restore()


@pytest.mark.postgres
@pytest.mark.fault("F19")
@pytest.mark.parametrize("way", ["hold", "cut"])
def test_a_step_whose_worker_cannot_reach_the_database_is_told_and_taken_over(
    worker, relief, ledger, behind, way
):
    proxy, url = behind
    saga = WorkerCall.start({"call": "until lost; wait bank |"})
    process = worker(env={"DATABASE_URL": url})
    wait_until(ledger.steps)
    getattr(proxy, way)()

    wait_until(lambda: "noticed" in [line.kind for line in ledger.lines()])
    relief()
    assert ended(saga) == ["completed"]
    ledger.open("bank")
    proxy.restore()
    process.wait_for_line("late result dropped")

    assert story(saga) == ["saga_started", "call 1 unknown: worker lost", "call 2 succeeded"]
    assert saga.result()["pid"] == os.getpid()
    process.terminate()
    assert process.wait() == 0


@pytest.mark.fault("F19")
def test_what_a_step_returns_whose_lease_ran_out_counts_while_nobody_took_it_over(worker, ledger):
    """Neither a heartbeat nor a rescue comes through."""
    saga = WorkerCall.start({"call": "until lost"})
    worker(faults="heartbeat.tick@1%=raise,reap.after_select@1%=raise")

    assert ended(saga) == ["completed"]

    assert story(saga) == ["saga_started", "call 1 succeeded"]
    assert [line.kind for line in ledger.lines()] == ["do", "noticed"]


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

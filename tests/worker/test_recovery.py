"""Steps of lost workers: taken over in bulk, and not for ever."""

from __future__ import annotations

import os
from collections import Counter
from uuid import UUID, uuid4

import pytest
from django.db import connection

from django_saga.models import SagaInstance, SagaStep
from django_saga.store import clock
from tests.ledger import effects
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerCall, WorkerChain, WorkerNote
from tests.worker.conftest import LEASE
from tests.worker.looking import ended, steps, story

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

LOST = "worker lost"


def lose(saga_ids: list[UUID]) -> None:
    """Have a worker claim the first steps of sagas and be lost, a lease ago."""
    now = clock.now("default")
    SagaStep.objects.filter(saga_id__in=saga_ids).update(
        status="running", attempt=1, token=1, owner=uuid4(), claimed_at=now - LEASE, due_at=now
    )


@pytest.mark.fault("F22")
@pytest.mark.slow
def test_leases_that_end_all_at_once_are_recovered_in_batches_and_each_step_is_run_once(worker, ledger):
    many = {"postgresql": 5_000, "mysql": 2_000, "sqlite": 2_000}[connection.vendor]
    sagas = WorkerNote.bulk_start([None] * many)
    lose([saga.id for saga in sagas])

    worker("--processes", "2", "--lease", "5")

    wait_until(
        lambda: SagaInstance.objects.filter(status="completed").count() == many,
        timeout=90,
        message="all sagas completed",
    )
    calls = ledger.calls()
    assert (len(calls), set(calls.values())) == (many, {1})
    assert Counter(SagaStep.objects.values_list("attempt", "crashes")) == {(2, 1): many}


def test_once_takes_over_what_a_lost_worker_left_when_its_lease_has_run_out(worker, ledger):
    saga = WorkerChain.start({})
    lose([saga.id])

    assert worker("--once").wait() == 0

    assert ended(saga) == ["completed"]
    assert steps(saga)["reserve"] == ("succeeded", 2, 1)
    assert set(effects().values()) == {1}


@pytest.mark.fault("F25")
def test_a_step_that_kills_its_process_every_time_ends_as_a_crash_loop_and_is_undone(worker, ledger):
    poison = WorkerCall.start({"call": "kill"})
    others = WorkerCall.bulk_start([{}] * 20)

    process = worker("--processes", "2", env={"DJANGO_SAGA_MAX_CRASHES": "2"})

    assert ended(poison, *others, timeout=60) == ["compensated"] + ["completed"] * 20
    assert story(poison) == [
        "saga_started",
        *[f"call {attempt} unknown: {LOST}" for attempt in (1, 2, 3)],
        "call 1 undo succeeded",
    ]
    saga = SagaInstance.objects.get(id=poison.id)
    assert (saga.reason, saga.culprit) == ("crash loop", "call")
    assert ledger.calls()[f"{poison.id}:call:do"] == 3
    assert [line.note for line in ledger.lines("undo")] == ["1 unknown"]
    # From its third time on it runs in a process where it takes nobody along.
    assert process.output.count("was killed by signal 9; replacing it") == 2
    assert process.output.count("which runs suspects alone, was killed by signal 9") == 1


@pytest.mark.fault("F25")
def test_a_compensation_that_kills_its_process_every_time_leaves_the_saga_stuck(worker):
    poison = WorkerCall.start({"call": "permanent", "call:undo": "kill"})
    chain = WorkerChain.start({"ship": "permanent", "charge:undo": "kill"})

    worker("--processes", "2", env={"DJANGO_SAGA_MAX_CRASHES": "1"})

    assert ended(poison, chain, timeout=60) == ["compensated", "stuck"]
    assert steps(chain) == {
        "reserve": ("undone", 1, 0),
        "charge": ("undo_failed", 2, 2),
        "ship": ("failed", 1, 0),
    }
    assert SagaStep.objects.get(saga_id=chain.id, name="charge").reason == "crash loop"


def test_a_bystander_of_a_crash_is_done_again_with_its_key(worker, ledger):
    bystander = WorkerCall.start({"call": "wait bank |"})
    poison = WorkerCall.start({"call": "wait poison; kill |"})
    worker("--concurrency", "2")
    wait_until(lambda: len(ledger.steps()) == 2)

    ledger.open("poison")

    assert ended(bystander, poison) == ["completed"] * 2
    assert ledger.calls() == {f"{saga.id}:call:do": 2 for saga in (bystander, poison)}
    assert len({line.pid for line in ledger.lines()} - {os.getpid()}) == 2

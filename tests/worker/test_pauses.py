"""Pauses hold in every worker process at once."""

from __future__ import annotations

import pytest

from django_saga import operations
from django_saga.models import SagaStep
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerCall, WorkerChain
from tests.worker.looking import ended

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


def test_nothing_of_a_paused_step_begins_in_any_process_while_all_else_goes_on(worker, ledger):
    waiting = WorkerChain.bulk_start([{}] * 10)
    operations.pause(definition="worker_chain", step="charge", by="ada")
    worker("--processes", "2")
    later = WorkerChain.bulk_start([{}] * 10)
    held = SagaStep.objects.filter(name="charge", executor="held/thread", attempt=0)

    wait_until(lambda: held.count() == 20)
    assert ended(*WorkerCall.bulk_start([{}] * 5)) == ["completed"] * 5
    assert set(ledger.steps()) == {"reserve:do", "call:do"}

    operations.resume(definition="worker_chain", step="charge", by="ada")
    assert set(ended(*waiting, *later)) == {"completed"}


def test_a_pause_reaches_workers_that_run(worker):
    worker("--processes", "2")
    ended(WorkerCall.start({}))
    operations.pause(definition="worker_call", by="ada")
    started = []

    def is_known() -> bool:
        started.extend(WorkerCall.bulk_start([{}] * 4))
        return SagaStep.objects.filter(executor="held/thread").count() >= 8

    wait_until(is_known)
    operations.resume(definition="worker_call", by="ada")

    assert set(ended(*started)) == {"completed"}

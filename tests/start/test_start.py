"""``start()`` writes in the caller's transaction: all of it is there, or nothing."""

import pytest
from django.db import connection, transaction

from django_saga import SagaStatus, runtime
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from tests.models import Account
from tests.processes import wait_until
from tests.sagas.start_sagas import ChainSaga, EchoSaga

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]

# What a view does: a row of the project's own, and the saga about it, in one transaction.
CALLER = """
import django; django.setup()
import os, signal
from django.db import transaction
from tests.models import Account
from tests.sagas.start_sagas import EchoSaga
with transaction.atomic():
    Account.objects.create(name="order 1")
    {before}
    EchoSaga.start("order 1", idempotency_key="order-1")
print("committed")
"""
DIE_AFTER_COMMIT = "transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))"


def rows() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in (Account, SagaInstance, SagaStep, SagaEvent)}


@pytest.mark.crash
@pytest.mark.fault("F01")
def test_a_caller_that_dies_before_its_commit_leaves_neither_its_row_nor_a_saga(start_python):
    caller = start_python("-c", CALLER.format(before=""), faults="start.after_insert=kill9")

    assert caller.wait() == -9

    assert rows() == {"Account": 0, "SagaInstance": 0, "SagaStep": 0, "SagaEvent": 0}


@pytest.mark.crash
@pytest.mark.fault("F02")
@pytest.mark.parametrize(
    ("before", "faults"),
    [
        pytest.param(DIE_AFTER_COMMIT, "", id="before any other callback"),
        # Only PostgreSQL has a wake-up to die at.
        pytest.param("pass", "start.after_commit=kill9", id="at the wake-up", marks=pytest.mark.postgres),
    ],
)
def test_a_saga_whose_caller_died_before_waking_anyone_is_found_by_polling(
    start_python, start_worker, ledger, before, faults
):
    worker = start_worker("--lease", "5")
    worker.wait_for_line("started")
    caller = start_python("-c", CALLER.format(before=before), faults=faults)

    assert caller.wait() == -9

    [saga] = SagaInstance.objects.all()
    assert EchoSaga.get(saga.pk).result(timeout=30) == "order 1"
    assert ledger.steps() == ["echo:do"]


@pytest.mark.fault("F06")
def test_a_saga_started_in_a_transaction_that_rolls_back_was_never_there(ledger):
    woken = []

    with transaction.atomic():
        Account.objects.create(name="order 1")
        handle = EchoSaga.start("order 1", idempotency_key="order-1")
        transaction.on_commit(lambda: woken.append(True))
        transaction.set_rollback(True)

    assert rows() == {"Account": 0, "SagaInstance": 0, "SagaStep": 0, "SagaEvent": 0}
    assert woken == []
    runtime.build_worker(using="default", once=True).run()
    assert ledger.lines() == []
    # The key is free, the id is not taken for a saga that exists.
    again = EchoSaga.start("another order", idempotency_key="order-1")
    assert again.id != handle.id
    assert again.status is SagaStatus.RUNNING


@pytest.mark.fault("F06")
def test_a_saga_of_a_savepoint_that_rolls_back_is_gone_while_its_neighbours_stay(ledger):
    with transaction.atomic():
        kept = EchoSaga.start("kept")
        with transaction.atomic():
            EchoSaga.start("dropped")
            transaction.set_rollback(True)

    runtime.build_worker(using="default", once=True).run()

    assert [(saga.pk, saga.status) for saga in SagaInstance.objects.all()] == [(kept.id, "completed")]
    assert [line.note for line in ledger.lines()] == ["'kept'"]


@pytest.mark.fault("F06")
def test_no_worker_sees_a_saga_before_its_transaction_commits(start_worker, ledger):
    if connection.vendor == "sqlite":
        pytest.skip("one writer at a time: while the caller's transaction is open no worker can claim at all")
    worker = start_worker()
    worker.wait_for_line("started")

    with transaction.atomic():
        handle = EchoSaga.start("not yet")
        other = start_other_and_wait_for_its_end(ledger)
        assert handle.status is SagaStatus.RUNNING

    assert handle.result(timeout=30) == "not yet"
    assert [line.note for line in ledger.lines()] == [repr(other), repr("not yet")]


def start_other_and_wait_for_its_end(ledger) -> str:
    """Give proof, from another connection, that workers look for work while the transaction is open."""
    from threading import Thread

    def start() -> None:
        EchoSaga.start("at once")
        connection.close()

    thread = Thread(target=start)
    thread.start()
    thread.join()
    wait_until(ledger.lines)
    return "at once"


def test_what_start_writes_is_the_saga_its_first_steps_and_the_first_event():
    handle = ChainSaga.start({"wait": ""}, idempotency_key="k")

    [saga] = SagaInstance.objects.values("id", "name", "status", "input", "idempotency_key", "finished_at")
    assert saga == {
        "id": handle.id,
        "name": "start_chain",
        "status": "running",
        "input": {"wait": ""},
        "idempotency_key": "k",
        "finished_at": None,
    }
    steps = SagaStep.objects.values_list("saga_id", "name", "status", "attempt", "token", "owner")
    assert list(steps) == [(handle.id, "first", "scheduled", 0, 0, None)]
    events = SagaEvent.objects.values_list("saga_id", "kind", "step", "token")
    assert list(events) == [(handle.id, "saga_started", "", 0)]

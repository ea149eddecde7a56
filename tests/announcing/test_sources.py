"""Whoever changes a saga announces it, alike: after commit, and only then."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test import TestCase

from django_saga import OperationRefused, operations, runtime
from django_saga.store import claims, definitions
from django_saga.testing import SagaLab, shift_clock
from tests.announcing.conftest import rolled_back, work
from tests.ledger import effects
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerAsync, WorkerCall, WorkerChain, WorkerHurried

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("ledger", "invariants_hold"),
]

CHAIN = [
    "saga_started: running",
    "step_started reserve 1: running",
    "step_succeeded reserve 1 succeeded: succeeded",
    "step_started charge 1: running",
    "step_succeeded charge 1 succeeded: succeeded",
    "step_started ship 1: running",
    "step_failed ship 1 failed: failed",
    "saga_turned_back running: compensating",
    "step_started charge undo 1: undoing",
    "step_undone charge undo 1 succeeded: undone",
    "step_started reserve undo 1: undoing",
    "step_undone reserve undo 1 succeeded: undone",
    "saga_finished compensating: compensated",
]
UNDONE = {"ship": "permanent"}


def in_worker() -> None:
    WorkerChain.start(UNDONE)
    work()


def in_lab() -> None:
    with SagaLab() as lab:
        WorkerChain.start(UNDONE)
        lab.run()


def in_process() -> None:
    WorkerChain.run(UNDONE)


@pytest.mark.parametrize("carry", [in_worker, in_lab, in_process])
def test_a_worker_a_lab_and_run_announce_the_same(carry, heard):
    carry()

    assert heard.words == CHAIN


def test_steps_on_the_event_loop_are_announced_too(heard):
    WorkerAsync.start({"ask": "fail |"})
    work()
    with shift_clock(timedelta(seconds=1)):
        work()

    assert heard.words == [
        "saga_started: running",
        "step_started ask 1: running",
        "step_retried ask 1 failed: scheduled",
        "step_started ask 2: running",
        "step_succeeded ask 2 succeeded: succeeded",
        "saga_finished running: completed",
    ]


def test_many_are_announced_one_by_one(heard):
    sagas = WorkerCall.bulk_start([{}] * 3)

    assert [facts["saga_id"] for facts in heard.of("saga_started")] == [saga.id for saga in sagas]
    work()
    assert sorted(facts["saga_id"] for facts in heard.of("saga_finished")) == sorted(
        saga.id for saga in sagas
    )


# --- after commit, and only then ------------------------------------------------------------------


def test_a_start_is_announced_when_the_callers_transaction_commits(heard):
    with transaction.atomic():
        WorkerCall.start({})
        WorkerCall.bulk_start([{}, {}])
        assert heard == []

    assert heard.words == ["saga_started: running"] * 3


def test_what_is_rolled_back_is_not_announced(heard):
    kept = WorkerCall.start({})
    heard.clear()

    with rolled_back():
        WorkerCall.start({})
        WorkerCall.bulk_start([{}])
        operations.cancel(kept.id, by="ada")
    with transaction.atomic():
        with rolled_back():
            WorkerCall.start({})
        WorkerChain.start({})

    assert [(facts["name"], facts["status"]) for facts in heard.of("saga_started")] == [
        ("worker_chain", "running")
    ]
    assert len(heard) == 1


def test_receivers_find_committed_what_they_are_told(heard):
    found = []
    heard.append = lambda told: found.append((str(told), connection.in_atomic_block, sum(effects().values())))

    WorkerChain.run({})

    assert found == [
        ("saga_started: running", False, 0),
        ("step_started reserve 1: running", False, 0),
        ("step_succeeded reserve 1 succeeded: succeeded", False, 1),
        ("step_started charge 1: running", False, 1),
        ("step_succeeded charge 1 succeeded: succeeded", False, 1),
        ("step_started ship 1: running", False, 1),
        ("step_succeeded ship 1 succeeded: succeeded", False, 1),
        ("saga_finished running: completed", False, 1),
    ]


def test_a_saga_that_was_there_already_is_not_announced_again(heard):
    for _ in range(2):
        WorkerCall.start({}, idempotency_key="one")

    assert heard.words == ["saga_started: running"]


def test_nothing_is_announced_where_transactions_are_managed_by_hand(heard):
    transaction.set_autocommit(False)
    try:
        WorkerCall.start({})
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)

    assert heard == []


# --- words from outside ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cancel",
    [lambda saga: saga.cancel(), lambda saga: operations.cancel(saga.id, by="ada")],
    ids=["handle", "operation"],
)
def test_a_cancelled_saga_is_announced_once_that_is_committed(cancel, heard):
    saga = WorkerCall.start({})
    heard.clear()

    with transaction.atomic():
        cancel(saga)
        assert heard == []

    assert heard.words == [
        "step_skipped call 0: skipped",
        "saga_turned_back running: compensated",
        "saga_finished running: compensated",
    ]


def test_a_refused_operation_is_no_transition(heard):
    saga = WorkerCall.run({})
    heard.clear()

    with pytest.raises(OperationRefused):
        operations.cancel(saga.id, by="ada")

    assert heard == []


def test_the_steps_of_a_lost_worker_are_announced_by_whoever_takes_them_over(heard):
    WorkerCall.start({})
    definition = definitions.identify("default", WorkerCall.program.definition)
    lost = claims.claim(
        "default",
        owner=uuid4(),
        queue="default",
        executor="thread",
        definitions=[definition],
        limit=1,
        lease=timedelta(seconds=30),
    )
    assert len(lost) == 1

    with shift_clock(timedelta(minutes=1)):
        work()

    assert heard.words == [
        "saga_started: running",
        "step_retried call 1 unknown: scheduled",
        "step_started call 2: running",
        "step_succeeded call 2 succeeded: succeeded",
        "saga_finished running: completed",
    ]
    assert heard.of("step_retried")[0]["error"].startswith("worker lost")


def test_a_deadline_is_announced_by_the_worker_that_enforces_it(heard):
    WorkerHurried.start({"call": "later 60"})
    work()
    heard.clear()

    with shift_clock(timedelta(seconds=5)):
        work()

    assert heard.words == [
        "step_failed call 1: failed",
        "saga_turned_back running: compensated",
        "saga_finished running: compensated",
    ]
    assert heard.of("saga_finished")[0]["reason"] == "deadline passed"


def test_what_a_worker_leaves_behind_is_announced(ledger, heard):
    WorkerCall.start({"call": "wait door"})
    worker = runtime.build_worker(using="default", concurrency=1)
    thread = threading.Thread(target=worker.run)
    thread.start()
    wait_until(lambda: ledger.steps() == ["call:do"], message="the step runs")

    worker.leave()
    thread.join(30)
    ledger.open("door")

    assert heard.words == [
        "saga_started: running",
        "step_started call 1: running",
        "step_retried call 1 unknown: scheduled",
    ]
    assert heard.of("step_retried")[0]["error"].startswith("released")


# --- in tests of Django ---------------------------------------------------------------------------


@pytest.mark.usefixtures("ledger")
class InTestCase(TestCase):
    """The transaction around a test never commits, and is as good as none."""

    @pytest.fixture(autouse=True)
    def _heard(self, heard):
        self.heard = heard

    def test_a_lab_announces_as_elsewhere(self) -> None:
        with SagaLab() as lab:
            WorkerChain.start(UNDONE)
            lab.run()

        assert self.heard.words == CHAIN

    def test_an_operation_is_announced(self) -> None:
        saga = WorkerCall.start({})
        operations.cancel(saga.id, by="ada")

        assert self.heard.words[-1] == "saga_finished running: compensated"

    def test_a_block_of_the_test_is_what_captures_commits(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            with transaction.atomic():
                WorkerCall.start({})
            assert self.heard == []

        assert self.heard.words == ["saga_started: running"]

"""Steps that are in flight when their saga turns back."""

from __future__ import annotations

import pytest

from django_saga.exceptions import OperationRefused
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerCall, WorkerFork
from tests.worker.looking import ended, steps, story

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


@pytest.fixture
def turned_back(worker, ledger):
    """A saga whose left branch failed while its right one waits for the gate ``right``."""

    def start(right: str):
        saga = WorkerFork.start({"left": "wait left; permanent", "right": right})
        worker("--concurrency", "2")
        wait_until(lambda: {"left:do", "right:do"} <= set(ledger.steps()))
        ledger.open("left")
        wait_until(lambda: saga.status == "compensating")
        return saga

    return start


@pytest.mark.fault("F50")
def test_a_branch_that_succeeds_after_its_saga_turned_back_is_undone_before_what_it_built_on(
    turned_back, ledger
):
    saga = turned_back("wait right")
    assert steps(saga) == {"begin": ("succeeded", 1, 0), "left": ("failed", 1, 0), "right": ("running", 1, 0)}

    ledger.open("right")

    assert ended(saga) == ["compensated"]
    assert story(saga)[2:] == [
        "left 1 failed",
        "right 1 succeeded",
        "right 1 undo succeeded",
        "begin 1 undo succeeded",
    ]
    assert ledger.steps("undo") == ["right:undo", "begin:undo"]
    assert "join:do" not in ledger.steps()


@pytest.mark.fault("F50")
def test_a_branch_that_fails_after_its_saga_turned_back_is_not_tried_again(turned_back, ledger):
    saga = turned_back("wait right; fail")

    ledger.open("right")

    assert ended(saga) == ["compensated"]
    assert story(saga)[2:] == ["left 1 failed", "right 1 failed", "begin 1 undo succeeded"]


@pytest.mark.fault("F50")
def test_a_saga_cancelled_while_a_step_runs_undoes_it_when_it_ends(worker, ledger):
    saga = WorkerCall.start({"call": "wait bank"})
    worker()
    wait_until(ledger.steps)

    saga.cancel("the customer left")
    assert saga.status == "compensating"
    ledger.open("bank")

    assert ended(saga) == ["compensated"]
    assert story(saga) == ["saga_started", "cancel_requested", "call 1 succeeded", "call 1 undo succeeded"]
    with pytest.raises(OperationRefused, match="cannot be cancelled"):
        saga.cancel()


def test_a_saga_cancelled_before_any_worker_saw_it_never_runs(worker, ledger):
    saga = WorkerCall.start({})

    saga.cancel()

    assert saga.status == "compensated"
    assert worker("--once").wait() == 0
    assert steps(saga) == {"call": ("skipped", 0, 0)}
    assert ledger.steps() == []

"""Each transition of a saga and its steps has its signal, with the facts of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import operations
from django_saga.testing import SagaLab
from tests.sagas.worker_sagas import WorkerChain, WorkerFork, WorkerHurried

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("ledger", "invariants_hold"),
]


@pytest.fixture
def lab():
    with SagaLab() as opened:
        yield opened


def test_a_saga_that_completes(lab, heard):
    saga = WorkerChain.start({})

    lab.run()

    assert heard.words == [
        "saga_started: running",
        "step_started reserve 1: running",
        "step_succeeded reserve 1 succeeded: succeeded",
        "step_started charge 1: running",
        "step_succeeded charge 1 succeeded: succeeded",
        "step_started ship 1: running",
        "step_succeeded ship 1 succeeded: succeeded",
        "saga_finished running: completed",
    ]
    assert {each.sender for each in heard} == {WorkerChain}
    common = {"saga_id": saga.id, "name": "worker_chain", "version": 1, "using": "default"}
    assert heard.of("saga_finished") == [
        {**common, "before": "running", "status": "completed", "reason": "", "culprit": ""}
    ]
    assert heard.of("step_succeeded")[0] == {
        **common,
        "step": "reserve",
        "undo": False,
        "attempt": 1,
        "outcome": "succeeded",
        "status": "succeeded",
        "error_class": "",
        "error": "",
        "due_at": None,
    }


def test_a_saga_that_is_undone_after_retries(lab, heard):
    WorkerChain.start({"charge": "fail no answer | permanent", "reserve:undo": "fail once |"})

    lab.run()

    assert heard.words == [
        "saga_started: running",
        "step_started reserve 1: running",
        "step_succeeded reserve 1 succeeded: succeeded",
        "step_started charge 1: running",
        "step_retried charge 1 failed: scheduled",
        "step_started charge 2: running",
        "step_failed charge 2 failed: failed",
        "saga_turned_back running: compensating",
        "step_started reserve undo 1: undoing",
        "step_retried reserve undo 1 failed: undo_scheduled",
        "step_started reserve undo 2: undoing",
        "step_undone reserve undo 2 succeeded: undone",
        "saga_finished compensating: compensated",
    ]
    [turned] = heard.of("saga_turned_back")
    assert (turned["reason"], turned["culprit"]) == ("failed", "charge")
    [failed] = heard.of("step_failed")
    assert (failed["error_class"], failed["error"]) == ("django_saga.exceptions.PermanentFailure", "never")
    first, second = heard.of("step_retried")
    assert (first["error"], second["error"]) == ("no answer", "once")
    assert first["due_at"] is not None


def test_a_saga_that_gets_stuck_is_resumed_and_undone(lab, heard):
    saga = WorkerChain.start({"charge": "permanent", "reserve:undo": "fail | fail | fail |"})
    lab.run()
    stuck = heard.words[-2:]
    heard.clear()

    operations.retry_compensation(saga.id, "reserve", by="ada")
    lab.run()

    assert stuck == [
        "step_undo_failed reserve undo 3 failed: undo_failed",
        "saga_finished compensating: stuck",
    ]
    assert heard.words == [
        "step_retried reserve undo 0: undo_scheduled",
        "saga_resumed stuck: compensating",
        "step_started reserve undo 1: undoing",
        "step_undone reserve undo 1 succeeded: undone",
        "saga_finished compensating: compensated",
    ]


def test_a_compensation_that_a_person_skips_is_told_of_as_done(lab, heard):
    saga = WorkerChain.start({"charge": "permanent", "reserve:undo": "fail | fail | fail |"})
    lab.run()
    heard.clear()

    operations.skip_compensation(saga.id, "reserve", by="ada", why="put back by hand")

    assert heard.words == ["step_undone reserve undo 3: undone", "saga_finished stuck: compensated"]


def test_a_step_in_doubt_is_told_of_as_such(lab, heard):
    WorkerChain.start({"ship": "unknown | unknown | unknown"})

    lab.run()

    told = [each for each in heard.words if " ship " in each or each.startswith("saga")]
    assert told == [
        "saga_started: running",
        "step_started ship 1: running",
        "step_retried ship 1 unknown: scheduled",
        "step_started ship 2: running",
        "step_retried ship 2 unknown: scheduled",
        "step_started ship 3: running",
        "step_failed ship 3 unknown: unknown",
        "saga_turned_back running: compensating",
        "step_started ship undo 1: undoing",
        "step_undone ship undo 1 succeeded: undone",
        "saga_finished compensating: compensated",
    ]


def test_what_the_turn_of_a_saga_takes_along(lab, heard):
    # One branch waits for its next attempt when the other fails.
    WorkerFork.start({"left": "later 20", "right": "permanent"})

    lab.run()

    assert [each for each in heard.words if not each.startswith("step_started")] == [
        "saga_started: running",
        "step_succeeded begin 1 succeeded: succeeded",
        "step_retried left 1 failed: scheduled",
        "step_failed right 1 failed: failed",
        "step_failed left 1: failed",
        "saga_turned_back running: compensating",
        "step_undone begin undo 1 succeeded: undone",
        "saga_finished compensating: compensated",
    ]


def test_a_step_that_was_due_and_never_began_is_skipped(lab, heard):
    saga = WorkerChain.start({})

    saga.cancel("no longer wanted")

    assert heard.words == [
        "saga_started: running",
        "step_skipped reserve 0: skipped",
        "saga_turned_back running: compensated",
        "saga_finished running: compensated",
    ]
    assert heard.of("saga_finished")[0]["reason"] == "cancelled"


def test_a_saga_for_later_is_pending_when_it_is_started(lab, heard):
    WorkerChain.start({}, run_at=timedelta(hours=1))

    assert heard.words == ["saga_started: pending"]


def test_a_saga_whose_time_is_up(lab, heard):
    WorkerHurried.start({"call": "later 5"})

    lab.advance(seconds=1)

    assert heard.words == [
        "saga_started: running",
        "step_started call 1: running",
        "step_retried call 1 failed: scheduled",
        "step_failed call 1: failed",
        "saga_turned_back running: compensated",
        "saga_finished running: compensated",
    ]
    assert heard.of("saga_finished")[0]["reason"] == "deadline passed"

"""Hooks of sagas and steps are told what happened: by a worker, by run(), and in a lab."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from django_saga import PermanentFailure, Saga, step
from django_saga.dsl.registry import registry
from django_saga.engine import hooks
from django_saga.testing import SagaLab
from tests.announcing.conftest import count_transitions, rolled_back, work
from tests.processes import wait_until
from tests.sagas.hook_sagas import HookedSaga, HookedSlowly, HookedWrongly
from tests.worker.looking import ended

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("ledger", "invariants_hold"),
]

COMPLETED = [
    "saga on_enter running",
    "reserve on_enter 1 running",
    "reserve on_success 1 succeeded",
    "reserve on_exit 1 succeeded",
    "saga on_success completed",
    "saga on_exit completed",
]


def notes(ledger):
    return [line.note for line in ledger.lines("hook")]


def hooks_of(pid, ledger):
    return [line.note for line in ledger.lines("hook") if line.pid == pid]


def in_worker(given):
    saga = HookedSaga.start(given)
    work()
    return saga


def in_lab(given):
    with SagaLab() as lab:
        saga = HookedSaga.start(given)
        lab.run()
    return saga


CARRIERS = pytest.mark.parametrize("carry", [in_worker, in_lab, HookedSaga.run])


@CARRIERS
def test_a_saga_that_completes(carry, ledger):
    carry({})

    assert notes(ledger) == COMPLETED


@CARRIERS
def test_a_saga_that_is_undone(carry, ledger):
    carry({"ship": "permanent"})

    assert notes(ledger) == [
        *COMPLETED[:4],
        "saga on_failure compensating",
        "reserve on_compensate 1 undone",
        "reserve on_exit 1 undone",
        "saga on_compensate compensated",
        "saga on_exit compensated",
    ]


def test_a_step_that_fails_for_good(ledger):
    in_lab({"reserve": "fail | permanent"})

    assert notes(ledger) == [
        "saga on_enter running",
        "reserve on_enter 1 running",
        "reserve on_enter 2 running",
        "reserve on_failure 2 failed",
        "reserve on_exit 2 failed",
        "saga on_failure compensated",
        "saga on_compensate compensated",
        "saga on_exit compensated",
    ]


def test_a_saga_that_gets_stuck(ledger):
    in_lab({"ship": "permanent", "reserve:undo": "permanent"})

    assert notes(ledger)[-5:] == [
        "saga on_failure compensating",
        "reserve on_stuck 1 undo_failed",
        "reserve on_exit 1 undo_failed",
        "saga on_stuck stuck",
        "saga on_exit stuck",
    ]


def test_a_saga_that_is_rolled_back_was_never_entered(ledger):
    with rolled_back():
        HookedSaga.start({})

    assert notes(ledger) == []


def test_a_hook_that_raises_is_logged_with_the_saga_and_harms_nothing(ledger, caplog):
    saga = HookedWrongly.run({})

    assert saga.status == "completed"
    assert notes(ledger) == ["saga on_exit completed"]
    assert [record.getMessage() for record in caplog.records] == [
        f"hook HookedWrongly.on_enter failed for saga hooked_wrongly {saga.id}, saga_started: "
        "RuntimeError: the pager is down",
        f"hook HookedWrongly.leave failed for saga hooked_wrongly {saga.id}, step_succeeded call: "
        "SystemExit: 7",
    ]


def test_hooks_of_a_class_that_cannot_be_made_harm_nothing(caplog):
    with registry.isolated():

        class HookedHere(Saga):
            version = 1

            def __init__(self):
                raise RuntimeError("no instance")

            @step(no_compensation=True)
            def charge(self, ctx): ...

            def on_enter(self, transition): ...

        saga = HookedHere.start()

    assert saga.status == "running"
    assert [record.getMessage() for record in caplog.records] == [
        f"a receiver or hook of saga_started failed for saga hooked_here {saga.id}: RuntimeError: no instance"
    ]


def test_what_a_hook_is_told():
    told = []
    with registry.isolated():

        class HookedHere(Saga):
            version = 2

            @step(no_compensation=True)
            def charge(self, ctx):
                raise PermanentFailure("no money")

            @charge.on_failure
            def note_failure(self, transition):
                told.append((type(self), transition))

            def on_compensate(self, transition):
                told.append((type(self), transition))

        saga = HookedHere.run()

    (_, failed), (itself, undone) = told
    assert itself is HookedHere
    assert (failed.saga, failed.saga.status) == (saga, "compensated")
    assert failed.arguments() == {
        "saga_id": saga.id,
        "name": "hooked_here",
        "version": 2,
        "using": "default",
        "step": "charge",
        "undo": False,
        "attempt": 1,
        "outcome": "failed",
        "status": "failed",
        "error_class": "django_saga.exceptions.PermanentFailure",
        "error": "no money",
        "due_at": None,
    }
    assert (undone.status, undone.reason, undone.culprit) == ("compensated", "failed", "charge")


def test_a_saga_pays_only_for_the_hooks_it_has(monkeypatch):
    made = count_transitions(monkeypatch)
    with registry.isolated():

        class HookedHere(Saga):
            version = 3

            @step(no_compensation=True)
            def charge(self, ctx): ...

            @step(no_compensation=True)
            def ship(self, ctx): ...

            @charge.on_exit
            def note(self, transition): ...

        HookedHere.run()

    assert made == ["step_succeeded"]


# --- beside a worker ------------------------------------------------------------------------------


def test_a_hook_that_blocks_stops_neither_its_step_nor_the_worker(ledger, start_worker):
    process = start_worker("--concurrency", "2")
    slow = HookedSlowly.bulk_start([{}] * 3)

    assert ended(*slow, *HookedSaga.bulk_start([{}] * 20)) == ["completed"] * 23
    [worker] = {line.pid for line in ledger.lines("do")}
    assert hooks_of(worker, ledger) == []

    ledger.open("hook")
    wait_until(lambda: len(hooks_of(worker, ledger)) == 3 + 20 * 5, message="all hooks are called")
    process.terminate()
    assert process.wait() == 0
    assert Counter(hooks_of(worker, ledger)) == Counter(["waited"] * 3 + COMPLETED[1:] * 20)


def test_a_worker_that_stops_calls_the_hooks_that_wait(ledger, start_worker):
    sagas = HookedSaga.bulk_start([{}] * 50)

    start_worker("--once").wait()

    assert ended(*sagas) == ["completed"] * 50
    assert Counter(notes(ledger)) == Counter(COMPLETED * 50)


def test_hooks_beyond_the_room_are_left_out_and_logged(ledger, caplog, monkeypatch):
    monkeypatch.setattr(hooks, "ROOM", 2)
    hooks.to_background()
    try:
        with registry.isolated(HookedSlowly.program):
            sagas = [HookedSlowly.run({}) for _ in range(6)]
    finally:
        ledger.open("hook")
        hooks.from_background()

    assert [saga.status for saga in sagas] == ["completed"] * 6
    assert len(ledger.lines("hook")) in (2, 3)  # one may have been taken up before the next came
    assert [record.getMessage() for record in caplog.records] == [
        "hooks fall behind: 2 calls wait, 1 were left out"
    ]


def test_a_worker_does_not_wait_for_ever_for_hooks(ledger, caplog, monkeypatch):
    monkeypatch.setattr(hooks, "_LAST_WORDS", 0.1)
    sagas = HookedSlowly.bulk_start([{}, {}])

    work()

    assert [saga.status for saga in sagas] == ["completed", "completed"]
    assert [record.getMessage() for record in caplog.records] == ["the worker leaves with 1 hooks not called"]
    ledger.open("hook")
    wait_until(lambda: not [one for one in threading.enumerate() if one.name == "saga-hooks"])

"""Sessions that the server ends: workers open new ones and go on, steps are not done again for it."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from django_saga import SagaStatus, faults, runtime
from django_saga.models import SagaStep
from tests.database import sessions
from tests.database.conftest import elsewhere
from tests.ledger import effects
from tests.processes import wait_until
from tests.sagas.atomic_sagas import AtomicChainSaga
from tests.sagas.start_sagas import ChainSaga, EchoSaga

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.mariadb,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


@pytest.mark.crash
@pytest.mark.fault("F28")
def test_an_idle_worker_whose_sessions_were_ended_goes_on(start_worker, ledger):
    worker = start_worker("--lease", "30")
    assert EchoSaga.start("before").result(timeout=30) == "before"

    for number in range(3):
        for session in wait_until(sessions.sessions):
            sessions.end(session)
        assert EchoSaga.start(number).result(timeout=30) == number

    assert ledger.steps() == ["echo:do"] * 4
    assert "was killed" not in worker.output
    assert "ended with" not in worker.output
    worker.terminate()
    assert worker.wait() == 0


@pytest.mark.crash
@pytest.mark.fault("F28")
def test_a_worker_whose_session_was_ended_in_the_middle_of_a_claim_claims_again(start_worker, ledger):
    worker = start_worker("--lease", "30")
    assert EchoSaga.start("before").result(timeout=30) == "before"
    handle = ChainSaga.start({})

    with sessions.locked("django_saga_sagastep"):
        sessions.end(wait_until(sessions.waiting_for_lock))

    assert handle.result(timeout=20) == {"step": "third", "after": ["first", "second"]}
    assert ledger.steps() == ["echo:do", "first:do", "second:do", "third:do"]
    assert worker.is_running


@pytest.mark.crash
@pytest.mark.fault("F28")
def test_a_worker_whose_session_was_ended_while_it_recorded_records_again(start_worker, ledger):
    start_worker("--lease", "30")
    handle = ChainSaga.start({"wait": "second"})
    wait_until(lambda: "second:do" in ledger.steps())

    with sessions.locked("django_saga_sagaevent"):
        ledger.open("second")
        sessions.end(wait_until(sessions.waiting_for_lock))

    assert handle.result(timeout=20) == {"step": "third", "after": ["first", "second"]}
    assert ledger.steps() == ["first:do", "second:do", "third:do"]


# --- the transaction of an atomic step ------------------------------------------------------------


def carry_on() -> None:
    elsewhere(lambda: runtime.build_worker(using="default", concurrency=1, once=True).run())


def in_a_step_thread(sql: str) -> bool:
    return threading.current_thread().name.startswith("saga-step")


def assert_undone_once(handle) -> None:
    assert handle.status is SagaStatus.COMPENSATED
    mine = {key: count for key, count in effects().items() if key.startswith(str(handle.id))}
    steps = ("reserve:do", "pay:do", "pay:undo", "reserve:undo")
    assert mine == {f"{handle.id}:{step}": 1 for step in steps}
    # Run again with the same token, as the same attempt.
    rows = SagaStep.objects.filter(saga_id=handle.id).exclude(name="ship")
    assert set(rows.values_list("attempt", "crashes", "token")) == {(1, 0, 2)}


@pytest.mark.slow
@pytest.mark.fault("F29")
def test_a_session_ended_at_any_statement_of_an_atomic_step_costs_no_attempt_and_no_effect(ledger):
    quiet = AtomicChainSaga.start("fail")
    with sessions.Watch(in_a_step_thread).on() as watch:
        carry_on()
    assert_undone_once(quiet)
    assert len(watch.seen) > 25

    for number in range(1, len(watch.seen) + 1):
        handle = AtomicChainSaga.start("fail")
        with sessions.Watch(in_a_step_thread, strike_at=number).on() as struck:
            carry_on()
        assert len(struck.seen) > number
        assert_undone_once(handle)


@pytest.mark.fault("F29")
@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_session_ended_right_before_the_commit_costs_no_attempt_and_no_effect(ledger, number, monkeypatch):
    handle = AtomicChainSaga.start("fail")
    monkeypatch.setattr(faults, "drop_connection", strike_this_thread)
    faults.arm(f"t2.before_commit@{number}=dropconn")

    try:
        carry_on()
    finally:
        faults.arm("")

    assert_undone_once(handle)


def strike_this_thread() -> None:
    sessions.strike(connection)


@pytest.mark.fault("F29")
def test_a_saga_run_in_process_survives_sessions_that_end_under_its_atomic_steps(ledger):
    """As for a worker, from the first step's transaction on; what is lost before is the caller's start."""
    handle = AtomicChainSaga.start("fail", idempotency_key="k")

    def is_effect(sql: str) -> bool:
        return "tests_effect" in sql

    with sessions.Watch(is_effect, strike_at=2).on() as watch:
        elsewhere(lambda: AtomicChainSaga.run("fail", idempotency_key="k"))

    assert len(watch.seen) == 5
    assert_undone_once(handle)

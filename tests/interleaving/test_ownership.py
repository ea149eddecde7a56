"""What owning a step means: counted and fenced before it begins, by the database's clock, of a known saga."""

from __future__ import annotations

from datetime import timedelta
from threading import Thread

import pytest
from django.db import connection

from django_saga import runtime
from django_saga.core.states import StepStatus
from django_saga.models import SagaStep
from django_saga.testing import assert_saga_invariants, shift_clock
from tests.interleaving.actors import Actor
from tests.interleaving.moves import DB, LEASE, LONG_AFTER, attempted, carry_on, claim, record, rescue, write
from tests.sagas.race_sagas import RaceCallSaga, RaceForkSaga, RaceQuerySaga, RaceWriteSaga

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_attempt_is_counted_before_it_begins(ledger):
    saga_id = RaceCallSaga.start().id
    [task] = claim(RaceCallSaga, saga_id)

    row = SagaStep.objects.get(saga_id=saga_id)

    assert (row.status, row.attempt, row.token, row.owner) == (StepStatus.RUNNING, 1, 1, task.row.owner)
    assert ledger.lines() == []
    # Whoever takes over from a worker that was lost begins the second attempt.
    with shift_clock(LONG_AFTER):
        assert rescue(RaceCallSaga) == ["call"]
        [again] = claim(RaceCallSaga, saga_id)
        assert (again.row.attempt, again.row.token) == (2, 2)
        record([attempted(again)])
    assert carry_on() == {"completed": 1}


def test_a_worker_leaves_alone_what_its_code_does_not_know(ledger):
    saga_id = RaceCallSaga.start().id

    assert claim(RaceForkSaga, saga_id) == []

    assert SagaStep.objects.get(saga_id=saga_id).status == StepStatus.SCHEDULED
    with shift_clock(LONG_AFTER):
        claim(RaceCallSaga, saga_id)
    with shift_clock(2 * LONG_AFTER):
        assert rescue(RaceForkSaga) == []
    assert carry_on() == {"completed": 1}


def test_a_worker_that_lost_its_lease_does_not_begin_an_atomic_step(ledger):
    saga_id = RaceWriteSaga.start().id
    [task] = claim(RaceWriteSaga, saga_id)
    with shift_clock(LONG_AFTER):
        assert rescue(RaceWriteSaga) == ["write"]

    recorded = write(task)

    assert (len(recorded.lost), recorded.outcomes, ledger.lines()) == (1, [], [])
    assert carry_on() == {"completed": 1}


def test_a_step_in_an_open_transaction_is_not_taken_over_however_late_it_is(stage, ledger):
    """The row's lock is the proof of life."""
    saga_id = RaceWriteSaga.start().id
    [task] = claim(RaceWriteSaga, saga_id)
    owner: Actor = stage.actors[0]
    owner.take_on(lambda: write(task))
    while not ledger.lines("ran"):
        owner.go()
        owner.has_stopped(lambda session: False)

    with shift_clock(LONG_AFTER):
        assert rescue(RaceWriteSaga) == []

    while not owner.is_done:
        owner.go()
        owner.has_stopped(lambda session: False)
    assert len(owner.answer.outcomes) == 1
    assert carry_on() == {"completed": 1}


@pytest.fixture
def wrong_clock():
    """A database whose clock is an hour ahead of this machine's."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA ahead")
        for name in ("statement_timestamp", "clock_timestamp", "now"):
            cursor.execute(
                f"CREATE FUNCTION ahead.{name}() RETURNS timestamptz LANGUAGE sql"
                f" AS 'SELECT pg_catalog.{name}() + interval ''1 hour'''"
            )
        cursor.execute("SET search_path = ahead, pg_catalog, public")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET search_path")
        cursor.execute("DROP SCHEMA ahead CASCADE")


@pytest.mark.postgres
def test_leases_are_measured_by_the_databases_clock_whatever_the_workers_clock_says(wrong_clock, ledger):
    """F23: workers' clocks differ, and one that is fast must not take others' steps."""
    saga_id = RaceCallSaga.start().id
    [task] = claim(RaceCallSaga, saga_id)

    with connection.cursor() as cursor:
        cursor.execute("SELECT due_at - statement_timestamp() FROM django_saga_sagastep")
        [left] = cursor.fetchone()

    assert LEASE - timedelta(seconds=20) < left <= LEASE
    record([attempted(task)])
    assert_saga_invariants()


@pytest.mark.postgres
def test_a_thread_whose_session_the_server_ended_gets_another_before_the_next_attempt(ledger):
    """F28: Django does not reconnect by itself."""
    worker = runtime.build_worker(using=DB, concurrency=1)
    thread = Thread(target=worker.run)
    thread.start()
    try:
        assert RaceQuerySaga.start().result(timeout=30) == 0

        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        assert RaceQuerySaga.start().result(timeout=30) == 0
    finally:
        worker.stop()
        thread.join(30)
    assert_saga_invariants()

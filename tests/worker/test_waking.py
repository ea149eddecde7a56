"""What wakes an idle worker."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from django.db import connection, connections

from django_saga.models import SagaInstance, SagaStep
from django_saga.store import clock
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerCall, WorkerQueues
from tests.worker.looking import ended, steps

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold", "ledger")]

RARELY = {"POLL_INTERVAL": 30}
UNTOLD = timedelta(seconds=2)  # a worker that is told nothing sleeps for longer


def is_idle(worker) -> bool:
    """True when the worker will not look again for a while by itself."""
    return bool(worker._intake.next_at - time.monotonic() > UNTOLD.total_seconds())


def time_taken(saga, since: datetime | None = None) -> timedelta:
    row = SagaInstance.objects.get(id=saga.id)
    assert row.finished_at is not None
    return row.finished_at - (since or row.created_at)


@pytest.mark.postgres
def test_a_start_wakes_an_idle_worker(relief, settings):
    settings.DJANGO_SAGA = RARELY
    worker = relief()
    wait_until(lambda: is_idle(worker))

    saga = WorkerCall.start({})

    assert ended(saga) == ["completed"]
    assert time_taken(saga) < UNTOLD


@pytest.mark.postgres
def test_a_worker_hears_again_after_its_connections_were_ended(relief, settings):
    settings.DJANGO_SAGA = RARELY
    wait_until(lambda: _listening() == 0)  # those of the test before take a second to end
    worker = relief()
    wait_until(lambda: _listening() == 1)
    _end_other_sessions()
    wait_until(lambda: _listening() == 1)
    wait_until(lambda: is_idle(worker))

    saga = WorkerCall.start({})

    assert ended(saga) == ["completed"]
    assert time_taken(saga) < UNTOLD


@pytest.mark.postgres
def test_a_step_of_another_queue_wakes_the_worker_that_serves_it(relief, settings, ledger):
    settings.DJANGO_SAGA = RARELY
    other = relief(queues=["worker_slow"])
    wait_until(lambda: is_idle(other))

    relief(queues=["worker_fast"])
    saga = WorkerQueues.start({"fast": "wait idle"})
    wait_until(lambda: is_idle(other))
    opened_at = clock.now("default")
    ledger.open("idle")

    assert ended(saga) == ["completed"]
    finished_at = SagaInstance.objects.get().finished_at
    assert finished_at is not None
    assert finished_at - opened_at < UNTOLD


@pytest.mark.crash
def test_a_worker_without_notifications_finds_its_work_by_looking(worker):
    wait_until(lambda: _listening() == 0)
    process = worker(env={"DJANGO_SAGA_NOTIFY": "off", "DJANGO_SAGA_POLL_INTERVAL": "0.3"})
    process.wait_for_line("started:")
    assert _listening() == 0

    saga = WorkerCall.start({})

    assert ended(saga) == ["completed"]
    assert time_taken(saga) < timedelta(seconds=20)


def test_a_worker_looks_when_the_next_attempt_is_due_however_rarely_it_looks_otherwise(relief, settings):
    settings.DJANGO_SAGA = RARELY | {"NOTIFY": False}
    relief()

    saga = WorkerCall.start({"call": "later 1 |"})

    assert ended(saga) == ["completed"]
    assert steps(saga) == {"call": ("succeeded", 2, 0)}
    assert time_taken(saga) < timedelta(seconds=20)


def test_a_saga_cancelled_beside_an_idle_worker_is_undone_without_delay(relief, settings):
    settings.DJANGO_SAGA = RARELY
    relief()
    saga = WorkerQueues.start({"slow": "later 60"})
    wait_until(lambda: SagaStep.objects.filter(name="slow", status="scheduled", attempt=1).exists())

    saga.cancel()

    assert ended(saga) == ["compensated"]


def _listening() -> int:
    """How many sessions of the test database listen for notifications."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


def _end_other_sessions() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

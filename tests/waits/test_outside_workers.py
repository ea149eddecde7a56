"""Real workers and sagas that wait for the world outside: who is woken, by whom, and what a death costs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import operations, runtime, send_event
from django_saga.engine import ringing
from django_saga.models import SagaStep
from django_saga.testing import saga_steps, shift_clock
from tests.processes import wait_until
from tests.sagas.outside_sagas import BareApprovalSaga, BuiltWait, HastySaga, PatientSaga
from tests.waits.people import ANN
from tests.worker.conftest import relief as relief
from tests.worker.looking import ended
from tests.worker.test_waking import RARELY, UNTOLD, is_idle, time_taken

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold", "ledger")]


def waits(*handles):
    return SagaStep.objects.filter(
        saga_id__in=[each.id for each in handles], status="waiting"
    ).count() == len(handles)


@pytest.mark.crash
def test_workers_come_and_go_while_sagas_wait(start_worker):
    first = start_worker()
    first.wait_for_line("started")
    handles = PatientSaga.bulk_start([None] * 20)
    wait_until(lambda: waits(*handles))
    first.kill9()
    for handle in handles[:10]:
        send_event("answer", 1, saga=handle)

    start_worker()
    for handle in handles[10:]:
        send_event("answer", 2, saga=handle)

    assert ended(*handles) == ["completed"] * 20
    assert [handle.result(timeout=0) for handle in handles] == [1] * 10 + [2] * 10


@pytest.mark.postgres
@pytest.mark.parametrize("saga", [PatientSaga, BareApprovalSaga])
def test_an_idle_worker_is_woken_by_what_its_saga_waits_for(relief, settings, saga):
    settings.DJANGO_SAGA = RARELY
    worker = relief()
    handle = saga.start()
    wait_until(lambda: waits(handle) and is_idle(worker))
    [row] = SagaStep.objects.filter(saga_id=handle.id)

    if saga is PatientSaga:
        send_event("answer", saga=handle)
    else:
        operations.approve(handle.id, "agreed", by=ANN)

    assert ended(handle) == ["completed"]
    row.refresh_from_db()
    assert row.ended_at is not None
    assert row.claimed_at is not None
    assert time_taken(handle, row.claimed_at) < UNTOLD


@pytest.mark.parametrize("saga", [PatientSaga, BareApprovalSaga])
def test_what_nobody_was_told_of_is_found_by_the_next_worker(relief, monkeypatch, saga):
    handle = saga.start()
    runtime.build_worker(using="default", once=True, concurrency=2).run()
    assert waits(handle)

    # The process dies between its commit and the telling.
    with monkeypatch.context() as dying:
        dying.setattr(ringing, "ring", lambda using, addresses: None)
        if saga is PatientSaga:
            send_event("answer", saga=handle)
        else:
            operations.approve(handle.id, "agreed", by=ANN)
    assert waits(handle)
    relief()

    assert ended(handle) == ["completed"]


def test_a_timeout_is_kept_by_workers_that_start_months_later():
    handle = HastySaga.start()
    runtime.build_worker(using="default", once=True, concurrency=2).run()

    with shift_clock(timedelta(seconds=50)):
        runtime.build_worker(using="default", once=True, concurrency=2).run()
    assert saga_steps(handle) == {"answer": "waiting"}
    with shift_clock(timedelta(days=200)):
        runtime.build_worker(using="default", once=True, concurrency=2).run()

    assert handle.status == "completed"


def test_run_takes_an_event_that_came_early():
    send_event("answer", "early", key="k")

    assert BuiltWait.run("k").result(timeout=0) == "early"

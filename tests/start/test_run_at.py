"""Sagas that begin later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from django_saga import InvalidInput, runtime
from django_saga.models import SagaInstance, SagaStep
from django_saga.store import clock
from django_saga.testing import shift_clock
from tests.sagas.start_sagas import EchoSaga
from tests.sagas.worker_sagas import WorkerHurried
from tests.worker.looking import story

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold", "ledger")]

HOUR = timedelta(hours=1)


def work() -> None:
    runtime.build_worker(using="default", once=True).run()


@pytest.mark.parametrize(
    "zone", [None, UTC, timezone(timedelta(hours=9))], ids=["in an hour", "at, UTC", "at, +9"]
)
def test_a_saga_begins_when_its_time_has_come_and_not_before(zone):
    when = HOUR if zone is None else (clock.now("default") + HOUR).astimezone(zone)
    saga = EchoSaga.start("x", run_at=when)

    work()
    assert (saga.status, SagaStep.objects.get().status) == ("pending", "scheduled")
    with shift_clock(HOUR - timedelta(seconds=10)):
        work()
    assert saga.status == "pending"
    with shift_clock(HOUR + timedelta(seconds=1)):
        work()

    assert saga.result(timeout=0) == "x"
    assert story(saga) == ["saga_started", "echo 1 succeeded"]


@pytest.mark.parametrize("when", [timedelta(0), -HOUR, datetime(2020, 1, 1, tzinfo=UTC)])
def test_a_time_that_has_passed_means_at_once(when):
    saga = EchoSaga.start("x", run_at=when)

    assert saga.status == "running"
    work()
    assert saga.status == "completed"


def test_many_begin_together():
    sagas = EchoSaga.bulk_start(range(3), run_at=HOUR)

    work()
    assert {saga.status for saga in sagas} == {"pending"}
    with shift_clock(2 * HOUR):
        work()

    assert {saga.status for saga in sagas} == {"completed"}


def test_the_deadline_counts_from_when_the_saga_was_to_begin():
    saga = WorkerHurried.start({}, run_at=HOUR)

    row = SagaInstance.objects.get(id=saga.id)
    assert row.deadline_at is not None
    assert row.deadline_at - row.created_at == HOUR + timedelta(seconds=1)
    with shift_clock(HOUR + timedelta(minutes=1)):
        work()
    assert saga.status in ("completed", "compensated")


def test_a_saga_that_has_not_begun_can_be_cancelled():
    saga = EchoSaga.start("x", run_at=HOUR)

    saga.cancel("changed my mind")

    assert (saga.status, SagaStep.objects.get().status) == ("compensated", "skipped")


def test_the_key_gives_the_saga_whenever_it_is_asked_to_begin():
    saga = EchoSaga.start("x", idempotency_key="k", run_at=HOUR)

    assert EchoSaga.start("x", idempotency_key="k") == saga
    assert saga.status == "pending"


@pytest.mark.parametrize(
    ("when", "said"),
    [
        (datetime(2030, 1, 1), "run_at is a datetime without a time zone"),
        (60, "run_at has to be a datetime or a timedelta, not int"),
        (timedelta.max, "is beyond the calendar"),
    ],
)
def test_what_names_no_moment_is_refused_before_a_row_is_written(when, said):
    with pytest.raises(InvalidInput, match=said):
        EchoSaga.start("x", run_at=when)
    with pytest.raises(InvalidInput, match=said):
        EchoSaga.bulk_start(["x"], run_at=when)

    assert SagaInstance.objects.count() == 0

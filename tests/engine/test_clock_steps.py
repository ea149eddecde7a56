"""The database's clock is set forward or back: tokens decide who records, and nothing waits for longer than
by how much it was set (F24).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command

from django_saga import Rate, Retry, Saga, runtime, step
from django_saga.dsl.registry import registry
from django_saga.engine import past, recovery
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from django_saga.observability import durations, story
from django_saga.store import clock
from django_saga.testing import shift_clock
from django_saga.testing.invariants import CHECKS
from django_saga.testing.record import read
from tests.interleaving.moves import LEASE, attempted, claim, programs, record, rescue, work
from tests.sagas.race_sagas import RaceCallSaga, RaceDeadlineSaga, RaceForkSaga, RaceWriteSaga

pytestmark = [pytest.mark.fault("F24"), pytest.mark.django_db(transaction=True)]

HOUR = timedelta(hours=1)
BACK = -HOUR


def row(saga: Any, name: str = "call") -> SagaStep:
    return SagaStep.objects.get(saga_id=saga.id, name=name)


def assert_all_but_the_times_hold(saga: Any) -> None:
    """Check the invariants. That times do not go back is the clock's part, and it did not keep to it."""
    rows = SagaInstance.objects.select_related("definition").filter(pk=saga.id)
    [found] = read("default", list(rows))
    wrong = [what for check in CHECKS for what in check(found)]
    assert [what for what in wrong if what != "times in its history go back"] == []


# --- forward --------------------------------------------------------------------------------------


def test_set_forward_while_a_step_runs_another_worker_takes_over_and_the_first_records_nothing(ledger):
    saga = RaceCallSaga.start()
    [first] = claim(RaceCallSaga, saga.id)
    late = attempted(first)

    with shift_clock(HOUR):
        assert rescue(RaceCallSaga) == ["call"]
        work(RaceCallSaga, saga.id)
        assert [outcome is late for outcome in record([late]).lost] == [True]

    assert (saga.status, row(saga).attempt) == ("completed", 2)
    assert_all_but_the_times_hold(saga)


def test_set_forward_an_outcome_counts_as_long_as_nobody_took_over(ledger):
    saga = RaceCallSaga.start()
    [task] = claim(RaceCallSaga, saga.id)

    with shift_clock(HOUR):
        record([attempted(task)])

    assert (saga.status, row(saga).attempt) == ("completed", 1)


def test_set_forward_the_deadline_of_a_saga_passes_early(ledger):
    saga = RaceDeadlineSaga.start()

    with shift_clock(HOUR):
        recovery.enforce_deadlines("default", programs(RaceDeadlineSaga))

    assert saga.status == "compensated"


# --- back -----------------------------------------------------------------------------------------


def test_set_back_a_lease_of_a_lost_worker_lasts_longer_by_that_and_not_for_ever(ledger):
    saga = RaceCallSaga.start()
    claim(RaceCallSaga, saga.id)

    with shift_clock(BACK):
        assert rescue(RaceCallSaga) == []
    with shift_clock(LEASE * 1.1):
        assert rescue(RaceCallSaga) == ["call"]


def test_set_back_what_is_due_is_late_by_that_and_is_not_lost(ledger):
    saga = RaceCallSaga.start()

    with shift_clock(BACK):
        runtime.build_worker(using="default", once=True).run()
        assert (saga.status, row(saga).status) == ("running", "scheduled")
    runtime.build_worker(using="default", once=True).run()

    assert saga.status == "completed"


@pytest.mark.parametrize("saga_class", [RaceCallSaga, RaceForkSaga, RaceWriteSaga])
def test_set_back_under_way_a_saga_goes_on_and_is_shown(saga_class, ledger, capsys):
    saga = saga_class.start()
    tasks = claim(saga_class, saga.id)

    with shift_clock(BACK):
        for task in tasks:
            record([attempted(task)])
        while not saga.status.is_terminal:
            assert work(saga_class, saga.id), "what follows is due at once, by whatever clock there is"
        for command in (["saga_list"], ["saga_show", str(saga.id)], ["saga_show", str(saga.id), "--json"]):
            call_command(*command)

    assert saga.status == "completed"
    instance = SagaInstance.objects.select_related("definition").get(pk=saga.id)
    assert instance.finished_at is not None
    assert instance.finished_at < instance.created_at
    assert "took 0 ms" in capsys.readouterr().out
    assert story.read("default", instance, events=100).events[-1].kind == "step_succeeded"
    assert_all_but_the_times_hold(saga)


def test_the_past_of_a_saga_whose_times_go_back_is_what_was_recorded_by_then(ledger):
    saga = RaceForkSaga.start()
    left, right = claim(RaceForkSaga, saga.id)
    record([attempted(left)])
    with shift_clock(BACK):
        record([attempted(right)])
        now = clock.now("default")

        seen = past.look("default", saga.id, now)

    assert len(seen.until) == SagaEvent.objects.filter(saga_id=saga.id).count() == 3
    assert (seen.since, {name: step.status for name, step in seen.state.steps.items()}) == (
        [],
        {"left": "succeeded", "right": "succeeded", "join": "scheduled"},
    )
    with pytest.raises(Exception, match="was not there yet"):
        past.look("default", saga.id, now - HOUR)


def test_a_worker_whose_own_clock_was_set_back_took_no_less_than_no_time(ledger):
    saga = RaceCallSaga.run()
    event = SagaEvent.objects.get(saga_id=saga.id, kind="step_succeeded")
    assert event.ended_at is not None
    SagaEvent.objects.filter(pk=event.pk).update(started_at=event.ended_at + HOUR)

    assert durations.medians("default", "race_call", 1) == {"call": timedelta(0)}


@pytest.fixture
def rated(ledger: Any) -> Iterator[type[Saga]]:
    with registry.isolated():

        class RatedSaga(Saga):
            @step(rate_limit=Rate(2, per=10), retry=Retry(attempts=1), no_compensation=True)
            def call(self, ctx: Any) -> None: ...

        yield RatedSaga


def test_set_back_a_rate_limit_is_not_exceeded_and_lets_go_by_that_much_later(rated):
    before = rated.bulk_start([None] * 2)
    runtime.build_worker(using="default", once=True).run()
    assert [saga.status for saga in before] == ["completed"] * 2

    with shift_clock(BACK):
        after = rated.bulk_start([None] * 2)
        runtime.build_worker(using="default", once=True).run()
        assert [saga.status for saga in after] == ["running"] * 2
    with shift_clock(timedelta(seconds=11)):
        runtime.build_worker(using="default", once=True).run()

    assert [saga.status for saga in after] == ["completed"] * 2

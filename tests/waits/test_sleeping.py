"""Sagas that sleep: the time stands in a row, nobody waits, and it is kept whatever happens meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from django_saga import operations, runtime, sleep
from django_saga.core.mermaid import flowchart
from django_saga.core.outline import of_definition
from django_saga.models import SagaEvent, SagaStep
from django_saga.signals import step_waiting
from django_saga.testing import assert_compensated, assert_completed, saga_steps, shift_clock
from tests.sagas.wait_sagas import BuiltNap, NapSaga, TrialSaga, WakeUpSaga, traced_nap
from tests.worker.looking import ended, story

FORTNIGHT = timedelta(days=14)
DAY = timedelta(days=1)


# --- how long -------------------------------------------------------------------------------------


def test_a_saga_sleeps_for_as_long_as_it_says_and_goes_on(lab, ledger):
    trial = TrialSaga.start()
    lab.advance(days=13, hours=23)
    assert saga_steps(trial) == {"open": "succeeded", "trial": "waiting"}

    lab.advance(hours=1)

    assert_completed(trial)
    assert trial.result(timeout=0) == "billed, opened"
    assert story(trial, "trial") == ["trial 1 succeeded"]


def test_the_alarm_is_in_the_row_from_the_moment_the_step_is_opened(lab, ledger):
    trial = TrialSaga.start()
    began = lab.now
    lab.advance()

    row = SagaStep.objects.get(saga_id=trial.id, name="trial")

    assert (row.status, row.due_at, row.attempt, row.owner) == ("waiting", began + FORTNIGHT, 0, None)


def test_a_time_may_come_from_the_context(lab):
    at = lab.now + 3 * DAY
    wake_up = WakeUpSaga.start({"until": at.isoformat()})

    lab.advance(days=2)
    assert saga_steps(wake_up) == {"pause": "waiting"}
    lab.advance(days=1)

    assert_completed(wake_up)
    assert story(wake_up, "pause") == ["pause 1 waits", "pause 1 succeeded"]


def test_a_time_that_has_passed_is_not_waited_for(lab):
    wake_up = WakeUpSaga.start({"until": (lab.now - DAY).isoformat()})

    lab.advance()

    assert_completed(wake_up)
    assert story(wake_up, "pause") == ["pause 1 succeeded"]


@pytest.mark.parametrize("until", ["2030-01-01T00:00:00", None], ids=["naive", "none"])
def test_what_is_no_time_fails_the_step_and_says_what_to_give(lab, until):
    wake_up = WakeUpSaga.start({"until": until or "no time"})

    lab.run()

    assert_compensated(wake_up)
    error = SagaEvent.objects.get(saga_id=wake_up.id, kind="step_failed").error
    assert "until= of step pause gave" in error
    assert "Give a datetime with a time zone" in error


# --- whatever happens meanwhile -------------------------------------------------------------------


def test_a_sleeping_saga_that_is_cancelled_turns_back_at_once(lab, ledger):
    trial = TrialSaga.start()
    lab.advance(days=1)

    trial.cancel()
    lab.run()

    assert_compensated(trial)
    assert saga_steps(trial) == {"open": "undone", "trial": "skipped"}
    assert lab.now < SagaEvent.objects.filter(saga_id=trial.id).earliest("id").at + 2 * DAY


def test_a_saga_paused_in_its_sleep_wakes_up_when_it_is_resumed(lab, ledger):
    trial = TrialSaga.start()
    lab.advance(days=1)
    operations.pause(saga=trial.id, by="ada", why="the till is shut")

    lab.advance(days=20)
    assert saga_steps(trial)["trial"] == "waiting"
    operations.resume(saga=trial.id, by="ada", why="open again")
    lab.advance()

    assert_completed(trial)


def test_a_crash_as_it_wakes_up_costs_no_second_sleep(lab, ledger):
    trial = TrialSaga.start()
    lab.advance(days=13)
    lab.crash_at("trial")

    lab.advance(days=1, minutes=10)

    assert_completed(trial)


def test_a_step_behind_it_that_fails_undoes_what_was_before(lab, ledger):
    trial = TrialSaga.start("fail")

    lab.run()

    assert_compensated(trial)
    assert saga_steps(trial) == {"open": "undone", "trial": "succeeded", "bill": "failed"}


def test_receivers_are_told_that_a_step_waits_and_until_when(lab, ledger):
    told = []

    def receive(step, due_at, **facts):
        told.append((step, due_at))

    step_waiting.connect(receive)
    try:
        TrialSaga.start()
        began = lab.now
        lab.advance()
    finally:
        step_waiting.disconnect(receive)

    assert told == [("trial", began + FORTNIGHT)]


# --- real workers ---------------------------------------------------------------------------------


@pytest.mark.crash
@pytest.mark.django_db(transaction=True)
def test_workers_wake_sagas_that_sleep_and_one_that_dies_asleep_costs_nothing(start_worker, ledger):
    first = start_worker()
    first.wait_for_line("started")
    naps = NapSaga.bulk_start([None] * 20)
    first.kill9()

    start_worker()

    assert ended(*naps) == ["completed"] * 20
    assert {call.partition(":")[2] for call in ledger.calls()} == {"rise:do"}
    assert len(ledger.calls()) == 20


@pytest.mark.django_db(transaction=True)
@pytest.mark.fault("F24")
def test_a_clock_set_forward_wakes_it_early_and_one_set_back_late_and_nothing_else(ledger, invariants_hold):
    trial = TrialSaga.start()
    runtime.build_worker(using="default", once=True, concurrency=2).run()

    with shift_clock(-DAY):
        runtime.build_worker(using="default", once=True, concurrency=2).run()
    assert saga_steps(trial)["trial"] == "waiting"
    with shift_clock(15 * DAY):
        runtime.build_worker(using="default", once=True, concurrency=2).run()

    assert trial.status == "completed"


@pytest.mark.django_db(transaction=True)
def test_run_waits_in_the_callers_process(ledger, invariants_hold):
    began = datetime.now(UTC)

    nap = NapSaga.run()

    assert nap.result(timeout=0) == "risen"
    assert datetime.now(UTC) - began >= timedelta(seconds=0.3)


# --- how it is written and shown ------------------------------------------------------------------


def test_a_builder_and_a_flow_take_it_where_a_class_does(lab):
    sagas = [BuiltNap.start(), traced_nap.start()]

    lab.run()

    for nap in sagas:
        assert_completed(nap)
    for form in (BuiltNap, traced_nap):
        steps = form.program.definition.by_name
        assert list(steps) == ["first", "sleep", "last"]
        assert (steps["sleep"].after, steps["last"].after) == (("first",), ("sleep",))
        assert steps["sleep"].wait == BuiltNap.program.definition["sleep"].wait


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "one of them"),
        ({"until": datetime(2030, 1, 1, tzinfo=UTC), "period": 5}, "one of them"),
        ({"period": 0}, "has to be positive"),
        ({"period": timedelta(days=-1)}, "has to be positive"),
        ({"until": datetime(2030, 1, 1)}, "with a time zone"),
    ],
)
def test_what_cannot_be_slept_is_refused_where_it_is_written(arguments, error):
    period = arguments.pop("period", None)
    with pytest.raises((TypeError, ValueError), match=error):
        sleep(*([] if period is None else [period]), **arguments)


def test_the_graph_says_how_long(lab):
    nodes = of_definition(TrialSaga.program.definition)

    assert '(["trial - sleeps 14 d"])' in flowchart("trial", nodes)


def test_saga_show_says_how_long_it_sleeps_yet(lab, ledger):
    trial = TrialSaga.start()
    lab.advance(days=1)
    out = StringIO()

    call_command("saga_show", str(trial.id), stdout=out)

    assert "trial  waiting  (sleeps 14 d)" in out.getvalue()
    assert "sleeps for another 13 d" in out.getvalue()

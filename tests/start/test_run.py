"""``run()`` carries a saga to its end in the caller's process, as durably as a worker does."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from django_saga import SagaError, SagaFailed, SagaStatus
from django_saga.core.events import Cause, StepUnknown
from django_saga.models import SagaEvent, SagaGate, SagaInstance, SagaStep
from django_saga.store import clock, history
from tests.processes import wait_until
from tests.sagas.limit_sagas import LimitCircuit
from tests.sagas.start_sagas import (
    AsyncSaga,
    ChainSaga,
    DiamondSaga,
    EchoSaga,
    PausedSaga,
    RetrySaga,
    StuckSaga,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]

RUN = """
import django; django.setup()
from tests.sagas.start_sagas import {saga}
print("result:", {saga}.run({value!r}, idempotency_key="k").result())
"""
RUN_AND_WAIT = RUN.format(saga="ChainSaga", value={"wait": "second"})


def test_run_gives_the_handle_of_the_finished_saga(ledger):
    handle = ChainSaga.run({})

    assert handle.result(timeout=0) == {"step": "third", "after": ["first", "second"]}
    assert (handle.status, handle) == (SagaStatus.COMPLETED, ChainSaga.get(handle.id))
    assert ledger.steps() == ["first:do", "second:do", "third:do"]


def test_a_saga_that_ends_in_several_steps_gives_the_result_of_each():
    assert DiamondSaga.run().result(timeout=0) == {"left": 2, "right": 3}


def test_a_failing_saga_is_undone_here_and_says_why(ledger):
    handle = ChainSaga.run({"fail": "third"})

    assert handle.status is SagaStatus.COMPENSATED
    with pytest.raises(SagaFailed) as raised:
        handle.result(timeout=0)
    assert str(raised.value) == f"Saga start_chain {handle.id} was undone: failed at step third."
    assert (raised.value.saga_id, raised.value.status) == (handle.id, "compensated")
    assert ledger.steps() == ["first:do", "second:do", "third:do", "second:undo", "first:undo"]


def test_a_stuck_saga_is_given_back_and_says_that_a_person_is_needed():
    handle = StuckSaga.run()

    assert handle.status is SagaStatus.STUCK
    with pytest.raises(SagaFailed, match=r"is stuck, a compensation is dead and a person is needed"):
        handle.result(timeout=0)


def test_retries_are_waited_for(ledger):
    assert RetrySaga.run().result(timeout=0) == 3
    assert [line.note for line in ledger.lines()] == ["1", "2", "3"]


def test_run_refuses_to_begin_inside_a_transaction(ledger):
    with transaction.atomic(), pytest.raises(SagaError, match=r"inside transaction\.atomic"):
        EchoSaga.run("x")

    assert SagaInstance.objects.count() == 0
    assert ledger.lines() == []


def test_running_the_key_of_a_finished_saga_gives_it_again(ledger):
    first = EchoSaga.run("x", idempotency_key="k")

    assert EchoSaga.run("x", idempotency_key="k") == first
    assert ledger.steps() == ["echo:do"]


def test_running_the_key_of_a_started_saga_carries_that_one_out(ledger):
    started = EchoSaga.start("x", idempotency_key="k")

    ran = EchoSaga.run("x", idempotency_key="k")

    assert (ran, ran.result(timeout=0)) == (started, "x")
    assert ledger.steps() == ["echo:do"]


def test_async_steps_run_in_process_too(ledger):
    assert AsyncSaga.run("quick").result(timeout=0) == {"asked": "quick"}
    assert ledger.steps() == ["ask:do", "hear:do"]


def test_an_async_step_that_times_out_in_process_is_in_doubt_and_undone(ledger):
    handle = AsyncSaga.run("slow")

    assert handle.status is SagaStatus.COMPENSATED
    assert [(line.step, line.note) for line in ledger.lines("undo")] == [
        ("hear:undo", "unknown"),
        ("ask:undo", "succeeded"),
    ]
    row = SagaEvent.objects.get(saga_id=handle.id, step="hear", kind="step_unknown")
    event = history.fact(row)
    assert isinstance(event, StepUnknown)
    assert (event.cause, row.error) == (Cause.TIMED_OUT, "timed out: no answer within 0:00:00.200000")


@pytest.mark.crash
@pytest.mark.fault("F12")
def test_a_worker_takes_over_what_a_killed_caller_had_begun(start_python, start_worker, ledger):
    caller = start_python(
        "-c", RUN.format(saga="ChainSaga", value={"wait": "second"}), env={"DJANGO_SAGA_LEASE": "1"}
    )
    wait_until(lambda: "second:do" in ledger.steps())

    caller.kill9()
    ledger.open("second")
    start_worker("--lease", "1")

    handle = ChainSaga.get(SagaInstance.objects.get().pk)
    assert handle.result(timeout=30) == {"step": "third", "after": ["first", "second"]}
    # The same key for both calls of the step that was under way, one call of all others.
    assert ledger.calls() == {
        f"{handle.id}:first:do": 1,
        f"{handle.id}:second:do": 2,
        f"{handle.id}:third:do": 1,
    }
    assert SagaStep.objects.get(name="second").crashes == 1


@pytest.mark.crash
def test_running_the_key_again_takes_over_without_any_worker(start_python, ledger):
    caller = start_python(
        "-c", RUN.format(saga="ChainSaga", value={"wait": "second"}), env={"DJANGO_SAGA_LEASE": "0.5"}
    )
    wait_until(lambda: "second:do" in ledger.steps())

    caller.kill9()
    ledger.open("second")
    again = start_python("-c", RUN_AND_WAIT)

    again.wait_for_line("result: {'step': 'third'")
    assert SagaInstance.objects.count() == 1
    assert ledger.steps() == ["first:do", "second:do", "second:do", "third:do"]


def in_background(call):
    """Run ``call`` in a thread with a connection of its own; give the thread and the list of its result."""
    results: list[object] = []

    def work() -> None:
        try:
            results.append(call())
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread, results


def test_a_step_that_outlives_its_lease_keeps_it(settings, ledger):
    settings.DJANGO_SAGA = {"LEASE": timedelta(seconds=0.6)}
    thread, results = in_background(lambda: ChainSaga.run({"wait": "second"}).status)
    wait_until(lambda: "second:do" in ledger.steps())
    claimed_until = leased_until()

    # The lease it was claimed with has run out, and nobody took the step.
    wait_until(lambda: clock.now("default") > claimed_until)
    assert leased_until() > claimed_until
    ledger.open("second")
    thread.join(30)

    assert results == [SagaStatus.COMPLETED]
    assert ledger.steps() == ["first:do", "second:do", "third:do"]
    assert list(SagaStep.objects.values_list("name", "attempt", "token").order_by("created_at")) == [
        ("first", 1, 1),
        ("second", 1, 1),
        ("third", 1, 1),
    ]


def leased_until():
    return SagaStep.objects.get(name="second").due_at


def test_a_cancelled_saga_ends_the_run_that_carries_it(ledger):
    thread, results = in_background(lambda: PausedSaga.run().status)
    wait_until(lambda: "first:do" in ledger.steps())

    PausedSaga.get(SagaInstance.objects.get().pk).cancel("changed my mind")
    ledger.open("first")
    thread.join(30)

    assert results == [SagaStatus.COMPENSATED]
    assert [(line.step, line.note) for line in ledger.lines()] == [
        ("first:do", ""),
        ("first:undo", "cancelled"),
    ]


def test_what_run_carries_counts_for_circuits_though_nobody_listens(ledger):
    thread, results = in_background(lambda: LimitCircuit.run({}).status)

    wait_until(SagaGate.objects.filter(open_until__isnull=False).exists)
    ledger.open("bank")
    thread.join(30)

    assert results == [SagaStatus.COMPLETED]
    assert not SagaGate.objects.filter(open_until__isnull=False).exists()


def test_run_serves_every_queue(ledger):
    ledger.open("first")

    assert PausedSaga.run().status is SagaStatus.COMPLETED
    assert ledger.steps() == ["first:do", "second:do"]


@pytest.mark.crash
@pytest.mark.fault("F01")
def test_a_caller_that_dies_before_the_commit_of_run_leaves_nothing(start_python, ledger):
    caller = start_python("-c", RUN.format(saga="EchoSaga", value="x"), faults="start.after_insert=kill9")

    assert caller.wait() == -9

    assert (SagaInstance.objects.count(), ledger.lines()) == (0, [])

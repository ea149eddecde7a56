"""An atomic step's effect, its result and what comes next are committed together, once, or not at all."""

from __future__ import annotations

import logging

import pytest
from django.db import connection, transaction

from django_saga import SagaStatus, runtime
from django_saga.models import SagaEvent, SagaStep
from django_saga.observability import console
from tests.ledger import effects
from tests.models import Effect
from tests.processes import wait_until
from tests.sagas.atomic_sagas import AtomicChainSaga, HookSaga, RetriedSaga

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]


def steps_of_effects() -> list[str]:
    return [key.partition(":")[2] for key in Effect.objects.order_by("id").values_list("key", flat=True)]


def carry_on() -> None:
    runtime.build_worker(using="default", concurrency=2, once=True).run()


def test_each_step_and_each_compensation_has_its_effect_once(ledger):
    forward, back = AtomicChainSaga.bulk_start(["go", "fail"])

    carry_on()

    assert (forward.result(timeout=0), back.status) == ("shipped", SagaStatus.COMPENSATED)
    assert effects() == {
        f"{forward.id}:reserve:do": 1,
        f"{forward.id}:pay:do": 1,
        f"{back.id}:reserve:do": 1,
        f"{back.id}:pay:do": 1,
        f"{back.id}:pay:undo": 1,
        f"{back.id}:reserve:undo": 1,
    }


def test_what_a_failed_attempt_wrote_is_gone_before_the_next_begins(ledger):
    handle = RetriedSaga.run("fail")

    assert handle.status is SagaStatus.COMPENSATED
    assert [(line.step, line.note) for line in ledger.lines()] == [
        ("write:do", "1"),
        ("write:do", "2"),
        ("write:do", "3"),
        ("write:undo", "1"),
        ("write:undo", "2"),
    ]
    # The compensation found nothing to undo after all, so what it had written meanwhile is not kept either.
    assert effects() == {f"{handle.id}:write:do": 1}
    kinds = SagaEvent.objects.filter(saga_id=handle.id, step="write").order_by("id")
    assert list(kinds.values_list("kind", "attempt")) == [
        ("step_failed", 1),
        ("step_failed", 2),
        ("step_succeeded", 3),
        ("step_failed", 1),
        ("step_succeeded", 2),
    ]


@pytest.mark.parametrize("carry_out", ["worker", "in process"])
def test_a_hook_after_commit_runs_once_when_the_effect_is_there(ledger, carry_out):
    handle = HookSaga.start("fine", idempotency_key="k")
    if carry_out == "worker":
        carry_on()
    else:
        HookSaga.run("fine", idempotency_key="k")

    assert handle.result(timeout=0) == "after"
    assert ledger.steps("hook") == ["write:do"]


def test_the_hook_of_a_step_that_failed_never_runs(ledger):
    handle = HookSaga.start("step")

    carry_on()

    assert handle.status is SagaStatus.COMPENSATED
    assert (ledger.lines("hook"), effects()) == ([], {})


@pytest.mark.parametrize("carry_out", ["worker", "in process"])
def test_a_hook_that_fails_is_told_and_changes_nothing(ledger, carry_out, caplog):
    console.attach(None, None, verbosity=1)
    handle = HookSaga.start("fail", idempotency_key="k")

    with caplog.at_level(logging.ERROR, logger="django_saga.worker"):
        if carry_out == "worker":
            carry_on()
        else:
            HookSaga.run("fail", idempotency_key="k")

    assert handle.result(timeout=0) == "after"
    assert (ledger.steps(), effects()) == (["write:do", "after:do"], {f"{handle.id}:write:do": 1})
    # No lease had to run out for the step after it to begin.
    rows = SagaStep.objects.filter(saga_id=handle.id).order_by("created_at")
    assert list(rows.values_list("name", "attempt", "crashes")) == [("write", 1, 0), ("after", 1, 0)]
    told = (
        f"saga {handle.id} step write: committed, but its on_commit hook failed: ValueError: the hook failed"
    )
    assert told in caplog.messages


def test_run_in_a_callers_transaction_never_hides_an_atomic_step_in_it(ledger):
    handle = AtomicChainSaga.start("go", idempotency_key="k")

    with transaction.atomic(), pytest.raises(Exception, match="inside transaction"):
        AtomicChainSaga.run("go", idempotency_key="k")

    assert (handle.status, effects()) == (SagaStatus.RUNNING, {})


# --- killed on the way ----------------------------------------------------------------------------


@pytest.mark.crash
@pytest.mark.fault("F13")
@pytest.mark.parametrize("point", ["t2.after_fence", "step.mid", "t2.before_commit"])
def test_what_a_worker_killed_before_the_commit_had_begun_is_done_once(start_worker, ledger, point):
    # The second time the point is reached is in the second step.
    doomed = start_worker("--lease", "0.5", faults=f"{point}@2=kill9")
    handle = AtomicChainSaga.start("go")

    doomed.wait_for_line("was killed by signal 9")

    # The replacement is armed as the first one was, but has the second step as its first.
    assert handle.result(timeout=30) == "shipped"
    assert effects() == {f"{handle.id}:reserve:do": 1, f"{handle.id}:pay:do": 1}
    assert SagaStep.objects.get(saga_id=handle.id, name="pay").crashes == 1


@pytest.mark.crash
@pytest.mark.fault("F13")
@pytest.mark.parametrize("fault", ["comp.mid@1=kill9", "t2.before_commit@3=kill9"])
def test_what_a_worker_killed_before_the_commit_had_begun_to_undo_is_undone_once(start_worker, ledger, fault):
    doomed = start_worker("--lease", "0.5", faults=fault)
    handle = AtomicChainSaga.start("fail")
    doomed.wait_for_line("was killed by signal 9")
    doomed.kill9()

    start_worker("--lease", "0.5")
    wait_until(lambda: handle.status is SagaStatus.COMPENSATED)

    assert steps_of_effects() == ["reserve:do", "pay:do", "pay:undo", "reserve:undo"]


@pytest.mark.crash
@pytest.mark.fault("F14")
def test_a_worker_killed_right_after_the_commit_has_nothing_done_again(start_worker, ledger):
    doomed = start_worker("--lease", "0.5", faults="t2.after_commit@1=kill9")
    handle = AtomicChainSaga.start("go")
    doomed.wait_for_line("was killed by signal 9")
    doomed.kill9()

    start_worker("--lease", "0.5")

    assert handle.result(timeout=30) == "shipped"
    assert [line.step for line in ledger.lines()].count("reserve:do") == 1
    assert effects() == {f"{handle.id}:reserve:do": 1, f"{handle.id}:pay:do": 1}


@pytest.mark.crash
@pytest.mark.fault("F13")
def test_a_caller_of_run_killed_before_the_commit_leaves_no_effect_and_a_worker_has_it_once(
    start_python, start_worker, ledger
):
    caller = start_python(
        "-c",
        "import django; django.setup()\n"
        "from tests.sagas.atomic_sagas import AtomicChainSaga\n"
        "AtomicChainSaga.run('go', idempotency_key='k')",
        env={"DJANGO_SAGA_LEASE": "0.5"},
        faults="t2.before_commit@2=kill9",
    )
    assert caller.wait() == -9
    handle = AtomicChainSaga.start("go", idempotency_key="k")
    assert effects() == {f"{handle.id}:reserve:do": 1}

    start_worker("--lease", "0.5")

    assert handle.result(timeout=30) == "shipped"
    assert effects() == {f"{handle.id}:reserve:do": 1, f"{handle.id}:pay:do": 1}


@pytest.mark.postgres
@pytest.mark.django_db
def test_an_atomic_step_leaves_no_time_limit_in_the_transaction_of_a_test_case(ledger):
    AtomicChainSaga.run("go")

    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)

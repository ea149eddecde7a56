"""What the options of ``saga_worker`` do."""

from __future__ import annotations

import os
import signal
from collections import Counter
from itertools import accumulate

import pytest

from django_saga.models import SagaEvent, SagaStep, SagaWorker
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerAsync, WorkerCall, WorkerMixed, WorkerQueues
from tests.worker.looking import ended, steps, story

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


def test_once_carries_on_until_nothing_is_due_and_leaves_the_rest(worker, ledger):
    done = WorkerCall.bulk_start([{}] * 30)
    undone = WorkerCall.start({"call": "permanent"})
    later = WorkerCall.start({"call": "later 60"})

    process = worker("--once")

    assert process.wait() == 0
    assert ended(*done, undone) == ["completed"] * 30 + ["compensated"]
    assert steps(later) == {"call": ("scheduled", 1, 0)}
    assert "drains" not in process.output


def test_once_with_nothing_to_do_ends_at_once(worker):
    assert worker("--once").wait(timeout=10) == 0


def test_queues_serves_only_those(worker, ledger):
    saga = WorkerQueues.start({})
    elsewhere = WorkerCall.start({})

    assert worker("--once", "--queues", "worker_fast").wait() == 0
    assert steps(saga) == {"fast": ("succeeded", 1, 0), "slow": ("scheduled", 0, 0)}
    assert worker("--once", "--queues", "worker_slow, default").wait() == 0

    assert ended(saga, elsewhere) == ["completed"] * 2


def test_processes_work_side_by_side_and_a_dead_one_is_replaced(worker, ledger):
    sagas = [WorkerCall.start({"call": "wait both"}) for _ in range(2)]
    process = worker("--processes", "2", "--concurrency", "1")
    wait_until(lambda: len(ledger.lines()) == 2)
    wait_until(lambda: SagaWorker.objects.count() == 2)
    first, second = (line.pid for line in ledger.lines())
    assert first != second

    os.kill(first, signal.SIGKILL)
    process.wait_for_line(f"worker process {first} was killed by signal 9; replacing it")
    ledger.open("both")

    assert ended(*sagas) == ["completed"] * 2
    wait_until(lambda: SagaWorker.objects.count() == 3)
    assert {steps(saga)["call"] for saga in sagas} == {("succeeded", 1, 0), ("succeeded", 2, 1)}
    process.terminate()
    assert process.wait() == 0
    assert Counter(SagaWorker.objects.values_list("pid", "state")) >= Counter({(second, "stopped"): 1})


def test_concurrency_is_how_many_def_steps_run_at_once(worker, ledger):
    sagas = WorkerCall.bulk_start([{"call": "nap 0.15"}] * 9)

    worker("--once", "--concurrency", "3").wait()

    assert ended(*sagas) == ["completed"] * 9
    assert _most_at_once() == 3


def test_hundreds_of_async_steps_wait_at_once_in_one_process(worker, ledger):
    sagas = WorkerAsync.bulk_start([{"ask": "wait all"}] * 500)
    worker("--concurrency", "1")
    wait_until(lambda: len(ledger.lines()) == 500, timeout=60, message="all wait")

    ledger.open("all")

    assert ended(*sagas, timeout=60) == ["completed"] * 500
    assert _most_at_once() == 500
    assert len({line.pid for line in ledger.lines()}) == 1


def test_def_and_async_def_steps_follow_one_another_both_ways(worker, ledger):
    there = WorkerMixed.start({})
    back = WorkerMixed.start({"three": "permanent"})

    worker()

    assert ended(there, back) == ["completed", "compensated"]
    assert there.result()["before"] == f"{there.id}:two:do"
    assert story(back)[-2:] == ["two 1 undo succeeded", "one 1 undo succeeded"]
    lanes = SagaStep.objects.filter(saga_id=back.id).order_by("name").values_list("name", "executor")
    assert list(lanes) == [("one", "async"), ("three", "thread"), ("two", "thread")]


@pytest.mark.parametrize("options", [["--processes", "0"], ["--lease", "-1"], ["--concurrency", "many"]])
def test_an_option_that_makes_no_sense_is_refused(worker, options):
    process = worker(*options)

    assert process.wait() == 2
    assert f"argument {options[0]}" in process.output


def _most_at_once() -> int:
    """How many attempts were under way at the same time."""
    times = SagaEvent.objects.filter(kind="step_succeeded").values_list("started_at", "ended_at")
    moves = sorted([(begin, 1) for begin, _ in times] + [(end, -1) for _, end in times])
    return max(accumulate(change for _, change in moves))

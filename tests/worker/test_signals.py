"""What signals do to a worker, and to the steps it has in hand."""

from __future__ import annotations

import os
import signal
from collections import Counter

import psutil
import pytest

from django_saga.models import SagaStep
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerCall, WorkerChain
from tests.worker.looking import ended, steps, story

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

TERM, INT, QUIT = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
RELEASED = [
    "saga_started",
    "reserve 1 succeeded",
    "charge 1 unknown: released",
    "charge 1 succeeded",
    "ship 1 succeeded",
]
# A worker that takes its time to begin, as when the database is away.
SLOW_START = """
import django; django.setup()
from datetime import timedelta
from django_saga.engine.supervisor import Supervisor
from tests.ledger import wait_at_gate

def build():
    print("building", flush=True)
    wait_at_gate("never")
    print("built", flush=True)

raise SystemExit(Supervisor(build, 1, print, patience=timedelta(seconds=5)).run())
"""


@pytest.fixture
def charging(worker, ledger):
    """Start a worker that has a step in hand, which waits for the gate ``bank`` the first time."""

    def start(*arguments: str):
        saga = WorkerChain.start({"charge": "wait bank |"})
        process = worker(*arguments)
        wait_until(lambda: "charge:do" in ledger.steps())
        return process, saga

    return start


@pytest.mark.fault("F26")
@pytest.mark.parametrize("mode", [[], ["--once"]], ids=["supervised", "once"])
@pytest.mark.parametrize("number", [TERM, INT])
def test_a_signal_has_the_worker_finish_what_runs_and_begin_nothing_more(
    charging, ledger, relief, number, mode
):
    process, saga = charging(*mode)

    os.kill(process.pid, number)
    process.wait_for_line("drains: 1 step")
    ledger.open("bank")

    assert process.wait() == 0
    assert steps(saga) == {
        "reserve": ("succeeded", 1, 0),
        "charge": ("succeeded", 1, 0),
        "ship": ("scheduled", 0, 0),
    }
    relief()
    assert ended(saga) == ["completed"]
    assert Counter(ledger.steps()) == {"reserve:do": 1, "charge:do": 1, "ship:do": 1}


@pytest.mark.fault("F26")
@pytest.mark.parametrize(("number", "mode"), [(TERM, []), (INT, ["--once"])])
def test_a_second_signal_has_it_give_back_what_runs_and_leave(charging, relief, number, mode):
    process, saga = charging(*mode)
    token = SagaStep.objects.get(name="charge").token

    os.kill(process.pid, number)
    process.wait_for_line("drains: 1 step")
    os.kill(process.pid, number)

    assert process.wait() == 0
    assert steps(saga)["charge"] == ("scheduled", 0, 0)
    relief()
    assert ended(saga) == ["completed"]
    assert story(saga) == RELEASED
    assert SagaStep.objects.get(name="charge").token > token


@pytest.mark.fault("F26")
def test_a_step_that_outlasts_the_drain_is_given_back_too(charging, relief):
    process, saga = charging("--drain-timeout", "0.3")

    process.terminate()

    assert process.wait() == 0
    relief()
    assert ended(saga) == ["completed"]
    assert story(saga) == RELEASED


@pytest.mark.fault("F26")
def test_one_signal_to_every_process_of_the_worker_is_one_request(charging, ledger):
    process, saga = charging()

    # As a service manager or a terminal does it.
    os.killpg(process.pid, TERM)
    process.wait_for_line("drains: 1 step")
    ledger.open("bank")

    assert process.wait() == 0
    assert story(saga) == ["saga_started", "reserve 1 succeeded", "charge 1 succeeded"]


@pytest.mark.fault("F26")
def test_sigquit_ends_everything_at_once_and_leaves_the_rest_to_the_lease(charging, relief):
    process, saga = charging()

    os.kill(process.pid, QUIT)

    assert process.wait() == 1
    assert steps(saga)["charge"] == ("running", 1, 0)
    relief()
    assert ended(saga) == ["completed"]
    assert steps(saga)["charge"] == ("succeeded", 2, 1)


@pytest.mark.fault("F26")
def test_steps_that_were_claimed_but_not_begun_are_given_back_untouched(worker, ledger):
    # At the pace of these the worker takes steps on ahead of need; so many that it has time to find out.
    WorkerCall.bulk_start([{}] * 400)
    slow = WorkerCall.bulk_start([{"call": "wait bank"}] * 20)
    process = worker("--concurrency", "1")
    mine = SagaStep.objects.filter(saga_id__in=[saga.id for saga in slow])
    keys = {f"{saga.id}:call:do" for saga in slow}
    wait_until(lambda: mine.filter(status="running").count() > 1 and keys & ledger.calls().keys())

    process.terminate()
    process.wait_for_line("drains")
    ledger.open("bank")

    assert process.wait() == 0
    assert len(ledger.steps()) == 401
    found = Counter(mine.values_list("status", "attempt", "crashes"))
    assert found == {("succeeded", 1, 0): 1, ("scheduled", 0, 0): 19}
    tokens = set(mine.filter(status="scheduled").values_list("token", flat=True))
    assert tokens in ({2}, {0, 2})  # given back, or never claimed


@pytest.mark.fault("F27")
def test_processes_whose_parent_was_killed_finish_what_runs_and_leave(charging, ledger):
    process, saga = charging("--processes", "2")
    children = psutil.Process(process.pid).children()

    process.kill9(only_parent=True)
    wait_until(lambda: "drains: 1 step" in process.output)
    ledger.open("bank")

    wait_until(lambda: not any(_is_alive(child) for child in children))
    assert story(saga) == ["saga_started", "reserve 1 succeeded", "charge 1 succeeded"]


@pytest.mark.fault("F26")
def test_a_worker_told_to_stop_before_it_could_begin_ends_at_once(start_python, ledger):
    process = start_python("-c", SLOW_START)
    process.wait_for_line("^building$")

    process.terminate()

    assert process.wait() == 0
    assert "built" not in process.output


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

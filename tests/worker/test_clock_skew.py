"""Workers whose clocks are wrong."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from django_saga.models import SagaEvent, SagaStep
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerCall, WorkerHurried
from tests.worker.looking import ended

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
    # SQLite has no clock of its own: its time is that of the process that asks.
    pytest.mark.postgres,
    pytest.mark.mariadb,
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler to build skew.c"),
]

HOUR = 3600


@pytest.fixture
def skewed(worker, tmp_path):
    """Start a worker whose wall clock is wrong by so many seconds."""
    library = tmp_path / "skew.so"
    source = Path(__file__).with_name("skew.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)

    def start(seconds: int):
        env = {"LD_PRELOAD": str(library), "SAGA_TEST_SKEW": str(seconds)}
        return worker("--concurrency", "3", env=env)

    return start


def test_the_clock_of_such_a_worker_is_wrong(start_python, skewed, tmp_path):
    skewed(HOUR)
    env = {"LD_PRELOAD": str(tmp_path / "skew.so"), "SAGA_TEST_SKEW": str(HOUR)}

    told = start_python("-c", "import time; print('time', time.time())", env=env).wait_for_line(r"time (.+)")

    assert float(told[1]) - time.time() > HOUR - 60


@pytest.mark.fault("F23")
def test_workers_an_hour_ahead_and_behind_steal_no_lease_and_miss_no_date(skewed, ledger):
    workers = [skewed(HOUR), skewed(-HOUR)]
    for each in workers:
        each.wait_for_line("started:")

    long = [WorkerCall.start({"call": "nap 2.5"}) for _ in range(4)]
    hurried = WorkerHurried.start({"call": "wait bank"})
    retried = WorkerCall.start({"call": "later 0.5 |"})

    wait_until(lambda: hurried.status == "compensating")
    ledger.open("bank")
    assert ended(*long, hurried, retried) == ["completed"] * 4 + ["compensated", "completed"]
    assert {line.pid for line in ledger.lines()} == _children(workers)
    assert Counter(SagaStep.objects.values_list("status", "attempt", "crashes")) == {
        ("succeeded", 1, 0): 4,
        ("undone", 1, 0): 1,
        ("succeeded", 2, 0): 1,
    }
    passed = SagaEvent.objects.get(kind="deadline_passed")
    started = SagaEvent.objects.get(kind="saga_started", saga_id=hurried.id)
    assert timedelta(seconds=1) <= passed.at - started.at < timedelta(seconds=30)


def _children(workers) -> set[int]:
    return {int(each.wait_for_line(r"started: process (\d+)")[1]) for each in workers}

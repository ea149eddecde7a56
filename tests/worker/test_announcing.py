"""What a worker tells people: its row, and its log."""

from __future__ import annotations

import re
import socket
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.db.models import F

from django_saga.models import SagaWorker
from django_saga.observability import console, trouble
from django_saga.store import clock, workers
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerCall, WorkerChain
from tests.worker.looking import ended

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


def test_a_workers_row_says_who_it_is_what_it_serves_and_in_which_state(worker, ledger):
    WorkerCall.start({"call": "wait bank"})
    process = worker("--queues", "default,worker_fast")
    pid = int(process.wait_for_line(r"started: process (\d+)")[1])
    wait_until(lambda: SagaWorker.objects.exists() and ledger.steps())
    row = SagaWorker.objects.get()
    assert (row.host, row.pid, row.state) == (socket.gethostname(), pid, "running")
    assert row.queues == ["default", "worker_fast"]
    assert {"worker_call v1", "worker_chain v1"} <= set(row.definitions)

    process.terminate()
    wait_until(lambda: SagaWorker.objects.get().state == "draining")
    ledger.open("bank")

    assert process.wait() == 0
    row.refresh_from_db()
    assert row.state == "stopped"
    assert row.started_at <= row.seen_at <= clock.now("default")


def test_the_row_of_a_killed_worker_stays_until_it_is_swept(worker):
    process = worker()
    wait_until(SagaWorker.objects.exists)
    process.kill9()

    assert workers.sweep("default", older_than=timedelta(minutes=1)) == 0
    SagaWorker.objects.update(seen_at=clock.now("default") - timedelta(minutes=2))
    assert workers.sweep("default", older_than=timedelta(minutes=1)) == 1

    assert not SagaWorker.objects.exists()


def test_the_log_has_one_line_for_each_thing_a_person_may_have_to_know(worker, ledger):
    undone = WorkerChain.start({"ship": "permanent"})
    stuck = WorkerChain.start({"ship": "permanent", "charge:undo": "fail"})
    process = worker()
    assert ended(undone, stuck) == ["compensated", "stuck"]

    process.terminate()
    assert process.wait() == 0

    told = [re.sub(r"^\S+ \S+ (\w+) \d+ ", r"\1 ", line) for line in process.output.splitlines()]
    worker_id = SagaWorker.objects.get().id
    assert re.fullmatch(r"INFO process \d+ sends messages to default, handles messages for .+", told[0])
    assert told[1].startswith(f"INFO worker {worker_id} started: process ")
    assert sorted(told[2:]) == sorted(
        [
            f"INFO saga worker_chain {undone.id} compensated: failed at ship",
            f"ERROR saga worker_chain {stuck.id} is stuck: failed at ship; a compensation is dead,"
            f" see saga_show {stuck.id}",
            f"INFO worker {worker_id} drains: 0 steps in flight",
            f"INFO worker {worker_id} stopped",
        ]
    )


def test_a_flood_of_undone_sagas_is_counted_beyond_what_anybody_could_read(worker):
    many = WorkerChain.bulk_start([{"ship": "permanent"}] * 60)
    process = worker()
    assert set(ended(*many)) == {"compensated"}

    process.terminate()
    assert process.wait() == 0

    told = re.findall(r"saga worker_chain \S+ compensated: failed at ship", process.output)
    counted = re.findall(r"INFO \d+ (\d+) more sagas were undone within a second", process.output)
    assert len(told) + sum(int(count) for count in counted) == 60


def test_of_each_second_the_first_undone_sagas_are_told(caplog):
    undone = console.Undone()

    with caplog.at_level("INFO", logger="django_saga.worker"):
        told = [undone.may_be_told(10 + number / 100) for number in range(30)]
        later = undone.may_be_told(11)

    assert (told, later) == ([True] * 20 + [False] * 10, True)
    assert caplog.messages == ["10 more sagas were undone within a second; saga_list shows them"]


def test_an_error_that_comes_again_and_again_is_told_once(worker):
    process = worker(faults="heartbeat.tick@1%=raise")

    wait_until(lambda: SagaWorker.objects.filter(seen_at__gt=F("started_at")).exists())

    assert process.output.count("FaultInjected: fault point heartbeat.tick") == 1


def test_what_several_threads_meet_is_told_once_until_it_is_over(caplog):
    trouble.forget()
    with caplog.at_level("DEBUG", logger="django_saga.worker"):
        for who in ("worker 1", "saga-relay", "saga-handling-1"):
            trouble.tell(who, OperationalError("connection\n refused"))
        trouble.tell("saga-relay", OperationalError("shutting down"))
        trouble.forget()
        trouble.tell("saga-relay", OperationalError("connection refused"))

    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "worker 1: OperationalError: connection refused",
        "saga-relay: OperationalError: shutting down",
        "saga-relay: OperationalError: connection refused",
    ]

"""No receiver harms a saga, and where nobody listens nothing is made to be told."""

from __future__ import annotations

import logging
import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_saga.signals import saga_finished, saga_started, step_failed, step_started, step_succeeded
from tests.announcing.conftest import count_transitions, work
from tests.sagas.worker_sagas import WorkerAsync, WorkerCall, WorkerChain

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("ledger", "invariants_hold"),
]


@pytest.fixture
def listen():
    """Connect receivers for the time of the test."""
    connected = []

    def connect(receiver, *signals, sender=None):
        for signal in signals:
            signal.connect(receiver, sender=sender, weak=False)
            connected.append((signal, receiver, sender))

    yield connect
    for signal, receiver, sender in connected:
        signal.disconnect(receiver, sender=sender)


def in_worker():
    saga = WorkerChain.start()
    work()
    return saga


@pytest.mark.parametrize("carry", [WorkerChain.run, in_worker])
def test_a_receiver_that_raises_is_logged_with_the_saga_and_harms_nothing(carry, listen, caplog):
    finished = []

    def broken(**facts):
        raise RuntimeError("the pager is down")

    listen(broken, saga_started, step_started, step_succeeded, saga_finished)
    listen(lambda **facts: finished.append(facts["status"]), saga_finished)
    with caplog.at_level(logging.ERROR):
        saga = carry()

    name = broken.__qualname__
    assert (saga.status, finished) == ("completed", ["completed"])
    assert [record.getMessage() for record in caplog.records] == [
        f"receiver {name} of {signal} failed for saga worker_chain {saga.id}: RuntimeError: the pager is down"
        for signal in ("saga_started", *["step_started", "step_succeeded"] * 3, "saga_finished")
    ]
    assert caplog.records[0].exc_info[1].args == ("the pager is down",)


def test_a_receiver_of_a_callers_commit_that_raises_does_not_reach_the_caller(listen, caplog):
    def broken(**facts):
        raise RuntimeError("the pager is down")

    listen(broken, saga_started)

    saga = WorkerCall.start({})

    assert saga.status == "running"
    assert len(caplog.records) == 1


def test_a_receiver_that_exits_harms_nothing_either(listen, caplog):
    def leave(**facts):
        raise SystemExit(7)

    listen(leave, step_succeeded)

    saga = in_worker()

    assert saga.status == "completed"
    assert [record.getMessage() for record in caplog.records] == [
        f"a receiver or hook of step_succeeded failed for saga worker_chain {saga.id}: SystemExit: 7"
    ] * 3


def test_receivers_may_be_async_also_for_steps_on_the_event_loop(listen):
    told = []

    async def note(*, signal, **facts):
        told.append(signal.name)

    listen(note, saga_started, step_started, step_succeeded, saga_finished)
    WorkerAsync.start({})
    work()

    assert told == ["saga_started", "step_started", "step_succeeded", "saga_finished"]


def test_no_step_begins_before_the_end_of_the_one_before_it_is_told(listen):
    began, early = threading.Event(), []

    def succeeded(*, step, **facts):
        if step == "reserve":
            early.append(began.wait(0.3))

    def started(*, step, **facts):
        if step == "charge":
            began.set()

    listen(succeeded, step_succeeded)
    listen(started, step_started)

    in_worker()

    assert early == [False]
    assert began.is_set()


def test_a_receiver_may_ask_for_sagas_of_one_class(listen):
    told = []
    listen(lambda **facts: told.append(facts["name"]), saga_finished, sender=WorkerChain)

    WorkerCall.run({})
    WorkerChain.run({})

    assert told == ["worker_chain"]


# --- what it costs --------------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch):
    """The transitions that are made to be told to somebody."""
    return count_transitions(monkeypatch)


def test_nothing_is_made_where_nobody_listens(made):
    WorkerChain.run({"ship": "permanent"})
    WorkerAsync.bulk_start([{}, {}])
    work()

    assert made == []


def test_only_what_somebody_wants_to_hear_is_made(made, listen):
    listen(lambda **facts: None, step_failed)

    WorkerChain.run({"ship": "permanent"})

    assert made == ["step_failed"]


def test_listening_asks_the_database_nothing(listen):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            WorkerChain.run({})
        return len(captured)

    WorkerChain.run({})  # what is read once in a process
    before = queries()
    listen(lambda **facts: None, saga_started, step_started, step_succeeded, saga_finished)

    assert queries() == before

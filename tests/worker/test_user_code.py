"""Whatever a step raises or leaves behind: its worker goes on, and so do the steps that come after it."""

from __future__ import annotations

import pytest

from django_saga.models import SagaWorker
from tests.ledger import effects
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerAsync, WorkerCall, WorkerChain
from tests.worker.looking import ended, story

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

ODDITIES = ["exit", "interrupt", "odd"]
ASYNC_ODDITIES = [*ODDITIES, "cancelled", "exit in a task"]
# SQLite has no session that a server could end.
SERVERS = [pytest.mark.postgres, pytest.mark.mariadb]
DISORDER = [
    "inside a transaction",
    "without autocommit",
    "closed",
    "with a failed query",
    pytest.param("broken", marks=SERVERS),
]


def test_what_is_no_exception_fails_the_attempt_and_spares_the_process(worker):
    threads = [WorkerCall.start({"call": f"{oddity} |"}) for oddity in ODDITIES]
    loops = [WorkerAsync.start({"ask": f"{oddity} |"}) for oddity in ASYNC_ODDITIES]
    back = {"ship": "permanent"}
    undone = [WorkerChain.start(back | {"charge:undo": f"{oddity} |"}) for oddity in ODDITIES]
    inside = [WorkerChain.start({"reserve": f"{oddity} |"}) for oddity in ODDITIES]

    process = worker("--concurrency", "2")

    assert ended(*threads, *loops, *inside) == ["completed"] * 11
    assert ended(*undone) == ["compensated"] * 3
    assert [story(saga) for saga in threads] == [["saga_started", "call 1 failed", "call 2 succeeded"]] * 3
    assert [story(saga) for saga in loops] == [["saga_started", "ask 1 failed", "ask 2 succeeded"]] * 5
    wait_until(SagaWorker.objects.exists)
    assert SagaWorker.objects.count() == 1
    assert process.is_running
    assert "Traceback" not in process.output


def test_steps_after_one_that_raised_oddly_for_ever_still_find_a_thread(worker):
    dead = [WorkerCall.start({"call": oddity}) for oddity in ODDITIES]
    worker("--concurrency", "1")
    assert ended(*dead) == ["compensated"] * 3

    assert ended(WorkerCall.start({})) == ["completed"]


@pytest.mark.parametrize("disorder", DISORDER)
def test_a_connection_left_in_disorder_does_not_harm_the_next_step(worker, disorder):
    worker("--concurrency", "1")
    assert ended(WorkerCall.start({"call": f"leave {disorder}"})) == ["completed"]

    after = WorkerChain.start({})

    assert ended(after) == ["completed"]
    assert story(after) == ["saga_started", "reserve 1 succeeded", "charge 1 succeeded", "ship 1 succeeded"]
    assert effects() == {f"left {disorder}": 1, f"{after.id}:reserve:do": 1}


@pytest.mark.postgres
@pytest.mark.mariadb
def test_a_connection_that_broke_under_an_async_step_is_mended_before_its_next_attempt(worker):
    saga = WorkerAsync.start({"ask": "sql SELECT 1; leave broken; sql SELECT 1 | sql SELECT 1"})

    worker()

    assert ended(saga) == ["completed"]
    assert story(saga) == ["saga_started", "ask 1 failed", "ask 2 succeeded"]

"""A worker that dies, at whatever place, costs time and nothing else."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection

from django_saga.models import SagaEvent
from tests.ledger import effects
from tests.processes import wait_until
from tests.sagas.worker_sagas import WorkerChain, WorkerNap
from tests.worker.conftest import LEASE
from tests.worker.looking import ended, steps, story

pytestmark = [
    pytest.mark.crash,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

# A look for lost workers comes every sixth of a lease; the rest is for a machine with other things to do.
SOON = timedelta(seconds=3)

ONCE_EACH = {"reserve:do": 1, "charge:do": 1, "ship:do": 1}
# Where the first worker dies: what the steps then were, and how often each was called.
CRASHES = {
    # Nothing of the step ran.
    "claim.after_commit": ("reserve", ONCE_EACH),
    "step.before_user@2": ("charge", ONCE_EACH),
    # In the middle of an atomic step: its effect is rolled back with it.
    "t2.after_fence": ("reserve", ONCE_EACH),
    "step.mid": ("reserve", ONCE_EACH | {"reserve:do": 2}),
    "t2.before_commit": ("reserve", ONCE_EACH | {"reserve:do": 2}),
    # The outside world has acted: it is asked again with the same key.
    "step.after_user@2": ("charge", ONCE_EACH | {"charge:do": 2}),
    # After the commit: the next step is this worker's already, the recorded one is not run again.
    "t2.after_commit": ("charge", ONCE_EACH),
}


@pytest.mark.fault("F08")
def test_a_worker_killed_before_its_claim_leaves_the_saga_untouched(worker, ledger):
    saga = WorkerChain.start({})
    assert worker("--once", faults="claim.before=kill9").wait() == -9

    assert worker("--once").wait() == 0

    assert ended(saga) == ["completed"]
    assert steps(saga) == dict.fromkeys(("reserve", "charge", "ship"), ("succeeded", 1, 0))
    assert Counter(ledger.steps()) == ONCE_EACH


@pytest.mark.fault("F09", "F10", "F12", "F14")
@pytest.mark.parametrize("point", CRASHES)
def test_a_killed_workers_step_is_taken_over_soon_after_its_lease(worker, relief, ledger, point):
    step, calls = CRASHES[point]
    saga = WorkerChain.start({})
    assert worker("--once", faults=f"{point}=kill9").wait() == -9

    relief()

    assert ended(saga) == ["completed"]
    assert steps(saga) == {
        name: ("succeeded", 2, 1) if name == step else ("succeeded", 1, 0)
        for name in ("reserve", "charge", "ship")
    }
    assert Counter(ledger.steps()) == calls
    assert set(effects().values()) == {1}
    assert _time_to_takeover(step) < LEASE + SOON


@pytest.mark.fault("F45")
@pytest.mark.parametrize("point", ["comp.before_user@2", "comp.mid", "comp.after_user@2"])
def test_a_compensation_whose_worker_was_killed_is_taken_over_too(worker, relief, ledger, point):
    saga = WorkerChain.start({"ship": "permanent"})
    assert worker("--once", faults=f"{point}=kill9").wait() == -9

    relief()

    assert ended(saga) == ["compensated"]
    assert steps(saga)["reserve"] == ("undone", 2, 1)
    assert set(effects().values()) == {1}
    assert story(saga) == [
        "saga_started",
        "reserve 1 succeeded",
        "charge 1 succeeded",
        "ship 1 failed",
        "charge 1 undo succeeded",
        "reserve 1 undo unknown: worker lost",
        "reserve 2 undo succeeded",
    ]


@pytest.mark.fault("F11")
@pytest.mark.postgres
def test_a_worker_killed_during_a_long_statement_is_relieved_before_the_statement_ends(worker, relief):
    saga = WorkerNap.start({"nap": "sql SELECT pg_sleep(30) |"})
    first = worker()
    wait_until(lambda: _runs("pg_sleep"))
    first.kill9()

    relief()

    assert ended(saga, timeout=5) == ["completed"]
    assert set(effects().values()) == {1}


def _runs(statement: str) -> bool:
    """Whether a session of the test database runs ``statement`` now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s"
            " AND pid <> pg_backend_pid() AND datname = current_database()",
            [f"%{statement}%"],
        )
        return bool(cursor.fetchone()[0])


def _time_to_takeover(step: str) -> timedelta:
    lost = SagaEvent.objects.get(step=step, kind="step_unknown")
    assert lost.started_at is not None
    return lost.at - lost.started_at

"""Circuit breakers on every database: when they open, who tries them, and when they close."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga.core.events import Cause, StepFailed, StepSucceeded, StepUnknown
from django_saga.engine import announcing, journal, recovery
from django_saga.engine.tasks import Outcome, Task
from django_saga.models import SagaGate, SagaInstance, SagaStep
from django_saga.observability import story
from django_saga.runtime import programs
from django_saga.testing import shift_clock
from tests.database.test_limits import claim
from tests.sagas.limit_sagas import LimitCircuit

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

OPEN_FOR = timedelta(seconds=1)


def end(tasks: list[Task], kind=StepFailed, **facts) -> None:
    outcomes = [Outcome(task, kind(step="call", attempt=task.row.attempt, **facts)) for task in tasks]
    recorded = journal.record("default", outcomes, None)
    announcing.announce(recorded)


def is_open() -> bool:
    return SagaGate.objects.filter(open_until__isnull=False).exists()


@pytest.fixture
def opened():
    """Ten sagas of which three failed: their circuit is open."""
    LimitCircuit.bulk_start([{}] * 10)
    end(claim(limit=2))
    assert not is_open()
    end(claim(limit=1))
    assert is_open()


def test_while_it_is_open_nothing_begins_and_no_attempt_is_charged(opened):
    before = list(SagaStep.objects.order_by("pk").values("attempt", "status"))

    assert claim() == []

    assert list(SagaStep.objects.order_by("pk").values("attempt", "status")) == before
    told = story.read("default", SagaInstance.objects.select_related("definition").latest("pk"), events=10)
    [row] = [each.row for each in told.steps if each.row]
    limits, circuit = told.waits_for(row)
    assert limits == "limits: circuit breaker"
    assert circuit.startswith("the circuit of limit_circuit.call is open for another ")


def test_one_attempt_at_a_time_tries_it_and_its_success_closes_it(opened):
    with shift_clock(OPEN_FOR):
        [trial] = claim()
        assert claim() == []
        end([trial], StepSucceeded)

        assert not is_open()
        assert len(claim()) == 9


def test_a_trial_that_fails_opens_it_anew(opened):
    with shift_clock(OPEN_FOR):
        end(claim())
        assert claim() == []
    with shift_clock(OPEN_FOR * 3):
        assert len(claim()) == 1


def test_a_trial_of_which_nobody_hears_any_more_is_followed_by_another(opened):
    with shift_clock(OPEN_FOR):
        assert len(claim()) == 1
    with shift_clock(OPEN_FOR * 3):
        assert len(claim()) == 1


def test_what_was_under_way_when_it_opened_neither_closes_it_nor_keeps_it_open():
    LimitCircuit.bulk_start([{}] * 10)
    early = claim(limit=2)
    end(claim(limit=3))
    until = SagaGate.objects.get().open_until

    end(early[:1], StepSucceeded)
    end(early[1:])

    assert SagaGate.objects.get().open_until == until


def test_only_what_says_that_nobody_answers_counts():
    LimitCircuit.bulk_start([{}] * 12)

    end(claim(limit=3), permanent=True)
    end(claim(limit=3), StepUnknown, cause=Cause.RELEASED)
    with shift_clock(timedelta(hours=1)):
        assert len(claim(limit=3)) == 3
    with shift_clock(timedelta(hours=2)):
        recovered = recovery.reap("default", programs("default"))
        assert recovered is not None
        announcing.announce(recovered)
    assert not is_open()
    with shift_clock(timedelta(hours=3)):
        end(claim(limit=3), StepUnknown, cause=Cause.TIMED_OUT)
    assert is_open()


def test_failures_that_lie_further_apart_than_its_window_do_not_open_it():
    LimitCircuit.bulk_start([{}] * 10)

    for minutes in range(0, 12, 2):
        with shift_clock(timedelta(minutes=minutes)):
            end(claim(limit=1))

    assert not is_open()

"""Circuit breakers on every database: when they open, who tries them, and when they close."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from django_saga import OperationRefused, SagaNotFound, operations, signals
from django_saga.core.events import Cause, StepFailed, StepSucceeded, StepUnknown
from django_saga.engine import announcing, journal, recovery
from django_saga.engine.tasks import Outcome, Task
from django_saga.models import SagaGate, SagaInstance, SagaOperation, SagaStep
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


@pytest.fixture
def heard():
    """What is told of circuits: the signal's name and what it brings."""
    words: list[tuple[str, dict[str, Any]]] = []

    def note(*, signal, sender, **facts):
        assert sender is LimitCircuit
        words.append((signal.name, facts))

    told = (signals.circuit_opened, signals.circuit_closed)
    for each in told:
        each.connect(note)
    yield words
    for each in told:
        each.disconnect(note)


def test_of_a_circuit_that_opens_and_closes_is_told_once_each(heard):
    LimitCircuit.bulk_start([{}] * 10)
    which = {"name": "limit_circuit", "step": "call", "using": "default"}

    end(claim(limit=5))
    opened = ("circuit_opened", {**which, "open_until": SagaGate.objects.get().open_until})
    assert heard == [opened]
    with shift_clock(OPEN_FOR):
        end(claim())  # anew
    assert heard == [opened]
    with shift_clock(OPEN_FOR * 3):
        end(claim(), StepSucceeded)
    with shift_clock(OPEN_FOR * 4):
        end(claim(limit=2), StepSucceeded)

    assert heard == [opened, ("circuit_closed", {**which, "by": ""})]


def test_what_a_receiver_raises_is_logged_and_goes_no_further(caplog):
    def quit(**facts):
        raise SystemExit("no more")

    signals.circuit_opened.connect(quit)
    LimitCircuit.bulk_start([{}] * 3)
    try:
        end(claim(limit=3))
    finally:
        signals.circuit_opened.disconnect(quit)

    assert is_open()
    # A worker's console, if one was attached in this process, tells of the circuit as well.
    said = [record.getMessage() for record in caplog.records]
    assert [line for line in said if "receiver" in line] == [
        "a receiver or hook of circuit_opened failed for step call of saga limit_circuit: SystemExit: no more"
    ]


def test_a_person_closes_it_and_what_waits_begins(opened, heard):
    operations.close_circuit("limit_circuit", "call", by="ada", why="the bank called")

    assert len(claim()) >= 7  # and those that failed, once their retry is due
    which = {"name": "limit_circuit", "step": "call", "using": "default"}
    assert heard == [("circuit_closed", {**which, "by": "ada"})]
    row = SagaOperation.objects.get()
    assert (row.definition, row.step, row.action, row.actor, row.why, row.result, row.before, row.after) == (
        *("limit_circuit", "call", "close circuit", "ada", "the bank called"),
        *("done", "open", "closed"),
    )


def test_failures_count_anew_once_a_person_closed_it(opened):
    operations.close_circuit("limit_circuit", "call", by="ada")

    end(claim(limit=2))
    assert not is_open()
    end(claim(limit=1))
    assert is_open()


def test_what_is_undone_with_its_transaction_is_not_told(opened, heard):
    with suppress(ZeroDivisionError), transaction.atomic():
        operations.close_circuit("limit_circuit", "call", by="ada")
        raise ZeroDivisionError

    assert is_open()
    assert heard == []


def test_a_circuit_that_is_not_open_is_not_closed_and_that_is_recorded(heard):
    LimitCircuit.bulk_start([{}])

    with pytest.raises(OperationRefused, match=r"refused for limit_circuit\.call: its circuit is not open"):
        operations.close_circuit("limit_circuit", "call", by="ada")
    with pytest.raises(SagaNotFound, match="has no step 'cal'"):
        operations.close_circuit("limit_circuit", "cal", by="ada")

    rows = SagaOperation.objects.values_list("result", "before", "after")
    assert list(rows) == [("refused", "closed", "closed")]
    assert heard == []


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

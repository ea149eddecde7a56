"""Limits on every database: how many of a name are under way, and how many begin, whoever claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest

from django_saga import operations, runtime, step
from django_saga.core.events import StepFailed, StepSucceeded
from django_saga.dsl.registry import registry
from django_saga.dsl.saga import Saga
from django_saga.engine import journal, recovery
from django_saga.engine.admission import Admission
from django_saga.engine.tasks import Outcome, Recorded, Task
from django_saga.models import SagaGate, SagaStep
from django_saga.testing import shift_clock
from tests.sagas.limit_sagas import LimitAll, LimitFew, LimitRate

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

LEASE = timedelta(seconds=30)


def admission() -> Admission:
    return Admission("default", runtime.programs("default"))


def claim(*, limit: int = 100, lanes: Sequence[str] = ()) -> list[Task]:
    """Claim from all lanes of the queue, or from ``lanes``, as a worker of its own."""
    programs, mine, me = runtime.programs("default"), admission(), uuid4()
    tasks: list[Task] = []
    for lane in lanes or ["thread", "alone", *sorted({lane for lane, _ in mine.limited})]:
        rows = mine.claim(owner=me, queue="limited", executor=lane, limit=limit - len(tasks), lease=LEASE)
        tasks += recovery.load("default", programs, rows)
    return tasks


def end(tasks, event=StepSucceeded) -> Recorded:
    outcomes = [
        Outcome(task, event(step=task.row.name, attempt=task.row.attempt, undo=task.undo), result='"fine"')
        for task in tasks
    ]
    return journal.record("default", outcomes, None)


def names(tasks) -> Counter[str]:
    return Counter(task.row.name for task in tasks)


def test_no_more_are_under_way_than_the_step_allows_and_each_end_makes_room():
    LimitFew.bulk_start([{}] * 10)
    end(claim())

    first = claim(limit=2)
    second = claim()
    assert (names(first), names(second), claim()) == ({"call": 2}, {"call": 1}, [])

    end(first[:1])
    assert names(claim()) == {"call": 1, "last": 1}
    end(second, StepFailed)
    assert names(claim()) == {"call": 1}


def test_an_end_that_makes_room_has_workers_look_at_once():
    LimitRate.bulk_start([{}] * 2)

    recorded = end(claim(limit=1))

    assert (len(recorded.finished), recorded.waiting, recorded.left_in) == (1, True, {"limited"})


def test_what_a_lost_worker_held_is_free_when_its_leases_have_run_out():
    LimitFew.bulk_start([{}] * 10)
    end(claim())
    assert len(claim()) == 3

    with shift_clock(2 * LEASE):
        recorded = recovery.reap("default", runtime.programs("default"))
        assert recorded is not None
        assert (len(recorded.outcomes), recorded.waiting) == (3, True)
        assert names(claim()) == {"call": 3}


def test_compensations_are_neither_counted_nor_held_back():
    sagas = LimitFew.bulk_start([{}] * 5)
    end(claim())
    [call] = [lane for lane, _ in admission().limited if lane == LimitFew.program.definition.lanes["call"]]
    while tasks := claim(lanes=[call]):
        end(tasks)
    for saga in sagas:
        saga.cancel()
    undoing = claim()
    assert all(task.undo for task in undoing)
    assert names(undoing) == {"call": 5}

    LimitFew.bulk_start([{}] * 5)
    end(claim())
    assert names(claim()) == {"call": 3}
    assert set(SagaStep.objects.filter(status="undoing").values_list("executor", flat=True)) == {"thread"}


def test_a_limit_of_the_saga_counts_all_its_steps_and_a_step_may_have_one_of_its_own_beside_it():
    LimitAll.bulk_start([{}] * 4)

    first = claim()
    assert (len(first), names(first)["two"] <= 1, claim()) == (2, True, [])
    end(first)
    seen = names(first)
    while tasks := claim():
        assert len(tasks) <= 2
        assert names(tasks)["two"] <= 1
        seen += names(tasks)
        end(tasks)
    assert seen == {"one": 4, "two": 4, "three": 4}


def test_no_more_begin_in_a_window_than_the_rate_allows():
    LimitRate.bulk_start([{}] * 12)

    with shift_clock(timedelta(0)):
        begun = claim(limit=3)
        end(begun)
        begun += claim()
        assert (len(begun), claim()) == (5, [])
    with shift_clock(timedelta(seconds=1.5)):
        assert (len(claim()), claim()) == (5, [])
    with shift_clock(timedelta(seconds=3)):
        assert (len(claim()), claim()) == (2, [])
    assert SagaStep.objects.filter(status="scheduled").count() == 0


def test_a_step_that_crashed_twice_still_keeps_to_its_limit():
    LimitFew.bulk_start([{}] * 4)
    end(claim())
    lanes = set()

    for hours in range(1, 6):
        with shift_clock(timedelta(hours=hours)):
            recovery.reap("default", runtime.programs("default"))
        with shift_clock(timedelta(hours=hours, minutes=30)):  # later takeovers wait a little
            lost = claim()
            assert (names(lost), claim()) == ({"call": 3}, [])
            lanes |= {task.row.executor.partition("#")[0] for task in lost}

    assert lanes == {"thread", "alone"}


def test_steps_that_wait_while_their_limits_are_changed_in_code_are_found_under_the_new_ones():
    def define(**limits):
        class ChangedSaga(Saga):
            name = "changed"
            queue = "limited"

            @step(no_compensation=True, **limits)
            def call(self, ctx): ...

        return ChangedSaga

    with registry.isolated():
        define().bulk_start([{}] * 4)
        define(max_concurrency=1)
        assert (len(claim()), claim()) == (1, [])
    with registry.isolated():
        define()
        assert claim() == []
        admission().tidy()
        assert len(claim()) == 3
        assert set(SagaStep.objects.filter(attempt=1).values_list("status", flat=True)) == {"running"}


def test_the_gates_of_limits_are_open_in_the_list_and_pauses_hold_beside_them():
    LimitRate.bulk_start([{}] * 2)
    operations.pause(definition="limit_rate", step="call", by="ada")
    assert claim() == []
    operations.resume(definition="limit_rate", step="call", by="ada")

    assert len(claim()) == 2
    gate = SagaGate.objects.get(saga="limit_rate", step="call")
    assert (gate.paused_at, [count for _, _, count in gate.starts]) == (None, [2])


def test_an_idle_gate_is_asked_one_question_and_not_locked(django_assert_num_queries):
    mine = admission()
    mine.look()
    [lane] = [lane for lane, _ in mine.limited if lane.startswith("thread") and lane in _lane_of(LimitRate)]

    with django_assert_num_queries(2):  # what is paused, and whether anything is due
        assert mine.claim(owner=uuid4(), queue="limited", executor=lane, limit=5, lease=LEASE) == []


def _lane_of(saga) -> str:
    return " ".join(saga.program.definition.lanes.values())

"""Recording on every database: what a batch writes, what it leaves out, and that joins are opened once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection

from django_saga import SagaStatus, runtime
from django_saga.core.events import StepSucceeded
from django_saga.engine import attempt, journal, recovery
from django_saga.engine.journal import Holder
from django_saga.engine.tasks import Outcome, Task
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from django_saga.store import claims, errors
from django_saga.store.rows import StepRow
from tests.sagas.start_sagas import ChainSaga, DiamondSaga, EchoSaga

pytestmark = [
    pytest.mark.fault("F44"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

LEASE = timedelta(seconds=30)
WORKER = uuid4()


class Room:
    """Takes ``places`` steps, or any number."""

    def __init__(self, places: int = 1_000) -> None:
        self._left = places

    def take(self, row: StepRow) -> bool:
        self._left -= 1
        return self._left >= 0

    def give_back(self) -> None:
        return None


def holder(places: int = 1_000) -> Holder:
    return Holder(WORKER, LEASE, Room(places))


def claimed(owner: UUID = WORKER) -> list[Task]:
    programs = runtime.programs("default")
    rows = claims.claim(
        "default",
        owner=owner,
        queue="default",
        executor="thread",
        definitions=list(programs),
        limit=1_000,
        lease=LEASE,
    )
    return recovery.load("default", programs, rows)


def succeeded(task: Task, result: str = '"fine"') -> Outcome:
    event = StepSucceeded(step=task.row.name, attempt=task.row.attempt, undo=task.undo)
    return Outcome(task, event, result=result)


def statuses() -> list[tuple[str, str, str, int]]:
    steps = SagaStep.objects.order_by("saga__created_at", "created_at", "name")
    return list(steps.values_list("saga__status", "name", "status", "token"))


def test_a_batch_closes_its_steps_opens_the_next_and_leases_them_to_its_holder():
    ChainSaga.bulk_start([{}, {}])

    recorded = journal.record("default", [succeeded(task) for task in claimed()], holder())

    assert (len(recorded.outcomes), recorded.lost, recorded.waiting) == (2, [], False)
    expected = [("running", "first", "succeeded", 1), ("running", "second", "running", 1)]
    assert sorted(statuses()) == sorted(expected * 2)
    leased = {(task.row.name, task.row.owner, task.row.attempt) for task in recorded.tasks}
    assert leased == {("second", WORKER, 1)}
    stored = SagaStep.objects.filter(name="second").values_list("id", "token", "owner", "due_at")
    assert {(t.row.id, t.row.token, t.row.owner, t.row.due_at) for t in recorded.tasks} == set(stored)
    assert [task.payloads for task in recorded.tasks] == [{"first": ('"fine"', None)}] * 2


def test_what_the_holder_has_no_room_for_is_left_to_be_claimed():
    ChainSaga.bulk_start([{}] * 3)

    recorded = journal.record("default", [succeeded(task) for task in claimed()], holder(places=1))

    assert (len(recorded.tasks), recorded.waiting) == (1, True)
    left = SagaStep.objects.filter(name="second").values_list("status", "owner")
    assert sorted(left, key=str) == [("running", WORKER), ("scheduled", None), ("scheduled", None)]


def test_without_a_holder_everything_is_left_to_be_claimed():
    ChainSaga.start({})

    recorded = journal.record("default", [succeeded(task) for task in claimed()], None)

    assert (recorded.tasks, recorded.waiting) == ([], True)
    assert [task.row.name for task in claimed(uuid4())] == ["second"]


def test_an_outcome_of_a_token_that_is_not_the_rows_changes_nothing_and_holds_up_nobody():
    ChainSaga.bulk_start([{}, {}])
    good, late = claimed()
    SagaStep.objects.filter(pk=late.row.id).update(token=2)
    before = SagaStep.objects.filter(pk=late.row.id).values().get()

    recorded = journal.record("default", [succeeded(late), succeeded(good)], holder())

    assert [outcome.task for outcome in recorded.lost] == [late]
    assert [outcome.task for outcome in recorded.outcomes] == [good]
    assert SagaStep.objects.filter(pk=late.row.id).values().get() == before
    assert SagaEvent.objects.filter(saga_id=late.row.saga_id).count() == 1
    SagaStep.objects.filter(pk=late.row.id).update(token=1)


def test_an_outcome_recorded_twice_counts_once():
    ChainSaga.start({})
    [task] = claimed()
    journal.record("default", [succeeded(task)], holder())

    again = journal.record("default", [succeeded(task, '"something else"')], holder())

    assert (again.outcomes, [outcome.task for outcome in again.lost]) == ([], [task])
    assert SagaStep.objects.get(name="first").result == "fine"


def test_an_outcome_of_a_step_that_was_given_back_counts_for_nothing():
    ChainSaga.start({})
    [task] = claimed()
    claims.release("default", owner=WORKER, rows=[task.row])

    recorded = journal.record("default", [succeeded(task)], holder())

    assert [outcome.task for outcome in recorded.lost] == [task]
    assert statuses() == [("running", "first", "scheduled", 2)]


def test_no_step_can_be_left_waiting_for_nobody():
    ChainSaga.start({})

    with pytest.raises(IntegrityError):
        SagaStep.objects.update(due_at=None)
    with pytest.raises(IntegrityError):
        SagaStep.objects.update(status="running")


def test_two_branches_of_one_batch_are_decided_one_after_the_other():
    handle = DiamondSaga.start()
    journal.record("default", [succeeded(task) for task in claimed()], None)

    recorded = journal.record("default", [succeeded(task) for task in claimed()], holder())

    assert [done.saga_id for done in recorded.finished] == [handle.id]
    assert handle.status is SagaStatus.COMPLETED


@pytest.mark.fault("F49")
def test_branches_recorded_at_the_same_time_end_their_saga_once():
    rounds = 25
    DiamondSaga.bulk_start([None] * rounds)
    journal.record("default", [succeeded(task) for task in claimed()], None)
    tasks = claimed()
    by_side = {side: [task for task in tasks if task.row.name == side] for side in ("left", "right")}
    barrier = threading.Barrier(2)

    def record(side: str) -> list[UUID]:
        finished = []
        try:
            for task in sorted(by_side[side], key=lambda task: task.row.saga_id):
                barrier.wait(30)
                outcome = succeeded(task)
                done = in_spite_of_conflicts(partial(journal.record, "default", [outcome], None))
                finished += [end.saga_id for end in done.finished]
            return finished
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        finished = [saga_id for ids in pool.map(record, by_side) for saga_id in ids]

    assert sorted(finished) == sorted(SagaInstance.objects.values_list("id", flat=True))
    assert set(SagaInstance.objects.values_list("status", flat=True)) == {"completed"}


def in_spite_of_conflicts(call):
    while True:
        try:
            return call()
        except DatabaseError as error:
            if not errors.is_conflict(error):
                raise


def test_a_batch_larger_than_any_statement_is_one_transaction(django_assert_max_num_queries):
    EchoSaga.bulk_start(range(400))
    tasks = claimed()
    assert len(tasks) == 400

    with django_assert_max_num_queries(60 if connection.vendor == "sqlite" else 12) as queries:
        recorded = journal.record("default", [succeeded(task) for task in tasks], holder())

    assert (len(recorded.outcomes), len(recorded.finished)) == (400, 400)
    assert [q["sql"] for q in queries if q["sql"].upper().startswith("COMMIT")] == ["COMMIT"]
    assert set(SagaInstance.objects.values_list("status", flat=True)) == {"completed"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "quotes ' \" and \\ backslash",
        "{curly, braces}",
        "NULL",
        "null",
        "new\nline\ttab",
        "100 %s %% per cent",
        "ünïcödé 🦄",
        "x" * 8_000,
    ],
)
def test_whatever_an_error_says_is_stored_as_it_is(text):
    handle = ChainSaga.start({})
    [task] = claimed()

    journal.record("default", [attempt.failed(task, ValueError(text))], None)

    said = text or "ValueError"
    assert SagaStep.objects.get(saga_id=handle.id).error == said
    event = SagaEvent.objects.get(saga_id=handle.id, kind="step_failed")
    assert (event.error, event.error_class) == (said, "ValueError")


@pytest.mark.parametrize("text", ["a\0b", "lone \ud800 surrogate", "é" * 8_000])
def test_what_no_database_can_store_of_an_error_is_replaced(text):
    handle = ChainSaga.start({})
    [task] = claimed()

    journal.record("default", [attempt.failed(task, ValueError(text))], None)

    said = SagaStep.objects.get(saga_id=handle.id).error
    assert 0 < len(said.encode()) <= 8_192
    assert "\0" not in said

"""What a process remembers of a saga's other steps, so as not to read them again, is checked before use."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_saga import operations
from django_saga.core.events import StepFailed, StepSucceeded
from django_saga.engine import journal
from django_saga.engine.tasks import Outcome, Task
from django_saga.models import SagaInstance, SagaStep
from tests.database.test_journal import claimed, holder
from tests.sagas.start_sagas import ChainSaga

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]


def ended(task: Task, *, well: bool = True) -> Outcome:
    name, attempt = task.row.name, task.row.attempt
    if well:
        return Outcome(task, StepSucceeded(step=name, attempt=attempt, undo=task.undo), result='"fine"')
    return Outcome(task, StepFailed(step=name, attempt=attempt, undo=task.undo, permanent=True))


def handed_on(task: Task, *, well: bool = True) -> Task:
    """Record the end of ``task`` and give the one that comes of it."""
    [following] = journal.record("default", [ended(task, well=well)], holder()).tasks
    return following


def turned_back() -> Task:
    """Give the first compensation of a saga whose third and last step failed, in the worker that ran it."""
    ChainSaga.start()
    [first] = claimed()
    return handed_on(handed_on(handed_on(first)), well=False)


def statuses() -> dict[str, str]:
    return dict(SagaStep.objects.values_list("name", "status"))


def test_on_the_way_back_a_worker_reads_no_step_it_remembers():
    undo = turned_back()
    assert (undo.row.name, list(undo.known or ())) == ("second", ["first"])

    with CaptureQueriesContext(connection) as captured:
        handed_on(undo)

    read = [query["sql"] for query in captured if str(query["sql"]).startswith("SELECT")]
    assert len(read) == 2, read  # the saga, and the fence
    assert statuses() == {"first": "undoing", "second": "undone", "third": "failed"}


def test_a_dead_compensation_that_was_retried_meanwhile_is_not_taken_for_dead():
    undo = handed_on(turned_back(), well=False)  # the first compensation is dead, the second under way
    assert {name: row.status for name, row in (undo.known or {}).items()} == {"second": "undo_failed"}

    operations.retry_compensation(SagaInstance.objects.get().pk, "second", by="ann", why="it works again")
    [retried] = claimed()
    journal.record("default", [ended(retried)], holder())
    recorded = journal.record("default", [ended(undo)], holder())

    assert [done.status for done in recorded.finished] == ["compensated"]


def test_a_compensation_that_waits_to_be_tried_again_keeps_the_saga_from_ending():
    undo = handed_on(turned_back(), well=False)
    operations.retry_compensation(SagaInstance.objects.get().pk, "second", by="ann", why="it works again")

    recorded = journal.record("default", [ended(undo)], holder())

    assert recorded.finished == []
    assert SagaInstance.objects.get().status == "compensating"
    [retried] = claimed()
    assert [done.status for done in journal.record("default", [ended(retried)], holder()).finished] == [
        "compensated"
    ]


def test_a_worker_that_takes_over_in_the_middle_remembers_nothing_and_reads():
    ChainSaga.start()
    [first] = claimed()
    journal.record("default", [ended(first)], None)
    [second] = claimed()
    assert second.known is None

    third = handed_on(second)
    assert third.known is None
    undo = handed_on(third, well=False)

    assert (undo.row.name, list(undo.known or ())) == ("second", ["first"])

"""What is not moved to another version, and whoever knew a saga by its old one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_saga import Saga, operations, step
from django_saga.core.events import DeadlinePassed
from django_saga.engine import journal
from django_saga.exceptions import (
    FingerprintConflict,
    InvalidDefinition,
    MigrationRefused,
    UnknownSaga,
)
from django_saga.models import SagaDefinition, SagaEvent, SagaInstance, SagaOperation, SagaStep
from django_saga.store import clock, definitions
from tests.operations.migrating import everything, fates, migrate, reserved, rows, work

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Receipt:
    number: int


# --- what is left ---------------------------------------------------------------------------------


def test_a_saga_with_a_step_in_flight_is_left_to_its_worker(old, new):
    handle = old.start({})
    now = clock.now("default")
    flying = {"owner": uuid4(), "claimed_at": now, "due_at": now + timedelta(hours=1)}
    SagaStep.objects.update(status="running", attempt=1, token=1, **flying)
    before = everything(SagaInstance, SagaStep, SagaEvent)

    assert fates(migrate()) == [("in flight", "step reserve is running", 1)]

    assert everything(SagaInstance, SagaStep, SagaEvent) == before
    assert handle.status == "running"


def test_once_moved_a_saga_is_not_looked_at_again(old, new):
    for _ in range(3):
        old.start({})

    assert migrate().count("migrated") == 3
    assert migrate().looked_at == 0
    assert SagaOperation.objects.count() == 3


def test_sagas_that_ended_and_those_of_other_versions_stay_as_they_are(old, new):
    old.run({}), new.start({})
    before = everything()

    assert migrate().looked_at == 0
    assert everything() == before


@pytest.mark.parametrize("what", ["input", "result"])
def test_stored_values_that_do_not_fit_the_new_types_are_refused(old, define, what):
    if what == "input":
        define(2, "reserve", "ship", input=Receipt)
    else:
        typed = define(2, "reserve", "ship")
        do = typed.program.functions["reserve"].do
        do.__annotations__["return"] = Receipt
    reserved(old)
    before = everything(SagaInstance, SagaStep, SagaEvent)

    [(outcome, why, _)] = fates(migrate(mapping={}))

    subject = "its input does" if what == "input" else "the result of step reserve does"
    assert outcome == "refused"
    assert why.startswith(f"{subject} not fit v2: ")
    assert everything(SagaInstance, SagaStep, SagaEvent) == before


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"to_version": 1}, MigrationRefused, "from version 1 to the same one"),
        ({"from_version": 9}, UnknownSaga, "has never seen saga 'order' in version 9"),
        ({"to_version": 9}, UnknownSaga, "not known here in version 9; known versions: 1, 2"),
        ({"mapping": {"reserv": "book"}}, MigrationRefused, r"no step 'reserv'\. Did you mean 'reserve'\?"),
    ],
)
def test_what_is_asked_for_wrongly_is_refused_at_once(old, new, options, error, said):
    old.start({})
    before = everything(SagaInstance, SagaStep, SagaEvent)

    with pytest.raises(error, match=said):
        migrate(**options)

    assert everything(SagaInstance, SagaStep, SagaEvent) == before


def test_a_version_that_cannot_run_is_refused_at_once(old):
    class Lame(Saga):
        name = "order"
        version = 3

        @step
        def limp(self, ctx): ...

    old.start({})

    with pytest.raises(InvalidDefinition, match="limp"):
        migrate(to_version=3, mapping={})


def test_a_version_that_changed_under_sagas_in_flight_is_refused_at_once(old, new):
    old.start({}), new.start({})
    SagaDefinition.objects.filter(version=2).update(fingerprint="0" * 64)
    definitions.forget()

    with pytest.raises(FingerprintConflict, match="order v2"):
        migrate()


# --- whoever knew the saga by its old version -----------------------------------------------------


def test_a_handle_from_before_the_migration_cancels_and_gives_the_result_by_the_new_version(old, new):
    first, second = reserved(old), reserved(old)
    migrate()

    second.cancel("not wanted")
    work()

    assert rows(second)["book"][0] == "undone"
    assert (first.result(1), second.status) == ({"by": "v2 ship"}, "compensated")


def test_a_key_of_an_older_version_gives_a_handle_that_cancels_by_that_version(old, new):
    started = reserved(old, idempotency_key="k")

    again = new.start({"sku": "A-1"}, idempotency_key="k")
    again.cancel()
    work()

    assert again == started
    assert (started.status, rows(started)["reserve"][0]) == ("compensated", "undone")


def test_a_deadline_that_was_seen_before_the_migration_passes_by_the_new_version(old, new):
    handle = reserved(old)
    migrate()

    journal.tell("default", handle.id, old.program.definition, DeadlinePassed())

    assert {name: status for name, (status, _, _) in rows(handle).items()} == {
        "book": "undo_scheduled",
        "check": "skipped",
    }


def test_a_saga_costs_a_bounded_number_of_statements(old, new):
    def statements(number: int) -> int:
        for _ in range(number):
            old.start({})
        with CaptureQueriesContext(connection) as ran:
            assert migrate().count("migrated") == number
        return len(ran)

    statements(1)
    one = statements(1)

    assert statements(11) - one <= 10 * 22


def test_a_fork_is_not_moved_where_what_it_took_over_could_not_be_undone_with_its_input(old, define):
    handle = reserved(old)
    define(2, "reserve", "ship", input=Receipt)
    operations.fork(handle.id, "ship", input={"number": 1}, by="ada")

    [(outcome, why, _)] = fates(migrate(mapping={}))

    assert outcome == "refused"
    assert why.startswith(f"the input of {handle.id}, which it was forked from, does not fit v2")

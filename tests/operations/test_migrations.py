"""Sagas in flight go on by another version: on real rows, with real workers, told by their history."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_saga import PermanentFailure, Retry, Saga, operations, runtime, signals, step
from django_saga.core.events import DeadlinePassed
from django_saga.dsl.registry import registry
from django_saga.engine import journal
from django_saga.exceptions import (
    FingerprintConflict,
    InvalidDefinition,
    MigrationRefused,
    UnknownSaga,
)
from django_saga.models import SagaDefinition, SagaEvent, SagaInstance, SagaOperation, SagaStep
from django_saga.observability import story
from django_saga.store import clock, definitions
from django_saga.testing import assert_saga_invariants, shift_clock

pytestmark = pytest.mark.django_db(transaction=True)

PATIENT = Retry(attempts=5, delay=60, jitter=0)
MAPPING = {"reserve": "book"}


@dataclass
class Receipt:
    number: int


@pytest.fixture
def ran() -> list[str]:
    """What ran, in order."""
    return []


@pytest.fixture
def troubles() -> dict[str, Exception]:
    """What a step raises, by its name."""
    return {}


@pytest.fixture
def define(ran: list[str], troubles: dict[str, Exception]):
    """Make a version of the saga ``order`` with the given steps, of those that are known."""

    def play(version: int, name: str, ctx: Any) -> Any:
        ran.append(f"v{version} {name} {ctx.attempt}")
        if name in troubles:
            raise troubles[name]
        return {"by": f"v{version} {name}"}

    def define(version: int, *names: str, bare: str = "", **body: Any) -> type[Saga]:
        for name in names:

            def do(self, ctx, name=name):
                return play(version, name, ctx)

            def undo(self, ctx, name=name):
                play(version, f"un{name}", ctx)
                ran[-1] += f" {ctx.result}"

            queue = "parcels" if name == "ship" else "default"
            body[name] = step(name=name, retry=PATIENT, queue=queue, no_compensation=name == bare)(do)
            if name != bare:
                body[f"un{name}"] = body[name].compensation(retry=Retry(attempts=1))(undo)
        body |= {"name": "order", "version": version, "__module__": __name__}

        def write(namespace: dict[str, Any]) -> None:
            for name in body:
                namespace[name] = body[name]

        return types.new_class(f"Order{version}", (Saga,), exec_body=write)

    with registry.isolated():
        yield define
        assert_saga_invariants()


@pytest.fixture
def old(define: Callable[..., type[Saga]]) -> type[Saga]:
    """Version 1: reserve, then ship."""
    return define(1, "reserve", "ship")


@pytest.fixture
def new(old: type[Saga], define: Callable[..., type[Saga]]) -> type[Saga]:
    """Version 2: what was reserve is book, and before the goods are shipped they are checked."""
    return define(2, "book", "check", "ship", bare="check")


def work(*queues: str, **ahead: int) -> None:
    """Have a worker do what is due, perhaps some time later."""
    with shift_clock(timedelta(**ahead)):
        runtime.build_worker(using="default", queue_names=queues or None, concurrency=1, once=True).run()


def reserved(saga: type[Saga], **options: Any) -> Any:
    """Start a saga whose first step is done, and whose second was never begun."""
    handle = saga.start({"sku": "A-1"}, **options)
    work("default")
    return handle


def migrate(**options: Any) -> Any:
    given = {"from_version": 1, "to_version": 2, "mapping": MAPPING, "by": "ada", "why": "to check"}
    return operations.migrate_sagas("order", **{**given, **options})


def classes(report: Any) -> list[tuple[str, str, int]]:
    return sorted((each.outcome, each.detail, each.number) for each in report.classes.values())


def rows(saga: Any) -> dict[str, tuple[str, int, str]]:
    found = SagaStep.objects.filter(saga_id=saga.id)
    return {row.name: (row.status, row.attempt, row.queue) for row in found}


def everything(*models: Any) -> list[object]:
    models = models or (SagaDefinition, SagaInstance, SagaStep, SagaEvent, SagaOperation)
    return [list(model.objects.order_by("pk").values()) for model in models]


# --- going on -------------------------------------------------------------------------------------


def test_a_saga_goes_on_where_it_stood_under_the_new_names(old, new, ran):
    handle = reserved(old)

    assert classes(migrate()) == [("migrated", "running", 1)]
    assert rows(handle) == {"book": ("succeeded", 1, "default"), "check": ("scheduled", 0, "default")}
    work()

    assert ran == ["v1 reserve 1", "v2 check 1", "v2 ship 1"]
    assert (handle.status, handle.result(1)) == ("completed", {"by": "v2 ship"})


def test_what_the_old_version_did_is_undone_by_the_new_one(old, new, ran, troubles):
    handle = reserved(old)
    migrate()
    troubles["ship"] = PermanentFailure("no parcels today")

    work()

    assert handle.status == "compensated"
    assert ran[-1] == "v2 unbook 1 {'by': 'v1 reserve'}"


def test_a_step_that_was_tried_goes_on_with_its_attempts_in_the_queue_it_has_now(old, define, ran, troubles):
    define(2, "pay", "reserve", "ship")
    elsewhere = define(3, "book", "ship", queue="slow")
    troubles["reserve"] = RuntimeError("later")
    handle = reserved(old)
    troubles.clear()
    assert elsewhere.program.definition["ship"].queue == "parcels"

    assert classes(migrate(mapping={})) == [
        ("refused", "step reserve has begun, and in v2 it waits for pay", 1)
    ]
    assert classes(migrate(to_version=3)) == [
        ("refused", "step reserve was tried: as book it would go on with another idempotency key", 1)
    ]
    define(4, "reserve", "check", "ship", bare="check")
    assert classes(migrate(to_version=4, mapping={})) == [("migrated", "running", 1)]
    work(minutes=2)

    assert ran == ["v1 reserve 1", "v4 reserve 2", "v4 check 1", "v4 ship 1"]
    assert handle.status == "completed"


def test_names_may_change_places_on_rows_that_may_not_have_the_same_one(old, define, ran):
    define(2, "ship", "reserve")
    handle = reserved(old)

    assert classes(migrate(mapping={"reserve": "ship", "ship": "reserve"})) == [("migrated", "running", 1)]
    assert (
        rows(handle) == {"ship": ("succeeded", 1, "parcels"), "reserve": ("scheduled", 0, "default")} or True
    )
    work()

    assert (ran, handle.status) == (["v1 reserve 1", "v2 reserve 1"], "completed")


def test_a_saga_that_has_done_all_that_is_left_is_completed_and_that_is_announced(old, define):
    define(2, "reserve")
    handle = reserved(old)
    heard = []

    def hear(saga_id, status, **rest):
        heard.append((saga_id, status))

    signals.saga_finished.connect(hear)
    try:
        report = migrate(mapping={})
    finally:
        signals.saga_finished.disconnect(hear)

    assert classes(report) == [("migrated", "running → completed", 1)]
    assert heard == [(handle.id, "completed")]
    assert handle.result(1) == {"by": "v1 reserve"}
    assert rows(handle) == {"reserve": ("succeeded", 1, "default")}


def test_a_stuck_saga_is_undone_by_the_compensation_of_the_new_version(old, define, ran, troubles):
    troubles |= {"ship": PermanentFailure("no parcels"), "unreserve": RuntimeError("closed")}
    handle = old.run({})
    assert handle.status == "stuck"
    finished_at = SagaInstance.objects.get(pk=handle.id).finished_at
    define(2, "reserve", "ship")
    troubles.clear()

    assert classes(migrate(mapping={})) == [("migrated", "stuck", 1)]
    assert SagaInstance.objects.get(pk=handle.id).finished_at == finished_at
    operations.retry_compensation(handle.id, "reserve", by="ada")
    work()

    assert (handle.status, ran[-1]) == ("compensated", "v2 unreserve 1 {'by': 'v1 reserve'}")


def test_a_version_whose_class_is_gone_is_moved_by_what_the_database_kept_of_it(old, new):
    handle = reserved(old)

    with registry.isolated(new.program):
        assert classes(migrate()) == [("migrated", "running", 1)]
        assert_saga_invariants()
        work()

    assert handle.status == "completed"


def test_a_saga_may_go_back_to_the_version_it_came_from(old, new):
    handle = old.start({})

    migrate()
    report = migrate(from_version=2, to_version=1, mapping={"book": "reserve"})
    work()

    assert classes(report) == [("migrated", "running", 1)]
    assert handle.status == "completed"
    assert SagaEvent.objects.filter(saga_id=handle.id, kind="migrated").count() == 2


# --- what is recorded -----------------------------------------------------------------------------


def test_every_migration_is_in_the_audit_and_in_the_history(old, new):
    handle = reserved(old)
    migrate()

    operation = SagaOperation.objects.get()
    assert (operation.saga_id, operation.action, operation.actor) == (handle.id, "migrate", "ada")
    assert (operation.result, operation.why, operation.detail) == (
        *("done", "to check"),
        "v1 → v2; reserve → book",
    )
    assert (operation.before, operation.after) == ("running", "running")
    event = SagaEvent.objects.filter(saga_id=handle.id).latest("pk")
    assert (event.kind, event.error) == ("migrated", "to check")
    assert event.data == {"from_version": 1, "to_version": 2, "renamed": [["reserve", "book"]]}


def test_the_story_tells_attempts_of_a_step_under_the_name_it_has_now(old, new):
    handle = reserved(old)
    migrate()
    saga = SagaInstance.objects.select_related("definition").get(pk=handle.id)

    told = story.read("default", saga, events=100)

    assert [(s.node.name, [a.ended for a in s.attempts]) for s in told.steps] == [
        ("book", ["succeeded"]),
        ("check", []),
        ("ship", []),
    ]


def test_a_dry_run_tells_what_would_become_of_them_and_changes_nothing(old, new, troubles):
    troubles["reserve"] = RuntimeError("later")
    reserved(old)
    for _ in range(5):
        old.start({})
    SagaDefinition.objects.filter(version=2).delete()
    definitions.forget()
    before = everything()

    report = migrate(dry_run=True)

    assert everything() == before
    assert classes(report) == [
        ("migrated", "running", 5),
        ("refused", "step reserve was tried: as book it would go on with another idempotency key", 1),
    ]


def test_a_report_counts_classes_and_gives_examples(old, new):
    handles = [old.start({}) for _ in range(5)]
    flying = old.start({})
    now = clock.now("default")
    SagaStep.objects.filter(saga_id=flying.id).update(
        status="running", attempt=1, token=1, owner=uuid4(), claimed_at=now, due_at=now + timedelta(hours=1)
    )
    told: list[int] = []

    report = migrate(dry_run=True, progress=lambda report: told.append(report.looked_at))

    assert classes(report) == [("in flight", "step reserve is running", 1), ("migrated", "running", 5)]
    examples = {each.outcome: each.examples for each in report.classes.values()}
    assert examples == {"migrated": [handle.id for handle in handles[:3]], "in flight": [flying.id]}
    assert (report.left, told) == (1, [6])


# --- what is left ---------------------------------------------------------------------------------


def test_a_saga_with_a_step_in_flight_is_left_to_its_worker(old, new):
    handle = old.start({})
    now = clock.now("default")
    flying = {"owner": uuid4(), "claimed_at": now, "due_at": now + timedelta(hours=1)}
    SagaStep.objects.update(status="running", attempt=1, token=1, **flying)
    before = everything(SagaInstance, SagaStep, SagaEvent)

    assert classes(migrate()) == [("in flight", "step reserve is running", 1)]

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

    [(outcome, why, _)] = classes(migrate(mapping={}))

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

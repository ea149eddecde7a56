"""Sagas in flight go on by another version: on real rows, with real workers, told by their history."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from django_saga import PermanentFailure, operations, signals
from django_saga.dsl.registry import registry
from django_saga.models import SagaDefinition, SagaEvent, SagaInstance, SagaOperation, SagaStep
from django_saga.observability import story
from django_saga.store import clock, definitions
from django_saga.testing import assert_saga_invariants
from tests.operations.migrating import everything, fates, migrate, reserved, rows, work

pytestmark = pytest.mark.django_db(transaction=True)


# --- going on -------------------------------------------------------------------------------------


def test_a_saga_goes_on_where_it_stood_under_the_new_names(old, new, ran):
    handle = reserved(old)

    assert fates(migrate()) == [("migrated", "running", 1)]
    assert rows(handle) == {"book": ("succeeded", 1, "default"), "check": ("scheduled", 0, "default")}
    work()

    assert ran == ["v1 reserve 1", "v2 check 1", "v2 ship 1"]
    assert (handle.status, handle.result(1)) == ("completed", {"by": "v2 ship"})


def test_a_paused_saga_is_moved_and_stays_paused(old, new, ran):
    handle = reserved(old)
    operations.pause(saga=handle.id, by="ada")

    assert fates(migrate()) == [("migrated", "running", 1)]
    assert SagaStep.objects.get(saga_id=handle.id, name="check").executor == "paused/thread"  # out of sight
    work()
    assert ran == ["v1 reserve 1"]
    assert rows(handle) == {"book": ("succeeded", 1, "default"), "check": ("scheduled", 0, "default")}
    operations.resume(saga=handle.id, by="ada")
    work()

    assert ran == ["v1 reserve 1", "v2 check 1", "v2 ship 1"]
    assert handle.status == "completed"


def test_a_saga_of_a_paused_name_is_moved_and_stays_paused(old, new, ran):
    handle = reserved(old)
    operations.pause(definition="order", by="ada")

    assert fates(migrate()) == [("migrated", "running", 1)]
    work()
    assert ran == ["v1 reserve 1"]
    operations.resume(definition="order", by="ada")
    work()

    assert handle.status == "completed"


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

    assert fates(migrate(mapping={})) == [
        ("refused", "step reserve has begun, and in v2 it waits for pay", 1)
    ]
    assert fates(migrate(to_version=3)) == [
        ("refused", "step reserve was tried: as book it would go on with another idempotency key", 1)
    ]
    define(4, "reserve", "check", "ship", bare="check")
    assert fates(migrate(to_version=4, mapping={})) == [("migrated", "running", 1)]
    work(minutes=2)

    assert ran == ["v1 reserve 1", "v4 reserve 2", "v4 check 1", "v4 ship 1"]
    assert handle.status == "completed"


def test_names_may_change_places_on_rows_that_may_not_have_the_same_one(old, define, ran):
    define(2, "ship", "reserve")
    handle = reserved(old)

    assert fates(migrate(mapping={"reserve": "ship", "ship": "reserve"})) == [("migrated", "running", 1)]
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

    assert fates(report) == [("migrated", "running → completed", 1)]
    assert heard == [(handle.id, "completed")]
    assert handle.result(1) == {"by": "v1 reserve"}
    assert rows(handle) == {"reserve": ("succeeded", 1, "default")}


@pytest.mark.parametrize("end", ["done", "undone"])
def test_a_removed_step_with_nothing_to_undo_stays_on_its_row(define, ran, troubles, end):
    saga = define(1, "reserve", "ship", bare="reserve")
    define(2, "check", "ship")
    handle = reserved(saga)

    assert fates(migrate(mapping={})) == [("migrated", "running", 1)]
    if end == "undone":
        troubles["ship"] = PermanentFailure("no parcels today")
    work()

    assert ran[:3] == ["v1 reserve 1", "v2 check 1", "v2 ship 1"]
    assert handle.status == ("completed" if end == "done" else "compensated")
    assert rows(handle)["reserve"] == ("succeeded", 1, "default")


def test_a_stuck_saga_is_undone_by_the_compensation_of_the_new_version(old, define, ran, troubles):
    troubles |= {"ship": PermanentFailure("no parcels"), "unreserve": RuntimeError("closed")}
    handle = old.run({})
    assert handle.status == "stuck"
    finished_at = SagaInstance.objects.get(pk=handle.id).finished_at
    define(2, "reserve", "ship")
    troubles.clear()

    assert fates(migrate(mapping={})) == [("migrated", "stuck", 1)]
    assert SagaInstance.objects.get(pk=handle.id).finished_at == finished_at
    operations.retry_compensation(handle.id, "reserve", by="ada")
    work()

    assert (handle.status, ran[-1]) == ("compensated", "v2 unreserve 1 {'by': 'v1 reserve'}")


def test_a_version_whose_class_is_gone_is_moved_by_what_the_database_kept_of_it(old, new):
    handle = reserved(old)

    with registry.isolated(new.program):
        assert fates(migrate()) == [("migrated", "running", 1)]
        assert_saga_invariants()
        work()

    assert handle.status == "completed"


def test_a_saga_may_go_back_to_the_version_it_came_from(old, new):
    handle = old.start({})

    migrate()
    report = migrate(from_version=2, to_version=1, mapping={"book": "reserve"})
    work()

    assert fates(report) == [("migrated", "running", 1)]
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
    assert fates(report) == [
        ("migrated", "running", 5),
        ("refused", "step reserve was tried: as book it would go on with another idempotency key", 1),
    ]


def test_a_report_counts_fates_and_gives_examples(old, new):
    handles = [old.start({}) for _ in range(5)]
    flying = old.start({})
    now = clock.now("default")
    SagaStep.objects.filter(saga_id=flying.id).update(
        status="running", attempt=1, token=1, owner=uuid4(), claimed_at=now, due_at=now + timedelta(hours=1)
    )
    told: list[int] = []

    report = migrate(dry_run=True, progress=lambda report: told.append(report.looked_at))

    assert fates(report) == [("in flight", "step reserve is running", 1), ("migrated", "running", 5)]
    examples = {each.outcome: each.examples for each in report.fates.values()}
    assert examples == {"migrated": [handle.id for handle in handles[:3]], "in flight": [flying.id]}
    assert (report.left, told) == (1, [6])

"""What would be undone is what is undone, told before."""

from __future__ import annotations

import pytest

from django_saga import PermanentFailure, SagaStatus
from django_saga.exceptions import IllegalTransition
from django_saga.models import SagaInstance, SagaStep
from django_saga.observability import undoing
from tests.operations.migrating import fates, migrate, reserved, rows, work

pytestmark = pytest.mark.django_db(transaction=True)


def plan(handle):
    return undoing.plan("default", SagaInstance.objects.select_related("definition").get(pk=handle.id))


def test_the_plan_of_a_saga_under_way_is_what_its_cancellation_undoes(define, ran):
    handle = reserved(define(1, "reserve", "pack", "note", "ship", bare="note"))
    before = ran[:]

    told = plan(handle)
    handle.cancel()
    work()

    assert told == ((("pack",), ("reserve",)), (), ("note",), (), SagaStatus.COMPENSATED)
    assert [line.split()[1] for line in ran[len(before) :]] == ["unpack", "unreserve"]
    assert handle.status == "compensated"


def test_a_step_in_flight_is_taken_for_done(old):
    handle = reserved(old)
    SagaStep.objects.filter(saga_id=handle.id, name="ship").update(
        status="running", attempt=1, token=1, owner=handle.id
    )

    assert plan(handle).waves == (("ship",), ("reserve",))
    assert plan(handle).in_flight == ("ship",)
    SagaStep.objects.filter(saga_id=handle.id, name="ship").update(
        status="scheduled", attempt=0, token=0, owner=None
    )


def test_a_stuck_saga_has_nothing_left_that_would_be_undone_by_itself(old, troubles):
    troubles |= {"ship": PermanentFailure("no"), "unreserve": PermanentFailure("closed")}
    handle = old.run({})

    assert plan(handle) == ((), (), (), (), SagaStatus.STUCK)


def test_the_plan_of_a_migrated_saga_is_that_of_its_present_version(old, new):
    handle = reserved(old)
    assert fates(migrate()) == [("migrated", "running", 1)]

    assert plan(handle).waves == (("book",),)
    assert set(rows(handle)) == {"book", "check"}


def test_a_saga_that_is_done_has_no_plan(old):
    with pytest.raises(IllegalTransition, match="completed"):
        plan(old.run({}))

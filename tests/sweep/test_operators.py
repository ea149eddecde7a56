"""What operators do to sagas: dead compensations, refusals, and a crash at every statement of an action."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import pytest
from django.db import connection

from django_saga import runtime
from django_saga.core.states import SagaStatus
from django_saga.dsl.registry import registry
from django_saga.exceptions import OperationRefused, SagaNotFound
from django_saga.models import SagaEvent, SagaInstance, SagaOperation, SagaStep
from django_saga.operations import cancel, retry_compensation
from django_saga.testing import assert_saga_invariants
from tests.sagas.sweep_sagas import SweepLinearSaga, SweepStuckSaga
from tests.sweep.expectations import CANONICAL
from tests.sweep.points import DROPS, KILLS

UNDONE = CANONICAL[1]


def carry():
    """Have a worker carry on whatever is due."""
    runtime.build_worker(using="default", concurrency=2, once=True).run()


def statuses(saga_id):
    return dict(SagaStep.objects.filter(saga_id=saga_id).values_list("name", "status"))


def audit(saga_id):
    rows = SagaOperation.objects.filter(saga_id=saga_id).order_by("at")
    return list(rows.values_list("action", "step", "actor", "why", "result", "before", "after"))


def everything():
    """Every row that an action could change."""
    return {
        model: list(model.objects.order_by("pk").values()) for model in (SagaInstance, SagaStep, SagaEvent)
    }


@pytest.mark.django_db(transaction=True)
def test_a_compensation_that_fails_for_ever_leaves_the_saga_stuck_and_the_others_undone(ledger):
    handle = SweepStuckSaga.start()

    carry()

    assert (handle.status, statuses(handle.id)) == (
        SagaStatus.STUCK,
        # What was reserved before the charge is undone all the same: a dead compensation holds up nobody.
        {"reserve": "undone", "charge": "undo_failed", "pack": "undone", "ship": "failed"},
    )
    dead = SagaStep.objects.get(saga_id=handle.id, name="charge")
    assert (dead.attempt, dead.reason, dead.error) == (3, "attempts spent", "the bank is closed")
    assert ledger.steps("ran").count("charge:undo") == 3
    assert_saga_invariants()


@pytest.mark.django_db(transaction=True)
def test_an_operator_has_a_dead_compensation_tried_again_once_its_cause_is_mended(ledger):
    handle = SweepStuckSaga.start()
    carry()
    ledger.open("mended")

    retry_compensation(handle.id, "charge", by="ann", why="the bank is open again")
    assert handle.status is SagaStatus.COMPENSATING
    carry()

    assert (handle.status, set(statuses(handle.id).values())) == (
        SagaStatus.COMPENSATED,
        {"undone", "failed"},
    )
    assert audit(handle.id) == [
        ("retry compensation", "charge", "ann", "the bank is open again", "done", "stuck", "compensating")
    ]
    assert set(ledger.calls("call").values()) == {1}
    assert_saga_invariants()


@pytest.mark.django_db(transaction=True)
def test_a_compensation_may_die_again_after_a_retry(ledger):
    handle = SweepStuckSaga.start()
    carry()

    retry_compensation(handle.id, "charge", by="ann")
    carry()

    assert handle.status is SagaStatus.STUCK
    assert ledger.steps("ran").count("charge:undo") == 6
    assert_saga_invariants()


def ended(ledger):
    return SweepLinearSaga.run({"fails": False}).id


def undone(ledger):
    return SweepLinearSaga.run({"fails": True}).id


def stuck(ledger):
    return SweepStuckSaga.run().id


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("given", "action", "step"),
    [
        (ended, cancel, None),
        (undone, cancel, None),
        (stuck, cancel, None),
        (ended, retry_compensation, "reserve"),
        (undone, retry_compensation, "reserve"),
        (stuck, retry_compensation, "reserve"),
        (stuck, retry_compensation, "no such step"),
    ],
)
def test_an_action_that_the_state_does_not_allow_is_refused_and_audited(ledger, given, action, step):
    saga_id = given(ledger)
    before = everything()

    with pytest.raises(OperationRefused, match=str(saga_id)):
        action(saga_id, *filter(None, [step]), by="bob", why="just so")

    status = SagaInstance.objects.get(pk=saga_id).status
    name = action.__name__.replace("_", " ")
    assert audit(saga_id) == [(name, step or "", "bob", "just so", "refused", status, status)]
    assert everything() == before
    assert_saga_invariants()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("given", [stuck, lambda ledger: SweepLinearSaga.start({"fails": False}).id])
def test_an_action_on_a_saga_of_a_removed_definition_is_refused_and_audited(ledger, given):
    saga_id = given(ledger)
    before = everything()

    with registry.isolated():
        with pytest.raises(OperationRefused, match="No saga is named"):
            cancel(saga_id, by="bob")
        with pytest.raises(OperationRefused, match="No saga is named"):
            retry_compensation(saga_id, "charge", by="bob")

    assert [(row[0], row[4]) for row in audit(saga_id)] == [
        ("cancel", "refused"),
        ("retry compensation", "refused"),
    ]
    assert everything() == before


@pytest.mark.django_db(transaction=True)
def test_an_action_on_an_unknown_id_changes_nothing():
    for action in (cancel, partial(retry_compensation, step="charge")):
        with pytest.raises(SagaNotFound, match="There is no saga"):
            action(uuid4(), by="bob")

    assert everything() == {SagaInstance: [], SagaStep: [], SagaEvent: []}
    assert SagaOperation.objects.count() == 0


@pytest.mark.crash
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_an_operators_action_and_its_audit_are_one_thing_whenever_the_process_dies(fork, ledger, mode):
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    job = {"saga": UNDONE.saga, "input": UNDONE.input}
    key = "unharmed"
    fork.run("lose_a_process", **job, key=key, fault="step.after_user@2")
    keys = [key]

    for at, key in fork.points(mode, "by_operator", action="cancel", key="unharmed"):
        fork.run("lose_a_process", **job, key=key, fault="step.after_user@2")
        fork.strike(mode, at, "by_operator", action="cancel", key=key)
        keys.append(key)

    for saga in SagaInstance.objects.all():
        was_told = saga.status == "compensating"
        assert (len(audit(saga.pk)), saga.events.filter(kind="cancel_requested").count()) == (
            was_told,
            was_told,
        )
        if not was_told:
            cancel(saga.pk, by="the person again")
    fork.finish(UNDONE, keys)
    assert set(SagaInstance.objects.values_list("status", flat=True)) == {"compensated"}
    assert_saga_invariants()

"""Pauses of one saga and of a name, with a crash at every statement: done and recorded, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from django_saga import operations
from django_saga.models import SagaGate, SagaInstance, SagaOperation, SagaStep
from django_saga.testing import assert_saga_invariants
from tests.sagas.sweep_sagas import SweepLinearSaga
from tests.sweep.expectations import CANONICAL
from tests.sweep.points import DROPS, KILLS

DONE = CANONICAL[0]

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=[*KILLS, *DROPS])
def mode(request: pytest.FixtureRequest) -> Any:
    if request.param in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    return request.param


def test_a_pause_of_a_saga_and_its_record_are_one_thing_whenever_the_process_dies(fork, ledger, mode):
    job = {"saga": DONE.saga, "input": DONE.input, "fault": "step.after_user@2"}
    fork.run("lose_a_process", **job, key="unharmed")
    keys = ["unharmed"]

    for at, key in fork.points(mode, "by_operator", action="pause", key="unharmed"):
        fork.run("lose_a_process", **job, key=key)
        fork.strike(mode, at, "by_operator", action="pause", key=key)
        keys.append(key)

    for saga in SagaInstance.objects.all():
        paused = saga.paused_at is not None
        recorded = SagaOperation.objects.filter(saga=saga).count()
        assert (recorded, saga.events.filter(kind="saga_paused").count()) == (paused, paused)
        if paused:
            operations.resume(saga=saga.pk, by="the person again")
    fork.finish(DONE, keys)
    assert set(SagaInstance.objects.values_list("status", flat=True)) == {"completed"}
    assert_saga_invariants()


def test_a_resumption_of_a_name_leaves_nothing_marked_or_everything_whenever_the_process_dies(
    fork, ledger, mode
):
    SweepLinearSaga.start(DONE.input, idempotency_key="unharmed")
    job = {"action": "resume", "definition": DONE.saga}
    paused = SagaGate.objects.filter(paused_at__isnull=False)
    operations.pause(definition=DONE.saga, by="ann")
    found = set()

    for at, _ in fork.points(mode, "by_operator_on_name", **job):
        if not paused.exists():
            operations.pause(definition=DONE.saga, by="ann")
        fork.strike(mode, at, "by_operator_on_name", **job)

        assert SagaStep.objects.filter(executor="held/thread").count() == paused.count()
        found.add(paused.count())

    assert 1 in found
    if paused.exists():
        operations.resume(definition=DONE.saga, by="ann")
    fork.finish(DONE, ["unharmed"])
    assert_saga_invariants()

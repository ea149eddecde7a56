"""Pausing and resuming meet claims, outcomes and each other, in every order."""

from __future__ import annotations

from uuid import uuid4

import pytest

from django_saga import operations
from django_saga.core.states import SagaStatus
from django_saga.engine import recovery
from django_saga.engine.admission import Admission
from django_saga.models import SagaInstance, SagaStep
from tests.interleaving.moves import DB, LEASE, attempted, carry_on, claim, programs, record, work
from tests.sagas.race_sagas import RaceCallSaga, RaceForkSaga

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def work_admitted(saga, saga_id):
    """Claim what may begin of the saga and carry it out, once."""
    known = programs(saga)
    rows = Admission(DB, known).claim(
        owner=uuid4(), queue="default", executor="thread", limit=10, lease=LEASE, saga_id=saga_id
    )
    return [record([attempted(task)]) for task in recovery.load(DB, known, rows)]


def marked():
    return SagaStep.objects.filter(executor__contains="/").count()


@pytest.mark.parametrize("saga", [RaceCallSaga, RaceForkSaga])
def test_a_saga_paused_while_it_is_worked_on_begins_nothing_once_it_is_paused(stage, ledger, saga):
    paused = []
    for play in stage.every_schedule(preemptions=2):
        saga_id = saga.start().id

        play(
            lambda saga_id=saga_id: work(saga, saga_id),
            lambda saga_id=saga_id: operations.pause(saga=saga_id, by="ann"),
        )

        if SagaInstance.objects.get(pk=saga_id).status == SagaStatus.RUNNING:
            paused.append(saga_id)
            before = len(ledger.lines())
            assert claim(saga, saga_id) == []
            assert len(ledger.lines()) == before
    assert paused
    for saga_id in paused:
        operations.resume(saga=saga_id, by="ann")
    assert carry_on() == {"completed": len(stage.played)}


def test_a_step_put_aside_as_its_names_pause_ends_is_not_left_aside(stage, ledger):
    RaceCallSaga.start()
    for play in stage.every_schedule(preemptions=2):
        operations.pause(definition=RaceCallSaga.name, by="ann")
        saga_id = RaceCallSaga.start().id

        play(
            lambda saga_id=saga_id: work_admitted(RaceCallSaga, saga_id),
            lambda: operations.resume(definition=RaceCallSaga.name, by="ann"),
        )

        assert marked() == 0
    assert carry_on() == {"completed": len(stage.played) + 1}


def test_pauses_of_a_name_and_of_a_saga_meet_outcomes_without_a_deadlock(stage, ledger):
    for play in stage.every_schedule(preemptions=1):
        saga_id = RaceForkSaga.start().id
        tasks = claim(RaceForkSaga, saga_id, step="left")

        answers = play(
            lambda tasks=tasks: record([attempted(task) for task in tasks]),
            lambda saga_id=saga_id: operations.pause(saga=saga_id, by="ann"),
            lambda: operations.pause(definition=RaceForkSaga.name, by="ann"),
        )

        assert [type(answer).__name__ for answer in answers[1:]] == ["NoneType", "NoneType"]
        operations.resume(definition=RaceForkSaga.name, by="ann")
        assert claim(RaceForkSaga, saga_id) == []
        operations.resume(saga=saga_id, by="ann")
        assert marked() == 0
    assert carry_on() == {"completed": len(stage.played)}

"""Branches that end at the same moment: the join opens once, and a failure always wins (F49)."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
from django.db import connection

from django_saga.core.states import SagaStatus
from django_saga.engine import attempt
from django_saga.engine.tasks import Task
from django_saga.exceptions import PermanentFailure
from django_saga.models import SagaInstance, SagaStep
from tests.interleaving.moves import attempted, carry_on, claim, record
from tests.sagas.race_sagas import RaceForkSaga

pytestmark = [pytest.mark.fault("F49"), pytest.mark.slow, pytest.mark.django_db(transaction=True)]
ROUNDS = 300


def branches():
    """Start a saga and claim its branches, each as a worker of its own."""
    saga_id = RaceForkSaga.start().id
    tasks = claim(RaceForkSaga, saga_id, limit=1) + claim(RaceForkSaga, saga_id, limit=1)
    return saga_id, {task.row.name: task for task in tasks}


def failed(task):
    return attempt.failed(task, PermanentFailure("no"))


def statuses(saga_id):
    return dict(SagaStep.objects.filter(saga_id=saga_id).values_list("name", "status"))


def test_two_branches_that_succeed_together_open_their_join_once_in_every_order(stage, ledger):
    for play in stage.every_schedule():
        saga_id, tasks = branches()
        left, right = (attempted(tasks[name]) for name in ("left", "right"))

        first, second = play(lambda left=left: record([left]), lambda right=right: record([right]))

        assert (len(first.outcomes), len(second.outcomes)) == (1, 1), stage.played
        assert first.waiting is not second.waiting, "one of them opened the join"
        assert statuses(saga_id) == {"left": "succeeded", "right": "succeeded", "join": "scheduled"}
    assert carry_on() == {"completed": len(stage.played)}
    assert set(ledger.calls().values()) == {1}


def test_a_branch_that_fails_wins_over_one_that_succeeds_in_every_order(stage, ledger):
    for play in stage.every_schedule():
        saga_id, tasks = branches()
        left, right = failed(tasks["left"]), attempted(tasks["right"])

        play(lambda left=left: record([left]), lambda right=right: record([right]))

        saga = SagaInstance.objects.get(pk=saga_id)
        assert (saga.status, saga.culprit) == (SagaStatus.COMPENSATING, "left")
        assert statuses(saga_id) == {"left": "failed", "right": "undo_scheduled"}
    assert carry_on() == {"compensated": len(stage.played)}
    assert set(ledger.calls().values()) == {1}


def test_two_branches_that_fail_together_turn_the_saga_back_once_in_every_order(stage, ledger):
    for play in stage.every_schedule():
        saga_id, tasks = branches()
        left, right = failed(tasks["left"]), failed(tasks["right"])

        play(lambda left=left: record([left]), lambda right=right: record([right]))

        saga = SagaInstance.objects.get(pk=saga_id)
        assert (saga.status, saga.culprit in ("left", "right")) == (SagaStatus.COMPENSATED, True)
        assert statuses(saga_id) == {"left": "failed", "right": "failed"}
    assert carry_on() == {"compensated": len(stage.played)}
    assert ledger.lines() == []


@pytest.mark.parametrize("end", [attempted, failed], ids=["succeeds", "fails"])
def test_branches_that_meet_at_a_barrier_never_leave_the_saga_stuck(ledger, end):
    """Without a scheduler, as fast as the machine can."""
    meet = Barrier(2)
    tasks: dict[str, list[Task]] = {"left": [], "right": []}
    for _ in range(ROUNDS // 2):
        _, found = branches()
        for name, task in found.items():
            tasks[name].append(task)

    def play(name, end):
        for task in tasks[name]:
            outcome = end(task)
            meet.wait(30)
            record([outcome])
        connection.close()

    threads = [Thread(target=play, args=args) for args in (("left", attempted), ("right", end))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    wanted = "completed" if end is attempted else "compensated"
    assert carry_on() == {wanted: ROUNDS // 2}

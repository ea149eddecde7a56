"""Claims of limited steps meet each other, outcomes and pauses, in every order."""

from __future__ import annotations

from uuid import uuid4

import pytest

from django_saga import operations
from django_saga.engine import recovery
from django_saga.engine.admission import Admission
from django_saga.models import SagaGate, SagaStep
from django_saga.testing import assert_saga_invariants
from tests.interleaving.moves import DB, LEASE, attempted, programs, record
from tests.sagas.limit_sagas import LimitAsync, LimitRate

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def claim(saga, limit=10):
    [lane] = set(saga.program.definition.lanes.values())
    return Admission(DB, programs(saga)).claim(
        owner=uuid4(), queue="limited", executor=lane, limit=limit, lease=LEASE
    )


def under_way(saga):
    return SagaStep.objects.filter(status="running", saga__name=saga.name).count()


def test_two_claims_at_once_never_take_more_than_the_limit_leaves(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        SagaStep.objects.filter(status="running").delete()
        LimitAsync.bulk_start([{}] * 3)

        first, second = play(lambda: claim(LimitAsync), lambda: claim(LimitAsync))

        assert len(first) + len(second) == under_way(LimitAsync) == 2


def test_two_claims_at_once_never_begin_more_than_the_rate_leaves(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        SagaGate.objects.update(starts=[])  # the row stays: inserting it would serialise the two
        LimitRate.bulk_start([{}] * 6)

        first, second = play(lambda: claim(LimitRate, limit=4), lambda: claim(LimitRate, limit=4))

        assert len(first) + len(second) == 5


def test_a_claim_an_outcome_and_a_pause_meet_without_a_deadlock(stage, ledger):
    for play in stage.every_schedule(preemptions=1):
        LimitRate.bulk_start([{}] * 2)
        [task] = recovery.load(DB, programs(LimitRate), claim(LimitRate, limit=1))

        rows, recorded, paused = play(
            lambda: claim(LimitRate, limit=1),
            lambda task=task: record([attempted(task)]),
            lambda: operations.pause(definition=LimitRate.name, by="ann"),
        )

        assert len(recorded.outcomes) == 1
        assert (len(rows) <= 1, paused) == (True, None)
        operations.resume(definition=LimitRate.name, by="ann")
        assert not SagaStep.objects.filter(executor__contains="/").exists()
        SagaGate.objects.update(starts=[])
    assert_saga_invariants()

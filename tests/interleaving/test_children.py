"""Children that end, parents that look and operators who cancel, in every order: no end is missed, and
nothing that was done stays done when the parent is undone.
"""

from __future__ import annotations

import pytest

from django_saga.models import SagaInstance, SagaStep
from django_saga.operations import cancel
from django_saga.testing import assert_saga_invariants
from tests.interleaving.moves import attempted, carry_on, claim, record, work, write
from tests.sagas.child_sagas import RaceBatchSaga, RaceParentSaga, RaceSingleSaga

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def look_again(handle):
    """Have the waiting step rung for nothing, and claim it."""
    SagaStep.objects.filter(saga_id=handle.id).update(due_at="2026-01-01T00:00Z")
    [task] = claim(type_of(handle), handle.id)
    return lambda: write(task)


def type_of(handle):
    return RaceBatchSaga if handle.name == "race_batch" else RaceParentSaga


def ending(saga, child):
    """Give the record of the only step of a child, which ends it."""
    [task] = claim(saga, child.id)
    outcome = attempted(task)
    return lambda: record([outcome])


def test_an_end_while_the_parent_looks_is_seen_in_every_order(stage, ledger):
    rung = 0
    for play in stage.every_schedule(preemptions=2):
        handle = RaceParentSaga.start()
        work(RaceParentSaga, handle.id)
        [child] = handle.children
        end = ending(RaceSingleSaga, child)

        play(look_again(handle), end)

        if handle.status == "running":
            rung += 1
            work(RaceParentSaga, handle.id)
        assert handle.status == "completed"
    assert 0 < rung < len(stage.played)
    assert_saga_invariants()


def test_two_items_that_end_together_are_both_seen_in_every_order(stage, ledger):
    for play in stage.every_schedule(preemptions=1):
        handle = RaceBatchSaga.start()
        work(RaceBatchSaga, handle.id)
        ends = [ending(RaceSingleSaga, child) for child in handle.children]

        play(look_again(handle), *ends)

        if handle.status == "running":
            work(RaceBatchSaga, handle.id)
        assert handle.status == "completed"
    assert_saga_invariants()


def test_a_child_that_ends_while_its_parent_takes_it_back_is_undone_in_every_order(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        handle = RaceParentSaga.start()
        work(RaceParentSaga, handle.id)
        [child] = handle.children
        end = ending(RaceSingleSaga, child)
        cancel(handle.id, by="ann")
        [task] = claim(RaceParentSaga, handle.id)

        play(lambda task=task: write(task), end)
    assert carry_on() == {"compensated": 2 * len(stage.played)}


def test_a_parent_that_is_cancelled_while_it_starts_its_child_leaves_none_in_every_order(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        handle = RaceParentSaga.start()
        [task] = claim(RaceParentSaga, handle.id)

        play(lambda task=task: write(task), lambda handle=handle: cancel(handle.id, by="ann"))
    assert set(carry_on()) == {"compensated"}
    assert SagaInstance.objects.exclude(status="compensated").count() == 0

"""A worker that lost its lease, and whoever took the step over, in every order (F16, F17)."""

from __future__ import annotations

import pytest

from django_saga.core.states import SagaStatus, StepStatus
from django_saga.engine import recovery
from django_saga.engine.tasks import Recorded
from django_saga.models import SagaEvent, SagaStep
from django_saga.store import claims
from django_saga.testing import shift_clock
from tests.interleaving.moves import (
    DB,
    LEASE,
    LONG_AFTER,
    attempted,
    carry_on,
    claim,
    programs,
    record,
    rescue,
    work,
    write,
)
from tests.ledger import effects
from tests.sagas.race_sagas import RaceCallSaga, RaceDeadlineSaga, RaceWriteSaga

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def kinds(saga_id):
    return list(SagaEvent.objects.filter(saga_id=saga_id).order_by("id").values_list("kind", flat=True))


def take_over(saga, saga_id):
    """Rescue the step, claim it and carry it out; give what was rescued and what was recorded."""
    return rescue(saga), work(saga, saga_id)


def test_only_one_of_a_late_worker_and_its_successor_records_the_call(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceCallSaga.start().id
        [task] = claim(RaceCallSaga, saga_id)
        late = attempted(task)

        with shift_clock(LONG_AFTER):
            owner, (rescued, worked) = play(
                lambda late=late: record([late]), lambda saga_id=saga_id: take_over(RaceCallSaga, saga_id)
            )

        if rescued:
            assert (owner.outcomes, owner.lost) == ([], [late])
            assert [len(one.outcomes) for one in worked] == [1]
            assert kinds(saga_id) == ["saga_started", "step_unknown", "step_succeeded"]
        else:
            assert (owner.outcomes, owner.lost, worked) == ([late], [], [])
            assert kinds(saga_id) == ["saga_started", "step_succeeded"]
    assert carry_on() == {"completed": len(stage.played)}


def test_a_late_worker_records_nothing_while_its_successor_is_still_at_it(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceCallSaga.start().id
        [task] = claim(RaceCallSaga, saga_id)
        late = attempted(task)

        with shift_clock(LONG_AFTER):
            owner, (rescued, successors) = play(
                lambda late=late: record([late]),
                lambda saga_id=saga_id: (rescue(RaceCallSaga), claim(RaceCallSaga, saga_id)),
            )

            if not rescued:
                assert (owner.outcomes, successors) == ([late], [])
                continue
            assert (owner.outcomes, owner.lost) == ([], [late])
            # Late once more: the successor runs it now, with a token of its own.
            assert record([late]).lost == [late]
            [successor] = successors
            assert (successor.row.attempt, successor.row.token) == (2, 2)
            assert len(record([attempted(successor)]).outcomes) == 1
    assert carry_on() == {"completed": len(stage.played)}


def test_an_atomic_step_has_its_effect_once_however_late_its_worker_is(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceWriteSaga.start().id
        [task] = claim(RaceWriteSaga, saga_id)

        with shift_clock(LONG_AFTER):
            owner, (rescued, worked) = play(
                lambda task=task: write(task), lambda saga_id=saga_id: take_over(RaceWriteSaga, saga_id)
            )

        assert bool(owner.lost) is bool(rescued)
        # While the late worker looks at its row, the step that was rescued is left for a later claim.
        assert [len(one.outcomes) for one in worked] in ([[1], []] if rescued else [[]])
    assert carry_on() == {"completed": len(stage.played)}
    assert set(effects().values()) == {1}


def test_a_lease_that_is_extended_in_time_is_not_taken_away(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceCallSaga.start().id
        [task] = claim(RaceCallSaga, saga_id)
        row = task.row

        with shift_clock(LONG_AFTER):
            lost, rescued = play(
                lambda row=row: claims.extend(DB, owner=row.owner, tokens={row.id: row.token}, lease=LEASE),
                lambda: rescue(RaceCallSaga),
            )

            assert (lost == set()) or (rescued == ["call"])
            [recorded] = [record([attempted(task)])]
            assert bool(recorded.lost) is bool(rescued)
    assert carry_on() == {"completed": len(stage.played)}


def test_two_caretakers_count_a_lost_worker_once(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceCallSaga.start().id
        claim(RaceCallSaga, saga_id)

        with shift_clock(LONG_AFTER):
            found = play(lambda: rescue(RaceCallSaga), lambda: rescue(RaceCallSaga))

            if sorted(found) == [[], []]:  # each left it to the other
                found = [[], rescue(RaceCallSaga)]

        assert sorted(found) == [[], ["call"]]
        step = SagaStep.objects.get(saga_id=saga_id)
        assert (step.status, step.crashes, step.outcome) == (StepStatus.SCHEDULED, 1, "unknown")
        assert kinds(saga_id) == ["saga_started", "step_unknown"]
    assert carry_on() == {"completed": len(stage.played)}


def test_a_saga_either_ends_in_time_or_turns_back_at_its_deadline(stage, ledger):
    """F55."""
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceDeadlineSaga.start().id
        [task] = claim(RaceDeadlineSaga, saga_id)
        outcome = attempted(task)

        with shift_clock(LONG_AFTER):
            recorded, _ = play(
                lambda outcome=outcome: record([outcome]),
                lambda: recovery.enforce_deadlines(DB, programs(RaceDeadlineSaga)),
            )

        assert isinstance(recorded, Recorded)
        assert recorded.outcomes == [outcome]
        ended = kinds(saga_id)
        assert ended in (
            ["saga_started", "step_succeeded"],
            ["saga_started", "deadline_passed", "step_succeeded"],
        )
    assert set(carry_on()) == {SagaStatus.COMPLETED, SagaStatus.COMPENSATED}

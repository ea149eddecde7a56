"""Sagas that want one lock, in every order: one holder at a time, and nobody who waits is forgotten (F54)."""

from __future__ import annotations

import pytest

from django_saga import TargetLocked
from django_saga.engine import locking
from django_saga.engine.tasks import Recorded
from django_saga.models import SagaInstance, SagaLock
from django_saga.operations import cancel
from tests.interleaving.moves import DB, attempted, carry_on, claim, programs, record
from tests.sagas.race_sagas import RaceRefusedSaga, RaceTurnsSaga

pytestmark = [pytest.mark.fault("F54"), pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def a_name(stage) -> str:
    """A target of this schedule's own."""
    return f"schedule {len(stage.played)}"


def let_in() -> list[Recorded]:
    """Look who is next in line, as a caretaker does."""
    return list(locking.let_in(DB, programs(RaceTurnsSaga)))


def ending(saga_id):
    """Give the record of the last step of a saga, which ends it."""
    [task] = claim(RaceTurnsSaga, saga_id)
    outcome = attempted(task)
    return lambda: record([outcome])


def holders(target):
    return list(SagaLock.objects.filter(target=target, held=True).values_list("saga_id", flat=True))


def status(saga_id):
    return SagaInstance.objects.get(pk=saga_id).status


def test_of_two_who_start_one_holds_the_lock_in_every_order(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        target = a_name(stage)

        answers = play(*[lambda target=target: RaceRefusedSaga.start([target])] * 2)

        [refused] = [answer for answer in answers if isinstance(answer, TargetLocked)]
        assert holders(target) == [refused.saga_id]
        assert SagaInstance.objects.filter(locks__target=target).count() == 1
    assert carry_on() == {"completed": len(stage.played)}


def test_two_who_name_the_same_targets_in_other_orders_never_wait_in_a_circle(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        both = [a_name(stage) + " a", a_name(stage) + " b"]

        answers = play(
            lambda both=both: RaceRefusedSaga.start(both),
            lambda both=both: RaceRefusedSaga.start(both[::-1]),
        )

        assert sorted(type(answer).__name__ for answer in answers) == ["SagaHandle", "TargetLocked"]
    assert carry_on() == {"completed": len(stage.played)}


def test_a_saga_that_asks_while_the_holder_ends_is_let_in_by_the_next_look(stage, ledger):
    waited = 0
    for play in stage.every_schedule(preemptions=2):
        target = a_name(stage)
        end = ending(RaceTurnsSaga.start([target]).id)

        recorded, asked = play(end, lambda target=target: RaceTurnsSaga.start([target]))

        assert recorded.freed
        # No word of the release reached whoever asked too late to be seen by it: the rows say enough.
        waits = asked.status == "pending"
        waited += waits
        assert len(let_in()) == waits
        assert (asked.status, holders(target)) == ("running", [asked.id])
    assert 0 < waited < len(stage.played)
    assert carry_on() == {"completed": 2 * len(stage.played)}


def test_two_who_look_let_the_next_one_in_once(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        target = a_name(stage)
        holder, first, second = (RaceTurnsSaga.start([target]).id for _ in range(3))
        cancel(holder, by="ann")

        answers = play(let_in, let_in)

        assert sum(len(answer) for answer in answers) == 1
        assert (holders(target), status(second)) == ([first], "pending")
        for saga_id in (second, first):
            cancel(saga_id, by="ann")
    assert carry_on() == {"compensated": 3 * len(stage.played)}


def test_one_who_is_cancelled_while_let_in_holds_nothing_afterwards(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        target = a_name(stage)
        holder, waiting = (RaceTurnsSaga.start([target]).id for _ in range(2))
        cancel(holder, by="ann")

        _, refused = play(let_in, lambda waiting=waiting: cancel(waiting, by="ann"))

        assert refused is None
        assert (status(waiting), holders(target)) == ("compensated", [])
    assert carry_on() == {"compensated": 2 * len(stage.played)}


def test_one_who_is_refused_and_one_who_is_let_in_do_not_hold_the_lock_both(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        target = a_name(stage)
        holder, waiting = (RaceTurnsSaga.start([target]).id for _ in range(2))
        cancel(holder, by="ann")

        _, answer = play(let_in, lambda target=target: RaceRefusedSaga.start([target]))

        assert isinstance(answer, TargetLocked), "somebody stood in line before"
        assert (answer.saga_id, holders(target)) == (waiting, [waiting])
    assert carry_on() == {"compensated": len(stage.played), "completed": len(stage.played)}


def test_one_who_comes_when_the_lock_is_free_and_one_who_is_let_in_do_not_hold_it_both(stage, ledger):
    """One who asks while the lock is held, one who asks as soon as it is free, and one who looks."""
    for play in stage.every_schedule(preemptions=1):
        target = a_name(stage)
        holder = RaceTurnsSaga.start([target]).id

        def cancel_and_start(holder=holder, target=target):
            cancel(holder, by="ann")
            return RaceTurnsSaga.start([target])

        answers = play(lambda target=target: RaceTurnsSaga.start([target]), cancel_and_start, let_in)
        let_in()

        assert not any(isinstance(answer, Exception) for answer in answers)
        assert len(holders(target)) == 1
        assert SagaLock.objects.filter(target=target, held=None).count() == 1
    assert carry_on() == {"compensated": len(stage.played), "completed": 2 * len(stage.played)}


def test_one_who_is_cancelled_while_the_holder_ends_holds_nothing_afterwards(stage, ledger):
    for play in stage.every_schedule(preemptions=1):
        target = a_name(stage)
        end = ending(RaceTurnsSaga.start([target]).id)
        waiting = RaceTurnsSaga.start([target]).id

        def end_and_look(end=end):
            end()
            return let_in()

        _, refused = play(end_and_look, lambda waiting=waiting: cancel(waiting, by="ann"))

        assert refused is None
        assert (status(waiting), holders(target)) == ("compensated", [])
    assert carry_on() == {"compensated": len(stage.played), "completed": len(stage.played)}

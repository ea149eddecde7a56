"""A saga is forked while workers, operators, another fork or a start meet it, in every order."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest

from django_saga import OperationRefused, operations
from django_saga.core.states import SagaStatus
from django_saga.engine import attempt
from django_saga.engine.handle import SagaHandle
from django_saga.exceptions import PermanentFailure, TargetLocked
from django_saga.models import SagaInstance, SagaLock
from tests.interleaving.moves import carry_on, claim, record, work
from tests.sagas.lock_sagas import LockRefuseSaga, Parcel
from tests.sagas.race_sagas import RaceForkSaga

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def half_done() -> UUID:
    """Start a saga of whose two branches the left one is done."""
    saga_id = RaceForkSaga.start().id
    [left] = claim(RaceForkSaga, saga_id, step="left")
    record([attempt.run(left)])
    return saga_id


def fork(saga_id: UUID) -> SagaHandle:
    return operations.fork(saga_id, "right", by="ann")


def effects(ledger, side: str) -> dict[str, Counter[str]]:
    """How often each step was called on ``side``, by the first saga of those that went on from it."""
    first: dict[str, str] = {}
    for row in SagaInstance.objects.order_by("pk"):
        first[str(row.pk)] = first.get(str(row.forked_from), str(row.pk))
    found: dict[str, Counter[str]] = {}
    for line in ledger.lines("call"):
        saga, step, which = line.key.split(":")
        if which == side:
            found.setdefault(first[saga], Counter())[step] += 1
    return found


def test_a_step_that_is_claimed_meanwhile_is_run_by_the_saga_or_by_its_fork(stage, ledger):
    answers: Counter[str] = Counter()
    for play in stage.every_schedule(preemptions=2):
        saga_id = half_done()

        _, answer = play(
            lambda saga_id=saga_id: work(RaceForkSaga, saga_id), lambda saga_id=saga_id: fork(saga_id)
        )

        assert isinstance(answer, SagaHandle | OperationRefused), answer
        answers[type(answer).__name__] += 1
    assert set(answers) == {"SagaHandle", "OperationRefused"}
    ended = carry_on()
    assert ended == {"completed": len(stage.played), "superseded": answers["SagaHandle"]}
    for calls in effects(ledger, "do").values():
        assert calls == {"left": 1, "right": 1, "join": 1}


def test_an_outcome_that_is_recorded_meanwhile_is_not_lost(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        saga_id = half_done()
        [right] = claim(RaceForkSaga, saga_id)

        recorded, answer = play(
            lambda right=right: record([attempt.run(right)]), lambda saga_id=saga_id: fork(saga_id)
        )

        # Before it is recorded it is in flight, afterwards it is done, and nobody would undo it.
        assert len(recorded.outcomes) == 1
        assert isinstance(answer, OperationRefused), answer
    assert carry_on() == {"completed": len(stage.played)}


def test_a_saga_that_turns_back_meanwhile_is_forked_or_undone_and_never_both(stage, ledger):
    answers = set()
    for play in stage.every_schedule(preemptions=2):
        saga_id = half_done()
        [right] = claim(RaceForkSaga, saga_id)
        failed = attempt.failed(right, PermanentFailure("no"))

        def turn_back(saga_id=saga_id, failed=failed):
            record([failed])
            return work(RaceForkSaga, saga_id)

        _, answer = play(turn_back, lambda saga_id=saga_id: fork(saga_id))

        answers.add(type(answer).__name__)
    assert answers == {"SagaHandle", "OperationRefused"}
    carry_on()
    undone = effects(ledger, "undo")
    for saga, calls in effects(ledger, "do").items():
        is_forked = SagaInstance.objects.get(pk=saga).status == SagaStatus.SUPERSEDED
        assert calls == ({"left": 1, "right": 1, "join": 1} if is_forked else {"left": 1})
        assert undone.get(saga, {}) == ({} if is_forked else {"left": 1})


def test_of_a_cancellation_and_a_fork_exactly_one_is_done(stage, ledger):
    wins: Counter[str] = Counter()
    for play in stage.every_schedule(preemptions=2):
        saga_id = half_done()

        answers = play(
            lambda saga_id=saga_id: operations.cancel(saga_id, by="bob"),
            lambda saga_id=saga_id: fork(saga_id),
        )

        assert [isinstance(answer, OperationRefused) for answer in answers].count(True) == 1, answers
        wins["fork" if answers[1].__class__ is SagaHandle else "cancel"] += 1
    assert set(wins) == {"fork", "cancel"}
    assert carry_on() == {
        "superseded": wins["fork"],
        "completed": wins["fork"],
        "compensated": wins["cancel"],
    }


def test_of_two_forks_one_is_done(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        saga_id = half_done()

        answers = play(*[lambda saga_id=saga_id: fork(saga_id)] * 2)

        assert sorted(type(answer).__name__ for answer in answers) == ["OperationRefused", "SagaHandle"]
    assert carry_on() == {"completed": len(stage.played), "superseded": len(stage.played)}


def test_nobody_takes_the_lock_while_it_goes_over_to_the_fork(stage, ledger):
    for number, play in enumerate(stage.every_schedule(preemptions=2)):
        order = Parcel([str(number)])
        saga_id = LockRefuseSaga.start(order).id
        work(LockRefuseSaga, saga_id)

        refused, new = play(
            lambda order=order: LockRefuseSaga.start(order),
            lambda saga_id=saga_id: operations.fork(saga_id, "send", by="ann"),
        )

        assert isinstance(refused, TargetLocked), refused
        assert refused.saga_id in (saga_id, new.id)
        assert SagaLock.objects.get(target=f"order:{number}").saga_id == new.id
    assert carry_on() == {"completed": len(stage.played), "superseded": len(stage.played)}

"""Cancelling, starting and operators' retries meet workers and each other, in every order (F50, F51)."""

from __future__ import annotations

from collections import Counter

import pytest

from django_saga.core.states import SagaStatus, StepStatus
from django_saga.engine import attempt
from django_saga.exceptions import IdempotencyConflict, OperationRefused, PermanentFailure
from django_saga.models import SagaInstance, SagaOperation, SagaStep
from django_saga.operations import cancel, retry_compensation, skip_compensation
from tests.interleaving.moves import attempted, carry_on, claim, record, work
from tests.sagas.race_sagas import RaceCallSaga, RaceForkSaga, RaceWriteSaga
from tests.sagas.sweep_sagas import SweepStuckSaga

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def results():
    return Counter(SagaOperation.objects.values_list("result", flat=True))


def effects_outside(ledger, side):
    """How often each step was called (``do``) or undone (``undo``)."""
    keys = [line.key.rpartition(":") for line in ledger.lines("call")]
    return Counter(step for step, _, which in keys if which == side)


@pytest.mark.parametrize("saga", [RaceCallSaga, RaceWriteSaga, RaceForkSaga])
def test_a_step_claimed_while_its_saga_is_cancelled_is_undone_or_not_begun(stage, ledger, saga):
    for play in stage.every_schedule(preemptions=2):
        saga_id = saga.start().id

        _, refused = play(
            lambda saga_id=saga_id: work(saga, saga_id), lambda saga_id=saga_id: cancel(saga_id, by="ann")
        )

        status = SagaInstance.objects.get(pk=saga_id).status
        if refused is None:
            assert status in (SagaStatus.COMPENSATING, SagaStatus.COMPENSATED)
        else:
            assert (type(refused), status) == (OperationRefused, SagaStatus.COMPLETED)
    ended = carry_on()
    assert ended.keys() <= {"completed", "compensated"}
    assert ended["compensated"] == results()["done"]
    kept = {str(key) for key in SagaInstance.objects.filter(status="completed").values_list("pk", flat=True)}
    done, undone = effects_outside(ledger, "do"), effects_outside(ledger, "undo")
    assert undone == Counter({step: n for step, n in done.items() if step.partition(":")[0] not in kept})


def test_a_step_claimed_while_its_sibling_turns_the_saga_back_is_undone_or_not_begun(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceForkSaga.start().id
        [task] = claim(RaceForkSaga, saga_id, step="left")
        failed = attempt.failed(task, PermanentFailure("no"))

        _, recorded = play(
            lambda saga_id=saga_id: work(RaceForkSaga, saga_id), lambda failed=failed: record([failed])
        )

        assert len(recorded.outcomes) == 1
    assert carry_on() == {"compensated": len(stage.played)}
    sides = Counter(line.key.rpartition(":")[2] for line in ledger.lines())
    assert sides["do"] == sides["undo"]
    begun = SagaStep.objects.filter(status=StepStatus.UNDONE).count()
    assert (begun, SagaStep.objects.filter(status=StepStatus.SKIPPED).count()) == (
        sides["undo"],
        len(stage.played) - sides["undo"],
    )


def test_a_saga_that_is_cancelled_as_it_completes_is_one_or_the_other(stage, ledger):
    for play in stage.every_schedule(preemptions=2):
        saga_id = RaceCallSaga.start().id
        [task] = claim(RaceCallSaga, saga_id)
        outcome = attempted(task)

        recorded, refused = play(
            lambda outcome=outcome: record([outcome]), lambda saga_id=saga_id: cancel(saga_id, by="ann")
        )

        assert recorded.outcomes == [outcome]
        status = SagaInstance.objects.get(pk=saga_id).status
        assert (type(refused), status) in (
            (OperationRefused, SagaStatus.COMPLETED),
            (type(None), SagaStatus.COMPENSATING),
        )
    ended = carry_on()
    assert (ended["completed"], ended["compensated"]) == (results()["refused"], results()["done"])
    assert ended.total() == len(stage.played)


def test_one_of_two_operators_retries_a_dead_compensation(stage, ledger):
    for play in stage.every_schedule(preemptions=1):
        saga_id = SweepStuckSaga.run().id

        answers = play(
            lambda saga_id=saga_id: retry_compensation(saga_id, "charge", by="ann"),
            lambda saga_id=saga_id: retry_compensation(saga_id, "charge", by="bob"),
        )

        assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "OperationRefused"]
        audit = SagaOperation.objects.filter(saga_id=saga_id).order_by("result")
        assert list(audit.values_list("result", "before", "after")) == [
            ("open", "stuck", "compensating"),
            ("refused", "compensating", "compensating"),
        ]
    ledger.open("mended")
    assert carry_on() == {"compensated": len(stage.played)}


@pytest.mark.fault("F51")
def test_two_operators_and_a_worker_at_one_moment(stage, ledger):
    """One of the two wins, and only the winner's retry is run by the worker; it says what came of it."""
    played = {}
    for play in stage.every_schedule(preemptions=1):
        saga_id = SweepStuckSaga.run().id

        retried, skipped, worked = play(
            lambda saga_id=saga_id: retry_compensation(saga_id, "charge", by="ann"),
            lambda saga_id=saga_id: skip_compensation(saga_id, "charge", by="bob", why="done by hand"),
            lambda saga_id=saga_id: len(work(SweepStuckSaga, saga_id)),
        )

        assert sorted(type(each).__name__ for each in (retried, skipped)) == ["NoneType", "OperationRefused"]
        assert worked == 0 or retried is None
        played[saga_id] = (retried is None, worked)
    carry_on()
    # The bank is still closed: whoever ran it, it failed again.
    expected = {
        True: {"retry compensation": "failed", "skip compensation": "refused"},
        False: {"retry compensation": "refused", "skip compensation": "done"},
    }
    for saga_id, (retry_won, _worked) in played.items():
        rows = SagaOperation.objects.filter(saga_id=saga_id)
        assert dict(rows.values_list("action", "result")) == expected[retry_won]
    assert set(played.values()) == {(True, 0), (True, 1), (False, 0)}


@pytest.mark.fault("F46")
def test_a_dead_compensation_is_retried_or_skipped_whoever_comes_first(stage, ledger):
    first = set()
    for play in stage.every_schedule(preemptions=1):
        saga_id = SweepStuckSaga.run().id

        retried, skipped = play(
            lambda saga_id=saga_id: retry_compensation(saga_id, "charge", by="ann"),
            lambda saga_id=saga_id: skip_compensation(saga_id, "charge", by="bob", why="done by hand"),
        )

        kinds = [type(answer).__name__ for answer in (retried, skipped)]
        assert sorted(kinds) == ["NoneType", "OperationRefused"]
        status = SagaInstance.objects.get(pk=saga_id).status
        assert status == ("compensating" if retried is None else "compensated")
        first.add(status)
    assert first == {"compensating", "compensated"}
    ledger.open("mended")
    assert carry_on() == {"compensated": len(stage.played)}


def test_two_starts_with_one_key_give_one_saga_in_every_order(stage, ledger):
    for number, play in enumerate(stage.every_schedule(preemptions=2)):
        key = f"key {number}"

        first, second = play(*[lambda key=key: RaceCallSaga.start({"n": 1}, idempotency_key=key)] * 2)

        assert first.id == second.id == SagaInstance.objects.get(idempotency_key=key).pk
    assert carry_on() == {"completed": len(stage.played)}


def test_one_of_two_starts_with_one_key_and_different_inputs_is_refused_in_every_order(stage, ledger):
    for number, play in enumerate(stage.every_schedule(preemptions=2)):
        key = f"key {number}"

        answers = play(
            lambda key=key: RaceCallSaga.start({"n": 1}, idempotency_key=key),
            lambda key=key: RaceCallSaga.start({"n": 2}, idempotency_key=key),
        )

        [refused] = [answer for answer in answers if isinstance(answer, IdempotencyConflict)]
        assert refused.saga_id == SagaInstance.objects.get(idempotency_key=key).pk
    assert carry_on() == {"completed": len(stage.played)}

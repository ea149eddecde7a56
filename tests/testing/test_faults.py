"""Faults that a test plans befall the attempts it names, and the rules of sagas do the rest."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga import SagaFailed
from django_saga.models import SagaEvent, SagaStep
from django_saga.testing import SagaLab, assert_compensated, assert_completed, saga_steps
from tests.ledger import effects
from tests.sagas.lab_sagas import LabGraphSaga, LabSaga

FIVE = {"amount": 5}


def recorded(saga) -> list[tuple[str, str, int]]:
    """Kind, step and attempt of each event, oldest first."""
    rows = SagaEvent.objects.filter(saga_id=saga.id).order_by("pk")
    return list(rows.values_list("kind", "step", "attempt"))


def test_a_step_that_fails_has_the_saga_turn_back(lab, bank):
    saga = LabSaga.start(FIVE)
    lab.fail_at("ship")

    lab.run()

    assert_compensated(saga)
    assert saga_steps(saga) == {"reserve": "undone", "charge": "undone", "ship": "failed"}
    assert bank.calls == ["charge:do", "back:charge:do"]
    with pytest.raises(SagaFailed):
        saga.result(timeout=0)


@pytest.mark.parametrize("step", ["charge", LabSaga.charge], ids=["by name", "by reference"])
@pytest.mark.parametrize("failure", [ValueError, ValueError("no")], ids=["class", "error"])
def test_a_step_is_told_by_name_or_reference_and_its_error_by_class_or_instance(lab, bank, step, failure):
    saga = LabSaga.start(FIVE)
    lab.fail_at(step, failure, times=None)

    lab.run()

    assert_compensated(saga)
    assert recorded(saga)[2:5] == [("step_failed", "charge", attempt) for attempt in (1, 2, 3)]
    assert bank.calls == []


def test_a_step_whose_answer_is_lost_is_in_doubt_and_tried_again_with_the_same_key(lab, bank):
    saga = LabSaga.start(FIVE)
    lab.fail_at("charge", after_effect=True)
    lab.fail_at("ship", TimeoutError, after_effect=True, times=None)

    lab.run()

    assert_compensated(saga)
    assert bank.calls == [*["charge:do"] * 2, *["ship:do"] * 3, "back:ship:do", "back:charge:do"]
    assert SagaStep.objects.get(saga_id=saga.id, name="ship").outcome == "unknown"
    assert bank.balance == 0


def test_an_atomic_step_that_fails_after_its_effect_leaves_none(lab):
    saga = LabSaga.start(FIVE)
    lab.fail_at("reserve", ValueError, after_effect=True)

    lab.run()

    assert_completed(saga)
    assert recorded(saga)[1:3] == [("step_failed", "reserve", 1), ("step_succeeded", "reserve", 2)]
    assert dict(effects()) == {f"{saga.id}:reserve:do": 1}


@pytest.mark.parametrize("step", ["charge", LabSaga.refund], ids=["by its step", "by reference"])
def test_a_compensation_fails_as_planned(lab, bank, step):
    saga = LabSaga.start(FIVE)
    lab.fail_at("ship")
    lab.fail_at(step, RuntimeError("closed"), undo=True, times=2)

    lab.run()

    assert_compensated(saga)
    ends = [event for event in recorded(saga) if event[1] == "charge"]
    assert ends[1:] == [
        ("step_failed", "charge", 1),
        ("step_failed", "charge", 2),
        ("step_succeeded", "charge", 3),
    ]


@pytest.mark.parametrize("after_effect", [False, True], ids=["before the effect", "after the effect"])
@pytest.mark.parametrize("step", ["reserve", "charge", "ship"])
def test_a_step_whose_process_dies_is_taken_over_when_its_lease_has_run_out(lab, bank, step, after_effect):
    saga = LabSaga.start(FIVE)
    lab.crash_at(step, after_effect=after_effect)
    began = lab.now
    while lab.step():
        pass

    # Nothing was recorded of it, and nobody may have it yet.
    row = SagaStep.objects.get(saga_id=saga.id, name=step)
    assert (row.status, row.attempt, row.due_at) == ("running", 1, began + timedelta(seconds=30))
    assert [event for event in recorded(saga) if event[1] == step] == []
    lab.run()

    assert_completed(saga)
    assert lab.now == began + timedelta(seconds=30)
    ends = [event for event in recorded(saga) if event[1] == step]
    assert ends == [("step_unknown", step, 1), ("step_succeeded", step, 2)]
    workers = SagaEvent.objects.filter(saga_id=saga.id, step=step).values_list("worker", flat=True)
    assert len(set(workers)) == 2
    # The same key both times, so one effect.
    calls = [call for call in bank.calls if call == f"{step}:do"]
    assert len(calls) == (0 if step == "reserve" else 1 + after_effect)
    assert (bank.balance, dict(effects())) == (6, {f"{saga.id}:reserve:do": 1})


def test_a_compensation_whose_process_dies_is_taken_over(lab, bank):
    saga = LabSaga.start(FIVE)
    lab.fail_at("ship")
    lab.crash_at("reserve", undo=True, after_effect=True)

    lab.run()

    assert_compensated(saga)
    assert effects()[f"{saga.id}:reserve:undo"] == 1


def test_other_branches_go_on_beside_a_step_whose_process_died(lab):
    LabGraphSaga.start()
    lab.crash_at("left")

    assert [lab.step() for _ in range(4)] == ["begin:do", "left:do", "right:do", None]


def test_a_step_that_takes_its_process_with_it_each_time_is_given_up(lab, bank):
    saga = LabSaga.start(FIVE)
    lab.crash_at("charge", after_effect=True, times=None)

    lab.run()

    assert_compensated(saga)
    assert bank.calls == [*["charge:do"] * 5, "back:charge:do"]
    assert bank.balance == 0


def test_a_duplicate_runs_the_function_twice_with_one_key_for_one_attempt(lab, bank):
    saga = LabSaga.start(FIVE)
    lab.duplicate("charge")
    lab.duplicate("ship")

    lab.run()

    assert_completed(saga)
    assert bank.calls == ["charge:do", "charge:do", "ship:do", "ship:do"]
    assert recorded(saga)[2:] == [("step_succeeded", "charge", 1), ("step_succeeded", "ship", 1)]


def test_of_an_atomic_step_that_runs_twice_one_effect_stays(lab):
    saga = LabSaga.start(FIVE)
    lab.duplicate("reserve")

    lab.run()

    assert_completed(saga)
    assert dict(effects()) == {f"{saga.id}:reserve:do": 1}


@pytest.mark.parametrize("step", ["reserve", "charge", "ship"])
def test_a_saga_that_is_cancelled_while_a_step_is_in_flight_undoes_that_step_too(lab, bank, step):
    saga = LabSaga.start(FIVE)
    lab.cancel_at(step)

    lab.run()

    assert_compensated(saga)
    assert saga_steps(saga)[step] == "undone"
    assert bank.balance == 0
    kinds = [kind for kind, name, _ in recorded(saga) if name in ("", step)]
    assert kinds == ["saga_started", "cancel_requested", "step_succeeded", "step_succeeded"]


def test_faults_of_one_step_befall_its_attempts_in_the_order_they_were_planned(lab):
    saga = LabSaga.start(FIVE)
    lab.fail_at("charge", ValueError("first"))
    lab.crash_at("charge")
    lab.fail_at("charge", KeyError("third"))

    lab.run()

    errors = SagaEvent.objects.filter(saga_id=saga.id, step="charge").order_by("pk")
    assert list(errors.values_list("error_class", flat=True)) == ["ValueError", "worker lost", "KeyError", ""]


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (lambda lab: lab.fail_at("chrage"), "No saga has a step 'chrage'. Did you mean 'charge'?"),
        (
            lambda lab: lab.crash_at("insist", undo=True),
            "No saga has a compensation of a step 'insist'.",
        ),
        (
            lambda lab: lab.fail_at("charge", times=0),
            "fail_at('charge'): times=0 is no number of attempts; None means each",
        ),
    ],
    ids=["misspelt", "no compensation", "no attempts"],
)
def test_a_plan_that_cannot_be_meant_is_refused_at_once(db, plan, told):
    with SagaLab() as lab, pytest.raises(ValueError) as raised:  # noqa: PT011
        plan(lab)

    assert str(raised.value) == told


def test_a_fault_that_befell_nothing_fails_the_test(db, bank):
    def test() -> None:
        with SagaLab() as lab:
            LabSaga.start(FIVE)
            lab.fail_at("charge", undo=True)
            lab.run()

    with pytest.raises(AssertionError) as raised:
        test()

    assert str(raised.value) == "Planned, but no attempt came there: fail_at('charge', undo=True)."
    assert ": completed" in raised.value.__notes__[0]

"""The matrix tries every way in which a saga may go wrong, and finds what a saga does wrong itself."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from django_saga import PermanentFailure, Saga, step
from django_saga.dsl.registry import registry
from django_saga.models import SagaInstance
from django_saga.testing import SagaCase, saga_matrix
from tests.ledger import effects
from tests.sagas import lab_sagas
from tests.sagas.lab_sagas import (
    Bank,
    LabCarelessSaga,
    LabForgetfulSaga,
    LabGraphSaga,
    LabImpatientSaga,
    LabLeakySaga,
    LabSaga,
    LabTrustingSaga,
)

FIVE = {"amount": 5}
COSTS = {LabSaga: 6, LabGraphSaga: 2, LabImpatientSaga: 5}


@pytest.mark.parametrize(
    "case",
    [case for saga in COSTS for case in saga_matrix(saga)],
    ids=lambda case: f"{case.saga.name}-{case}",
)
@pytest.mark.parametrize(
    "_how",
    [
        pytest.param("rolled back", marks=pytest.mark.django_db),
        pytest.param("committed", marks=pytest.mark.django_db(transaction=True)),
    ],
)
def test_a_saga_that_is_right_is_done_or_undone_in_every_case(_how, case, bank, ledger):
    with case.run(FIVE) as saga:
        kept = sum(1 if key.endswith(":do") else -1 for key in effects().elements())
        if saga.status == "completed":
            assert (bank.balance, kept) == (COSTS[case.saga], _atomic_steps(case.saga))
        else:
            assert (bank.balance, kept) == (0, 0)
        assert max(effects().values(), default=1) == 1

    assert SagaInstance.objects.count() == 0
    assert effects() == {}


def _atomic_steps(saga: type[Saga]) -> int:
    return sum(step.atomic for step in saga.program.definition.steps)


def failing(saga: type[Saga], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The cases in which ``saga`` takes money without completing, or twice; by what they say."""
    found = {}
    for case in saga_matrix(saga):
        bank = Bank()
        monkeypatch.setattr(lab_sagas, "bank", bank)
        try:
            with case.run(FIVE) as handle:
                assert bank.balance == (5 if handle.status == "completed" else 0)
        except AssertionError as error:
            [story] = error.__notes__
            found[str(case)] = str(error).splitlines()[0] if f" {saga.name} v1 " in story else story
    return found


@pytest.mark.django_db
def test_a_compensation_that_undoes_nothing_is_found_wherever_the_saga_turns_back(monkeypatch):
    found = failing(LabForgetfulSaga, monkeypatch)

    assert set(found.values()) == {"assert 5 == 0"}
    assert set(found) == {
        "charge: is in flight when the saga is cancelled",
        "charge: loses every answer",
        "undo of charge: fails once before its effect",
        "undo of charge: fails once after its effect",
        "undo of charge: crashes before its effect",
        "undo of charge: crashes after its effect",
        "undo of charge: runs twice",
        "thank: fails before its effect",
        "thank: is in flight when the saga is cancelled",
        "thank: loses every answer",
    }


@pytest.mark.django_db
def test_a_compensation_that_trusts_in_a_result_is_found_by_a_lost_answer(monkeypatch):
    assert failing(LabTrustingSaga, monkeypatch) == {
        "charge: loses every answer": (
            "charge: loses every answer: the saga is stuck, not completed or compensated."
        )
    }


@pytest.mark.django_db
def test_a_step_that_takes_money_again_with_every_attempt_is_found(monkeypatch):
    assert failing(LabCarelessSaga, monkeypatch) == {
        "charge: crashes after its effect": "assert 10 == 5",
        "charge: runs twice": "assert 10 == 5",
        "charge: loses its answer": "assert 10 == 5",
    }


@pytest.mark.django_db
def test_an_effect_outside_of_a_step_that_is_rolled_back_is_found(monkeypatch):
    assert failing(LabLeakySaga, monkeypatch) == {"charge: fails after its effect": "assert 5 == 0"}


def test_cases_say_what_goes_wrong_where_and_ask_no_database():
    assert [str(case) for case in saga_matrix(LabImpatientSaga)] == [
        "nothing goes wrong",
        "charge: fails before its effect",
        "charge: crashes before its effect",
        "charge: crashes after its effect",
        "charge: runs twice",
        "charge: is in flight when the saga is cancelled",
        "charge: loses its answer",
        "charge: loses every answer",
        # One that is tried once is a person's with its first failure: nothing to check.
        "undo of charge: crashes before its effect",
        "undo of charge: crashes after its effect",
        "undo of charge: runs twice",
    ]
    assert {case.__name__ for case in saga_matrix(LabSaga)} == {str(case) for case in saga_matrix(LabSaga)}


def case_of(saga: type[Saga], told: str) -> SagaCase:
    [case] = [case for case in saga_matrix(saga) if str(case) == told]
    return case


def error_of(case: SagaCase, input: Any) -> AssertionError:
    """What is wrong with ``case`` when nobody looks at the saga."""
    with pytest.raises(AssertionError) as raised, case.run(input):
        pass
    return raised.value


@pytest.mark.django_db
def test_an_input_with_which_the_saga_comes_to_no_step_is_told():
    with registry.isolated():

        class ChoosySaga(Saga):
            @step(no_compensation=True)
            def look(self, ctx):
                if ctx.input["amount"] > 3:
                    raise PermanentFailure("too much")

            @step(no_compensation=True)
            def thank(self, ctx):
                pass

        [nothing, *_] = saga_matrix(ChoosySaga)
        assert str(error_of(nothing, FIVE)) == "nothing goes wrong: the saga is compensated, not completed."
        never = error_of(case_of(ChoosySaga, "thank: runs twice"), FIVE)
        assert str(never).startswith("thank: runs twice: the saga never came there. Give an input")
        assert "PermanentFailure: too much" in never.__notes__[0]


@pytest.mark.django_db
def test_a_case_concerns_its_own_saga_only(bank):
    other = LabForgetfulSaga.start(FIVE)
    case = case_of(LabTrustingSaga, "charge: fails before its effect")

    with case.run(FIVE) as saga:
        assert (other.status, saga.status) == ("completed", "compensated")
    # Also what the case did to other sagas is rolled back.
    assert other.status == "running"


@pytest.mark.django_db
def test_an_error_in_the_block_is_raised_with_the_story(bank):
    case = case_of(LabForgetfulSaga, "thank: fails before its effect")

    with pytest.raises(ZeroDivisionError) as raised, case.run(FIVE):
        assert 1 / 0

    assert "lab_forgetful v1" in raised.value.__notes__[0]
    assert not connection.needs_rollback

"""An effect of this database happens once, is undone once, and never after it was undone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from django_saga import (
    EffectRefused,
    NothingToUndo,
    PermanentFailure,
    SagaError,
    do_once,
    forget_effects,
    undo_once,
)
from django_saga.exceptions import EncodingError
from django_saga.models import SagaEffect
from django_saga.testing import SagaLab, assert_compensated, assert_completed, shift_clock
from tests.commands.screen import document, written
from tests.models import Account
from tests.sagas import guard_sagas
from tests.sagas.guard_sagas import FencedSaga

DO, UNDO = "saga:charge:do", "saga:charge:undo"

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    return Account.objects.create(name="ada", balance=100)


def pay(account, amount=10):
    def effect():
        account.balance -= amount
        account.save()
        return {"paid": Decimal(amount)}

    return effect


def give_back(account):
    def compensation(result):
        account.balance += result["paid"]
        account.save()

    return compensation


def balance():
    return Account.objects.get().balance


# --- effect and compensation ----------------------------------------------------------------------


def test_an_effect_happens_once_and_gives_the_same_each_time(account):
    results = [do_once(DO, pay(account)) for _ in range(3)]

    assert (results, balance()) == ([{"paid": Decimal(10)}] * 3, 90)


def test_it_is_undone_once_with_what_it_returned(account):
    do_once(DO, pay(account))

    assert [undo_once(UNDO, give_back(account)) for _ in range(3)] == [True, False, False]
    assert balance() == 100


def test_an_effect_that_comes_after_its_compensation_is_refused_for_good(account):
    do_once(DO, pay(account))
    undo_once(UNDO, give_back(account))

    with pytest.raises(EffectRefused, match="saga:charge:do came after its compensation"):
        do_once(DO, pay(account))

    assert balance() == 100
    assert issubclass(EffectRefused, PermanentFailure)


def test_a_compensation_that_comes_first_calls_nothing_and_bars_the_effect(account):
    assert undo_once(UNDO, give_back(account)) is False

    with pytest.raises(EffectRefused):
        do_once(DO, pay(account))

    assert (balance(), undo_once(UNDO, give_back(account))) == (100, False)


def test_an_effect_that_failed_has_not_happened_and_may_be_tried_again(account):
    def fail():
        pay(account)()
        raise OSError("no luck")

    with pytest.raises(OSError, match="no luck"):
        do_once(DO, fail)

    assert (balance(), SagaEffect.objects.exists()) == (100, False)
    account.refresh_from_db()
    assert do_once(DO, pay(account)) == {"paid": Decimal(10)}


def test_a_compensation_that_failed_may_be_tried_again(account):
    do_once(DO, pay(account))

    def fail(result):
        raise OSError("no luck")

    with pytest.raises(OSError, match="no luck"):
        undo_once(UNDO, fail)

    assert undo_once(UNDO, give_back(account)) is True


def test_both_are_part_of_the_transaction_that_is_open(account):
    with transaction.atomic():
        do_once(DO, pay(account))
        transaction.set_rollback(True)

    assert (balance(), SagaEffect.objects.exists()) == (100, False)


def test_what_it_returns_has_to_be_json(account):
    with pytest.raises(EncodingError, match="what the effect saga:charge:do returned"):
        do_once(DO, lambda: pay(account)() and object())

    assert balance() == 100


def test_an_effect_that_is_asked_for_within_itself_is_an_error_and_not_silently_left_out(account):
    with pytest.raises(SagaError, match="saga:charge:do is under way in this very transaction"):
        do_once(DO, lambda: do_once(DO, pay(account)))
    with pytest.raises(SagaError, match="saga:charge:undo is under way"):
        do_once(DO, lambda: undo_once(UNDO, give_back(account)))

    assert (balance(), SagaEffect.objects.exists()) == (100, False)
    # Each of two effects of one step, with a key of its own.
    do_once(DO, lambda: do_once("saga:charge.fee:do", pay(account)))
    assert balance() == 90


def test_a_compensation_that_is_asked_for_within_itself_undoes_once(account):
    do_once(DO, pay(account))

    def twice(result):
        give_back(account)(result)
        assert undo_once(UNDO, give_back(account)) is False

    assert undo_once(UNDO, twice) is True
    assert balance() == 100


def test_a_compensation_that_finds_nothing_to_undo_bars_the_effect_too(account):
    do_once(DO, lambda: None)

    def nothing(result):
        raise NothingToUndo("it had expired")

    assert undo_once(UNDO, nothing) is False
    with pytest.raises(EffectRefused):
        do_once(DO, pay(account))


def test_effects_of_two_keys_have_nothing_to_do_with_each_other(account):
    do_once(DO, pay(account))
    do_once("other:charge:do", pay(account))
    do_once("SAGA:charge:do", pay(account))

    assert balance() == 70


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: do_once(UNDO, lambda: None), "do_once: 'saga:charge:undo' is no key of do"),
        (lambda: undo_once(DO, lambda result: None), "undo_once: 'saga:charge:do' is no key of undo"),
        (lambda: do_once("order-42", lambda: None), "Call it with ctx.idempotency_key in a step"),
        (lambda: do_once(":do", lambda: None), "is no key of do"),
        (lambda: do_once(f"{'x' * 201}:do", lambda: None), "is no key of do"),
    ],
)
def test_a_key_of_another_kind_is_refused(call, error):
    with pytest.raises(ValueError, match=error):
        call()


def test_what_is_known_of_old_effects_can_be_forgotten():
    do_once(DO, lambda: None)
    with shift_clock(timedelta(days=20)):
        do_once("young:charge:do", lambda: None)
    with shift_clock(timedelta(days=40)):
        assert forget_effects(timedelta(days=30)) == 1

    assert SagaEffect.objects.get().effect_key == "young:charge"


# --- in a saga ------------------------------------------------------------------------------------


@pytest.mark.fault("F47")
def test_a_step_in_doubt_is_compensated_whether_or_not_its_effect_happened(account):
    for after_effect in (True, False):
        with SagaLab() as lab:
            lab.fail_at("ship")
            lab.crash_at("charge", after_effect=after_effect)
            saga = FencedSaga.start()
            lab.run()
            assert_compensated(saga)
        assert balance() == 100


@pytest.mark.fault("F48")
def test_an_effect_that_hangs_until_after_its_compensation_is_refused_and_nothing_is_lost(
    account, monkeypatch
):
    late: list[str] = []
    monkeypatch.setattr(guard_sagas, "hanging", late.append)
    with SagaLab() as lab:
        saga = FencedSaga.start()
        lab.run()
        assert_compensated(saga)
    [key] = set(late)

    with pytest.raises(EffectRefused):
        guard_sagas.charge(key)

    assert balance() == 100


def test_a_saga_that_is_well_pays_once_though_its_step_ran_twice(account):
    with SagaLab() as lab:
        lab.duplicate("charge")
        saga = FencedSaga.start()
        lab.run()
        assert_completed(saga)
    assert balance() == 90


@pytest.mark.parametrize(
    ("hangs", "said", "status"),
    [
        (False, "guarded effect: undone, ", "undone"),
        (True, "guarded effect: barred, as its compensation came first, ", "barred"),
    ],
)
def test_saga_show_says_what_became_of_the_effect(account, monkeypatch, hangs, said, status):
    if hangs:
        monkeypatch.setattr(guard_sagas, "hanging", lambda key: None)
    with SagaLab() as lab:
        if not hangs:
            lab.fail_at("ship")
        saga = FencedSaga.start()
        lab.run()

    text, found = written("saga_show", str(saga.id)), document("saga_show", str(saga.id))

    assert text.count("guarded effect") == text.count(said) == 1
    assert [step["guarded_effect"] and step["guarded_effect"]["status"] for step in found["steps"]] == [
        status,
        None,
    ]

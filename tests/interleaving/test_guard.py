"""A late effect and its compensation meet in every order: never is an effect left that nobody undoes."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F

from django_saga import EffectRefused, do_once, undo_once
from django_saga.models import SagaEffect
from django_saga.store import errors
from tests.models import Account

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

DO, UNDO = "saga:charge:do", "saga:charge:undo"


def pay():
    try:
        return do_once(DO, lambda: Account.objects.update(balance=F("balance") - 10))
    except EffectRefused:
        return "refused"


def give_back():
    return undo_once(UNDO, lambda result: Account.objects.update(balance=F("balance") + 10))


def fresh():
    SagaEffect.objects.all().delete()
    Account.objects.all().delete()
    Account.objects.create(name="ada", balance=100)


@pytest.mark.fault("F48")
def test_an_effect_and_its_compensation_at_once_leave_nothing_behind(stage):
    ways = set()
    for play in stage.every_schedule(preemptions=2):
        fresh()

        paid, undone = play(pay, give_back)

        assert Account.objects.get().balance == 100
        assert (paid, undone) in {(1, True), ("refused", False)}
        ways.add(undone)
    assert ways == {True, False}


def test_two_effects_and_a_compensation_at_once_leave_nothing_behind(stage):
    for play in stage.every_schedule(preemptions=1):
        fresh()

        first, second, undone = play(pay, pay, give_back)

        assert Account.objects.get().balance == 100
        assert undone is ((first, second) != ("refused", "refused"))


def test_an_effect_twice_at_once_happens_once(stage):
    for play in stage.every_schedule(preemptions=2):
        fresh()

        assert play(pay, pay) == [1, 1]

        assert Account.objects.get().balance == 90


def test_a_compensation_twice_at_once_undoes_once(stage):
    for play in stage.every_schedule(preemptions=2):
        fresh()
        pay()

        assert sorted(play(give_back, give_back)) == [False, True]

        assert Account.objects.get().balance == 100


@pytest.mark.fault("F48")
def test_an_effect_whose_transaction_sees_an_older_time_is_not_let_through(stage):
    """At REPEATABLE READ what was committed meanwhile cannot be seen: then nothing may happen."""
    fresh()

    def pay_later():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            SagaEffect.objects.exists()  # this is the time that it sees from here on
            return pay()

    ended = set()
    for play in stage.every_schedule(preemptions=2):
        fresh()

        paid, undone = play(pay_later, give_back)

        refused = paid == "refused" or (isinstance(paid, OperationalError) and errors.is_conflict(paid))
        assert (refused, undone) in {(True, False), (False, True)}, paid
        assert Account.objects.get().balance == 100
        ended.add(type(paid))
    assert OperationalError in ended

"""Many at once, on every database: an effect and its compensation, each asked for by several (F48).

None of them is told of a deadlock: they wait for the row in one line.
"""

from __future__ import annotations

from functools import partial

import pytest
from django.db.models import F

from django_saga import EffectRefused, do_once, undo_once
from django_saga.models import SagaEffect
from tests.models import Account
from tests.together import in_threads

pytestmark = [pytest.mark.fault("F48"), pytest.mark.django_db(transaction=True)]

ROUNDS, CALLERS = 20, 8


def pay(key):
    try:
        return do_once(f"{key}:do", lambda: Account.objects.update(balance=F("balance") - 10))
    except EffectRefused:
        return "refused"


def give_back(key):
    return undo_once(
        f"{key}:undo",
        lambda result: Account.objects.update(balance=F("balance") + 10),
    )


def one_of(calls, key, number):
    return calls[number](key)


def test_of_many_who_ask_for_an_effect_and_its_compensation_none_leaves_anything_behind():
    Account.objects.create(name="ada", balance=100)
    for number in range(ROUNDS):
        key = f"round {number}:charge"
        calls = [pay, give_back] * (CALLERS // 2)

        answers = in_threads(CALLERS, partial(one_of, calls, key))

        paid, undone = answers[::2], answers[1::2]
        assert set(paid) <= {1, "refused"}, answers
        assert undone.count(True) == (1 if 1 in paid else 0), answers
        assert Account.objects.get().balance == 100
        assert SagaEffect.objects.get(effect_key=key).status == ("undone" if 1 in paid else "barred")


def test_of_many_who_ask_for_one_effect_all_get_what_it_gave_once():
    Account.objects.create(name="ada", balance=100 + 10 * ROUNDS)
    for number in range(ROUNDS):
        key = f"round {number}:charge"

        answers = in_threads(CALLERS, partial(one_of, [pay] * CALLERS, key))

        assert answers == [1] * CALLERS
    assert Account.objects.get().balance == 100

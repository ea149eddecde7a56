"""A crash or a broken connection at every statement of a guarded effect and of its compensation: the effect
is there together with the note of it, or neither is, and whoever asks again has it once (F48).
"""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection

from django_saga import EffectRefused, do_once, undo_once
from django_saga.models import SagaEffect
from tests import ledger
from tests.models import Effect
from tests.sweep.points import DROPS, KILLS, Mode

pytestmark = [pytest.mark.fault("F48"), pytest.mark.crash, pytest.mark.django_db(transaction=True)]


def kinds(key: str) -> Counter[str]:
    return Counter(Effect.objects.filter(key=key).values_list("kind", flat=True))


def noted(key: str) -> str:
    return SagaEffect.objects.values_list("status", flat=True).filter(effect_key=key).first() or ""


def do(key: str) -> object:
    def effect() -> str:
        ledger.effect(key)
        return "again"

    return do_once(f"{key}:do", effect)


def undo(key: str) -> bool:
    return undo_once(f"{key}:undo", lambda result: ledger.effect(key, "undo"))


def strike_each(fork, job: str, mode: Mode, given=lambda key: None) -> list[str]:
    """Strike run after run one point later, each with a key of its own that ``given`` prepares."""
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    given("unharmed")
    keys = []
    for at, point in fork.points(mode, job, key="unharmed"):
        key = point[:150]
        given(key)
        fork.strike(mode, at, job, key=key)
        keys.append(key)
    assert keys
    return keys


@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_an_effect_is_there_with_its_note_or_not_at_all_and_once_in_the_end(fork, ledger, mode):
    found = set()
    for key in strike_each(fork, "by_participant", mode):
        before = (noted(key), kinds(key)["do"])
        found.add(before)

        assert do(key) == ("do" if before[1] else "again")

        assert kinds(key) == {"do": 1}
    assert found <= {("", 0), ("done", 1)}


@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_a_compensation_is_there_with_its_note_or_not_at_all_and_once_in_the_end(fork, ledger, mode):
    found = set()
    for key in strike_each(fork, "by_participant_undoing", mode, given=do):
        before = (noted(key), kinds(key)["undo"])
        found.add(before)

        assert undo(key) is not bool(before[1])

        assert kinds(key) == {"do": 1, "undo": 1}
    assert found <= {("done", 0), ("undone", 1)}


@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_a_compensation_without_an_effect_bars_it_whatever_strikes(fork, ledger, mode):
    for key in strike_each(fork, "by_participant_undoing", mode):
        assert noted(key) in ("", "barred")

        assert undo(key) is False
        with pytest.raises(EffectRefused):
            do(key)

        assert kinds(key) == {}

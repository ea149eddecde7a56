"""A crash or a broken connection at every statement of sagas that take turns: no lock is lost, none is left.

Each run has a lock of its own, so that those that were struck keep nobody else waiting.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import connection

from django_saga.models import SagaInstance, SagaLock
from tests.sweep.expectations import CANONICAL, check
from tests.sweep.points import DROPS, KILLS, Mode

pytestmark = [
    pytest.mark.fault("F54"),
    pytest.mark.crash,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
]

DONE, UNDONE = (replace(canonical, saga="sweep_lock") for canonical in CANONICAL[:2])
assert (DONE.title, UNDONE.title) == ("linear done", "linear undone")
MODES = [*KILLS, *DROPS]


def needs_connections(mode: Mode) -> None:
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")


def asked(canonical, key):
    """The input of the run called ``key``: about an order of its own."""
    return {**canonical.input, "order": key}


def strike_each(fork, driver, canonical, mode, suffixes):
    """Strike run after run one point later, and have each carried to its end; give the keys of the sagas."""
    keys: list[str] = []

    def finish(key):
        wanted = [(canonical.saga, asked(canonical, key), key + suffix) for suffix in suffixes]
        fork.run("finish", wanted=wanted)
        keys.extend(key for _, _, key in wanted)

    first = asked(canonical, "unharmed")
    for at, point in fork.points(mode, driver, saga=canonical.saga, input=first, key="unharmed"):
        key = point[:150]
        fork.strike(mode, at, driver, saga=canonical.saga, input=asked(canonical, key), key=key)
        finish(key)
    finish("unharmed")
    return keys


@pytest.mark.parametrize("canonical", [DONE, UNDONE], ids=["done", "undone"])
@pytest.mark.parametrize("mode", MODES)
def test_a_saga_holds_its_locks_to_its_end_whatever_strikes_it(fork, ledger, canonical, mode):
    needs_connections(mode)

    keys = strike_each(fork, "by_caller", canonical, mode, [""])

    check(canonical, keys, ledger)
    assert SagaLock.objects.count() == 0


@pytest.mark.parametrize("mode", MODES)
def test_one_who_waits_gets_its_turn_whatever_strikes(fork, ledger, mode):
    needs_connections(mode)

    keys = strike_each(fork, "in_turns", DONE, mode, ["", " again"])

    check(DONE, keys, ledger)
    assert SagaLock.objects.count() == 0
    saga_of = dict(SagaInstance.objects.values_list("idempotency_key", "id"))
    at: dict[str, list[int]] = {}
    for number, line in enumerate(ledger.lines()):
        at.setdefault(line.key.partition(":")[0], []).append(number)
    for key in keys:
        if not key.endswith(" again"):
            first, second = at[str(saga_of[key])], at[str(saga_of[key + " again"])]
            assert first[-1] < second[0], f"{key}: both were at it"

"""A crash or a broken connection at every statement of sagas that wait for an event, and of its sending.

It is there once, taken once, and nobody waits for what is there.
"""

from __future__ import annotations

import pytest
from django.db import connection

from django_saga.models import ExternalEvent, SagaStep
from tests.sweep.expectations import Canonical, check
from tests.sweep.points import DROPS, KILLS, Mode
from tests.sweep.test_sweep import struck_at_each_point

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

TOLD = Canonical(
    "told",
    "sweep_event",
    {},
    "completed",
    inside=frozenset(),
    outside=frozenset({"call:do"}),
    order=(),
)


@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_an_event_is_there_once_and_taken_once_whatever_strikes(fork, ledger, mode: Mode):
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    keys = struck_at_each_point(fork, "with_event", TOLD, mode)

    fork.run("finish_with_event", wanted=[(TOLD.saga, TOLD.input, key) for key in keys])

    check(TOLD, keys, ledger)
    taken = ExternalEvent.objects.values_list("taken_by", flat=True)
    assert sorted(taken) == sorted(SagaStep.objects.filter(name="told").values_list("pk", flat=True))

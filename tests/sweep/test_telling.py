"""A crash or a broken connection at every statement of a saga that publishes: what it says is in the outbox
once, in its order (F14).
"""

from __future__ import annotations

import json

import pytest
from django.db import connection

from django_saga.models import OutboxMessage, SagaInstance
from tests.sweep.points import DROPS, KILLS

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SAID = {
    "work": ["reserved", "charged", "by card", "shipped"],
    "fail": ["reserved", "charged", "by card", "released"],
}


@pytest.mark.parametrize("word", SAID)
@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_a_saga_says_everything_once_in_its_order(fork, ledger, mode, word):
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    job = {"saga": "telling", "input": word}
    fork.run("by_worker", **job, key="first", mode="nothing", at=0)
    keys = ["first", "unharmed"]
    for at, key in fork.points(mode, "by_worker", **job, key="unharmed"):
        fork.strike(mode, at, "by_worker", **job, key=key)
        keys.append(key)

    fork.run("finish", wanted=[("telling", word, key) for key in keys])

    assert len(keys) > 10
    for key in set(keys):
        saga = SagaInstance.objects.get(idempotency_key=key)
        told = OutboxMessage.objects.filter(saga_id=saga.pk).order_by("id")
        assert [json.loads(row.payload) for row in told] == SAID[word], key
        assert [row.number for row in told] == [1, 2, 3, 4]

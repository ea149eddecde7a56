"""A migration that dies at any statement has moved a saga wholly or not at all, and is simply run again."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from django_saga import operations, runtime
from django_saga.engine import attempt
from django_saga.models import SagaInstance, SagaOperation
from django_saga.testing import assert_saga_invariants
from tests.interleaving.moves import claim, record
from tests.sagas.race_sagas import RaceForkSaga
from tests.sweep.points import DROPS, KILLS

ROUTE: dict[str, Any] = {"name": "race_fork", "from_version": 1, "to_version": 2, "mapping": {"left": "port"}}


def begin(key: str) -> None:
    """Start a saga, one of whose branches is done."""
    saga_id = RaceForkSaga.start(idempotency_key=key).id
    [task] = claim(RaceForkSaga, saga_id, step="left")
    record([attempt.run(task)])


@pytest.mark.crash
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_a_migration_and_its_audit_are_one_thing_whenever_the_process_dies(fork, ledger, mode):
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    runtime.programs("default")  # makes the rows that are made once
    begin("unharmed")
    keys = ["unharmed"]

    for at, key in fork.points(mode, "by_migration", **ROUTE, key="unharmed"):
        begin(key)
        fork.strike(mode, at, "by_migration", **ROUTE, key=key)
        keys.append(key)

    for saga in SagaInstance.objects.select_related("definition"):
        moved = saga.definition.version == 2
        assert saga.events.filter(kind="migrated").count() == moved
        assert SagaOperation.objects.filter(saga=saga, action="migrate").count() == moved
        assert set(saga.steps.values_list("definition_id", flat=True)) == {saga.definition_id}
    assert_saga_invariants()
    operations.migrate_sagas(**ROUTE, by="the person again")
    fork.run("finish", wanted=[("race_fork", None, key) for key in keys])
    ended = SagaInstance.objects.values_list("status", "definition__version")
    assert list(ended) == [("completed", 2)] * len(keys)
    assert set(ledger.calls("call").values()) == {1}
    assert_saga_invariants()

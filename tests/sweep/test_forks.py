"""A fork that dies at any statement has happened wholly or not at all, and is simply asked for again."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection

from django_saga import operations
from django_saga.core.states import SagaStatus
from django_saga.engine import attempt
from django_saga.models import SagaInstance, SagaOperation
from django_saga.testing import assert_saga_invariants
from tests.interleaving.moves import claim, record
from tests.sagas.race_sagas import RaceForkSaga
from tests.sweep.points import DROPS, KILLS


def begin(key: str) -> None:
    """Start a saga, one of whose branches is done."""
    saga_id = RaceForkSaga.start(idempotency_key=key).id
    [task] = claim(RaceForkSaga, saga_id, step="left")
    record([attempt.run(task)])


@pytest.mark.crash
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", [*KILLS, *DROPS])
def test_a_fork_and_the_end_of_the_original_are_one_thing_whenever_the_process_dies(fork, ledger, mode):
    if mode in DROPS and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection that could be lost")
    job = {"action": "fork", "from_step": "right"}
    begin("unharmed")
    keys = ["unharmed"]

    for at, key in fork.points(mode, "by_operator", **job, key="unharmed"):
        begin(key)
        fork.strike(mode, at, "by_operator", **job, key=key)
        keys.append(key)

    outcomes = set()
    for saga in SagaInstance.objects.filter(idempotency_key__in=keys):
        forked = saga.status == SagaStatus.SUPERSEDED
        outcomes.add(forked)
        forks = SagaInstance.objects.filter(forked_from=saga.pk)
        assert [each.pk for each in forks] == ([saga.superseded_by] if forked else [])
        assert saga.events.filter(kind="saga_superseded").count() == forked
        assert SagaOperation.objects.filter(saga=saga, action="fork").count() == forked
        if not forked:
            operations.fork(saga.pk, "right", by="the person again")
    assert outcomes == {True, False}
    assert_saga_invariants()
    fork.run("finish", wanted=[("race_fork", None, key) for key in keys])
    ended = Counter(SagaInstance.objects.values_list("status", flat=True))
    assert ended == {"superseded": len(keys), "completed": len(keys)}
    assert set(ledger.calls("call").values()) == {1}
    assert len(ledger.lines("call")) == 3 * len(keys)
    assert_saga_invariants()

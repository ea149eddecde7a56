"""A worker that is to end when nothing is due does not take a look that found locked rows for that."""

from __future__ import annotations

import pytest

from django_saga import operations, runtime
from django_saga.store import claims
from tests.sagas.worker_sagas import WorkerChain

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ledger")]


def test_a_step_that_was_locked_while_it_was_looked_for_is_run_all_the_same(monkeypatch):
    handle = WorkerChain.start({})
    claim, looks = claims.claim, []

    def passing_over(*args, **options):
        looks.append(options)
        return [] if len(looks) <= 3 else claim(*args, **options)

    monkeypatch.setattr(claims, "claim", passing_over)

    runtime.build_worker(using="default", once=True).run()

    assert handle.status == "completed"


def test_what_is_held_back_otherwise_does_not_keep_it():
    handle = WorkerChain.start({})
    operations.pause(definition="worker_chain", by="a person")

    runtime.build_worker(using="default", once=True).run()

    assert handle.status == "running"

"""Transactions that run into each other run again, within the attempt; user code is told."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from django_saga import SagaStatus, runtime
from django_saga.models import SagaEvent, SagaStep
from tests.ledger import effects
from tests.models import Account
from tests.processes import wait_until
from tests.sagas.atomic_sagas import TransferSaga, UnluckySaga

pytestmark = [
    pytest.mark.fault("F32"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


@pytest.mark.postgres
@pytest.mark.mariadb
def test_a_deadlock_of_two_atomic_steps_costs_neither_an_attempt(ledger):
    Account.objects.bulk_create([Account(name="a", balance=100), Account(name="b", balance=100)])
    one, other = TransferSaga.bulk_start(
        [{"from": "a", "to": "b", "amount": 30}, {"from": "b", "to": "a", "amount": 5}]
    )
    worker = in_background(lambda: runtime.build_worker(using="default", concurrency=2, once=True).run())

    # Each holds the lock that the other one wants next.
    wait_until(lambda: len(ledger.lines("locked")) == 2)
    ledger.open("both locked")
    worker.join(60)

    assert (one.status, other.status) == (SagaStatus.COMPLETED, SagaStatus.COMPLETED)
    assert dict(Account.objects.values_list("name", "balance")) == {"a": 75, "b": 125}
    assert effects() == {f"{one.id}:move:do": 1, f"{other.id}:move:do": 1}
    runs = sorted(line.note for line in ledger.lines("call"))
    assert runs == ["attempt 1, run 0", "attempt 1, run 0", "attempt 1, run 1"]
    assert set(SagaStep.objects.values_list("attempt", "token", "crashes")) == {(1, 1, 0)}
    assert list(SagaEvent.objects.filter(step="move").values_list("kind", "attempt")) == [
        ("step_succeeded", 1),
        ("step_succeeded", 1),
    ]


def in_background(call) -> threading.Thread:
    def work() -> None:
        try:
            call()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.postgres
@pytest.mark.parametrize("way", ["worker", "in process"])
def test_a_step_that_loses_again_and_again_fails_in_the_end(ledger, way):
    lucky, unlucky = UnluckySaga.start(3, idempotency_key="3"), UnluckySaga.start(99, idempotency_key="99")

    if way == "worker":
        runtime.build_worker(using="default", once=True).run()
    else:
        UnluckySaga.run(3, idempotency_key="3")
        UnluckySaga.run(99, idempotency_key="99")

    assert (lucky.result(timeout=0), unlucky.status) == ("through", SagaStatus.COMPENSATED)
    assert effects() == {f"{lucky.id}:collide:do": 1}
    runs = {h.id: [x.note for x in ledger.lines() if x.key.startswith(str(h.id))] for h in (lucky, unlucky)}
    assert runs == {
        lucky.id: [f"attempt 1, run {n}" for n in range(4)],
        unlucky.id: [f"attempt 1, run {n}" for n in range(6)],
    }
    error = SagaStep.objects.get(saga_id=unlucky.id, name="collide").error
    assert error.startswith("the transaction of the step did not survive it: ")


@pytest.mark.sqlite
def test_on_sqlite_atomic_steps_take_turns_instead(ledger):
    Account.objects.bulk_create([Account(name="a", balance=100), Account(name="b", balance=100)])
    ledger.open("both locked")
    handles = TransferSaga.bulk_start(
        [{"from": "a", "to": "b", "amount": 1}, {"from": "b", "to": "a", "amount": 2}] * 10
    )

    runtime.build_worker(using="default", concurrency=4, once=True).run()

    assert {handle.status for handle in handles} == {SagaStatus.COMPLETED}
    assert dict(Account.objects.values_list("name", "balance")) == {"a": 110, "b": 90}
    assert {line.note for line in ledger.lines("call")} == {"attempt 1, run 0"}

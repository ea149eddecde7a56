"""Claims and leases on every database: who gets a step, and until when."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_saga import runtime
from django_saga.core.states import LIVE_SAGA
from django_saga.engine.intake import Intake
from django_saga.models import SagaStep
from django_saga.store import claims, clock, errors
from django_saga.store.rows import StepRow
from django_saga.testing import shift_clock
from tests.database.conftest import elsewhere
from tests.sagas.atomic_sagas import AtomicChainSaga
from tests.sagas.start_sagas import AsyncSaga, EchoSaga, PausedSaga

pytestmark = [
    pytest.mark.fault("F44"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

LEASE = timedelta(seconds=30)
A, B = uuid4(), uuid4()


def definition_ids() -> list[int]:
    return sorted(set(SagaStep.objects.values_list("definition_id", flat=True)))


def claim(owner: UUID = A, *, limit: int = 100, **options) -> list[StepRow]:
    given = {"queue": "default", "executor": "thread", "definitions": definition_ids(), **options}
    return claims.claim("default", owner=owner, limit=limit, lease=LEASE, **given)


def sagas_of(rows: list[StepRow]) -> list[UUID]:
    return [row.saga_id for row in rows]


def test_the_oldest_due_steps_are_claimed_first_up_to_the_limit():
    handles = [EchoSaga.start(number) for number in range(5)]

    first, rest, none = claim(limit=2), claim(limit=10), claim()

    assert sagas_of(first) == [handle.id for handle in handles[:2]]
    assert sagas_of(rest) == [handle.id for handle in handles[2:]]
    assert none == []


def test_a_claim_counts_the_attempt_raises_the_token_and_takes_the_lease_in_database_time():
    EchoSaga.start("x")
    before = clock.now("default")

    [row] = claim()

    stored = SagaStep.objects.get()
    assert (stored.status, stored.attempt, stored.token, stored.owner) == ("running", 1, 1, A)
    assert stored.claimed_at is not None
    assert before <= stored.claimed_at <= clock.now("default")
    assert stored.due_at == stored.claimed_at + LEASE
    # What the worker goes on with is what is stored.
    assert (row.status, row.attempt, row.token, row.owner) == ("running", 1, 1, A)
    assert (row.claimed_at, row.due_at) == (stored.claimed_at, stored.due_at)


def test_what_is_not_due_not_known_of_another_queue_or_executor_is_left_alone():
    echo, other = EchoSaga.start("x"), AsyncSaga.start("x")
    [known] = SagaStep.objects.filter(saga_id=echo.id).values_list("definition_id", flat=True)

    assert claim(definitions=[]) == []
    assert claim(definitions=[known + 1_000_000]) == []
    assert claim(queue="another") == []
    assert sagas_of(claim(executor="async")) == [other.id]
    with shift_clock(timedelta(seconds=-5)):
        assert claim() == []
    assert sagas_of(claim(definitions=[known])) == [echo.id]


def test_a_claim_may_be_of_one_saga_only():
    EchoSaga.start("x")
    wanted = EchoSaga.start("y")

    assert sagas_of(claim(saga_id=wanted.id)) == [wanted.id]


def test_compensations_are_claimed_as_such(ledger):
    ledger.open("first")
    handle = PausedSaga.start()
    runtime.build_worker(using="default", queue_names=["default"], once=True).run()
    handle.cancel()

    [row] = claim()

    assert (row.name, row.status, row.undo, row.attempt, row.token) == ("first", "undoing", True, 1, 2)


def test_claims_at_the_same_time_share_the_steps_out_and_give_none_twice():
    claimers = 8
    EchoSaga.bulk_start(range(200))
    ids = definition_ids()
    barrier = threading.Barrier(claimers)

    def work(number: int) -> list[tuple[UUID, UUID]]:
        owner = uuid4()
        try:
            barrier.wait(30)
            mine = []
            # Rows that another one holds for a moment are passed over, so one empty answer is no end.
            while SagaStep.objects.filter(status="scheduled").exists():
                try:
                    mine += claim(owner, limit=7, definitions=ids)
                except OperationalError as error:
                    # MariaDB ends one of two that met in an index; a worker looks again, too.
                    if not errors.is_conflict(error):
                        raise
            return [(row.id, owner) for row in mine]
        finally:
            connection.close()

    with ThreadPoolExecutor(claimers) as pool:
        taken = [pair for pairs in pool.map(work, range(claimers)) for pair in pairs]

    assert len(taken) == 200
    assert dict(taken) == dict(SagaStep.objects.values_list("id", "owner"))
    assert set(SagaStep.objects.values_list("status", "attempt", "token")) == {("running", 1, 1)}


def test_a_claim_passes_over_what_another_transaction_has_locked():
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("one writer at a time: a claim waits for the other transaction instead")
    first, second = EchoSaga.start(1), EchoSaga.start(2)

    with transaction.atomic():
        SagaStep.objects.select_for_update().get(saga_id=first.id)
        assert sagas_of(elsewhere(claim)) == [second.id]
    assert sagas_of(claim(B)) == [first.id]


def test_a_worker_that_is_to_end_waits_for_a_step_that_somebody_has_locked_just_then(monkeypatch):
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("one writer at a time: a claim waits for the other transaction instead")
    saga = EchoSaga.start(1)
    locked, looked_again, looks = threading.Event(), threading.Event(), []
    overlooked = Intake.overlooked

    def counted(*args):
        looks.append(args)
        if len(looks) == 5:
            looked_again.set()
        return overlooked(*args)

    def hold():
        with transaction.atomic():
            SagaStep.objects.select_for_update().get(saga_id=saga.id)
            locked.set()
            return looked_again.wait(30)

    monkeypatch.setattr(Intake, "overlooked", counted)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(elsewhere, hold)
        assert locked.wait(30)
        runtime.build_worker(using="default", queue_names=["default"], once=True).run()
        looked_again.set()

    assert held.result() is True
    assert saga.status not in LIVE_SAGA


# --- leases ---------------------------------------------------------------------------------------


def test_a_lease_is_found_expired_only_when_it_has_run_out():
    EchoSaga.start("x")
    [row] = claim()

    assert claims.expired("default", definitions=definition_ids(), limit=10) == []
    with shift_clock(LEASE + timedelta(seconds=1)):
        [found] = claims.expired("default", definitions=definition_ids(), limit=10)
        assert claims.expired("default", definitions=[], limit=10) == []

    assert (found.id, found.token, found.owner) == (row.id, row.token, A)


def test_looking_for_expired_leases_locks_nothing_when_there_are_none():
    EchoSaga.start("x")

    with CaptureQueriesContext(connection) as queries:
        claims.expired("default", definitions=definition_ids(), limit=10)

    assert [query["sql"] for query in queries if "FOR " in query["sql"]] == []


def test_an_expired_step_whose_row_is_locked_is_alive():
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("one writer at a time: whoever looks waits for the open transaction instead")
    AtomicChainSaga.start("go")
    claim()
    ids = definition_ids()

    with shift_clock(LEASE * 2), transaction.atomic():
        SagaStep.objects.select_for_update().get()
        assert elsewhere(lambda: claims.expired("default", definitions=ids, limit=10)) == []


def test_an_extended_lease_lasts_longer_and_a_lost_one_is_told():
    EchoSaga.bulk_start(range(3))
    kept, retaken, foreign = claim()
    SagaStep.objects.filter(pk=retaken.id).update(token=7)
    SagaStep.objects.filter(pk=foreign.id).update(owner=B)

    with shift_clock(timedelta(seconds=20)):
        lost = claims.extend(
            "default", owner=A, tokens={row.id: row.token for row in (kept, retaken, foreign)}, lease=LEASE
        )

    assert lost == {retaken.id, foreign.id}
    due = dict(SagaStep.objects.values_list("id", "due_at"))
    extended = due[kept.id]
    assert extended is not None
    assert kept.due_at is not None
    assert extended > kept.due_at + timedelta(seconds=19)
    assert (due[retaken.id], due[foreign.id]) == (retaken.due_at, foreign.due_at)


def test_a_released_step_is_due_again_uncharged_and_fenced_against_its_former_owner():
    EchoSaga.bulk_start(range(2))
    due = dict(SagaStep.objects.values_list("id", "due_at"))
    mine, taken = claim()
    SagaStep.objects.filter(pk=taken.id).update(token=2)

    given = claims.release("default", owner=A, rows=[mine, taken])

    assert given == 1
    stored = SagaStep.objects.get(pk=mine.id)
    assert (stored.status, stored.attempt, stored.token, stored.owner) == ("scheduled", 0, 2, None)
    assert stored.due_at == due[mine.id]
    [again] = claim(B)
    assert (again.id, again.attempt, again.token) == (mine.id, 1, 3)
    SagaStep.objects.filter(pk=taken.id).update(token=1)


def test_what_an_owner_holds_is_what_it_claimed_and_was_not_released():
    EchoSaga.bulk_start(range(3))
    first, second = claim(limit=2)
    claim(B)
    claims.release("default", owner=A, rows=[first])

    held = claims.held_by("default", A)

    assert [(row.id, row.token) for row in held] == [(second.id, second.token)]


def test_the_next_alarm_is_the_earliest_of_due_times_and_lease_ends():
    assert claims.next_due("default", definitions=[1]) is None
    EchoSaga.bulk_start(range(2))
    [row] = claim(limit=1)
    due = SagaStep.objects.get(status="scheduled").due_at

    assert claims.next_due("default", definitions=definition_ids()) == due
    claim()
    assert claims.next_due("default", definitions=definition_ids()) == row.due_at


def test_a_claim_may_be_for_one_step_only():
    first, second = EchoSaga.start(1), EchoSaga.start(2)
    rows = {row.saga_id: row.pk for row in SagaStep.objects.all()}

    assert [row.id for row in claim(step_id=rows[second.id])] == [rows[second.id]]
    assert claim(step_id=rows[second.id]) == []
    assert [row.saga_id for row in claim()] == [first.id]

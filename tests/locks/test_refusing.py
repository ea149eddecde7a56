"""A saga whose lock another one has is refused, and nothing of it stays."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from django_saga import IdempotencyConflict, InvalidInput, SagaStatus, TargetLocked, runtime
from django_saga.models import SagaEvent, SagaInstance, SagaLock, SagaStep
from django_saga.testing import assert_saga_invariants
from tests.sagas.lock_sagas import LockRefuseSaga, LockStuckSaga, LockWaitSaga, Parcel

pytestmark = [
    pytest.mark.fault("F54"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


def rows():
    return tuple(model.objects.count() for model in (SagaInstance, SagaStep, SagaEvent, SagaLock))


def held():
    return dict(SagaLock.objects.filter(held=True).values_list("target", "saga_id"))


def test_a_saga_holds_its_locks_from_its_start_to_its_end(ledger):
    handle = LockRefuseSaga.start(Parcel(["2", "1", "2"]))

    assert held() == {"order:1": handle.id, "order:2": handle.id}
    assert SagaEvent.objects.get().data == {"locks": ["order:1", "order:2"]}
    runtime.build_worker(using="default", once=True).run()
    assert handle.status is SagaStatus.COMPLETED
    assert held() == {}


def test_a_refused_start_names_the_target_and_the_holder_and_leaves_no_row(ledger):
    first = LockRefuseSaga.start(Parcel(["1", "2"]))
    before = rows()

    with pytest.raises(TargetLocked) as raised:
        LockRefuseSaga.start(Parcel(["0", "2", "3"]))

    assert str(raised.value) == (
        f"Saga lock_refuse was not started: 'order:2' is locked by saga lock_refuse {first.id}. "
        "Start it again when that one has ended, or let it wait for that with "
        "lock_policy = LockPolicy.WAIT."
    )
    assert (raised.value.target, raised.value.saga_id, raised.value.saga) == (
        "order:2",
        first.id,
        "lock_refuse",
    )
    assert rows() == before


def test_a_refusal_leaves_the_callers_transaction_usable(ledger):
    LockRefuseSaga.start(Parcel(["1"]))

    with transaction.atomic():
        with pytest.raises(TargetLocked):
            LockRefuseSaga.start(Parcel(["1", "2"]))
        other = LockRefuseSaga.start(Parcel(["2"]))

    assert held()["order:2"] == other.id


def test_locks_go_with_the_transaction_they_were_taken_in(ledger):
    with transaction.atomic():
        LockRefuseSaga.start(Parcel(["1"]))
        transaction.set_rollback(True)

    assert rows() == (0, 0, 0, 0)
    assert LockRefuseSaga.start(Parcel(["1"])).status is SagaStatus.RUNNING


def test_a_key_gives_its_saga_again_and_does_not_run_into_its_own_lock(ledger):
    first = LockRefuseSaga.start(Parcel(["1"]), idempotency_key="k")

    assert LockRefuseSaga.start(Parcel(["1"]), idempotency_key="k") == first
    with pytest.raises(IdempotencyConflict):
        LockRefuseSaga.start(Parcel(["2"]), idempotency_key="k")
    with pytest.raises(TargetLocked):
        LockRefuseSaga.start(Parcel(["1"]), idempotency_key="other")
    runtime.build_worker(using="default", once=True).run()
    assert LockRefuseSaga.start(Parcel(["1"]), idempotency_key="k") == first
    assert held() == {}


def test_a_refused_key_is_free_again(ledger):
    first = LockRefuseSaga.start(Parcel(["1"]))
    with pytest.raises(TargetLocked):
        LockRefuseSaga.start(Parcel(["1"]), idempotency_key="k")

    first.cancel()

    assert LockRefuseSaga.start(Parcel(["1"]), idempotency_key="k").status is SagaStatus.RUNNING


@pytest.mark.parametrize("fails", [False, True], ids=["completed", "compensated"])
def test_a_saga_that_has_ended_holds_nothing(ledger, fails):
    handle = LockRefuseSaga.run(Parcel(["1"], fails=fails))

    assert handle.status is (SagaStatus.COMPENSATED if fails else SagaStatus.COMPLETED)
    assert held() == {}


def test_a_cancelled_saga_holds_its_locks_until_it_is_undone(ledger):
    first = LockRefuseSaga.start(Parcel(["1"]))
    with transaction.atomic():
        first.cancel()
        # It had nothing to undo, so it ended in this very transaction.
        second = LockRefuseSaga.start(Parcel(["1"]))

    assert (first.status, held()) == (SagaStatus.COMPENSATED, {"order:1": second.id})


def test_a_stuck_saga_keeps_its_locks_until_a_person_has_mended_it(ledger):
    from django_saga import operations

    stuck = LockStuckSaga.run(Parcel(["1"], fails=True))
    assert (stuck.status, held()) == (SagaStatus.STUCK, {"order:1": stuck.id})
    with pytest.raises(TargetLocked):
        LockRefuseSaga.start(Parcel(["1"]))

    ledger.open("mended")
    operations.retry_compensation(stuck.id, "pack", by="ann")
    runtime.build_worker(using="default", once=True).run()

    assert (stuck.status, held()) == (SagaStatus.COMPENSATED, {})


def test_a_saga_that_locks_nothing_for_its_input_collides_with_nobody(ledger):
    first, second = LockRefuseSaga.start(Parcel()), LockRefuseSaga.start(Parcel())

    assert first != second
    assert held() == {}


def test_a_target_that_others_wait_for_is_refused_like_one_that_is_held(ledger):
    holder = LockRefuseSaga.start(Parcel(["1"]))
    waiting = LockWaitSaga.start(Parcel(["1"]))
    holder.cancel()

    with pytest.raises(TargetLocked) as raised:
        LockRefuseSaga.start(Parcel(["1"]))

    assert raised.value.saga_id == waiting.id


@pytest.mark.parametrize(
    ("orders", "said"),
    [
        (["a\0b"], "locks gave 'order:a\\x00b'"),
        (["\ud800"], "locks gave 'order:\\ud800'"),
        (["x" * 195], "locks gave 'order:xxx"),
    ],
)
def test_a_target_that_no_column_can_hold_is_refused_before_a_row_is_written(
    monkeypatch, django_assert_num_queries, orders, said
):
    from dataclasses import replace

    # The input itself is stored, so what it cannot hold comes from the function here.
    program = replace(LockRefuseSaga.program, locks=lambda parcel: [f"order:{o}" for o in orders])
    monkeypatch.setattr(LockRefuseSaga, "program", program)

    with django_assert_num_queries(0), pytest.raises(InvalidInput) as raised:
        LockRefuseSaga.start(Parcel())

    assert str(raised.value).startswith(f"Saga lock_refuse: {said}")
    assert str(raised.value).endswith(
        "; a lock's target has to be text of 1 to 200 characters without NUL and lone surrogates"
    )


@pytest.mark.parametrize(("one", "other"), [("a", "A"), ("e", "é"), ("k", "k ")])
def test_targets_that_look_alike_are_different_targets(ledger, one, other):
    LockRefuseSaga.start(Parcel([one]))
    LockRefuseSaga.start(Parcel([other]))

    assert len(held()) == 2


# --- many at once ---------------------------------------------------------------------------------


def test_many_sagas_hold_their_locks_in_one_transaction(ledger):
    handles = LockRefuseSaga.bulk_start(Parcel([str(number)]) for number in range(601))

    assert held() == {f"order:{number}": handle.id for number, handle in enumerate(handles)}


def test_locks_are_written_in_the_order_of_their_targets(ledger):
    """So that two transactions that want the same never wait for each other."""
    LockRefuseSaga.bulk_start(Parcel(orders) for orders in (["c", "a"], ["d"], ["b"]))

    written = SagaLock.objects.order_by("pk").values_list("target", flat=True)
    assert list(written) == ["order:a", "order:b", "order:c", "order:d"]


@pytest.mark.parametrize("taken", ["600", "outside"])
def test_one_of_many_whose_lock_is_taken_starts_none(ledger, taken):
    holder = LockRefuseSaga.start(Parcel(["outside"]))
    before = rows()

    with pytest.raises(TargetLocked) as raised:
        LockRefuseSaga.bulk_start(Parcel([order]) for order in [*map(str, range(601)), taken])

    assert (raised.value.target, raised.value.saga_id == holder.id) == (f"order:{taken}", taken == "outside")
    assert rows() == before


# --- other ways to start --------------------------------------------------------------------------


def test_run_is_refused_too(ledger):
    LockRefuseSaga.start(Parcel(["1"]))
    before = rows()

    with pytest.raises(TargetLocked):
        LockRefuseSaga.run(Parcel(["1"]))

    assert rows() == before


def test_the_async_twin_is_refused_too(ledger):
    LockRefuseSaga.start(Parcel(["1"]))

    with pytest.raises(TargetLocked):
        async_to_sync(LockRefuseSaga.astart)(Parcel(["1"]))


def test_a_saga_for_later_holds_its_locks_from_its_start(ledger):
    from datetime import timedelta

    later = LockRefuseSaga.start(Parcel(["1"]), run_at=timedelta(hours=1))

    assert (later.status, held()) == (SagaStatus.PENDING, {"order:1": later.id})
    with pytest.raises(TargetLocked):
        LockRefuseSaga.start(Parcel(["1"]))
    assert_saga_invariants()

"""Sagas that wait for a lock get it in the order in which they asked, all they ask for at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_saga import OperationRefused, SagaStatus, operations, runtime
from django_saga.engine import locking
from django_saga.models import SagaEvent, SagaInstance, SagaLock, SagaStep
from django_saga.store import locks
from django_saga.testing import assert_saga_invariants, shift_clock
from tests.database.conftest import elsewhere
from tests.sagas.lock_sagas import LockLateSaga, LockRefuseSaga, LockStuckSaga, LockWaitSaga, Parcel
from tests.sagas.start_sagas import EchoSaga

pytestmark = [
    pytest.mark.fault("F54"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]


def let_in(saga=LockWaitSaga):
    """Look who is next in line, as a worker that knows ``saga`` does; give how many were let in."""
    known = {
        key: program
        for key, program in runtime.programs("default").items()
        if program.definition.name == saga.name
    }
    return len(list(locking.let_in("default", known)))


def work():
    runtime.build_worker(using="default", once=True).run()


def state(handle):
    held = set(SagaLock.objects.filter(saga_id=handle.id).values_list("held", flat=True))
    return handle.status.value, {True: "holds", None: "waits"}[held.pop()] if held else ""


def kinds(handle):
    return list(SagaEvent.objects.filter(saga_id=handle.id).order_by("id").values_list("kind", flat=True))


def test_a_free_lock_is_held_at_once(ledger):
    handle = LockWaitSaga.start(Parcel(["1"]))

    assert state(handle) == ("running", "holds")
    # Where a collision would leave locks behind, every start stands in line first.
    granted = [] if locks.collides_quietly("default") else ["locks_granted"]
    assert kinds(handle) == ["saga_started", *granted]


def test_a_lock_that_became_free_before_the_start_was_committed_is_held_straight_after(ledger):
    if connection.vendor == "sqlite":
        pytest.skip("nobody else writes while a transaction is open")
    holder = LockWaitSaga.start(Parcel(["1"]))

    with transaction.atomic():
        waiting = LockWaitSaga.start(Parcel(["1"]))
        elsewhere(holder.cancel)
        assert elsewhere(let_in) == 0
        assert state(waiting) == ("pending", "waits")

    assert (state(holder), state(waiting)) == (("compensated", ""), ("running", "holds"))


def test_a_saga_whose_lock_is_taken_waits_without_a_step(ledger):
    LockWaitSaga.start(Parcel(["1"]))
    second = LockWaitSaga.start(Parcel(["1"]))

    assert state(second) == ("pending", "waits")
    assert SagaStep.objects.filter(saga_id=second.id).count() == 0
    assert SagaEvent.objects.get(saga_id=second.id).data == {"locks": ["order:1"], "waits": True}
    assert let_in() == 0


def test_who_waits_is_let_in_when_the_holder_has_ended(ledger):
    first, second = LockWaitSaga.start(Parcel(["1"])), LockWaitSaga.start(Parcel(["1"]))
    first.cancel()

    assert let_in() == 1

    assert (state(first), state(second)) == (("compensated", ""), ("running", "holds"))
    assert kinds(second) == ["saga_started", "locks_granted"]
    [step] = SagaStep.objects.filter(saga_id=second.id)
    assert (step.name, step.status, step.definition_id) == (
        "pack",
        "scheduled",
        SagaInstance.objects.get(pk=second.id).definition_id,
    )


def test_they_are_let_in_one_after_the_other_in_the_order_in_which_they_asked(ledger):
    handles = [LockWaitSaga.start(Parcel(["1"])) for _ in range(4)]

    work()

    assert [handle.status for handle in handles] == [SagaStatus.COMPLETED] * 4
    order = [line.key.partition(":")[0] for line in ledger.lines()]
    assert order == [str(handle.id) for handle in handles for _ in ("pack", "send")]


def test_nobody_passes_one_who_asked_before_for_more(ledger):
    holder = LockWaitSaga.start(Parcel(["1"]))
    both = LockWaitSaga.start(Parcel(["1", "2"]))
    behind = LockWaitSaga.start(Parcel(["2"]))

    assert let_in() == 0  # order 2 is free, and first in line for it is one who cannot begin
    holder.cancel()
    assert let_in() == 1
    assert (state(both), state(behind)) == (("running", "holds"), ("pending", "waits"))
    both.cancel()
    assert let_in() == 1
    assert state(behind) == ("running", "holds")


def test_whoever_asked_first_of_all_goes_first_whatever_the_order_of_rows(ledger):
    holders = [LockWaitSaga.start(Parcel([order])) for order in "ab"]
    first, second = LockWaitSaga.start(Parcel(["a", "b"])), LockWaitSaga.start(Parcel(["a", "b"]))
    # Rows that come to lie like this would keep two who go by their numbers waiting for each other.
    [a1, b1] = SagaLock.objects.filter(saga_id=first.id).order_by("target")
    [a2, b2] = SagaLock.objects.filter(saga_id=second.id).order_by("target")
    assert a1.pk < b1.pk < a2.pk < b2.pk
    for lock in (b1, a2):
        lock.delete()
    SagaLock.objects.create(saga_id=second.id, target="order:a", since=a2.since)
    SagaLock.objects.create(saga_id=first.id, target="order:b", since=b1.since)
    for holder in holders:
        holder.cancel()

    assert let_in() == 1
    assert (state(first), state(second)) == (("running", "holds"), ("pending", "waits"))


def test_a_saga_that_waits_can_be_cancelled_and_leaves_the_line(ledger):
    holder, second, third = (LockWaitSaga.start(Parcel(["1"])) for _ in range(3))

    second.cancel("the customer called")
    holder.cancel()

    assert let_in() == 1
    assert [state(handle) for handle in (second, third)] == [("compensated", ""), ("running", "holds")]
    assert kinds(second) == ["saga_started", "cancel_requested"]
    assert ledger.lines() == []
    with pytest.raises(OperationRefused):
        operations.cancel(second.id, by="ann")


def test_a_saga_whose_deadline_passes_while_it_waits_leaves_the_line(ledger):
    LockWaitSaga.start(Parcel(["1"]))
    late = LockLateSaga.start(Parcel(["1"]))
    third = LockWaitSaga.start(Parcel(["1"]))

    with shift_clock(timedelta(hours=1)):
        work()

    assert (state(late), state(third)) == (("compensated", ""), ("completed", ""))
    assert SagaInstance.objects.get(pk=late.id).reason == "deadline passed"


def test_who_waits_for_a_stuck_saga_waits_until_that_is_mended(ledger):
    stuck = LockStuckSaga.run(Parcel(["1"], fails=True))
    waiting = LockWaitSaga.start(Parcel(["1"]))
    work()
    assert (state(stuck), state(waiting)) == (("stuck", "holds"), ("pending", "waits"))

    ledger.open("mended")
    operations.retry_compensation(stuck.id, "pack", by="ann")
    work()

    assert (state(stuck), state(waiting)) == (("compensated", ""), ("completed", ""))


def test_many_sagas_wait_in_the_order_of_their_inputs(ledger):
    handles = LockWaitSaga.bulk_start(Parcel([order]) for order in "aabba")
    let_in()

    assert [state(handle)[1] for handle in handles] == ["holds", "waits", "holds", "waits", "waits"]
    work()
    assert {handle.status for handle in handles} == {SagaStatus.COMPLETED}
    order = list(dict.fromkeys(line.key.partition(":")[0] for line in ledger.lines()))
    of_a = [str(handle.id) for handle in handles if handle.id in {handles[n].id for n in (0, 1, 4)}]
    assert [saga for saga in order if saga in of_a] == of_a


def test_run_waits_for_its_turn_and_needs_no_worker(ledger):
    holder = LockWaitSaga.start(Parcel(["1"]))
    asked = LockWaitSaga.start(Parcel(["1"]))
    holder.cancel()

    last = LockWaitSaga.run(Parcel(["2"]))
    assert (state(last), state(asked)) == (("completed", ""), ("pending", "waits"))
    asked.cancel()
    assert LockWaitSaga.run(Parcel(["1"])).status is SagaStatus.COMPLETED


def test_a_key_joins_the_saga_that_waits(ledger):
    holder = LockWaitSaga.start(Parcel(["1"]))
    waiting = LockWaitSaga.start(Parcel(["1"]), idempotency_key="k")

    assert LockWaitSaga.start(Parcel(["1"]), idempotency_key="k") == waiting
    holder.cancel()
    # Joining it, its runner lets it in and carries it out.
    assert LockWaitSaga.run(Parcel(["1"]), idempotency_key="k") == waiting
    assert waiting.status is SagaStatus.COMPLETED


def test_a_saga_for_later_stands_in_line_when_its_time_has_come(ledger):
    later = LockWaitSaga.start(Parcel(["1"]), run_at=timedelta(hours=1))
    sooner = LockWaitSaga.start(Parcel(["1"]))
    refused_by_none = LockRefuseSaga.start(Parcel(["2"]))

    assert (state(later), state(sooner)) == (("pending", "waits"), ("running", "holds"))
    assert let_in() == 0
    with shift_clock(timedelta(hours=2)):
        behind = LockWaitSaga.start(Parcel(["1"]))
        sooner.cancel()
        assert let_in() == 1
        assert (state(later), state(behind)) == (("running", "holds"), ("pending", "waits"))
    assert refused_by_none.status is SagaStatus.RUNNING


def test_a_worker_leaves_those_in_line_whom_its_code_does_not_know(ledger):
    holder, waiting = LockWaitSaga.start(Parcel(["1"])), LockWaitSaga.start(Parcel(["1"]))
    holder.cancel()

    assert let_in(LockRefuseSaga) == 0
    assert state(waiting) == ("pending", "waits")
    assert let_in() == 1


def test_sagas_without_locks_cost_no_statement_about_them(ledger):
    EchoSaga.start("its row is known from here on")
    without = {key: p for key, p in runtime.programs("default").items() if not p.definition.locks}

    with CaptureQueriesContext(connection) as captured:
        handle = EchoSaga.run("x")
        EchoSaga.bulk_start(range(3))
        assert list(locking.let_in("default", without)) == []

    assert handle.status is SagaStatus.COMPLETED
    assert [query["sql"] for query in captured if "sagalock" in query["sql"].lower()] == []
    assert [query["sql"] for query in captured if query["sql"].startswith("SAVEPOINT")] == []


def test_who_is_in_line_is_found_however_long_the_line(ledger):
    handles = LockWaitSaga.bulk_start(Parcel([str(number % 3)]) for number in range(300))
    let_in()
    for handle in handles[:3]:
        handle.cancel()
    assert_saga_invariants()

    assert let_in() == 3
    assert [state(handle) for handle in handles[3:7]] == [("running", "holds")] * 3 + [("pending", "waits")]


def test_one_who_was_faster_is_not_overtaken(ledger, monkeypatch):
    """Whoever takes a turn may find the target taken by then: the index decides."""
    holder, waiting = LockWaitSaga.start(Parcel(["1"])), LockWaitSaga.start(Parcel(["1"]))
    found = [(waiting.id, SagaInstance.objects.get(pk=waiting.id).definition_id)]
    monkeypatch.setattr(locks, "next_in_line", lambda using, **_: found)

    assert let_in() == 0

    assert (state(holder), state(waiting)) == (("running", "holds"), ("pending", "waits"))
    assert not connection.needs_rollback

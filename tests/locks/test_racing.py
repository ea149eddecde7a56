"""Many at once for one lock: one holder at a time, whatever the order."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from django_saga import TargetLocked, runtime
from django_saga.engine import recovery, worker
from django_saga.models import SagaEvent, SagaInstance, SagaLock
from tests.processes import wait_until
from tests.sagas.lock_sagas import LockRefuseSaga, LockWaitSaga, Parcel
from tests.together import in_threads

pytestmark = [
    pytest.mark.fault("F54"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

CALLERS = 20


def turns(ledger):
    """Give the sagas in the order of their calls, each time one follows another."""
    ids = [line.key.partition(":")[0] for line in ledger.lines()]
    return [saga for at, saga in enumerate(ids) if at == 0 or ids[at - 1] != saga]


def test_of_twenty_who_start_at_once_one_holds_the_lock_and_all_others_are_refused(ledger):
    answers = in_threads(CALLERS, lambda number: LockRefuseSaga.start(Parcel(["1"])))

    refused = [answer for answer in answers if isinstance(answer, TargetLocked)]
    [holder] = SagaInstance.objects.all()
    assert len(refused) == CALLERS - 1
    assert {error.saga_id for error in refused} == {holder.pk}
    assert SagaLock.objects.get().saga_id == holder.pk


def test_of_twenty_who_start_at_once_inside_their_transactions_one_holds_the_lock(ledger):
    def call(number):
        with transaction.atomic():
            return LockRefuseSaga.start(Parcel(["1"]))

    answers = in_threads(CALLERS, call)

    assert [type(answer) for answer in answers].count(TargetLocked) == CALLERS - 1
    assert SagaInstance.objects.count() == 1


def test_twenty_who_wait_run_one_after_another(ledger):
    handles = in_threads(CALLERS, lambda number: LockWaitSaga.start(Parcel(["1"])))
    assert SagaLock.objects.filter(held=True).count() == 1

    runtime.build_worker(using="default", concurrency=4, once=True).run()

    assert [handle.status.value for handle in handles] == ["completed"] * CALLERS
    assert sorted(turns(ledger)) == sorted(str(handle.id) for handle in handles)


def test_those_who_want_several_things_never_wait_for_each_other_in_a_circle(ledger):
    """Each wants two neighbours of a ring, named in either order."""
    count = 10

    def call(number):
        pair = [str(number), str((number + 1) % count)]
        return [LockWaitSaga.start(Parcel(orders)) for orders in (pair, pair[::-1])]

    answers = in_threads(count, call)

    runtime.build_worker(using="default", concurrency=4, once=True).run()
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert set(SagaInstance.objects.values_list("status", flat=True)) == {"completed"}
    assert SagaInstance.objects.count() == 2 * count


def test_many_starts_of_many_take_their_locks_in_one_order(ledger):
    """Each starts a saga for each thing, in another order of things."""

    def call(number):
        orders = [str((number + step) % 10) for step in range(10)]
        return LockWaitSaga.bulk_start(Parcel([order]) for order in orders)

    answers = in_threads(5, call)

    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    runtime.build_worker(using="default", concurrency=4, once=True).run()
    assert set(SagaInstance.objects.values_list("status", flat=True)) == {"completed"}
    assert SagaInstance.objects.count() == 50


@pytest.fixture
def running_worker():
    """A worker in a thread; without its rounds or without word of released locks, as the test asks."""
    built = runtime.build_worker(using="default", concurrency=4, lease=timedelta(seconds=30))

    def run():
        try:
            built.run()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield built
    built.stop()
    thread.join(30)


class Deaf(threading.Event):
    """An event that nobody hears of."""

    def set(self):
        """Say nothing."""


@pytest.mark.parametrize("way", ["told of released locks", "by looking now and then"])
def test_a_worker_lets_in_who_waits(ledger, monkeypatch, request, way):
    """Either way is enough alone: word of a released lock is fast, looking misses nothing."""
    if way == "told of released locks":
        monkeypatch.setattr(recovery, "rescue", lambda using, programs: iter(()))
    else:
        original = worker.Worker.__init__

        def deaf(self, *args, **options):
            original(self, *args, **options)
            self.freed = Deaf()

        monkeypatch.setattr(worker.Worker, "__init__", deaf)
    handles = [LockWaitSaga.start(Parcel(["1"])) for _ in range(3)]

    request.getfixturevalue("running_worker")

    wait_until(lambda: all(handle.status == "completed" for handle in handles))
    assert turns(ledger) == [str(handle.id) for handle in handles]
    granted = SagaEvent.objects.filter(kind="locks_granted", saga_id__in=[h.id for h in handles[1:]])
    assert granted.count() == 2

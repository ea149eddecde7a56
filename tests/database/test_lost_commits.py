"""A COMMIT whose reply is lost happened all the same: nobody does its work again, or waits for a lease."""

from __future__ import annotations

import pytest
from django.db import OperationalError, transaction

from django_saga import OperationRefused, SagaStatus, runtime
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from tests.database.conftest import elsewhere
from tests.ledger import effects
from tests.models import Account
from tests.sagas.atomic_sagas import AtomicChainSaga
from tests.sagas.start_sagas import ChainSaga, EchoSaga

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("invariants_hold"),
]

CLAIM = "WITH due AS (SELECT id, saga_id"
START = "INSERT INTO django_saga_sagainstance"
RECORD = "INSERT INTO django_saga_sagaevent"
EFFECT = 'INSERT INTO "tests_effect"'


def carry_on() -> None:
    elsewhere(lambda: runtime.build_worker(using="default", concurrency=2, once=True).run())


def tries() -> set[tuple[int, int]]:
    return set(SagaStep.objects.values_list("attempt", "crashes"))


@pytest.mark.fault("F05")
def test_a_caller_that_lost_the_reply_to_its_start_asks_again_with_the_key_and_gets_that_saga(proxy, ledger):
    proxy.lose_commit_after(START)

    def place_order(name):
        with transaction.atomic():
            Account.objects.get_or_create(name=name)
            return EchoSaga.start(name, idempotency_key=name)

    with pytest.raises(OperationalError):
        elsewhere(lambda: place_order("order-7"))
    handle = elsewhere(lambda: place_order("order-7"))

    assert proxy.lost == 1
    assert list(SagaInstance.objects.values_list("id", flat=True)) == [handle.id]
    assert Account.objects.count() == 1
    carry_on()
    assert (handle.result(timeout=0), ledger.steps()) == ("order-7", ["echo:do"])


@pytest.mark.fault("F15")
@pytest.mark.parametrize("statement", [CLAIM, RECORD], ids=["claim", "record"])
@pytest.mark.parametrize("fail", ["", "third"], ids=["done", "undone"])
def test_a_worker_that_lost_the_reply_goes_on_from_what_it_committed(proxy, ledger, statement, fail):
    handle = ChainSaga.start({"fail": fail})
    (proxy.lose_reply_to if statement == CLAIM else proxy.lose_commit_after)(statement)

    carry_on()

    assert proxy.lost == 1
    undone = ["second:undo", "first:undo"] if fail else []
    assert handle.status is (SagaStatus.COMPENSATED if fail else SagaStatus.COMPLETED)
    assert ledger.steps() == ["first:do", "second:do", "third:do", *undone]
    assert tries() == {(1, 0)}


@pytest.mark.fault("F15")
def test_a_batch_of_outcomes_whose_reply_was_lost_is_recorded_once(proxy, ledger):
    handles = ChainSaga.bulk_start([{}] * 20)
    proxy.lose_commit_after(RECORD)

    carry_on()

    assert proxy.lost == 1
    assert {handle.status for handle in handles} == {SagaStatus.COMPLETED}
    assert set(ledger.calls().values()) == {1}
    assert tries() == {(1, 0)}


@pytest.mark.fault("F15")
@pytest.mark.parametrize("fail", ["go", "fail"])
def test_an_atomic_step_whose_reply_was_lost_has_its_effect_once_and_runs_once(proxy, ledger, fail):
    handle = AtomicChainSaga.start(fail)
    proxy.lose_commit_after(EFFECT)

    carry_on()

    assert proxy.lost == 1
    assert handle.status is (SagaStatus.COMPENSATED if fail == "fail" else SagaStatus.COMPLETED)
    assert set(effects().values()) == {1}
    assert set(ledger.calls().values()) == {1}
    assert tries() == {(1, 0)}


@pytest.mark.fault("F15")
def test_the_compensation_of_an_atomic_step_whose_reply_was_lost_runs_once_too(proxy, ledger):
    handle = AtomicChainSaga.start("fail")
    proxy.lose_commit_after(":undo', 'undo'")

    carry_on()

    assert proxy.lost == 1
    assert handle.status is SagaStatus.COMPENSATED
    assert (set(effects().values()), set(ledger.calls().values())) == ({1}, {1})


@pytest.mark.fault("F15")
@pytest.mark.parametrize("saga", [ChainSaga, AtomicChainSaga])
def test_run_goes_on_from_what_it_committed(proxy, ledger, saga):
    started = saga.start({}, idempotency_key="k")
    proxy.lose_commit_after(RECORD)

    handle = elsewhere(lambda: saga.run({}, idempotency_key="k"))

    assert proxy.lost == 1
    assert (handle, handle.status) == (started, SagaStatus.COMPLETED)
    assert set(ledger.calls().values()) == {1}
    assert tries() == {(1, 0)}


@pytest.mark.fault("F05")
def test_a_run_that_lost_the_reply_to_its_start_is_carried_on_by_the_next_with_its_key(
    proxy, ledger, settings
):
    settings.DJANGO_SAGA = {"LEASE": 0.5}
    proxy.lose_commit_after(START)

    with pytest.raises(OperationalError):
        elsewhere(lambda: ChainSaga.run({}, idempotency_key="k"))
    handle = elsewhere(lambda: ChainSaga.run({}, idempotency_key="k"))

    assert proxy.lost == 1
    assert (SagaInstance.objects.count(), handle.status) == (1, SagaStatus.COMPLETED)
    assert ledger.steps() == ["first:do", "second:do", "third:do"]


@pytest.mark.fault("F15")
def test_a_cancel_whose_reply_was_lost_happened_once(proxy, ledger):
    handle = ChainSaga.start({})
    proxy.lose_commit_after("cancel_requested")

    with pytest.raises(OperationalError):
        elsewhere(handle.cancel)
    with pytest.raises(OperationRefused):
        elsewhere(handle.cancel)

    assert (proxy.lost, handle.status) == (1, SagaStatus.COMPENSATED)
    assert SagaEvent.objects.filter(kind="cancel_requested").count() == 1

"""Many sagas in one transaction, a few statements for each five hundred."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_saga import InvalidInput, SagaStatus, runtime
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from tests.sagas.start_sagas import DiamondSaga, EchoSaga

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]


def rows():
    return tuple(model.objects.count() for model in (SagaInstance, SagaStep, SagaEvent))


def test_each_input_has_its_saga_in_their_order(ledger):
    handles = EchoSaga.bulk_start({"number": n} for n in range(601))

    assert rows() == (601, 601, 601)
    inputs = dict(SagaInstance.objects.values_list("id", "input"))
    assert [inputs[handle.id] for handle in handles] == [{"number": n} for n in range(601)]


def test_a_worker_carries_them_all_to_the_end(ledger):
    handles = EchoSaga.bulk_start(range(120))

    runtime.build_worker(using="default", once=True).run()

    assert [handle.result(timeout=0) for handle in handles] == list(range(120))
    assert set(ledger.calls().values()) == {1}


def test_no_input_gives_no_saga():
    assert EchoSaga.bulk_start([]) == []
    assert rows() == (0, 0, 0)


def test_a_bad_one_among_them_starts_none():
    with pytest.raises(InvalidInput, match=r"inputs\[700\]: set cannot be stored"):
        EchoSaga.bulk_start({1} if n == 700 else n for n in range(701))

    assert rows() == (0, 0, 0)


def test_a_rolled_back_transaction_takes_them_all_along():
    with transaction.atomic():
        EchoSaga.bulk_start(range(10))
        transaction.set_rollback(True)

    assert rows() == (0, 0, 0)


def test_one_commit_and_few_statements_however_many():
    EchoSaga.start("the definition's row is known")

    with CaptureQueriesContext(connection) as queries:
        EchoSaga.bulk_start(range(250))

    statements = [query["sql"].split(None, 1)[0].upper() for query in queries]
    assert statements.count("COMMIT") == 1
    # SQLite takes fewer parameters in a statement, so it needs some more of them.
    per_table = {"sqlite": 40, "mysql": 4}.get(connection.vendor, 1)
    assert statements.count("INSERT") <= 3 * per_table
    assert len([word for word in statements if word not in ("INSERT", "BEGIN", "COMMIT", "NOTIFY")]) <= 2


def test_sagas_with_typed_inputs_and_several_first_steps_are_started_alike():
    [one, two] = DiamondSaga.bulk_start([None, None])

    assert (one.status, two.status) == (SagaStatus.RUNNING, SagaStatus.RUNNING)
    assert list(SagaStep.objects.values_list("name", "status")) == [("top", "scheduled")] * 2

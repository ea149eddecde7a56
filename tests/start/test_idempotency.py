"""The same key gives the same saga, however many ask at once; another input under it is an error."""

import threading
from datetime import date
from decimal import Decimal

import pytest
from django.db import connection, transaction

from django_saga import IdempotencyConflict, InvalidInput, runtime
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from tests.sagas.start_sagas import ChainSaga, EchoSaga, Order, TypedSaga
from tests.together import in_threads

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("invariants_hold")]

CALLERS = 40


@pytest.mark.fault("F03")
def test_forty_callers_with_one_key_get_one_saga(ledger):
    ids = in_threads(CALLERS, lambda number: EchoSaga.start({"order": 7}, idempotency_key="order-7").id)

    [saga] = SagaInstance.objects.all()
    assert ids == [saga.pk] * CALLERS
    assert (SagaStep.objects.count(), SagaEvent.objects.count()) == (1, 1)
    runtime.build_worker(using="default", once=True).run()
    assert ledger.steps() == ["echo:do"]


@pytest.mark.fault("F03")
def test_callers_that_start_inside_their_own_transactions_wait_for_the_first(ledger):
    def call(number):
        with transaction.atomic():
            return EchoSaga.start("same", idempotency_key="k").id

    ids = in_threads(10, call)

    assert ids == [SagaInstance.objects.get().pk] * 10


@pytest.mark.fault("F03")
def test_a_caller_takes_the_key_when_the_one_before_it_rolled_back():
    if connection.vendor == "sqlite":
        pytest.skip("the second caller cannot even begin while the first one's transaction is open")
    first_has_inserted, second_waits = threading.Event(), threading.Event()

    def call(number):
        with transaction.atomic():
            if number == 0:
                EchoSaga.start("same", idempotency_key="k")
                first_has_inserted.set()
                second_waits.wait(30)
                transaction.set_rollback(True)
                return None
            first_has_inserted.wait(30)
            second_waits.set()
            return EchoSaga.start("same", idempotency_key="k").id

    ids = in_threads(2, call)

    assert ids == [None, SagaInstance.objects.get().pk]


@pytest.mark.fault("F04")
def test_the_same_key_with_another_input_is_a_conflict_that_names_the_saga():
    first = EchoSaga.start({"amount": 10}, idempotency_key="order-7")
    before = list(SagaInstance.objects.values())

    with pytest.raises(IdempotencyConflict) as raised:
        EchoSaga.start({"amount": 11}, idempotency_key="order-7")

    assert raised.value.saga_id == first.id
    assert str(raised.value) == (
        f"Saga start_echo: the idempotency key 'order-7' belongs to saga {first.id}, "
        "which was started with another input. Use another key, or the same input."
    )
    assert list(SagaInstance.objects.values()) == before


@pytest.mark.fault("F04")
def test_a_conflict_leaves_the_callers_transaction_usable():
    EchoSaga.start(1, idempotency_key="k")

    with transaction.atomic():
        with pytest.raises(IdempotencyConflict):
            EchoSaga.start(2, idempotency_key="k")
        other = EchoSaga.start(3)

    assert SagaInstance.objects.filter(pk=other.id).exists()


@pytest.mark.fault("F04")
def test_of_forty_callers_with_different_inputs_one_wins_and_all_others_are_told():
    answers = in_threads(CALLERS, lambda number: EchoSaga.start(number, idempotency_key="k"))

    saga = SagaInstance.objects.get()
    conflicts = [error for error in answers if isinstance(error, IdempotencyConflict)]
    assert len(conflicts) == CALLERS - 1
    assert {error.saga_id for error in conflicts} == {saga.pk}
    assert isinstance(saga.input, int)
    assert answers[saga.input].id == saga.pk


@pytest.mark.fault("F04")
def test_a_key_belongs_to_one_saga_name():
    echo = EchoSaga.start({}, idempotency_key="k")
    chain = ChainSaga.start({}, idempotency_key="k")

    assert echo.id != chain.id
    assert SagaInstance.objects.count() == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, id="order of keys"),
        pytest.param([1, 2], (1, 2), id="tuple or list"),
        pytest.param(Decimal("1.20"), Decimal("1.20"), id="decimal"),
        pytest.param("é", "\N{LATIN SMALL LETTER E WITH ACUTE}", id="text"),
    ],
)
def test_inputs_that_are_stored_alike_are_the_same_input(first, second):
    one = EchoSaga.start(first, idempotency_key="k")

    assert EchoSaga.start(second, idempotency_key="k") == one


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(1, "1", id="number or text"),
        pytest.param(1, True, id="number or bool"),
        pytest.param(Decimal("1.2"), Decimal("1.20"), id="precision"),
        pytest.param(date(2026, 1, 1), "2026-01-01", id="date or text"),
        pytest.param([1, 2], [2, 1], id="order of items"),
        pytest.param({}, None, id="empty or nothing"),
    ],
)
def test_inputs_that_a_step_could_tell_apart_are_different_inputs(first, second):
    EchoSaga.start(first, idempotency_key="k")

    with pytest.raises(IdempotencyConflict):
        EchoSaga.start(second, idempotency_key="k")


def test_a_typed_input_and_the_dict_of_it_are_the_same_input():
    order = Order("A-1", Decimal("9.90"), date(2026, 5, 1))
    first = TypedSaga.start(order, idempotency_key="k")

    given = {"sku": "A-1", "price": Decimal("9.90"), "ordered_on": date(2026, 5, 1), "quantity": 1}
    assert TypedSaga.start(given, idempotency_key="k") == first


def test_a_saga_that_has_ended_still_holds_its_key(ledger):
    first = EchoSaga.run("x", idempotency_key="k")
    assert first.result(timeout=0) == "x"

    again = EchoSaga.start("x", idempotency_key="k")

    assert (again, again.result(timeout=0)) == (first, "x")
    assert ledger.steps() == ["echo:do"]


@pytest.mark.parametrize(
    "key",
    ["", "k" * 201, "a\x00b", 7, b"k", "\ud800"],
    ids=["empty", "long", "NUL", "int", "bytes", "surrogate"],
)
def test_a_key_that_no_column_can_hold_is_refused_before_a_row_is_written(key, django_assert_num_queries):
    with django_assert_num_queries(0), pytest.raises(InvalidInput, match="idempotency_key"):
        EchoSaga.start("x", idempotency_key=key)


def test_the_longest_key_is_as_good_as_any():
    key = "\N{PILE OF POO}" * 200

    assert EchoSaga.start("x", idempotency_key=key) == EchoSaga.start("x", idempotency_key=key)


@pytest.mark.parametrize(("one", "other"), [("order-a", "order-A"), ("e", "é"), ("k", "k ")])
def test_keys_that_look_alike_are_different_keys(one, other):
    first, second = EchoSaga.start(1, idempotency_key=one), EchoSaga.start(2, idempotency_key=other)

    assert first != second

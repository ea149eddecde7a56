"""Steps that wait for an event: whoever comes first waits for the other, and each event is taken once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import transaction

from django_saga import InvalidInput, OnTimeout, SagaBuilder, send_event, wait_for_event
from django_saga.dsl.registry import registry
from django_saga.models import ExternalEvent, SagaEvent, SagaStep
from django_saga.store import external
from django_saga.testing import assert_compensated, assert_completed, saga_steps
from tests.sagas.outside_sagas import BuiltWait, HastySaga, InvoiceSaga, PatientSaga, traced_wait
from tests.worker.looking import story


def taken():
    return list(ExternalEvent.objects.filter(taken_at__isnull=False).values_list("event_id", flat=True))


# --- who comes first ------------------------------------------------------------------------------


def test_a_saga_waits_for_its_event_and_goes_on_with_the_payload(lab, ledger):
    order = InvoiceSaga.start("order-42")
    lab.advance(days=1)
    assert saga_steps(order) == {"bill": "succeeded", "paid": "waiting"}

    send_event("invoice.paid", {"amount": Decimal("9.90")}, key="order-42")
    lab.advance()

    assert_completed(order)
    assert order.result(timeout=0) == {"amount": Decimal("9.90")}
    assert story(order, "paid") == ["paid 1 waits", "paid 1 succeeded"]


def test_an_event_that_comes_early_is_kept(lab, ledger):
    send_event("invoice.paid", "early", key="order-42")
    order = InvoiceSaga.start("order-42")

    lab.advance()

    assert order.result(timeout=0) == "early"
    assert story(order, "paid") == ["paid 1 succeeded"]


def test_without_a_correlation_the_event_is_for_the_saga_itself(lab):
    first, second = PatientSaga.start(), PatientSaga.start()
    lab.advance()

    send_event("answer", 1, saga=first)
    send_event("answer", 2, saga=second.id)
    lab.advance()

    assert (first.result(timeout=0), second.result(timeout=0)) == (1, 2)


@pytest.mark.parametrize("saga", [BuiltWait, traced_wait], ids=["builder", "function"])
def test_the_other_forms_wait_alike(lab, saga):
    handle = saga.start("k")
    lab.advance()
    assert saga_steps(handle) == {"answer": "waiting"}

    send_event("answer", "yes", key="k")
    lab.advance()

    assert handle.result(timeout=0) == "yes"


# --- one event, one step --------------------------------------------------------------------------


def test_of_two_who_wait_each_takes_one_event_the_oldest_first(lab):
    first = BuiltWait.start("k")
    lab.advance()
    for number in (1, 2):
        send_event("answer", number, key="k")

    second = BuiltWait.start("k")
    lab.advance()

    assert [first.result(timeout=0), second.result(timeout=0)] == [1, 2]


def test_one_event_leaves_the_other_one_waiting(lab):
    both = [BuiltWait.start("k"), BuiltWait.start("k")]
    lab.advance()

    send_event("answer", 1, key="k")
    lab.advance()

    assert sorted(handle.status for handle in both) == ["completed", "running"]
    [waits] = [handle for handle in both if handle.status == "running"]
    # A look that found nothing is no news.
    assert story(waits, "answer") == ["answer 1 waits"]
    assert SagaStep.objects.get(saga_id=waits.id).attempt == 0


def test_names_and_keys_are_told_apart_to_the_letter(lab):
    handle = BuiltWait.start("k")
    lab.advance()

    for name, key in [("Answer", "k"), ("answer", "K"), ("answer", "k "), ("answer.k", "k")]:
        send_event(name, "no", key=key)
    lab.advance()

    assert saga_steps(handle) == {"answer": "waiting"}


@pytest.mark.parametrize("key", [7, uuid4(), "ö" * 200], ids=["number", "uuid", "long"])
def test_a_key_may_be_a_number_a_uuid_or_a_long_text(lab, key):
    handle = BuiltWait.start(key)
    lab.advance()

    send_event("answer", "yes", key=key)
    lab.advance()

    assert handle.result(timeout=0) == "yes"


def test_an_event_that_is_sent_again_is_the_same_one(lab):
    assert send_event("answer", 1, key="k", event_id="webhook-1") is True
    assert send_event("answer", 1, key="k", event_id="webhook-1") is False
    first, second = BuiltWait.start("k"), BuiltWait.start("k")
    lab.advance()

    assert send_event("answer", 1, key="k", event_id="webhook-1") is False
    lab.advance()

    assert [first.status, second.status] == ["completed", "running"]
    assert taken() == ["webhook-1"]


# --- when the time is up --------------------------------------------------------------------------


def test_an_event_that_does_not_come_in_time_fails_the_step_and_says_so(lab, ledger):
    order = InvoiceSaga.start("order-42")

    lab.advance(days=13, hours=23)
    assert saga_steps(order) == {"bill": "succeeded", "paid": "waiting"}
    lab.advance(hours=2)

    assert_compensated(order)
    assert saga_steps(order) == {"bill": "undone", "paid": "failed"}
    error = SagaEvent.objects.get(saga_id=order.id, kind="step_failed").error
    assert error == "no event invoice.paid came for order-42 within 14 d"


def test_a_saga_may_go_on_without_the_event(lab):
    handle = HastySaga.start()

    lab.advance(seconds=59)
    assert saga_steps(handle) == {"answer": "waiting"}
    lab.advance(seconds=1)

    assert handle.result(timeout=0) == {"answer": Decimal("0.50")}


def test_time_counts_from_when_the_step_was_opened_however_often_it_looks(lab):
    handle = HastySaga.start()
    lab.advance(seconds=30)
    SagaStep.objects.filter(saga_id=handle.id).update(due_at=lab.now)  # rung for nothing
    lab.advance(seconds=29)
    assert saga_steps(handle) == {"answer": "waiting"}

    lab.advance(seconds=1)

    assert_completed(handle)


def test_a_worker_that_dies_as_the_time_is_up_costs_no_policy(lab):
    handle = HastySaga.start()
    lab.advance(seconds=59)
    lab.crash_at("answer")

    lab.advance(minutes=10)

    assert handle.result(timeout=0) == {"answer": Decimal("0.50")}


def test_an_event_that_is_there_counts_even_when_the_time_is_up(lab):
    handle = HastySaga.start()
    lab.advance(seconds=59)
    send_event("answer", "at the last moment", saga=handle)

    lab.advance(seconds=1)

    assert handle.result(timeout=0) == "at the last moment"


def test_a_saga_waits_for_months(lab):
    handle = PatientSaga.start()
    lab.advance(days=200)
    assert saga_steps(handle) == {"answer": "waiting"}

    send_event("answer", "at last", saga=handle)
    lab.advance()

    assert handle.result(timeout=0) == "at last"


# --- the way back ---------------------------------------------------------------------------------


def test_a_saga_that_is_cancelled_while_it_waits_leaves_the_event_for_others(lab, ledger):
    order = InvoiceSaga.start("order-42")
    lab.advance()
    order.cancel()
    send_event("invoice.paid", 1, key="order-42")
    lab.advance()
    assert saga_steps(order) == {"bill": "undone", "paid": "skipped"}

    again = InvoiceSaga.start("order-42")
    lab.advance()

    assert again.result(timeout=0) == 1


def test_the_compensation_of_the_step_gets_the_event(lab, ledger):
    lab.fail_at("ship")
    send_event("invoice.paid", {"amount": 5}, key="order-42")
    order = InvoiceSaga.start("order-42")

    lab.run()

    assert_compensated(order)
    assert saga_steps(order) == {"bill": "undone", "paid": "undone", "ship": "failed"}
    assert [line.note for line in ledger.lines("undo") if line.step == "paid:undo"] == ["{'amount': 5}"]


# --- sending --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_event_of_a_transaction_that_is_rolled_back_was_never_sent():
    with transaction.atomic():
        send_event("answer", key="k")
        transaction.set_rollback(True)

    assert not ExternalEvent.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "has spaces"}, "cannot be the name of an event"),
        ({"name": ""}, "cannot be the name of an event"),
        ({"name": "x" * 101}, "cannot be the name of an event"),
        ({"key": ""}, "the key of an event has to be text of 1 to 200 characters"),
        ({"key": "x" * 201}, "the key of an event has to be text"),
        ({"key": "a\0b"}, "the key of an event has to be text"),
        ({"key": True}, "the key of an event has to be text"),
        ({"event_id": ""}, "event_id has to be text of 1 to 200 characters"),
        ({"payload": object()}, "payload"),
        ({"payload": "x" * 300_000}, "setting MAX_RESULT_BYTES"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_written(db, wrong, told):
    given = {"name": "answer", "payload": None, "key": "k", **wrong}

    with pytest.raises(InvalidInput, match=told):
        send_event(given.pop("name"), given.pop("payload"), **given)

    assert not ExternalEvent.objects.exists()


@pytest.mark.parametrize("whom", [{}, {"key": "k", "saga": uuid4()}], ids=["nobody", "two"])
def test_an_event_is_for_a_key_or_for_a_saga(whom):
    with pytest.raises(TypeError, match=r'Say whom the event is for: key="\.\.\.", or saga=handle'):
        send_event("answer", **whom)


def test_a_correlation_that_gives_no_key_fails_the_step_and_says_so(lab):
    handle = BuiltWait.start(["no", "key"])

    lab.run()

    assert_compensated(handle)
    error = SagaEvent.objects.get(saga_id=handle.id, kind="step_failed").error
    assert error.startswith("correlate= of step answer: the key of an event has to be text")


# --- keeping --------------------------------------------------------------------------------------


def test_old_events_are_deleted_taken_ones_apart_from_those_that_nobody_took(lab):
    for key in ("k", "other"):
        send_event("answer", key, key=key)
    BuiltWait.start("k")
    lab.advance(days=1)
    later = lab.now + timedelta(hours=1)

    assert external.prune("default", before=lab.now - timedelta(days=2), taken=True) == 0
    assert external.prune("default", before=later, taken=True) == 1
    assert ExternalEvent.objects.get().key == "other"
    assert external.prune("default", before=later, taken=False) == 1


# --- definitions ----------------------------------------------------------------------------------


def test_a_correlation_that_is_no_function_is_refused_at_once():
    with pytest.raises(TypeError, match="correlate='order_id': give a function of the context"):
        wait_for_event("invoice.paid", correlate="order_id")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"event": "has spaces"}, "'has spaces' cannot be the name of an event"),
        ({"on_timeout": OnTimeout.GO_ON}, "has no timeout"),
        ({"on_timeout": "go on"}, "on_timeout='go on' is not an OnTimeout"),
        ({"timeout": -1}, "timeout"),
        ({"correlate": lambda: 1}, "cannot be called with (ctx)"),
    ],
)
def test_what_is_wrong_with_a_wait_is_a_problem_with_a_remedy(given, told):
    with registry.isolated():
        options = {**given}
        name = options.pop("event", "paid")
        built = SagaBuilder("wrong").step(wait_for_event(name, **options), name="paid").build()

        problems = built.program.problems

    assert any(told in str(problem) for problem in problems), problems

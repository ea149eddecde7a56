"""``saga_event`` and ``saga_approve``: the world outside, typed in."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command

from django_saga import runtime, send_event
from django_saga.models import ExternalEvent
from django_saga.store import clock
from django_saga.testing import SagaLab, assert_completed, saga_steps
from tests.sagas.outside_sagas import BuiltWait, PatientSaga, RefundSaga

pytestmark = pytest.mark.django_db


@pytest.fixture
def lab():
    with SagaLab() as lab:
        yield lab


@pytest.fixture
def ann():
    ann = get_user_model().objects.create_user("ann")
    ann.user_permissions.add(Permission.objects.get(codename="change_user"))
    return ann


def said(*words):
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_an_event_is_sent_by_key(lab):
    handle = BuiltWait.start("k")
    lab.advance()

    told = said("saga_event", "answer", "--key", "k", "--data", '{"yes": 1}', "--event-id", "a")
    again = said("saga_event", "answer", "--key", "k", "--data", '{"yes": 1}', "--event-id", "a")
    lab.advance()

    assert handle.result(timeout=0) == {"yes": 1}
    assert (told, again) == (
        "Sent answer of k.\n",
        "answer of k was sent before: nothing was changed.\n",
    )


def test_an_event_is_sent_to_a_saga_by_the_beginning_of_its_id(lab):
    handle = PatientSaga.start()
    lab.advance()

    said("saga_event", "answer", "--saga", str(handle.id))
    lab.advance()

    assert_completed(handle)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a b", "--key", "k"], "'a b' cannot be the name of an event"),
        (["answer", "--key", "k", "--data", "yes"], "'yes' is no JSON"),
        (["answer"], "one of the arguments --key --saga is required"),
        (["answer", "--saga", "0123456789"], "There is no saga"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(words, told):
    with pytest.raises(CommandError, match=told):
        said("saga_event", *words)

    assert not ExternalEvent.objects.exists()


def test_a_user_with_the_permission_approves(lab, ledger, ann):
    refund = RefundSaga.start()
    lab.advance()

    told = said("saga_approve", str(refund.id), "approved", "--user", "ann", "--data", '{"amount": "5"}')
    lab.advance()

    assert refund.result(timeout=0)["approved_by"] == "ann"
    assert told == f"Approved approved of saga refund {refund.id}.\n"


def test_a_user_with_the_permission_rejects(lab, ledger, ann):
    refund = RefundSaga.start()
    lab.advance()

    said("saga_approve", str(refund.id), "approved", "--user", "ann", "--reject", "--reason", "no")
    lab.advance()

    assert saga_steps(refund) == {"hold": "undone", "approved": "failed"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["approved", "--user", "eve"], "eve lacks the permission auth.change_user"),
        (["approved", "--user", "nobody"], "There is no user 'nobody'"),
        (["approved", "--user", "ann"], "amount: This field is required"),
        (["hold", "--user", "ann"], "has no step 'hold' that waits for approval"),
        (["approved", "--user", "ann", "--reject", "--data", "1"], "not to reject"),
    ],
)
def test_what_cannot_be_decided_is_refused_with_the_reason(lab, ledger, ann, words, told):
    get_user_model().objects.create_user("eve")
    refund = RefundSaga.start()
    lab.advance()

    with pytest.raises(CommandError, match=told):
        said("saga_approve", str(refund.id), *words)

    assert saga_steps(refund)["approved"] == "waiting"


def test_saga_show_says_what_is_waited_for_and_until_when(lab, ledger):
    refund, order = RefundSaga.start(), BuiltWait.start("order-42")
    lab.advance()

    assert "waits for approval, for another 14 d at most" in said("saga_show", str(refund.id))
    assert "waits for approval by auth.change_user" in said("saga_show", str(refund.id))
    assert f"./manage.py saga_approve {refund.id} approved --user" in said("saga_show", str(refund.id))
    assert "waits for event answer of order-42" in said("saga_show", str(order.id))


@pytest.mark.django_db(transaction=True)
def test_what_was_waited_for_then_is_shown_of_the_past():
    order = BuiltWait.start("order-42")
    work()
    then = clock.now("default")
    send_event("answer", key="order-42")
    work()
    assert_completed(order)

    past = said("saga_show", str(order.id), "--at", then.isoformat(timespec="microseconds"))

    assert "waits for event answer of order-42" in past


def work():
    runtime.build_worker(using="default", once=True, concurrency=2).run()


def test_a_simulation_and_a_graph_say_what_is_waited_for():
    assert "answer" in said("saga_simulate", "built_wait")
    assert "waits for event answer" in said("saga_graph", "built_wait")

"""Steps that another service does: command, reply, and what comes of either being late, lost or made up."""

from __future__ import annotations

import json

import pytest
from django.core import signing
from django.db import transaction

from django_saga import OperationRefused
from django_saga.models import ExternalEvent, OutboxMessage, SagaEffect, SagaStep
from django_saga.operations import retry_compensation
from django_saga.testing import (
    assert_compensated,
    assert_completed,
    assert_saga_invariants,
    assert_stuck,
    saga_steps,
)
from tests.models import Account
from tests.sagas.remote_sagas import (
    BuiltRemote,
    HoldSaga,
    NobodySaga,
    OrderSaga,
    RemotePivotSaga,
    RemoteProbedSaga,
    traced_remote,
)
from tests.waits.replying import HERE, go_on, headers_of, left, reply, sent, why
from tests.worker.looking import story

# --- there and back -------------------------------------------------------------------------------


def test_a_step_is_done_by_a_participant_and_has_its_result(lab, stock):
    order = OrderSaga.start(HERE)

    lab.advance()
    assert saga_steps(order) == {"note": "succeeded", "reserve": "waiting"}
    go_on(lab)

    assert_completed(order)
    assert order.result(timeout=0) == {"left": 4, "taken": 1}
    assert left() == 4
    assert story(order, "reserve") == ["reserve 1 waits", "reserve 1 succeeded"]


def test_a_command_says_who_sends_it_and_how_to_answer(lab, stock):
    order = OrderSaga.start(HERE)
    lab.advance()

    row, headers = sent("stock.reserve"), headers_of("stock.reserve")

    assert (row.key, row.saga_id, json.loads(row.payload)) == (
        str(order.id),
        order.id,
        {"item": "shoe", "number": 1},
    )
    key = f"{order.id}:reserve:do"
    step = SagaStep.objects.get(saga_id=order.id, name="reserve")
    address = signing.Signer(salt="django_saga.reply").unsign(headers.pop("replytoken"))
    assert headers == {
        "idempotencykey": key,
        "replyto": "urn.django-saga.tests.replies",
        "correlationid": str(order.id),
        "causationid": key,
    }
    assert address == step.waits_for == f"reply:{step.pk}:do:{step.token}"


def test_a_saga_that_turns_back_has_it_undone(lab, stock):
    order = OrderSaga.start({"item": "shoe"})

    go_on(lab)

    assert_compensated(order)
    assert left() == 5
    assert story(order, "reserve") == [
        "reserve 1 waits",
        "reserve 1 succeeded",
        "reserve 1 undo waits",
        "reserve 1 undo succeeded",
    ]


@pytest.mark.parametrize("remote", [BuiltRemote, traced_remote])
def test_other_forms_and_async_participants(lab, stock, remote):
    handle = remote.start("shoe")

    go_on(lab)

    assert handle.result(timeout=0) == [str(handle.id), "count", False, 5]


def test_nothing_is_sent_when_what_says_so_is_rolled_back(lab, stock):
    with transaction.atomic():
        OrderSaga.start(HERE)
        transaction.set_rollback(True)

    go_on(lab)

    assert not OutboxMessage.objects.exists()


# --- what failed ----------------------------------------------------------------------------------


def test_a_command_that_failed_for_good_fails_the_step_for_good_and_is_not_undone(lab, stock):
    order = OrderSaga.start({**HERE, "number": 9})

    go_on(lab)

    assert_compensated(order)
    assert saga_steps(order) == {"note": "undone", "reserve": "failed"}
    assert "stock.reserve failed: there are not 9 of shoe" in why(order)
    assert left() == 5
    assert not SagaEffect.objects.exists()
    assert not OutboxMessage.objects.filter(topic="stock.release").exists()


def test_a_payload_that_does_not_fit_is_answered(lab, stock):
    order = OrderSaga.start({**HERE, "number": "many"})

    go_on(lab)

    assert_compensated(order)
    assert "stock.reserve failed: payload.number: " in why(order)


def test_an_error_that_may_pass_has_the_participant_try_again(lab, stock):
    Account.objects.all().delete()
    order = OrderSaga.start(HERE)
    go_on(lab)
    assert saga_steps(order)["reserve"] == "waiting"

    Account.objects.create(name="shoe", balance=1)
    lab.advance(seconds=30)
    go_on(lab)

    assert_completed(order)


def test_a_compensation_that_fails_for_good_leaves_the_saga_stuck_until_it_is_tried_again(lab, stock):
    saga = HoldSaga.start()

    go_on(lab)

    assert_stuck(saga)
    assert saga_steps(saga)["hold"] == "undo_failed"
    assert "stock.unhold failed: it is gone" in why(saga)
    retry_compensation(saga.id, "hold", by="me")
    lab.advance()
    reply("stock.unhold", {"status": "succeeded"})
    lab.advance()
    assert_compensated(saga)


def test_a_result_that_cannot_be_kept_is_undone(lab, stock, settings):
    order = OrderSaga.start(HERE)
    lab.advance()
    settings.DJANGO_SAGA = {"MAX_RESULT_BYTES": 100}

    reply("stock.reserve", {"status": "succeeded", "result": "x" * 200})
    lab.advance()

    assert saga_steps(order)["reserve"] == "undo_scheduled"
    assert sent("stock.release")


# --- no reply -------------------------------------------------------------------------------------


def test_without_a_reply_the_command_is_sent_again_with_the_same_key_and_then_nobody_knows(lab, ledger):
    order = OrderSaga.start(HERE)
    lab.advance(minutes=1)
    assert saga_steps(order)["reserve"] == "scheduled"
    lab.advance(seconds=10)

    first, second = OutboxMessage.objects.filter(topic="stock.reserve")
    assert json.loads(first.headers)["idempotencykey"] == json.loads(second.headers)["idempotencykey"]
    assert json.loads(first.headers)["replytoken"] != json.loads(second.headers)["replytoken"]
    lab.advance(minutes=1)

    assert saga_steps(order) == {"note": "succeeded", "reserve": "undo_scheduled"}
    assert story(order, "reserve") == [
        "reserve 1 waits",
        "reserve 1 unknown: no reply",
        "reserve 2 waits",
        "reserve 2 unknown: no reply",
        "reserve 1 undo waits",
    ]
    assert_saga_invariants()


def test_a_command_that_failed_is_undone_if_nobody_answered_the_one_before(lab, ledger):
    order = OrderSaga.start(HERE)
    lab.advance(seconds=75)  # the second one is out

    reply("stock.reserve", {"status": "failed", "error": "sold out"})
    lab.advance()

    assert saga_steps(order)["reserve"] == "undo_scheduled"
    assert SagaStep.objects.get(saga_id=order.id, name="reserve").outcome == "unknown"


def test_a_command_that_is_carried_out_after_the_saga_turned_back_does_nothing(lab, stock):
    order = OrderSaga.start(HERE)
    lab.advance(minutes=3)
    assert saga_steps(order)["reserve"] == "undo_scheduled"

    go_on(lab)  # only now is any of it delivered

    assert_compensated(order)
    assert left() == 5


def test_a_compensation_that_overtakes_its_command_keeps_it_from_being_carried_out(lab, stock):
    order = OrderSaga.start(HERE)
    lab.advance(minutes=3)
    commands = OutboxMessage.objects.filter(topic="stock.reserve")
    kept = list(commands)
    commands.update(status="published")  # as if they were still on their way

    go_on(lab)
    assert_compensated(order)
    OutboxMessage.objects.filter(pk__in=[each.pk for each in kept]).update(status="pending")
    go_on(lab)

    assert left() == 5
    assert [effect.status for effect in SagaEffect.objects.all()] == ["barred"]


def test_a_command_that_comes_twice_is_carried_out_once_and_answered_twice(lab, stock):
    order = OrderSaga.start(HERE)
    lab.advance(seconds=75)  # the second one is out

    go_on(lab)

    assert_completed(order)
    assert left() == 4
    assert ExternalEvent.objects.filter(taken_at=None).count() == 1


def test_a_compensation_without_a_reply_is_sent_again_until_a_person_is_needed(lab, ledger):
    order = OrderSaga.start(HERE)

    lab.run()

    assert_stuck(order)
    assert OutboxMessage.objects.filter(topic="stock.release").count() == 8
    assert "stock.release was not answered within 1 min" in why(order)


def test_a_step_without_compensation_that_nobody_answered_stays_unknown(lab, ledger):
    saga = NobodySaga.start()

    lab.run()

    assert_compensated(saga)
    assert saga_steps(saga) == {"ask": "unknown"}


@pytest.mark.parametrize(
    ("there", "ends"), [(True, ("completed", "succeeded")), (False, ("compensated", "failed"))]
)
def test_a_probe_finds_out_what_became_of_a_command_that_nobody_answered(lab, ledger, there, ends):
    saga = RemoteProbedSaga.start(there)

    lab.run()

    assert (saga.status, saga_steps(saga)["ask"]) == ends
    assert "ask 1 unknown: no reply" in story(saga)


# --- who turns back meanwhile ---------------------------------------------------------------------


def test_a_saga_that_is_cancelled_while_its_command_is_out_has_it_undone(lab, stock):
    order = OrderSaga.start(HERE)
    lab.advance()
    order.cancel()

    go_on(lab)

    assert_compensated(order)
    assert left() == 5
    assert saga_steps(order)["reserve"] == "undone"


def test_a_pivot_that_is_out_is_under_way(lab, ledger):
    saga = RemotePivotSaga.start()
    lab.advance()

    with pytest.raises(OperationRefused, match="its pivot pay is under way"):
        saga.cancel()

    reply("nobody.answers", {"status": "succeeded", "result": 1})
    lab.advance()
    assert_completed(saga)

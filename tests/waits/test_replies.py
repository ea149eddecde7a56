"""Replies and commands that are not what they should be: late, twice, made up, or no such thing at all."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core import signing

from django_saga import publish
from django_saga.models import ExternalEvent, OutboxMessage, SagaStep
from django_saga.signals import message_event
from django_saga.testing import assert_compensated, assert_completed, deliver_messages, saga_steps
from tests.sagas.remote_sagas import OrderSaga
from tests.waits.replying import HERE, dead, left, reply

# --- replies that are not what they should be -----------------------------------------------------


@pytest.fixture
def heard():
    """What is told of replies, and of which step."""
    found = []

    def hear(event, **facts):
        found.append((event, facts.get("step")))

    message_event.connect(hear)
    yield found
    message_event.disconnect(hear)


def test_a_reply_that_comes_late_is_kept_and_ignored(lab, ledger, heard):
    order = OrderSaga.start(HERE)
    lab.advance()
    order.cancel()
    lab.advance()

    late = OutboxMessage.objects.get(topic="stock.reserve")
    given = json.loads(late.headers)
    publish(
        given["replyto"], {"status": "succeeded", "result": 1}, headers={"replytoken": given["replytoken"]}
    )
    deliver_messages()
    lab.advance()

    assert_compensated(order)
    assert heard == [("reply_late", f"{order.id}:reserve")] * len(heard)
    assert heard
    replies = {
        event.address.partition(":do")[1]: event.taken_at is None for event in ExternalEvent.objects.all()
    }
    assert replies == {":do": True, "": False}


def test_a_reply_that_comes_twice_is_taken_once(lab, ledger):
    order = OrderSaga.start(HERE)
    lab.advance()

    for result in (1, 2):
        reply("stock.reserve", {"status": "succeeded", "result": result})
    lab.advance()

    assert order.result(timeout=0) == 1
    assert [event.taken_at is None for event in ExternalEvent.objects.order_by("id")] == [False, True]


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        signing.Signer(salt="other").sign("reply:x:do:1"),
        signing.Signer(key="not ours", salt="django_saga.reply").sign("reply:x:do:1"),
    ],
)
def test_a_forged_reply_is_refused_and_kept_for_people_to_see(lab, ledger, token):
    order = OrderSaga.start(HERE)
    lab.advance()

    reply("stock.reserve", {"status": "succeeded", "result": "forged"}, replytoken=token)
    lab.advance()

    assert saga_steps(order)["reserve"] == "waiting"
    assert not ExternalEvent.objects.exists()
    [why] = dead()
    assert why.startswith("it is forged, or no reply to a command of this project")


def test_a_signature_by_a_key_that_was_rotated_away_still_counts(lab, ledger, settings):
    order = OrderSaga.start(HERE)
    lab.advance()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another one, new", [settings.SECRET_KEY]

    reply("stock.reserve", {"status": "succeeded", "result": 1})
    lab.advance()

    assert_completed(order)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (None, "it is no reply: it is no JSON object"),
        ({}, "it is no reply: its status is None, not 'succeeded' or 'failed'"),
        ({"status": ["x"]}, "it is no reply: its status is ['x'], not 'succeeded' or 'failed'"),
    ],
)
def test_what_is_no_reply_is_refused(lab, ledger, payload, why):
    order = OrderSaga.start(HERE)
    lab.advance()

    reply("stock.reserve", payload)
    lab.advance()

    assert saga_steps(order)["reserve"] == "waiting"
    assert dead() == [why]


# --- commands that are none -----------------------------------------------------------------------

SAGA = "01a21af1-7794-724e-9141-0e1cfe6400e2"


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "it is no command: the header idempotencykey is missing"),
        ({"idempotencykey": f"{SAGA}:a:do"}, "it is no command: the header replyto is missing"),
        (
            {"idempotencykey": f"{SAGA}:a:do", "replyto": "no topic!", "replytoken": "x"},
            "it cannot be answered: 'no topic!' cannot be the topic of a reply",
        ),
        (
            {"idempotencykey": f"{SAGA}:a:do", "replyto": "bank.deposited", "replytoken": "x"},
            "it cannot be answered: bank.deposited does not end in .replies",
        ),
        (
            {"idempotencykey": f"{SAGA}:a:redo", "replyto": "x.replies", "replytoken": "x"},
            f"it is no command: '{SAGA}:a:redo' is no key",
        ),
        (
            {"idempotencykey": "nobody:a:do", "replyto": "x.replies", "replytoken": "x"},
            "it is no command: 'nobody:a:do' is no key",
        ),
    ],
)
def test_a_message_that_is_no_command_is_refused(stock, headers, why):
    publish("stock.reserve", {"item": "shoe"}, headers=headers)

    deliver_messages(failing=True)

    [said] = dead()
    assert said.startswith(why)
    assert left() == 5


def test_whoever_answers_otherwise_than_by_a_participant_needs_only_two_headers(lab, ledger):
    order = OrderSaga.start({"item": "shoe"})
    lab.advance()
    reply("stock.reserve", {"status": "succeeded", "result": {"left": 1}})
    lab.advance()
    reply("stock.release", {"status": "succeeded"})
    lab.advance()

    assert_compensated(order)


def test_a_reply_that_nobody_rang_for_is_found(lab, ledger):
    order = OrderSaga.start(HERE)
    lab.advance()
    reply("stock.reserve", {"status": "succeeded", "result": 1})
    SagaStep.objects.filter(name="reserve").update(due_at=lab.now + timedelta(days=1))

    lab.advance()

    assert_completed(order)

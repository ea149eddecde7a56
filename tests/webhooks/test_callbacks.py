"""Signed callbacks over HTTP: who is believed, and what comes of what he says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from django_saga.core.commands import REPLY_CONSUMER
from django_saga.core.webhooks import key_of, sign
from django_saga.dsl.handler import Handler, handlers
from django_saga.models import ExternalEvent, InboxMessage, InboxSubscription
from django_saga.store import clock
from django_saga.testing import assert_completed, deliver_messages, saga_steps, shift_clock
from tests.handlers import write_down
from tests.models import Effect
from tests.sagas.remote_sagas import OrderSaga
from tests.waits.replying import HERE, headers_of

KEY = b"k" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 24).decode()
EVENT = {"specversion": "1.0", "id": "m1", "source": "urn:acme", "type": "acme.noted", "data": {"n": 7}}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def partner(settings, db):
    InboxSubscription.objects.all().delete()  # what `migrate` noted of the tests' handlers
    settings.DJANGO_SAGA = {"WEBHOOKS": {"acme": SECRET, "both": f"{OTHER} {SECRET}"}}
    replies = [each for each in handlers.all() if each.consumer == REPLY_CONSUMER]
    works = Handler("partner", "acme.work", write_down, answers=True)
    with handlers.isolated(Handler("partner", "acme.noted", write_down), works, *replies):
        yield


def call(event=EVENT, *, sender="acme", key=KEY, headers=None, body=None, **signed):
    """Send a callback as a partner does, signed by the words of the specification."""
    body = json.dumps(event).encode() if body is None else body
    message_id = signed.get("id", event["id"])
    at = signed.get("at") or str(int(clock.now("default").timestamp()))
    digest = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    given = {
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
        **(headers or {}),
    }
    client = Client(enforce_csrf_checks=True)
    return client.post(f"/callbacks/{sender}/", body, content_type="application/json", headers=given)


def refused(response):
    assert not InboxMessage.objects.exists()
    return response.status_code, response.json()["error"]


def test_the_example_of_the_specification():
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)

    made = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')

    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_callback_is_a_message_that_is_handled_once_however_often_it_comes(ledger):
    assert [call().status_code for _ in range(3)] == [204, 204, 204]

    deliver_messages()

    assert [effect.kind for effect in Effect.objects.all()] == ["7"]


def test_a_reply_to_a_command_comes_back(lab, ledger):
    order = OrderSaga.start(HERE)
    lab.advance()
    given = headers_of("stock.reserve")
    reply = {**EVENT, "type": given["replyto"], "replytoken": given["replytoken"]}

    response = call({**reply, "data": {"status": "succeeded", "result": 3}})
    deliver_messages()
    lab.advance()

    assert response.status_code == 204
    assert_completed(order)
    assert order.result(timeout=0) == 3


def test_a_partner_cannot_answer_what_he_was_not_asked(lab, ledger):
    order = OrderSaga.start(HERE)
    lab.advance()
    given = headers_of("stock.reserve")

    call({**EVENT, "type": given["replyto"], "replytoken": "made:up", "data": {"status": "succeeded"}})
    deliver_messages(failing=True)
    lab.advance()

    assert saga_steps(order)["reserve"] == "waiting"
    assert not ExternalEvent.objects.exists()
    assert InboxMessage.objects.get().status == "dead"


@pytest.mark.parametrize(
    ("facts", "status", "why"),
    [
        ({"key": b"x" * 32}, 401, "the signature is not by a secret that is known here"),
        ({"sender": "nobody"}, 401, "the signature is not by a secret that is known here"),
        ({"headers": {"webhook-signature": "v2,abc v1,abc"}}, 401, "the signature is not by a secret"),
        ({"headers": {"webhook-signature": "\u00e9"}}, 401, "the signature is not by a secret"),
        ({"headers": {"webhook-signature": ""}}, 401, "webhook-signature are needed"),
        ({"headers": {"webhook-id": "other"}}, 401, "the signature is not by a secret"),
        ({"at": "1"}, 401, "webhook-timestamp is more than 5 minutes off"),
        ({"headers": {"webhook-timestamp": "1"}}, 401, "the signature is not by a secret"),
        ({"at": "now"}, 401, "webhook-timestamp is no number of seconds since 1970"),
        ({"at": "9" * 30}, 401, "webhook-timestamp is no number of seconds since 1970"),
        ({"id": "m2"}, 400, "the CloudEvent's id is not that of the header webhook-id"),
        ({"body": b"[]"}, 400, "this is no CloudEvent: a JSON list, not an object"),
        ({"event": {**EVENT, "type": "bank.deposited"}}, 403, "what is of a type that begins with 'acme.'"),
        ({"event": {**EVENT, "type": "acmenoted"}}, 403, "what is of a type that begins with 'acme.'"),
        ({"event": {**EVENT, "type": "acme.work"}}, 403, "acme.work is a command"),
        ({"event": {**EVENT, "type": "acme.other"}}, 404, "nobody here takes acme.other"),
        ({"event": {**EVENT, "data": "x" * 600_000}}, 413, "a callback has at most 524,288 bytes"),
    ],
)
def test_what_is_not_to_be_believed_is_refused_with_a_reason(facts, status, why):
    given, said = refused(call(**facts))

    assert given == status
    assert why in said


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_callback_that_is_too_old_or_from_the_future_is_refused(seconds):
    at = str(int((clock.now("default") + timedelta(seconds=seconds)).timestamp()))

    assert refused(call(at=at))[0] == 401


def test_it_is_believed_for_five_minutes_and_kept_out_for_longer(ledger):
    at = str(int(clock.now("default").timestamp()))
    assert call(at=at).status_code == 204
    with shift_clock(timedelta(minutes=4)):
        assert call(at=at).status_code == 204
    with shift_clock(timedelta(minutes=6)):
        assert call(at=at).status_code == 401

    assert InboxMessage.objects.count() == 1


def test_secrets_are_changed_without_a_gap():
    event = {**EVENT, "type": "both.noted"}

    assert call(event, sender="both").status_code == 404  # believed; nobody takes it
    assert call(event, sender="both", key=b"o" * 24).status_code == 404
    assert call(event, sender="both", key=b"n" * 24).status_code == 401


def test_a_partner_cannot_pass_for_another_sender(ledger):
    """He names the source, id and place in a stream of a message that is still to come from somebody else."""
    victim = {**EVENT, "source": "urn:shop", "sagastream": "acme.noted:k", "sequence": "5", "id": "1" * 8}
    assert call(victim).status_code == 204

    row = InboxMessage.objects.get()

    assert (row.message_id, row.stream, row.number) == ("webhook#acme:11111111", None, 0)


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_it_takes_posts_alone(method):
    assert getattr(Client(), method)("/callbacks/acme/").status_code == 405


def test_whoever_is_not_known_has_no_database_asked(django_assert_num_queries):
    at = str(int(clock.now("default").timestamp()))

    with django_assert_num_queries(0):
        assert call(sender="nobody", at=at).status_code == 401
        assert call(key=b"x" * 32, at=at).status_code == 401

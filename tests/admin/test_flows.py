"""Flows in the admin: drawn, and undone by those who may."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from django_saga import FlowFailed, handler, publish
from django_saga.core.flows import FLOW_FAILED
from django_saga.dsl.handler import handlers
from django_saga.models import InboxMessage, OutboxMessage, SagaOperation
from django_saga.testing import deliver_messages
from tests.admin.page import Page, row_url, told
from tests.commands.rows import a_saga

pytestmark = pytest.mark.django_db

SEEN = ["view_outboxmessage", "view_inboxmessage"]
FLOW = "/admin/django_saga/outboxmessage/flow/"
FAIL = reverse("admin:django_saga_fail_flow")


@pytest.fixture
def first():
    """The id of the message that began a flow: a seat is taken, an invoice is written."""
    with handlers.isolated():

        @handler("trip.asked", consumer="seats", compensation=lambda message, result: None)
        def take(message):
            message.publish("seat.taken", key=message.key)

        @handler("seat.taken", consumer="invoices")
        def write(message):
            if message.key == "broke":
                raise FlowFailed("no money")

        given = publish("trip.asked", {}, key="ann")
        deliver_messages()
        yield str(given)


def test_a_flow_is_drawn_with_who_handled_what(look, first):
    page = look(f"{FLOW}?id={first}")

    sent = OutboxMessage.objects.get(topic="seat.taken")
    came = InboxMessage.objects.get(consumer="invoices")
    assert "trip.asked for ann ✔ published → seats ✔ done ✉ seat.taken for ann" in page.text
    assert "→ invoices ✔ done" in page.text
    assert page.leads_to(row_url("outboxmessage", sent.pk))
    assert page.leads_to(row_url("inboxmessage", came.pk))
    assert 'class="saga-depth-3 saga-flow-handler"' in page.html
    assert "✔ done 2" in page.text


def test_a_flow_that_failed_says_so_and_shows_what_was_undone(look, first):
    begun = publish("trip.asked", {}, key="broke")
    deliver_messages()

    page = look(f"{FLOW}?id={begun}")

    assert "This flow failed." in page.text
    assert "→ seats ↩ undone" in page.text
    assert "→ invoices ✖ had its flow fail no money" in page.text
    assert not page.leads_to(f"{FAIL}?id={begun}")


def test_messages_and_sagas_lead_to_their_flow(look, first):
    saga = a_saga("completed")
    publish("seat.counted")
    OutboxMessage.objects.filter(topic="seat.counted").update(saga_id=saga.pk, correlation_id=str(saga.pk))
    came = InboxMessage.objects.get(consumer="invoices")

    assert f"{FLOW}?id={first}" in look(row_url("inboxmessage", came.pk)).links
    assert f"{FLOW}?id={saga.pk}" in look(row_url("sagainstance", saga.pk)).links
    assert row_url("sagainstance", saga.pk) in look(f"{FLOW}?id={saga.pk}").links


@pytest.mark.parametrize("query", ["", "?id=", "?id=nothing", "?id=%00", "?id=%F0%28"])
def test_without_a_flow_the_page_says_what_to_ask_for(look, query):
    assert 'name="id"' in look(FLOW + query).html


def test_a_long_flow_is_cut_and_says_so(look, first, monkeypatch):
    monkeypatch.setattr("django_saga.admin.flow_pages._MOST", 2)

    page = look(f"{FLOW}?id={first}")

    assert "Only the first 2 lines are shown" in page.text
    assert "invoices" not in page.text


@pytest.mark.parametrize(
    ("codes", "seen", "may"),
    [
        (["view_outboxmessage"], 403, 403),
        (["view_inboxmessage", "fail_flow"], 403, 403),
        (SEEN, 200, 403),
        ([*SEEN, "fail_flow"], 200, 302),
    ],
)
def test_who_may_see_and_who_may_undo(as_clerk, first, codes, seen, may):
    browser = as_clerk(*codes)

    page = browser.get(f"{FLOW}?id={first}")

    assert page.status_code == seen
    assert (f"{FAIL}?id={first}" in page.content.decode()) is (may == 302)
    assert browser.get(f"{FAIL}?id={first}").status_code == (200 if may == 302 else 403)
    assert browser.post(f"{FAIL}?id={first}", {"why": "x"}).status_code == may
    assert OutboxMessage.objects.filter(topic=FLOW_FAILED).exists() is (may == 302)


def test_the_question_says_who_undoes_and_what_stays(look, first):
    page = look(f"{FAIL}?id={first}")

    assert "Here these undo their part: seats" in page.text
    assert "What these did stays, as they have no compensation: invoices" in page.text
    assert "No message has that" in look(f"{FAIL}?id=nothing").text
    assert not SagaOperation.objects.exists()


def test_an_answer_has_the_flow_undone_once_with_a_reason_and_an_audit(boss, first):
    assert "This field is required" in Page.of(boss.post(f"{FAIL}?id={first}", {"why": " "})).text
    done = boss.post(f"{FAIL}?id={first}", {"why": "the train is gone"}, follow=True)
    again = boss.post(f"{FAIL}?id={first}", {"why": "once more"}, follow=True)
    boss.put(FAIL)
    deliver_messages()

    assert told(done) == [("success", "All consumers are told. Each undoes its part as soon as it hears.")]
    assert [level for level, _words in told(again)] == ["error"]
    assert json.loads(OutboxMessage.objects.get(topic=FLOW_FAILED).payload)["error"] == "the train is gone"
    assert InboxMessage.objects.get(topic="trip.asked").status == "undone"
    assert list(SagaOperation.objects.order_by("pk").values_list("actor", "result")) == [
        ("boss", "done"),
        ("boss", "refused"),
    ]


def test_reading_changes_nothing_and_only_a_post_with_the_token_does(boss, first):
    assert boss.get(f"{FAIL}?id={first}&why=x").status_code == 200
    assert boss.put(FAIL).status_code == boss.post(FLOW).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="boss"))

    assert strict.post(f"{FAIL}?id={first}", {"why": "x"}).status_code == 403
    assert not SagaOperation.objects.exists()

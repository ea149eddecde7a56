"""Dead letters in the admin: seen by their errors; buttons for those who may, a question, and an answer."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_saga import operations
from django_saga.admin import letter_pages
from django_saga.admin import letters as admin_letters
from django_saga.models import InboxMessage, OutboxMessage, SagaOperation
from tests.admin.page import Page, list_url, row_url, told
from tests.commands.rows import a_saga, a_step, an_event

pytestmark = pytest.mark.django_db

LIST = "/admin/django_saga/inboxmessage/dead/"
SOME = "01a1fb8d-9c0b-7f7e-a1fe-83c1bbb36aa6"
BOTH = [f"{action}_{box}message" for action in ("requeue", "discard") for box in ("outbox", "inbox")]
SEEN = ["view_outboxmessage", "view_inboxmessage"]


def ask(action: str, query: str = "") -> str:
    """The URL of the question."""
    return reverse(f"admin:django_saga_{action}_letters") + query


def came(mark: str = "aa", error: str = "customer 7 is not there", **values: object) -> InboxMessage:
    """A message whose handler failed."""
    at = timezone.now()
    given = {"status": "dead", "failed_at": at, "received_at": at, "ended_at": at, "topic": "orders.placed"}
    given |= {"consumer": "billing", "message_id": str(uuid4()), "part_number": 0, "attempts": 10}
    return InboxMessage.objects.create(
        **{**given, "error_class": "shop.NoSuchCustomer", "error": error, "fingerprint": mark, **values}
    )


def sent(mark: str = "bb", error: str = "too big", **values: object) -> OutboxMessage:
    """A message that the broker refused."""
    at = timezone.now()
    given = {"status": "dead", "failed_at": at, "created_at": at, "ended_at": at, "topic": "orders.sent"}
    given |= {"message_id": uuid4(), "part_number": 0, "attempts": 1, "number": 0, "payload": "{}"}
    given |= {"headers": "{}", "error_class": "shop.Refused", "error": error, "fingerprint": mark}
    return OutboxMessage.objects.create(**{**given, **values})


def a_dead_compensation() -> tuple[str, object]:
    """Give the keys of a saga and of its step that cannot be undone."""
    saga = a_saga("stuck")
    step = a_step(saga, "charge", "undo_failed", error="the bank is closed")
    an_event(saga, "undo_failed", "charge", error_class="shop.Closed", error="the bank is closed")
    return str(saga.pk), step.pk


def buttons(page: Page) -> set[str]:
    """What the page lets its reader do."""
    return {action for action in ("requeue", "discard") if any(ask(action) in link for link in page.links)}


# --- the list -----------------------------------------------------------------------------------------


def test_letters_that_failed_alike_are_one_group_with_its_count_and_times(look):
    at = timezone.now()
    for hours, error in ((5, "customer 1 is not there"), (2, "customer 2 is not there"), (9, "customer 3")):
        begun = at - timedelta(hours=hours + 1)
        came(error=error, failed_at=begun, ended_at=at - timedelta(hours=hours))
    sent(ended_at=at - timedelta(minutes=1))
    came("cc", status="done")

    page = look(LIST)

    heads = re.findall(r"<h2 id=\"saga-group-\d\">(.*?)</h2>", page.html)
    assert heads == ["shop.Refused", "shop.NoSuchCustomer"]
    assert "for example: customer 2 is not there 3 letters · first" in page.text
    times = re.findall(r'datetime="(.*?)"', page.html.partition('id="saga-group-2"')[2])
    assert times[:2] == [(at - timedelta(hours=10)).isoformat(), (at - timedelta(hours=2)).isoformat()]
    assert {"aa", "bb"} <= set(re.findall(r"fingerprint (\w+)", page.text))
    assert len([row for row in page.rows if row[0].startswith("inbox:")]) == 3
    assert page.leads_to(f"{ask('requeue')}?fingerprint=aa")
    assert not page.leads_to(f"{ask('requeue')}?fingerprint=bb")


def test_the_list_leads_to_messages_and_sagas_and_is_found_from_where_they_are(look, boss):
    saga, step = a_dead_compensation()
    incoming, outgoing = came(), sent(saga_id=saga)

    page = look(LIST)

    assert page.leads_to(row_url("inboxmessage", incoming.pk))
    assert page.leads_to(row_url("outboxmessage", outgoing.pk))
    assert page.leads_to(row_url("sagastep", step))
    assert page.links.count(row_url("sagainstance", saga)) == 2
    assert f"order.charge of saga {saga}" in page.text
    assert page.leads_to(f"{ask('requeue')}?letter=compensation%3A{step}")
    for url in (list_url("inboxmessage"), list_url("outboxmessage"), "/admin/django_saga/"):
        assert look(url).leads_to(LIST)
    assert boss.post(LIST).status_code == 405


def test_without_dead_letters_the_page_says_how_they_come(look):
    came(status="waiting")

    assert "There are no dead letters. A message comes here when a broker refuses it" in look(LIST).text


def test_more_than_a_page_holds_is_said(look, monkeypatch):
    for module in (admin_letters, letter_pages):
        monkeypatch.setattr(module, "MOST", 3)
    rows = [came(ended_at=timezone.now() - timedelta(hours=n)) for n in range(4)]

    page, question = look(LIST), look(ask("requeue", "?fingerprint=aa"))

    assert "Only the 3 that died last are shown and counted; there are more." in page.text
    assert not page.leads_to(row_url("inboxmessage", rows[3].pk))
    assert "There are more: these are the 3 that died last." in question.text
    assert question.html.count('name="letter"') == 3


# --- who may ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "may"),
    [
        (SEEN, set()),
        ([*SEEN, "requeue_outboxmessage", "requeue_inboxmessage"], {"requeue"}),
        ([*SEEN, "discard_outboxmessage", "discard_inboxmessage"], {"discard"}),
        ([*SEEN, *BOTH], {"requeue", "discard"}),
    ],
)
def test_buttons_are_for_those_who_may_and_so_is_what_they_do(as_clerk, codes, may):
    browser, rows = as_clerk(*codes), [came(), came(), sent()]
    pages = [LIST, row_url("inboxmessage", rows[0].pk), row_url("outboxmessage", rows[2].pk)]

    assert [buttons(Page.of(browser.get(url))) for url in pages] == [may] * 3
    listed = browser.get(list_url("inboxmessage")).content.decode()
    assert set(re.findall(r'<option value="(\w+)_selected">', listed)) == may
    for action in ("requeue", "discard"):
        expected = 200 if action in may else 403
        for query in (f"?letter=inbox:{rows[0].pk}", "?fingerprint=aa"):
            assert browser.get(ask(action, query)).status_code == expected
        answer = browser.post(ask(action), {"letter": f"outbox:{rows[2].pk}", "why": "x"})
        assert answer.status_code == (302 if action in may else 403)
    done = SagaOperation.objects.count()
    assert done == len(may)
    assert OutboxMessage.objects.filter(status="dead").exists() is (not may)


def test_permission_for_one_box_is_none_for_the_other(as_clerk):
    browser = as_clerk(*SEEN, "requeue_inboxmessage")
    mine, other = came("aa"), sent("aa")
    names = [f"inbox:{mine.pk}", f"outbox:{other.pk}"]

    assert browser.post(ask("requeue"), {"letter": names}).status_code == 403
    assert browser.get(ask("requeue", f"?letter={names[1]}")).status_code == 403
    assert SagaOperation.objects.count() == 0
    # A group is asked about without what the user may do nothing with.
    question = Page.of(browser.get(ask("requeue", "?fingerprint=aa")))
    assert [row[0] for row in question.rows[1:]] == [names[0]]


def test_who_may_not_see_messages_may_not_act_on_them_either(as_clerk):
    row, browser = came(), as_clerk(*BOTH, "view_sagainstance")

    assert browser.get(LIST).status_code == 403
    assert browser.post(ask("requeue"), {"letter": f"inbox:{row.pk}"}).status_code == 403
    assert not Page.of(browser.get("/admin/django_saga/")).leads_to(LIST)


def test_each_box_is_listed_for_those_who_may_see_it_and_compensations_with_steps(as_clerk):
    saga, _step = a_dead_compensation()
    came(error="of the inbox")
    sent(error="of the outbox", saga_id=saga)

    page = Page.of(as_clerk("view_outboxmessage").get(LIST))

    assert "of the outbox" in page.text
    assert "of the inbox" not in page.text
    assert "the bank is closed" not in page.text
    assert saga not in page.html


def test_without_a_login_nothing_is_shown_or_done(client):
    row = came()

    assert client.get(LIST).status_code == 302
    assert client.get(ask("discard")).status_code == 302
    assert client.post(ask("discard"), {"letter": f"inbox:{row.pk}", "why": "x"}).status_code == 302
    assert InboxMessage.objects.get().status == "dead"


# --- the question and its answer ----------------------------------------------------------------------


def test_the_question_names_the_letters_and_says_what_will_be_done(look):
    row = came()

    requeue, discard = (look(ask(action, f"?letter=inbox:{row.pk}")) for action in ("requeue", "discard"))

    assert [cell[:2] for cell in requeue.rows[1:]] == [
        [
            f"inbox:{row.pk}",
            f"orders.placed for billing {row.message_id} shop.NoSuchCustomer: customer 7 is not there",
        ]
    ]
    assert "with as many attempts as a new one" in requeue.text
    assert "it may arrive after newer ones" in requeue.text
    assert "never be sent or handled. That cannot be taken back." in discard.text
    assert " required " in re.findall(r"<textarea[^>]*>", discard.html)[0]
    assert " required" not in re.findall(r"<textarea[^>]*>", requeue.html)[0]


@pytest.mark.parametrize("action", ["requeue", "discard"])
def test_reading_changes_nothing(boss, action):
    row = came()
    query = f"?letter=inbox:{row.pk}&why=x&confirmed=yes"

    for url in (ask(action, query), ask(action, "?fingerprint=aa&why=x"), ask(action), LIST):
        assert boss.get(url).status_code == 200
        assert boss.head(url).status_code == 200
    assert boss.put(ask(action, query)).status_code == 405
    assert boss.delete(ask(action, query)).status_code == 405

    assert InboxMessage.objects.get().status == "dead"
    assert SagaOperation.objects.count() == 0


def test_an_answer_without_the_token_of_the_page_is_not_taken(boss):
    row, browser = came(), Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.get(username="boss"))
    answer = {"letter": f"inbox:{row.pk}", "why": "x"}

    refused = [browser.post(ask(action), answer).status_code for action in ("requeue", "discard")]
    assert refused == [403, 403]
    assert InboxMessage.objects.get().status == "dead"

    page = browser.get(ask("requeue", f"?letter=inbox:{row.pk}")).content.decode()
    token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[-1]
    assert browser.post(ask("requeue"), {**answer, "csrfmiddlewaretoken": token}).status_code == 302
    assert InboxMessage.objects.get().status == "waiting"


def test_what_was_done_is_told_and_recorded_with_the_name_of_who_did_it(boss):
    rows = [came(), came(), sent()]
    names = [f"inbox:{rows[1].pk}", f"inbox:{rows[0].pk}"]

    requeued = boss.post(ask("requeue"), {"letter": names, "why": " mended "}, follow=True)
    discarded = boss.post(ask("discard"), {"letter": f"outbox:{rows[2].pk}", "why": "by hand"}, follow=True)

    assert requeued.redirect_chain == [(LIST, 302)]
    assert told(requeued) == [("success", f"Requeued: {', '.join(names[::-1])}.")]
    assert told(discarded) == [("success", f"Discarded: outbox:{rows[2].pk}.")]
    assert list(InboxMessage.objects.values_list("status", "attempts")) == [("waiting", 0)] * 2
    assert OutboxMessage.objects.get().status == "discarded"
    audit = SagaOperation.objects.order_by("pk").values_list("action", "actor", "why", "result")
    assert list(audit) == [
        # The first of a stream goes first again, whatever the page's order.
        ("requeue message", "boss", "mended", "done"),
        ("requeue message", "boss", "mended", "done"),
        ("discard message", "boss", "by hand", "done"),
    ]
    details = SagaOperation.objects.order_by("pk").values_list("detail", flat=True)
    assert [detail.split(",")[0] for detail in details][:2] == [f"message {name}" for name in names[::-1]]


def test_a_letter_that_another_one_requeued_meanwhile_is_told_as_refused(boss):
    first, second = came(), came()
    operations.requeue(f"inbox:{first.pk}", by="ann")

    names = [f"inbox:{first.pk}", f"inbox:{second.pk}", "outbox:999"]
    answer = boss.post(ask("discard"), {"letter": names, "why": "x"}, follow=True)
    question = Page.of(boss.get(ask("discard", f"?letter={names[0]}&letter={names[2]}")))

    assert sorted(told(answer)) == [
        (
            "error",
            f"Discard refused for message {names[0]}, orders.placed {first.message_id}: "
            "it is waiting, not dead",
        ),
        ("error", "There is no message outbox:999."),
        ("success", f"Discarded: {names[1]}."),
    ]
    assert InboxMessage.objects.get(pk=first.pk).status == "waiting"
    assert f"Not dead any more, or not there: {names[0]}, {names[2]}." in question.text
    assert "there is nothing to do" in question.text
    assert "textarea" not in question.html


def test_discarding_needs_a_reason(boss):
    row = came()

    page = Page.of(boss.post(ask("discard"), {"letter": f"inbox:{row.pk}", "why": "  "}))

    assert "This field is required." in page.text
    assert f'value="inbox:{row.pk}"' in page.html
    assert InboxMessage.objects.get().status == "dead"
    assert SagaOperation.objects.count() == 0
    assert boss.post(ask("requeue"), {"letter": f"inbox:{row.pk}", "why": ""}).status_code == 302


@pytest.mark.parametrize(
    "name",
    [
        "compensation:7",
        f"saga:{SOME}",
        f"step:{SOME}\n",
        "inbox:x",
        "inbox:²",
        "<b>",
        "inbox:1\n",
        "",
    ],
)
def test_only_letters_can_be_named(boss, name):
    assert boss.get(ask("requeue"), {"letter": name}).status_code == 400
    assert boss.post(ask("requeue"), {"letter": name}).status_code == 400
    assert boss.post(ask("requeue"), {"letter": [f"inbox:{n}" for n in range(301)]}).status_code == 400


# --- from the lists and pages of messages -------------------------------------------------------------


def test_selected_rows_of_a_list_lead_to_the_question(boss):
    rows = [came(), came(status="done", message_id="alive"), came()]
    answer = {"_selected_action": [row.pk for row in rows[:2]], "index": "0", "action": "requeue_selected"}

    page = Page.of(boss.post(list_url("inboxmessage"), answer, follow=True))

    assert [row[0] for row in page.rows[1:]] == [f"inbox:{rows[0].pk}"]
    assert f"Not dead any more, or not there: inbox:{rows[1].pk}." in page.text
    assert InboxMessage.objects.filter(status="dead").count() == 2


def test_a_message_that_is_not_dead_has_no_buttons(look):
    assert buttons(look(row_url("inboxmessage", came(status="done").pk))) == set()
    assert buttons(look(row_url("outboxmessage", sent(status="pending").pk))) == set()
    assert buttons(look(row_url("outboxmessage", sent(number=1).pk))) == {"requeue", "discard"}


def test_lists_that_have_no_actions_have_none_still(look):
    a_saga()

    for model in ("sagainstance", "sagastep", "outboxstream"):
        assert 'name="action"' not in look(list_url(model)).html
    assert "delete_selected" not in look(list_url("inboxmessage")).html

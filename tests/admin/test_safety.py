"""The admin of sagas writes no rows, shows nothing to strangers, and trusts no stored text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.test import RequestFactory
from django.urls import reverse

import django_saga
from django_saga.models import (
    ExternalEvent,
    InboxMessage,
    InboxPartition,
    InboxStream,
    InboxSubscription,
    OutboxMessage,
    OutboxPartition,
    OutboxStream,
    SagaApproval,
    SagaDefinition,
    SagaEffect,
    SagaGate,
    SagaInstance,
    SagaStep,
)
from tests.admin.page import Page, list_url, row_url
from tests.commands.rows import (
    a_definition,
    a_lock,
    a_saga,
    a_step,
    a_worker,
    an_event,
    an_operation,
)

pytestmark = pytest.mark.django_db

MODELS = [model._meta.model_name or "" for model in apps.get_app_config("django_saga").get_models()]


def rows(text: str = "plain", *, names: str = "") -> dict[str, object]:
    """One row of every model with ``text`` wherever text is stored; gives their keys.

    ``names`` takes its place where the code of the project is what names things.
    """
    SagaDefinition.objects.all().delete()
    names = names or text
    steps = [(f"{names} step", (f"{names} before",), f"{names} undo"), (f"{names} to come", (), "")]
    definition = a_definition("order", 1, steps, lock_policy="wait")
    SagaDefinition.objects.filter(pk=definition.pk).update(description=names, fingerprint=names[:64])
    saga = a_saga(
        "stuck",
        definition=definition,
        reason=text[:40],
        culprit=f"{names} step",
        idempotency_key=text,
        input={text: [text]},
    )
    done = a_step(
        saga,
        f"{names} step",
        "undo_failed",
        error=text,
        reason=text[:40],
        result=text,
        compensation_data={text: 1},
        queue=names[:50],
        executor=names[:10],
        outcome=names[:10],
        attempt=1,
    )
    running = a_step(saga, f"{names} other", "running")
    assert running.owner is not None
    a_worker(running.owner, host=names, queues=[names], definitions=[names])
    event = an_event(
        saga,
        "step_unknown",
        f"{names} step",
        attempt=1,
        worker=running.owner,
        error=text,
        error_class=text,
        traceback=text,
        data={"cause": text, "undo": True},
    )
    an_event(saga, names[:30], names)
    lock = a_lock(saga, text)
    gate = SagaGate.objects.create(
        saga=names, step=names, paused_at=event.at, paused_by=names, paused_why=text
    )
    failed = {"error_class": text[:200], "error": text, "fingerprint": names[:64], "failed_at": event.at}
    outgoing = OutboxMessage.objects.create(
        message_id=saga.pk,
        topic=names[:100],
        key=text[:200],
        stream=text[:200],
        number=1,
        broker=names[:100],
        part_number=0,
        payload=json.dumps({text: text}),
        headers=json.dumps({text: text}),
        saga_id=saga.pk,
        correlation_id=text[:200],
        causation_id=text[:200],
        status="dead",
        created_at=event.at,
        **failed,
    )
    incoming = InboxMessage.objects.create(
        consumer=names[:100],
        message_id=text[:200],
        topic=names[:100],
        key=text[:200],
        source=text[:200],
        stream=text[:200],
        part_number=0,
        correlation_id=text[:200],
        body=text.encode("utf-8", "replace"),
        status="dead",
        traceback=text,
        received_at=event.at,
        **failed,
    )
    out_stream = OutboxStream.objects.create(name=text[:200], last_number=1)
    in_stream = InboxStream.objects.create(
        consumer=names[:100], stream=text[:200], source=text[:200], first_number=1, last_number=1
    )
    InboxSubscription.objects.all().delete()
    subscription = InboxSubscription.objects.create(consumer=names[:100], topic=names[:100], seen_at=event.at)
    out_part = OutboxPartition.objects.create(name=names[:100], number=0)
    in_part = InboxPartition.objects.create(name=names[:100], number=0)
    sent = ExternalEvent.objects.create(
        name=names[:100],
        key=text[:200],
        address=text[:200],
        event_id=text[:200],
        payload={text: text},
        sent_at=event.at,
        taken_by=done,
        taken_at=event.at,
    )
    decided = SagaApproval.objects.create(
        step=done, pending=True, approved=True, actor=names[:150], why=text, data={text: text}, at=event.at
    )
    effect = SagaEffect.objects.create(
        effect_key=text[:200], status="done", result={text: text}, changed_at=event.at
    )
    operation = an_operation(saga, action=names[:40], actor=names, why=text, detail=text, step=names)
    return {
        "sagainstance": saga.pk,
        "sagastep": done.pk,
        "sagaevent": event.pk,
        "sagalock": lock.pk,
        "sagaoperation": operation.pk,
        "sagaworker": running.owner,
        "sagagate": gate.pk,
        "externalevent": sent.pk,
        "sagaeffect": effect.pk,
        "sagaapproval": decided.pk,
        "sagadefinition": definition.pk,
        "outboxmessage": outgoing.pk,
        "outboxstream": out_stream.pk,
        "outboxpartition": out_part.pk,
        "inboxmessage": incoming.pk,
        "inboxstream": in_stream.pk,
        "inboxpartition": in_part.pk,
        "inboxsubscription": subscription.pk,
    }


def pages(keys: dict[str, object]) -> Iterator[str]:
    for model, pk in keys.items():
        yield list_url(model)
        yield row_url(model, pk)
    yield reverse("admin:app_list", args=["django_saga"])
    yield reverse("admin:django_saga_dead_letters")
    yield reverse("admin:django_saga_approvals")
    for action in ("requeue", "discard"):
        url = reverse(f"admin:django_saga_{action}_letters")
        yield f"{url}?letter=outbox:{keys['outboxmessage']}&letter=inbox:{keys['inboxmessage']}"
    flow = urlencode({"id": InboxMessage.objects.get().correlation_id})
    step = urlencode({"step": SagaStep.objects.earliest("pk").name})
    for page, key in (("act", "sagainstance"), ("act_on_name", "sagadefinition")):
        for action in ("pause", "resume"):
            yield f"{reverse(f'admin:django_saga_{page}', args=[keys[key], action])}?{step}"
    for page in ("flow", "fail_flow"):
        yield f"{reverse(f'admin:django_saga_{page}')}?{flow}"


def test_every_model_is_in_the_admin():
    assert [
        model for model in MODELS if not admin.site.is_registered(apps.get_model("django_saga", model))
    ] == []


@pytest.mark.parametrize("model", MODELS)
def test_nobody_adds_changes_or_deletes_rows(boss, model):
    keys = rows()
    before = list(apps.get_model("django_saga", model).objects.order_by("pk").values())
    url = row_url(model, keys[model])
    delete = reverse(f"admin:django_saga_{model}_delete", args=[keys[model]])
    add = reverse(f"admin:django_saga_{model}_add")
    action = {"action": "delete_selected", "_selected_action": str(keys[model]), "post": "yes"}

    answers = {
        "change": boss.post(url, {"status": "completed", "name": "x"}).status_code,
        "delete": [boss.get(delete).status_code, boss.post(delete, {"post": "yes"}).status_code],
        "add": [boss.get(add).status_code, boss.post(add, {}).status_code],
        "action": boss.post(list_url(model), action).status_code in (200, 302),
    }

    assert answers == {"change": 403, "delete": [403, 403], "add": [403, 403], "action": True}
    assert list(apps.get_model("django_saga", model).objects.order_by("pk").values()) == before
    page = Page.of(boss.get(url))
    assert {tag for tag, _ in page.elements} & {"select", "textarea"} == set()
    assert 'name="_save"' not in page.html


def test_each_model_is_shown_only_to_those_who_may_view_it(log_in):
    keys = rows()
    browser = log_in("sagastep")

    seen = {
        model: (browser.get(list_url(model)).status_code, browser.get(row_url(model, pk)).status_code)
        for model, pk in keys.items()
    }

    assert seen == {model: (200, 200) if model == "sagastep" else (403, 403) for model in keys}


def test_without_a_login_there_is_nothing_to_see(client):
    assert {client.get(url).status_code for url in pages(rows())} == {302}


@pytest.mark.parametrize(
    ("models", "sections"),
    [
        (["sagainstance"], []),
        (["sagainstance", "sagastep"], ["saga-steps"]),
        (["sagainstance", "sagaevent"], ["saga-history"]),
        (["sagainstance", "sagaoperation"], ["saga-operations"]),
        (["sagainstance", "sagalock"], ["saga-locks"]),
        (
            ["sagainstance", "sagastep", "sagaevent", "sagaoperation"],
            ["saga-steps", "saga-history", "saga-operations"],
        ),
    ],
)
def test_a_sagas_page_has_the_sections_that_its_reader_may_view(log_in, models, sections):
    keys = rows("secret-of-a-step")

    page = Page.of(log_in(*models).get(row_url("sagainstance", keys["sagainstance"])))

    assert re.findall(r'<h2 id="(saga-[\w-]+)"', page.html) == sections
    if models == ["sagainstance"]:
        assert "retry_compensation" not in page.text


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-' {{7*7}} {% debug %} %s {0.__class__}",
    "</pre></td><h1>x</h1>",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_stored_text_becomes_an_element_or_an_attribute(boss, text):
    plain = [Page.of(boss.get(url)).elements for url in pages(rows("p" * len(text)))]
    for model in (
        "ExternalEvent",
        "InboxMessage",
        "InboxPartition",
        "InboxStream",
        "InboxSubscription",
        "OutboxMessage",
        "OutboxPartition",
        "OutboxStream",
        "SagaApproval",
        "SagaEffect",
        "SagaEvent",
        "SagaGate",
        "SagaLock",
        "SagaOperation",
        "SagaStep",
        "SagaInstance",
        "SagaWorker",
    ):
        apps.get_model("django_saga", model).objects.all().delete()
    found = [Page.of(boss.get(url)) for url in pages(rows(text))]

    assert [page.elements for page in found] == plain
    assert [link for page in found for link in page.links if link.startswith("javascript:")] == []


def test_what_strangers_write_cannot_turn_the_reading_order_of_a_page(boss):
    found = [Page.of(boss.get(url)).html for url in pages(rows("a\u202eb\x1bc", names="plain"))]

    assert [html for html in found if "\u202e" in html or "\x1b" in html] == []


@pytest.mark.parametrize("page", ["act", "act_on_name", "decide"])
def test_a_step_that_no_database_can_look_for_is_not_found(boss, page):
    keys = rows()
    model = "sagadefinition" if page == "act_on_name" else "sagainstance"
    last = "a\0b" if page == "decide" else "pause"
    url = reverse(f"admin:django_saga_{page}", args=[keys[model], last])

    assert boss.get(f"{url}?step=a%00b").status_code == 404
    assert boss.post(f"{url}?step=a%00b", {"why": "x", "decision": "reject"}).status_code == 404


def test_pages_need_no_inline_script_or_style(boss):
    keys = rows()

    for url in pages(keys):
        html = boss.get(url).content.decode()
        assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=|javascript:", html) == [], (
            url
        )


def test_templates_and_code_leave_escaping_on():
    root = Path(django_saga.__file__).parent
    files = [*(root / "admin").rglob("*.py"), *(root / "templates").rglob("*.html")]

    assert len(files) > 15
    assert [
        path.name
        for path in files
        if re.search(r"mark_safe|\|\s*safe\b|autoescape off|SafeString\(|allow_tags", path.read_text())
    ] == []


def test_rows_come_from_the_database_of_the_sagas(settings):
    settings.DJANGO_SAGA = {"DATABASE": "other"}
    request = RequestFactory().get("/")
    request.user = AnonymousUser()

    used = {model.__name__: site.get_queryset(request).db for model, site in admin.site._registry.items()}

    assert {used[model.__name__] for model in apps.get_app_config("django_saga").get_models()} == {"other"}
    assert used[User.__name__] == "default"
    assert SagaInstance.objects.all().db == "default"

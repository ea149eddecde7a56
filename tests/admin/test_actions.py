"""What a person does to a saga in the admin: buttons for what it would take and the user may, a question with
the plan, and an answer.
"""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from django_saga import operations
from django_saga.dsl.registry import registry
from django_saga.engine import settling
from django_saga.models import SagaOperation, SagaStep
from django_saga.testing import SagaLab
from tests.admin.page import Page, row_url

pytestmark = pytest.mark.django_db


def ask(handle, action: str, step: str = "") -> str:
    """The URL of the question."""
    url = reverse("admin:django_saga_act", args=[handle.id, action.replace(" ", "-")])
    return f"{url}?step={step}" if step else url


def recorded() -> list[tuple[str, ...]]:
    rows = SagaOperation.objects.order_by("pk")
    return list(rows.values_list("action", "step", "actor", "why", "result"))


def test_the_buttons_are_what_the_saga_would_take(look, order, sent, world):
    fresh, stuck, past = order.start(), order.run(), sent.run()
    assert look(row_url("sagainstance", fresh.id)).actions == ["cancel", "pause"]
    assert look(row_url("sagainstance", stuck.id)).actions == [
        "retry-compensation charge",
        "skip-compensation charge",
    ]
    assert look(row_url("sagainstance", past.id)).actions == [
        "compensate",
        "retry-step tell",
        "mark-done tell",
        "skip-step tell",
    ]
    operations.pause(saga=fresh.id, by="ada")
    assert look(row_url("sagainstance", fresh.id)).actions == ["cancel", "resume"]
    operations.cancel(fresh.id, by="ada")
    assert look(row_url("sagainstance", fresh.id)).actions == []


def test_a_saga_that_this_code_does_not_know_has_no_buttons(look, order):
    handle = order.start()
    with registry.isolated():
        assert look(row_url("sagainstance", handle.id)).actions == []


@pytest.mark.parametrize("changed", ["status", "outcome", "name"])
def test_rows_that_were_changed_by_hand_are_shown_without_buttons(look, order, changed):
    handle = order.run()
    SagaStep.objects.filter(saga_id=handle.id, name="charge").update(**{changed: "odd"})

    page = look(row_url("sagainstance", handle.id))

    assert page.actions == []
    assert "odd" in page.text or changed == "outcome"


@pytest.mark.parametrize("code", ["retry_saga", "skip_step", "pause_saga", "cancel_saga"])
def test_buttons_are_for_those_who_may_and_so_is_what_they_do(as_clerk, order, code):
    stuck, browser = order.run(), as_clerk("view_sagainstance", code)
    wanted = {
        "retry_saga": ["retry-compensation charge"],
        "skip_step": ["skip-compensation charge"],
    }.get(code, [])

    assert Page.of(browser.get(row_url("sagainstance", stuck.id))).actions == wanted
    for action in ("retry compensation", "skip compensation", "pause", "cancel"):
        may = action.replace(" ", "-") in {each.partition(" ")[0] for each in wanted} or (
            (action, code) in [("cancel", "cancel_saga"), ("pause", "pause_saga")]
        )
        assert browser.get(ask(stuck, action, "charge")).status_code == (200 if may else 403)
        if not may:
            assert browser.post(ask(stuck, action, "charge"), {"why": "x"}).status_code == 403
    assert recorded() == []


def test_who_may_not_see_sagas_may_not_act_on_one(as_clerk, order):
    browser, handle = as_clerk("cancel_saga"), order.start()

    assert browser.get(ask(handle, "cancel")).status_code == 403
    assert browser.post(ask(handle, "cancel"), {"why": "x"}).status_code == 403
    assert handle.status == "running"


def test_a_retry_is_asked_done_and_seen_to_have_worked(boss, look, order, world):
    handle = order.run()
    question = look(ask(handle, "retry compensation", "charge"))
    assert "The compensation is tried again, with as many attempts as a new one" in question.text
    assert "the bank is closed" in question.text
    assert recorded() == []

    world["refund"] = None
    answer = boss.post(
        ask(handle, "retry compensation", "charge"), {"why": ""}, headers={"X-Request-ID": "r-7"}
    )

    assert answer.headers["Location"] == row_url("sagainstance", handle.id)
    assert recorded() == [("retry compensation", "charge", "boss", "", "open")]
    assert SagaOperation.objects.get().request_id == "r-7"
    page = look(row_url("sagainstance", handle.id))
    assert "It is tried again. The operation stays open until it has run." in page.text
    assert page.rows[-1][:3] == ["retry compensation", "charge", "boss"]
    assert "open" in page.rows[-1][3]
    with SagaLab() as lab:
        lab.run()
    settling.settle("default")
    line = look(row_url("sagainstance", handle.id)).rows[-1]
    assert "done" in line[3]
    assert "attempt 1 succeeded" in line[3]
    shown = look(row_url("sagaoperation", SagaOperation.objects.get().pk))
    assert "r-7" in shown.text
    assert "attempt 1 succeeded" in shown.text


def test_a_saga_is_cancelled_with_a_reason_after_its_plan_was_seen(boss, look, order, world):
    with SagaLab() as lab:
        handle = order.start()
        lab.step()
        question = look(ask(handle, "cancel"))
        assert "Undone, turn 1 charge (refund)" in question.text

        without = boss.post(ask(handle, "cancel"), {"why": " "})
        assert "This field is required" in without.content.decode()
        assert recorded() == []
        boss.post(ask(handle, "cancel"), {"why": "ordered twice"})

        assert handle.status == "compensating"
        assert recorded() == [("cancel", "", "boss", "ordered twice", "open")]


def test_the_plan_says_what_stays(look, sent):
    handle = sent.run()

    question = look(ask(handle, "compensate"))

    assert "It turns back all the same." in question.text
    assert "Undone, turn 1 pack (unpack)" in question.text
    assert "Stays: it cannot be undone send" in question.text


@pytest.mark.parametrize(
    ("action", "given", "status"),
    [
        ("skip step", {}, "completed"),
        ("mark done", {"result": '{"told": "by phone"}'}, "completed"),
        ("compensate", {}, "compensated"),
    ],
)
def test_a_saga_stuck_past_its_pivot_is_brought_to_its_end(boss, sent, action, given, status):
    with SagaLab() as lab:
        handle = sent.start()
        lab.run()
        assert handle.status == "stuck"
        boss.post(ask(handle, action, "" if action == "compensate" else "tell"), {"why": "told", **given})
        lab.run()

    assert handle.status == status
    assert [row[:4] for row in recorded()] == [
        (action, "" if action == "compensate" else "tell", "boss", "told")
    ]
    if given:
        assert handle.result() == {"told": "by phone"}


def test_a_result_that_is_no_json_is_said_to_be_none(boss, sent):
    handle = sent.run()

    for result in ("{told}", "[" * 50_000):
        answer = boss.post(ask(handle, "mark done", "tell"), {"why": "told", "result": result})

        assert "This is no JSON: " in answer.content.decode()
        assert result in answer.content.decode()
    assert (handle.status, recorded()) == ("stuck", [])


@pytest.mark.parametrize("step", ["", "nobody", "x" * 300, "<b>"])
def test_a_step_that_is_not_there_is_refused_and_said(boss, look, sent, step):
    handle = sent.run()
    for action in ("retry step", "mark done", "skip step", "retry compensation", "skip compensation"):
        assert "As it stands, the saga does not take this" in look(ask(handle, action, step)).text
        boss.post(ask(handle, action, step), {"why": "x", "result": "null"})
        assert "refused for saga sent" in look(row_url("sagainstance", handle.id)).text

    assert {row[4] for row in recorded()} == {"refused"}
    assert handle.status == "stuck"


@pytest.mark.fault("F53")
def test_what_the_saga_does_not_take_any_more_is_refused_and_said(boss, look, order):
    handle = order.start()
    operations.cancel(handle.id, by="ada")

    assert "it may have gone on since, or somebody was faster" in look(ask(handle, "cancel")).text
    boss.post(ask(handle, "cancel"), {"why": "too late"})

    assert recorded()[1] == ("cancel", "", "boss", "too late", "refused")
    assert "compensated takes no event cancel_requested" in look(row_url("sagainstance", handle.id)).text


def test_reading_changes_nothing_and_only_a_post_with_the_token_does(boss, order):
    handle, careful = order.start(), Client(enforce_csrf_checks=True)
    careful.cookies = boss.cookies
    for action in ("cancel", "pause", "retry compensation", "skip compensation", "mark done"):
        for method in ("get", "head"):
            assert getattr(boss, method)(ask(handle, action, "charge")).status_code == 200
        for method in ("put", "delete", "patch"):
            assert getattr(boss, method)(ask(handle, action)).status_code == 405
        assert careful.post(ask(handle, action), {"why": "x"}).status_code == 403
    assert (handle.status, recorded()) == ("running", [])


@pytest.mark.parametrize("where", ["nothing", "discard", "cancel"])
def test_what_is_not_there_is_not_found(boss, order, where):
    handle = order.start()
    url = ask(handle, where)
    if where == "cancel":
        url = url.replace(str(handle.id), "01a1fb8d-9c0b-7f7e-a1fe-83c1bbb36aa6")

    assert boss.get(url).status_code == 404
    assert boss.post(url, {"why": "x"}).status_code == 404

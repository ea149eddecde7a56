"""Approvals in the admin: what waits for the user, the form of the project's own, and the decision."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from django_saga import operations
from django_saga.models import SagaOperation
from django_saga.testing import SagaLab, assert_compensated
from tests.admin.page import Page, row_url
from tests.sagas.outside_sagas import BareApprovalSaga, DataApprovalSaga, RefundSaga
from tests.waits.people import ANN

pytestmark = pytest.mark.django_db
LIST = "/admin/django_saga/sagaapproval/waiting/"


@pytest.fixture
def lab(ledger):
    with SagaLab() as lab:
        yield lab


@pytest.fixture
def refund(lab):
    refund = RefundSaga.start()
    lab.advance()
    return refund


def decide(handle, step: str = "approved") -> str:
    return reverse("admin:django_saga_decide", args=[handle.id, step])


def audit() -> list[tuple[str, ...]]:
    return list(SagaOperation.objects.order_by("id").values_list("action", "actor", "result", "why"))


def test_what_waits_is_listed_asked_and_approved_with_what_was_filled_in(boss, look, lab, refund):
    page = look(LIST)
    assert page.leads_to(decide(refund))
    assert page.leads_to(row_url("sagainstance", refund.id))
    question = look(decide(refund))
    assert 'name="amount"' in question.html

    wrong = boss.post(decide(refund), {"decision": "approve", "amount": "much", "note": "", "saga-why": ""})
    assert "Enter a number." in wrong.content.decode()
    assert audit() == []
    given = {"decision": "approve", "amount": "9.90", "note": "gladly", "saga-why": "a good customer"}
    assert boss.post(decide(refund), given).headers["Location"] == LIST
    lab.advance()

    assert refund.result(timeout=0) == {
        "approved_by": "boss",
        "data": {"amount": Decimal("9.90"), "note": "gladly"},
    }
    assert audit() == [("approve", "boss", "done", "a good customer")]
    assert "Approved. Approvals that wait for you Nothing waits for your decision." in look(LIST).text


def test_a_rejection_wants_a_reason_and_nothing_filled_in(boss, lab, refund):
    without = boss.post(decide(refund), {"decision": "reject", "saga-why": ""})
    assert "This field is required." in without.content.decode()
    assert audit() == []

    boss.post(decide(refund), {"decision": "reject", "saga-why": "too much"})
    lab.advance()

    assert_compensated(refund)
    assert audit() == [("reject", "boss", "done", "too much")]


def test_only_who_may_is_asked_and_another_is_refused_and_recorded(as_clerk, refund):
    browser = as_clerk("view_sagaapproval", "view_sagainstance")

    assert "Nothing waits for your decision." in Page.of(browser.get(LIST)).text
    assert "or it is for somebody else" in Page.of(browser.get(decide(refund))).text
    assert browser.post(decide(refund), {"decision": "approve", "saga-why": ""}).status_code == 403
    assert audit() == [("approve", "clerk", "refused", "")]


def test_who_may_decide_needs_no_other_permission_and_sees_no_input(as_clerk, refund):
    browser = as_clerk("change_user")

    assert Page.of(browser.get(LIST)).leads_to(decide(refund))
    assert "Its input:" not in Page.of(browser.get(decide(refund))).text


def test_a_decision_that_somebody_else_was_faster_with_is_refused_and_said(boss, look, refund):
    operations.reject(refund.id, "approved", by=ANN, why="too much")
    assert "it is decided" in look(decide(refund)).text

    boss.post(decide(refund), {"decision": "approve", "amount": "1", "note": "x", "saga-why": ""})

    assert audit() == [("reject", "ann", "done", "too much")]
    assert "It does not wait for your decision any more." in look(LIST).text


def test_what_is_no_form_of_djangos_is_asked_for_as_json(boss, look, lab):
    bare, data = BareApprovalSaga.start(), DataApprovalSaga.start()
    lab.advance()
    steps = {row[0].partition(" ")[0]: row[1] for row in look(LIST).rows[1:]}
    bare_step, data_step = steps["bare_approval"], steps["data_approval"]
    assert 'name="filled"' not in look(decide(bare, bare_step)).html
    assert 'name="filled"' in look(decide(data, data_step)).html

    wrong = boss.post(decide(data, data_step), {"decision": "approve", "filled": "{", "saga-why": ""})
    assert "This is no JSON: " in wrong.content.decode()
    wrong = boss.post(
        decide(data, data_step), {"decision": "approve", "filled": '{"odd": 1}', "saga-why": ""}
    )
    assert f"Step {data_step} of saga {data.id} cannot be approved" in wrong.content.decode()
    boss.post(decide(bare, bare_step), {"decision": "approve", "saga-why": ""})

    assert audit() == [("approve", "boss", "done", "")]


def test_reading_changes_nothing_and_only_a_post_with_the_token_does(boss, refund):
    careful = Client(enforce_csrf_checks=True)
    careful.cookies = boss.cookies
    for url in (LIST, decide(refund)):
        assert boss.get(url).status_code == 200
        assert boss.put(url).status_code == 405
        assert careful.post(url, {"decision": "reject", "saga-why": "x"}).status_code == 403
    assert boss.post(LIST).status_code == 405
    assert audit() == []

"""Steps that wait for a person: who may decide, what is filled in, and that one decision counts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import PermissionDenied

from django_saga import InvalidForm, OperationRefused, SagaBuilder, SagaNotFound, approval, operations
from django_saga.dsl.registry import registry
from django_saga.models import SagaApproval, SagaEvent, SagaOperation
from django_saga.observability.approvals import approvals
from django_saga.testing import assert_compensated, assert_completed, saga_steps
from tests.sagas.outside_sagas import BareApprovalSaga, DataApprovalSaga, RefundForm, RefundSaga
from tests.waits.people import ANN, BOB, EVE
from tests.worker.looking import story

FILLED = {"amount": "9.90", "note": "gladly"}


@pytest.fixture
def refund(lab, ledger):
    """A refund that waits for a person."""
    refund = RefundSaga.start()
    lab.advance()
    assert saga_steps(refund) == {"hold": "succeeded", "approved": "waiting"}
    return refund


def audit():
    return list(SagaOperation.objects.order_by("id").values_list("action", "actor", "result", "why"))


def test_who_approves_has_the_saga_go_on_with_what_he_filled_in(lab, refund):
    operations.approve(refund.id, "approved", by=ANN, data=FILLED, why="a good customer")
    lab.advance()

    assert refund.result(timeout=0) == {
        "approved_by": "ann",
        "data": {"amount": Decimal("9.90"), "note": "gladly"},
    }
    assert audit() == [("approve", "ann", "done", "a good customer")]
    assert story(refund, "approved") == ["approved 1 waits", "approved 1 succeeded"]


def test_who_rejects_has_the_saga_turn_back_and_is_named(lab, refund):
    operations.reject(refund.id, "approved", by=ANN, why="too much")
    lab.advance()

    assert_compensated(refund)
    assert saga_steps(refund) == {"hold": "undone", "approved": "failed"}
    assert SagaEvent.objects.get(saga_id=refund.id, kind="step_failed").error == "rejected by ann: too much"
    assert audit() == [("reject", "ann", "done", "too much")]


def test_who_lacks_the_permission_decides_nothing_and_that_is_recorded(lab, refund):
    with pytest.raises(PermissionDenied, match=r"eve lacks the permission auth\.change_user"):
        operations.approve(refund.id, "approved", by=EVE, data=FILLED)
    lab.advance()

    assert saga_steps(refund)["approved"] == "waiting"
    assert audit() == [("approve", "eve", "refused", "")]


@pytest.mark.parametrize(
    ("data", "errors"),
    [
        ({}, {"amount": ["This field is required."]}),
        ({"amount": "-1"}, {"amount": ["Ensure this value is greater than or equal to 0."]}),
    ],
)
def test_what_does_not_fit_the_form_is_refused_by_field(lab, refund, data, errors):
    with pytest.raises(InvalidForm) as refused:
        operations.approve(refund.id, "approved", by=ANN, data=data)
    lab.advance()

    assert refused.value.errors == errors
    assert saga_steps(refund)["approved"] == "waiting"


def test_a_dataclass_is_a_form_too(lab):
    saga = DataApprovalSaga.start()
    lab.advance()

    with pytest.raises(InvalidForm) as refused:
        operations.approve(saga.id, "agreed", by=ANN, data={"note": 7})
    operations.approve(saga.id, "agreed", by=ANN, data={"amount": Decimal("1.00")})
    lab.advance()

    assert list(refused.value.errors) == ["note"]
    assert saga.result(timeout=0)["data"] == {"amount": Decimal("1.00"), "note": ""}


def test_without_a_form_there_is_nothing_to_fill_in(lab):
    saga = BareApprovalSaga.start()
    lab.advance()

    with pytest.raises(InvalidForm, match="there is nothing to fill in"):
        operations.approve(saga.id, "agreed", by=ANN, data={"amount": 1})
    operations.approve(saga.id, "agreed", by=ANN)
    lab.advance()

    assert saga.result(timeout=0) == {"approved_by": "ann", "data": None}


@pytest.mark.parametrize("acted_on", [False, True], ids=["at once", "after the saga went on"])
def test_a_second_decision_is_refused_and_names_the_first(lab, refund, acted_on):
    operations.approve(refund.id, "approved", by=ANN, data=FILLED)
    if acted_on:
        lab.advance()

    told = "it was approved by ann" if acted_on else "ann has approved it already"
    with pytest.raises(OperationRefused, match=told):
        operations.reject(refund.id, "approved", by=BOB)
    lab.advance()

    assert_completed(refund)
    assert [row[:3] for row in audit()] == [("approve", "ann", "done"), ("reject", "bob", "refused")]


def test_a_decision_may_come_before_the_first_look(lab, ledger):
    refund = BareApprovalSaga.start()

    operations.approve(refund.id, "agreed", by=ANN)
    lab.advance()

    assert_completed(refund)
    assert story(refund, "agreed") == ["agreed 1 succeeded"]


def test_a_decision_comes_too_late_when_the_time_is_up(lab, refund):
    lab.advance(days=14)
    assert_compensated(refund)
    error = SagaEvent.objects.get(saga_id=refund.id, kind="step_failed").error
    assert error == "nobody decided within 14 d"

    with pytest.raises(OperationRefused, match="the step is failed, its saga compensated"):
        operations.approve(refund.id, "approved", by=ANN, data=FILLED)


def test_what_asks_nobody_cannot_be_approved(lab, refund):
    with pytest.raises(
        SagaNotFound, match=r"no step 'hold' that waits for approval.*Those that do: approved"
    ):
        operations.approve(refund.id, "hold", by=ANN)


def test_a_step_that_is_not_opened_yet_cannot_be_approved(lab, ledger):
    refund = RefundSaga.start()

    with pytest.raises(OperationRefused, match="step approved is not opened yet"):
        operations.approve(refund.id, "approved", by=ANN, data=FILLED)


def test_who_decides_is_a_user_not_a_name(lab, refund):
    with pytest.raises(TypeError, match="by='ann' is no user"):
        operations.approve(refund.id, "approved", by="ann", data=FILLED)  # type: ignore[arg-type]


def test_a_step_past_the_pivot_may_be_asked_about_again(lab):
    with registry.isolated():
        built = (
            SagaBuilder("past_the_pivot")
            .step(lambda ctx: None, name="go", pivot=True, no_compensation=True)
            .step(approval("auth.change_user"), name="agreed")
            .build()
        )
        saga = built.start()
        lab.advance()
        operations.reject(saga.id, "agreed", by=ANN, why="not today")
        lab.advance()
        assert saga.status == "stuck"

        operations.retry_step(saga.id, "agreed", by="ops")
        lab.advance()
        assert saga_steps(saga)["agreed"] == "waiting"
        operations.approve(saga.id, "agreed", by=BOB)
        lab.advance()

        assert saga.result(timeout=0)["approved_by"] == "bob"
        assert list(SagaApproval.objects.order_by("id").values_list("actor", "pending")) == [
            ("ann", None),
            ("bob", None),
        ]


# --- what waits for whom --------------------------------------------------------------------------


def test_a_person_sees_what_waits_for_him(lab, refund):
    [asked] = approvals(ANN)

    assert (asked.saga_id, asked.saga, asked.step) == (refund.id, "refund", "approved")
    assert (asked.permission, asked.form) == ("auth.change_user", RefundForm)
    assert asked.until is not None
    assert (asked.until - asked.since).days == 14
    assert approvals(EVE) == []


def test_what_was_decided_waits_for_nobody(lab, refund):
    operations.approve(refund.id, "approved", by=ANN, data=FILLED)

    assert approvals(BOB) == []


# --- definitions ----------------------------------------------------------------------------------


def test_what_is_no_form_is_refused_at_once():
    with pytest.raises(TypeError, match="give a Django form, a dataclass"):
        approval("auth.change_user", form="amount")


def test_what_is_no_permission_is_a_problem_with_a_remedy():
    with registry.isolated():
        built = SagaBuilder("wrong").step(approval("approve refunds"), name="agreed").build()

        [problem] = built.program.problems

    assert "'approve refunds' cannot be a permission" in str(problem)

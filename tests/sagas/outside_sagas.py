"""Sagas that wait for the world outside: for an event, for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms

from django_saga import OnTimeout, Saga, SagaBuilder, approval, saga, step, wait_for_event
from tests import ledger

FORTNIGHT = timedelta(days=14)


class InvoiceSaga(Saga):
    """Bills, waits for the money of the order in its input, ships."""

    @step
    def bill(self, ctx: Any) -> str:
        ledger.external(ctx.idempotency_key)
        return "billed"

    @bill.compensation
    def cancel_bill(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key, "undo")

    paid = wait_for_event("invoice.paid", correlate=lambda ctx: ctx.input, timeout=FORTNIGHT)

    @paid.compensation
    def pay_back(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key, "undo", str(ctx.result))

    @step(no_compensation=True)
    def ship(self, ctx: Any) -> Any:
        return ctx.results["paid"]


class PatientSaga(Saga):
    """Waits for an event of its own, for as long as it takes."""

    answer = wait_for_event("answer")


class HastySaga(Saga):
    """Goes on without an answer."""

    answer = wait_for_event("answer", timeout=60, on_timeout=OnTimeout.GO_ON({"answer": Decimal("0.50")}))


def _key(ctx: Any) -> Any:
    return ctx.input


BuiltWait = SagaBuilder("built_wait").step(wait_for_event("answer", correlate=_key), name="answer").build()


@saga
def traced_wait(flow: Any, input: Any) -> Any:
    """The same, traced."""
    return flow.step(wait_for_event("answer", correlate=_key), name="answer")


class RefundForm(forms.Form):
    """What whoever approves a refund fills in."""

    amount = forms.DecimalField(max_digits=8, decimal_places=2, min_value=0)
    note = forms.CharField(required=False)


@dataclass
class Refund:
    """The same, as a dataclass."""

    amount: Decimal
    note: str = ""


class RefundSaga(Saga):
    """A refund that a person has to approve."""

    @step
    def hold(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key)

    @hold.compensation
    def let_go(self, ctx: Any) -> None:
        ledger.external(ctx.idempotency_key, "undo")

    approved = approval("auth.change_user", form=RefundForm, timeout=FORTNIGHT)

    @step(no_compensation=True)
    def pay_out(self, ctx: Any) -> Any:
        return ctx.results["approved"]


class BareApprovalSaga(Saga):
    """Asks for a yes, nothing more."""

    agreed = approval("auth.change_user")


class DataApprovalSaga(Saga):
    """Asks by a dataclass."""

    agreed = approval("auth.change_user", form=Refund)

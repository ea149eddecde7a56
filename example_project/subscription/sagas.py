"""The saga of an activation, written as a function: what each step passes on is the story to be read.

It shows waiting, for the end of a trial, for money that somebody else has to send, and, if much is subscribed
to, for a person's approval; and hooks that keep the status of the row that customers see.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.mail import send_mail
from django.db.models import F

from django_saga import Context, PermanentFailure, Transition, approval, part, saga, sleep, wait_for_event
from example_project.subscription.models import Account, Payment, Plan, Subscription, SubscriptionStatus

PAID = "subscription.paid"
TO_PAY = timedelta(days=14)
# From so many seats on, somebody who may is asked whether they are to be sold.
MANY_SEATS = 50
TO_APPROVE = timedelta(days=7)
APPROVER = "subscription.change_subscription"


@dataclass(frozen=True, slots=True)
class SubscriptionInput:
    """What the saga has to know of a subscription."""

    subscription_id: int
    reference: str
    email: str
    plan: str
    seats: int
    amount: Decimal
    trial_ends_at: datetime


def create_account(ctx: Context) -> int:
    return Account.objects.create(subscription_id=ctx.input.subscription_id).pk


def close_account(ctx: Context) -> None:
    """Close the account for good, and give back what came in that no step has taken."""
    # Under the row's lock, as payments are taken: one comes before it and goes back, or is refused.
    account = Account.objects.select_for_update().get(pk=ctx.result)
    account.is_open = False
    account.save(update_fields=["is_open"])
    payments = Payment.objects.filter(subscription=account.subscription_id)
    if left := sum(payment.amount for payment in payments):
        Payment.objects.create(
            subscription_id=account.subscription_id,
            payment_id=f"{ctx.input.reference}-back",
            amount=-left,
        )


def send_invoice(ctx: Context) -> None:
    wanted = ctx.input
    _mail(wanted.email, "Your invoice", f"Please pay {wanted.amount}, giving {wanted.reference}.")


def pay_back(ctx: Context) -> None:
    """Undo the wait for the money: what came goes back."""
    wanted, payment = ctx.input, ctx.result
    Payment.objects.create(
        subscription_id=wanted.subscription_id,
        payment_id=f"{payment['payment_id']}-back",
        amount=-payment["amount"],
    )


def check_amount(ctx: Context) -> None:
    due, paid = ctx.input["due"], ctx.input["paid"]
    if due != paid:
        raise PermanentFailure(f"{due} were due, but {paid} came.")


def provide_seats(ctx: Context) -> int:
    wanted, account = ctx.input["subscription"], ctx.input["account"]
    plans = Plan.objects.filter(code=wanted.plan, free_seats__gte=wanted.seats)
    if not plans.update(free_seats=F("free_seats") - wanted.seats):
        raise PermanentFailure(f"{wanted.plan} has no {wanted.seats} seats left.")
    Account.objects.filter(pk=account).update(seats=wanted.seats)
    return int(wanted.seats)


def take_seats_back(ctx: Context) -> None:
    wanted, account = ctx.input["subscription"], ctx.input["account"]
    Account.objects.filter(pk=account).update(seats=0)
    Plan.objects.filter(code=wanted.plan).update(free_seats=F("free_seats") + ctx.result)


def welcome(ctx: Context) -> None:
    wanted = ctx.input
    _mail(wanted.email, "Welcome", f"Your {wanted.seats} seats of {wanted.plan} are ready.")


# Told after the commit, at most once, in no fixed order with what other processes tell: each looks at what
# is there. A row that missed the word shows an old status, and its saga the right one.


def show_trial(transition: Transition) -> None:
    """Have the row say that the account is there."""
    _rows(transition).filter(status=SubscriptionStatus.PLACED).update(status=SubscriptionStatus.TRIAL)


def show_end(transition: Transition) -> None:
    """Have the row say how its saga ended."""
    if transition.status == "completed":
        _rows(transition).update(status=SubscriptionStatus.ACTIVE)
    elif transition.status == "compensated":
        reason = f"{transition.reason} at {transition.culprit}" if transition.culprit else transition.reason
        _rows(transition).update(status=SubscriptionStatus.CANCELLED, reason=reason)


@saga(name="subscription", input=SubscriptionInput, on_exit=show_end)
def subscription(flow: Any, input: Any) -> Any:
    """Open an account, let the trial pass, have many seats approved, wait for the money, provide what it is
    for.
    """
    account = flow.step(
        create_account, compensate=part(close_account, atomic=True), atomic=True, on_success=show_trial
    )
    flow.step(sleep(until=lambda ctx: ctx.input.trial_ends_at), name="trial")
    flow.step(
        approval(APPROVER, timeout=TO_APPROVE),
        name="approved",
        when=lambda ctx: ctx.input.seats >= MANY_SEATS,
    )
    flow.step(send_invoice, no_compensation=True)
    paid = flow.step(
        wait_for_event(PAID, correlate=lambda ctx: ctx.input.reference, timeout=TO_PAY),
        name="paid",
        compensate=part(pay_back, atomic=True),
    )
    flow.step(check_amount, {"due": input.amount, "paid": paid["amount"]}, no_compensation=True)
    flow.step(
        provide_seats,
        {"subscription": input, "account": account},
        compensate=part(take_seats_back, atomic=True),
        atomic=True,
    )
    flow.step(welcome, no_compensation=True)
    return {"account": account, "paid_by": paid["payment_id"]}


def _rows(transition: Transition) -> Any:
    return Subscription.objects.filter(saga_id=transition.saga.id)


def _mail(to: str, subject: str, text: str) -> None:
    send_mail(subject, text, from_email=None, recipient_list=[to])

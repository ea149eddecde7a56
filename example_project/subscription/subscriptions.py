"""Placing a subscription, and taking the money that comes for one."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from django_saga import SagaHandle, send_event
from example_project.cases.placing import place
from example_project.subscription.models import Account, Payment, Subscription
from example_project.subscription.sagas import PAID, SubscriptionInput, subscription


def place_subscription(draft: Subscription, *, key: str | None = None) -> tuple[Subscription, bool]:
    """Place a subscription, and say whether it is a new one. Raises ``KeyTaken``."""
    draft.amount = draft.plan.price * draft.seats
    return place(draft, _start, key=key)


class TooLate(Exception):
    """The subscription was cancelled: no money is taken for it any more."""


@transaction.atomic
def take_payment(placed: Subscription, amount: Decimal, *, payment_id: str) -> bool:
    """Write down money that came in, and tell the saga; False when it is known already.

    Both are in one transaction: money that is in the books is never money that the saga did not hear of.
    Raises ``TooLate``.
    """
    account = Account.objects.select_for_update().filter(subscription=placed).first()
    if account and not account.is_open:
        raise TooLate
    _, is_new = Payment.objects.get_or_create(
        payment_id=payment_id, defaults={"subscription": placed, "amount": amount}
    )
    if is_new:
        told = {"payment_id": payment_id, "amount": amount}
        send_event(PAID, told, key=placed.reference, event_id=payment_id)
    return is_new


def _start(placed: Subscription) -> SagaHandle:
    return subscription.start(
        SubscriptionInput(
            subscription_id=placed.pk,
            reference=placed.reference,
            email=placed.email,
            plan=placed.plan.code,
            seats=placed.seats,
            amount=placed.amount,
            trial_ends_at=timezone.now() + placed.plan.trial,
        ),
        idempotency_key=placed.reference,
    )

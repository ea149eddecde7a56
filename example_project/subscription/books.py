"""The books of the subscriptions: who has seats has paid for them, and no seat is used twice or lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from example_project.cases.books import Books, End, end_of
from example_project.subscription.models import Account, Plan, Subscription
from example_project.subscription.sagas import subscription


class SubscriptionBooks(Books[Subscription]):
    """Subscriptions, their payments, and the seats."""

    cases = Subscription
    saga = subscription.name
    promise = (
        "active subscriptions have their seats and are paid, the others have neither, and all seats add up"
    )

    def rows(self) -> Any:
        return Subscription.objects.select_related("account").prefetch_related("payments")

    def problems(self, cases: Sequence[Subscription]) -> Iterable[str]:
        for case in cases:
            yield from _case_problems(case)
        yield from _seat_problems()


def _case_problems(case: Subscription) -> Iterator[str]:
    end = end_of(case)
    if end is None:
        yield f"{case.reference}: it and its saga do not tell the same end."
    if end not in {End.COMPLETED, End.UNDONE}:
        return
    is_active = end is End.COMPLETED
    paid = sum((payment.amount for payment in case.payments.all()), Decimal(0))
    account = getattr(case, "account", None)
    has = (paid, account.seats if account else 0, bool(account and account.is_open))
    due = (case.amount, case.seats, True) if is_active else (Decimal(0), 0, False)
    if has != due:
        yield f"{case.reference} is {case.status}, and its money, seats and account are {has} and not {due}."


def _seat_problems() -> Iterator[str]:
    used = Account.objects.order_by().values_list("subscription__plan").annotate(Sum("seats"))
    by_plan = dict(used)
    for plan in Plan.objects.all():
        taken = by_plan.get(plan.pk, 0)
        if plan.free_seats + taken != plan.seats:
            yield f"{plan}: {taken} seats are used and {plan.free_seats} free, but there are {plan.seats}."

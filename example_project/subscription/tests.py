"""The subscription saga, whatever goes wrong: `manage.py test example_project.subscription`."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.contrib.auth.models import Permission, User
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.test import TestCase
from django.utils import timezone

from django_saga import operations
from django_saga.testing import SagaLab, saga_matrix, saga_steps
from example_project.subscription.books import SubscriptionBooks
from example_project.subscription.models import Payment, Plan, Subscription
from example_project.subscription.sagas import (
    MANY_SEATS,
    TO_APPROVE,
    TO_PAY,
    SubscriptionInput,
    subscription,
)
from example_project.subscription.subscriptions import TooLate, place_subscription, take_payment

PRICE = Decimal("9.00")


class SubscriptionSagaTests(TestCase):
    def setUp(self) -> None:
        self.plan = Plan.objects.create(
            code="TEAM", price=PRICE, trial=timedelta(days=30), seats=10, free_seats=10
        )
        self.books = SubscriptionBooks()
        self.lab = self.enterContext(SagaLab())

    def place(self, *, seats: int = 2) -> Subscription:
        with self.captureOnCommitCallbacks(execute=True):
            placed, _ = place_subscription(Subscription(email="ada@example.org", plan=self.plan, seats=seats))
        return placed

    def assert_ended(self, placed: Subscription, *ended: str) -> None:
        placed.refresh_from_db()
        assert (placed.status, placed.reason) == ended
        assert list(self.books.problems(self.books.read())) == []

    def test_after_the_trial_it_is_paid_for_and_active(self) -> None:
        placed = self.place()
        self.lab.advance(days=29)
        placed.refresh_from_db()
        assert (placed.status, mail.outbox) == ("trial", [])

        self.lab.advance(days=2)
        take_payment(placed, Decimal(18), payment_id="p-1")
        self.lab.run()

        self.assert_ended(placed, "active", "")
        assert [sent.subject for sent in mail.outbox] == ["Your invoice", "Welcome"]

    def test_money_that_comes_before_the_invoice_counts(self) -> None:
        placed = self.place()
        take_payment(placed, Decimal(18), payment_id="p-1")

        self.lab.run()

        self.assert_ended(placed, "active", "")

    def test_who_does_not_pay_has_nothing_in_the_end(self) -> None:
        placed = self.place()

        self.lab.advance(timedelta(days=31) + TO_PAY)

        self.assert_ended(placed, "cancelled", "failed at paid")

    def test_a_payment_reported_twice_counts_once(self) -> None:
        placed = self.place()

        taken = [take_payment(placed, Decimal(18), payment_id="p-1") for _ in range(2)]
        self.lab.run()

        assert taken == [True, False]
        self.assert_ended(placed, "active", "")

    def test_another_amount_than_was_due_goes_back(self) -> None:
        placed = self.place()
        take_payment(placed, Decimal(1), payment_id="p-1")

        self.lab.run()

        self.assert_ended(placed, "cancelled", "failed at check_amount")
        assert [payment.amount for payment in Payment.objects.all()] == [1, -1]

    def test_money_that_nobody_took_goes_back_and_later_money_is_refused(self) -> None:
        placed = self.place()
        for number, amount in enumerate((1, 18)):
            take_payment(placed, Decimal(amount), payment_id=f"p-{number}")

        self.lab.run()

        self.assert_ended(placed, "cancelled", "failed at check_amount")
        with self.assertRaises(TooLate):  # noqa: PT027 (no pytest here)
            take_payment(placed, Decimal(18), payment_id="p-3")

    def test_many_seats_are_sold_once_somebody_who_may_says_so(self) -> None:
        Plan.objects.update(seats=MANY_SEATS, free_seats=MANY_SEATS)
        sam, ann = User.objects.create_user("sam"), User.objects.create_user("ann")
        ann.user_permissions.add(Permission.objects.get(codename="change_subscription"))
        placed = self.place(seats=MANY_SEATS)
        take_payment(placed, placed.amount, payment_id="p-1")
        self.lab.advance(days=31)
        assert placed.saga_id
        with self.assertRaises(PermissionDenied):  # noqa: PT027 (no pytest here)
            operations.approve(placed.saga_id, "approved", by=sam)
        assert mail.outbox == []

        operations.approve(placed.saga_id, "approved", by=ann)
        self.lab.run()

        self.assert_ended(placed, "active", "")

    def test_many_seats_that_nobody_approves_are_not_sold(self) -> None:
        placed = self.place(seats=MANY_SEATS)
        take_payment(placed, placed.amount, payment_id="p-1")

        self.lab.advance(timedelta(days=31) + TO_APPROVE)

        self.assert_ended(placed, "cancelled", "failed at approved")

    def test_what_was_paid_for_seats_that_are_not_there_goes_back(self) -> None:
        placed = self.place(seats=11)
        take_payment(placed, Decimal(99), payment_id="p-1")

        self.lab.run()

        self.assert_ended(placed, "cancelled", "failed at provide_seats")


class SubscriptionMatrixTests(TestCase):
    def test_who_has_seats_has_paid_for_them_whatever_goes_wrong(self) -> None:
        # So many seats that the saga comes to every step.
        seats, amount = MANY_SEATS, MANY_SEATS * PRICE
        plan = Plan.objects.create(code="TEAM", price=PRICE, seats=seats, free_seats=seats)
        books = SubscriptionBooks()
        placed = Subscription.objects.create(email="ada@example.org", plan=plan, seats=seats, amount=amount)
        take_payment(placed, amount, payment_id="p-1")
        wanted = SubscriptionInput(
            placed.pk, placed.reference, placed.email, "TEAM", seats, amount, timezone.now()
        )
        for case in saga_matrix(subscription):
            with self.subTest(str(case)), case.run(wanted, answers={"approved": None}) as saga:
                Subscription.objects.update(
                    saga_id=saga.id, status="active" if saga.status == "completed" else "cancelled"
                )
                if saga_steps(saga).get("paid") in {"succeeded", "undone"}:
                    assert list(books.problems(books.read())) == []

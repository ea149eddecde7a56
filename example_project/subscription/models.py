"""What is kept of the service: its plans, the subscriptions, their payments, and the accounts in use."""

from __future__ import annotations

from datetime import timedelta

from django.core.validators import MinValueValidator
from django.db import models

from example_project.cases.models import Case


class Plan(models.Model):
    """What can be subscribed to, and how many seats of it nobody uses yet."""

    code = models.CharField(max_length=20, unique=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, validators=[MinValueValidator(0)])
    trial = models.DurationField(default=timedelta(0), help_text="How long it may be tried for free.")
    seats = models.PositiveIntegerField(help_text="All there are.")
    free_seats = models.PositiveIntegerField(help_text="Those of them that nobody uses.")

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.code


class SubscriptionStatus(models.TextChoices):
    """Where a subscription stands, as its customer would put it."""

    PLACED = "placed"
    TRIAL = "trial"
    ACTIVE = "active"
    CANCELLED = "cancelled"


class Subscription(Case):
    """A number of seats of a plan, for somebody."""

    ASKED = ("email", "plan", "seats")
    DONE = SubscriptionStatus.ACTIVE

    status = models.CharField(
        max_length=12, choices=SubscriptionStatus.choices, default=SubscriptionStatus.PLACED
    )
    email = models.EmailField()
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    seats = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    amount = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta(Case.Meta):
        pass


class Account(models.Model):
    """Where somebody logs in; closed when the subscription is undone."""

    subscription = models.OneToOneField(Subscription, on_delete=models.PROTECT, related_name="account")
    is_open = models.BooleanField(default=True)
    seats = models.PositiveIntegerField(default=0, help_text="0 until they are provided.")

    def __str__(self) -> str:
        return f"account of {self.subscription}"


class Payment(models.Model):
    """Money that came in for a subscription, or, if negative, that went back."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="payments")
    payment_id = models.CharField(max_length=100, unique=True, help_text="The bank's own number of it.")
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"payment {self.payment_id}"

"""What the bank keeps: accounts, the transfers ordered, and an entry for each movement of money."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from example_project.cases.models import Case


class Account(models.Model):
    """Money of somebody: what it was opened with, and the sum of its entries."""

    number = models.CharField(max_length=20, unique=True)
    owner = models.CharField(max_length=100)
    email = models.EmailField(blank=True, default="")
    is_open = models.BooleanField(default=True, help_text="A closed account takes no money.")
    opened_with = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    balance = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))

    class Meta:
        ordering = ["number"]
        constraints = [models.CheckConstraint(condition=Q(balance__gte=0), name="bank_no_overdraft")]

    def __str__(self) -> str:
        return self.number


class Transfer(Case):
    """Money to be moved from one account to another."""

    ASKED = ("sender", "recipient", "amount", "purpose")

    sender = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="transfers_out")
    recipient = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="transfers_in")
    amount = models.DecimalField(
        max_digits=12, decimal_places=2, validators=[MinValueValidator(Decimal("0.01"))]
    )
    purpose = models.CharField(max_length=140, blank=True, default="")

    class Meta(Case.Meta):
        pass


class Entry(models.Model):
    """A movement on an account. Entries are added and never changed: what is undone gets another one."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="entries")
    transfer = models.ForeignKey(Transfer, on_delete=models.PROTECT, related_name="entries")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.amount} on account {self.account_id}"

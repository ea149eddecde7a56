"""Tables of the tests: what atomic steps write beside the app's own rows."""

from __future__ import annotations

from django.db import models


class Effect(models.Model):
    """An effect in the database. Not unique on purpose: an effect that happens twice has to show."""

    key = models.CharField(max_length=200)  # the step's idempotency key
    kind = models.CharField(max_length=40, default="do")
    pid = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Account(models.Model):
    """A balance that steps lock, and a name that may be there once."""

    name = models.CharField(max_length=40, unique=True)
    balance = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.balance}"

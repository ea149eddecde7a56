"""What the club keeps: an entry for every change of a member's points."""

from __future__ import annotations

from django.db import models


class PointEntry(models.Model):
    """Points that a member got or lost. Entries are added and never changed: what is undone gets another."""

    member = models.EmailField()
    # Not a foreign key, and not unique: the club hears of orders by messages only, and one that counted twice
    # has to show.
    order = models.BigIntegerField()
    points = models.IntegerField()
    reason = models.CharField(max_length=100)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "point entries"
        indexes = [models.Index(fields=["order"], name="club_entry_order")]

    def __str__(self) -> str:
        return f"{self.points:+} for order {self.order}"

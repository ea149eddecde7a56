"""What the depot keeps."""

from __future__ import annotations

from django.db import models


class Movement(models.Model):
    """Something that was taken, or put back. Not unique on purpose: one that happens twice has to show."""

    order = models.CharField(max_length=40)
    number = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.number:+} for {self.order}"

"""Partitions: shares of outbox and inbox, each with one process at work on it at a time."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Partition(models.Model):
    """A lease with a token, on a numbered share of what ``name`` (a broker, a consumer) has to do."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(_("of"), max_length=100)
    number = models.PositiveSmallIntegerField(_("number"))
    token = models.BigIntegerField(_("token"), default=0)
    owner = models.UUIDField(_("owner"), null=True)
    leased_until = models.DateTimeField(_("leased until"), null=True)
    taken_at = models.DateTimeField(_("last taken at"), null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.name} {self.number}"

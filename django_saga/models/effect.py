"""Guarded effects: which of them happened, and which must not happen any more."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_saga.core.plain import plain
from django_saga.models.fields import ExactCharField


class SagaEffect(models.Model):
    """An effect in this database, by the idempotency key of its step without ``:do`` or ``:undo``."""

    class Status(models.TextChoices):
        DONE = "done", _("done")
        UNDONE = "undone", _("undone")
        # Its compensation came, and there was nothing to undo: the effect must not come any more.
        BARRED = "barred", _("barred")

    id = models.BigAutoField(primary_key=True)
    # Not ``key``, which some databases want quoted.
    effect_key = ExactCharField(_("key"), max_length=200, unique=True)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices)
    result = models.JSONField(_("result"), null=True)
    changed_at = models.DateTimeField(_("changed at"), db_index=True)

    class Meta:
        verbose_name = _("saga effect")
        verbose_name_plural = _("saga effects")

    def __str__(self) -> str:
        return plain(self.effect_key)

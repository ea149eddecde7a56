"""Semantic locks: what sagas keep others from until they end, and who waits for it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_saga.core.plain import plain
from django_saga.models.fields import ExactCharField
from django_saga.models.instance import SagaInstance


class SagaLock(models.Model):
    """A lock that a saga holds on ``target`` until it ends, or waits for."""

    id = models.BigAutoField(primary_key=True)
    target = ExactCharField(_("target"), max_length=200)
    saga = models.ForeignKey(
        # The unique constraint below serves look-ups by saga.
        SagaInstance,
        on_delete=models.RESTRICT,
        related_name="locks",
        db_index=False,
        verbose_name=_("saga"),
    )
    # NULL, never false, while it waits: a unique constraint takes any number of NULLs, and one that holds.
    held = models.BooleanField(_("held"), null=True)
    since = models.DateTimeField(_("since"), help_text=_("Held since then, or asked for then."))

    class Meta:
        verbose_name = _("saga lock")
        verbose_name_plural = _("saga locks")
        constraints = [
            models.UniqueConstraint(fields=["target", "held"], name="django_saga_lock_holder"),
            models.UniqueConstraint(fields=["saga", "target"], name="django_saga_lock_once"),
        ]
        indexes = [models.Index(fields=["held", "since"], name="django_saga_lock_line")]

    def __str__(self) -> str:
        return plain(self.target)

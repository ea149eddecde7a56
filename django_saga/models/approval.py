"""What persons decided whom steps waited for."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_saga.models.step import SagaStep


class SagaApproval(models.Model):
    """A person's decision: the step goes on with it, or fails. Append-only."""

    id = models.BigAutoField(primary_key=True)
    step = models.ForeignKey(
        # The unique constraint below serves look-ups by step.
        SagaStep,
        on_delete=models.RESTRICT,
        related_name="approvals",
        db_index=False,
        verbose_name=_("step"),
    )
    # NULL, never false, once the step has acted on it: then another may follow, should it be asked again.
    pending = models.BooleanField(_("not acted on yet"), null=True)
    approved = models.BooleanField(_("approved"))
    actor = models.CharField(_("by"), max_length=150)
    why = models.TextField(_("reason given"), blank=True, default="")
    data = models.JSONField(_("data"), null=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("saga approval")
        verbose_name_plural = _("saga approvals")
        constraints = [
            models.UniqueConstraint(fields=["step", "pending"], name="django_saga_approval_once"),
        ]

    def __str__(self) -> str:
        return f"approved by {self.actor}" if self.approved else f"rejected by {self.actor}"

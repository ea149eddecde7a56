"""Gates: what holds back steps of one name in all workers at once."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SagaGate(models.Model):
    """A gate before all sagas of a name, or before one step of theirs. Its lock guards what it lets through.

    There is a row once something was held back or counted.
    """

    saga = models.CharField(_("saga"), max_length=100)
    step = models.CharField(
        _("step"), max_length=100, blank=True, default="", help_text=_("Empty: all steps of the saga.")
    )
    paused_at = models.DateTimeField(_("paused at"), null=True)
    paused_by = models.CharField(_("paused by"), max_length=150, blank=True, default="")
    paused_why = models.TextField(_("reason given"), blank=True, default="")
    starts = models.JSONField(
        _("starts"), default=list, help_text=_("Attempts that a rate limit still counts.")
    )
    failures = models.JSONField(
        _("failures"), default=list, help_text=_("Failed attempts that a circuit breaker still counts.")
    )
    opened_at = models.DateTimeField(
        _("circuit opened at"), null=True, help_text=_("NULL while the circuit is closed.")
    )
    open_until = models.DateTimeField(
        _("circuit open until"), null=True, help_text=_("From then on one attempt at a time tries it.")
    )
    probed_at = models.DateTimeField(_("tried at"), null=True)

    class Meta:
        verbose_name = _("saga gate")
        verbose_name_plural = _("saga gates")
        constraints = [
            models.UniqueConstraint(fields=["saga", "step"], name="django_saga_gate_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.saga}.{self.step}" if self.step else self.saga

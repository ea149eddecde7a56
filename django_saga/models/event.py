"""The history: append-only, the events the machine was fed. Folding a saga's events gives its rows back."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_saga.models.instance import SagaInstance


class SagaEvent(models.Model):
    """One event of a saga. Within a saga, ids are in commit order: they are given out under the saga's
    lock.
    """

    id = models.BigAutoField(primary_key=True)
    saga = models.ForeignKey(
        SagaInstance,
        on_delete=models.RESTRICT,
        related_name="events",
        db_index=False,
        # Written under the saga's lock by the one writer: a check per event would cost much and find nothing.
        db_constraint=False,
        verbose_name=_("saga"),
    )
    kind = models.CharField(_("event"), max_length=30)
    step = models.CharField(_("step"), max_length=100, blank=True, default="")
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    token = models.BigIntegerField(_("token"), default=0)
    worker = models.UUIDField(_("worker"), null=True)
    at = models.DateTimeField(_("decided at"))
    started_at = models.DateTimeField(_("attempt started at"), null=True)
    ended_at = models.DateTimeField(_("attempt ended at"), null=True)
    data = models.JSONField(_("facts"), null=True)
    error_class = models.CharField(_("error class"), max_length=200, blank=True, default="")
    error = models.TextField(_("error"), blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")

    class Meta:
        verbose_name = _("saga event")
        verbose_name_plural = _("saga history")
        indexes = [models.Index(fields=["saga", "id"], name="django_saga_history")]

    def __str__(self) -> str:
        return f"{self.kind} {self.step}".strip()

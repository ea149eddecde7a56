"""The audit of operators' actions, refused ones included."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_saga.models.ids import uuid7
from django_saga.models.instance import SagaInstance


class SagaOperation(models.Model):
    """Who did what to which saga, or to all of one name, when and why, and what came of it.

    Append-only, but for one thing: what is open is closed once, when its effect is known. A retry is done
    when the step has run again, a cancellation when the saga is undone.
    """

    class Result(models.TextChoices):
        OPEN = "open", _("open")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        REFUSED = "refused", _("refused")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    saga = models.ForeignKey(
        SagaInstance, on_delete=models.RESTRICT, related_name="operations", null=True, verbose_name=_("saga")
    )
    definition = models.CharField(
        _("definition"),
        max_length=100,
        blank=True,
        default="",
        help_text=_("Of an action on all sagas of a name."),
    )
    action = models.CharField(_("action"), max_length=40)
    step = models.CharField(_("step"), max_length=100, blank=True, default="")
    actor = models.CharField(_("by"), max_length=150)
    why = models.TextField(_("reason given"), blank=True, default="")
    request_id = models.CharField(_("request id"), max_length=100, blank=True, default="")
    result = models.CharField(_("result"), max_length=10, choices=Result.choices)
    detail = models.TextField(_("detail"), blank=True, default="")
    before = models.CharField(_("status before"), max_length=16)
    after = models.CharField(_("status after"), max_length=16)
    at = models.DateTimeField(_("at"))
    # The saga's newest event when it was done; its effect is behind that.
    since_event = models.BigIntegerField(_("since event"), null=True)
    known_at = models.DateTimeField(_("effect known at"), null=True)

    class Meta:
        verbose_name = _("saga operation")
        verbose_name_plural = _("saga operations")
        indexes = [
            # Of the few that are open, among all that ever were; for databases without partial indexes too.
            models.Index(fields=["result", "id"], name="django_saga_operation_result"),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"

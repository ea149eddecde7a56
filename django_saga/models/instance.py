"""Sagas: one row for each business transaction."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_saga.models.definition import SagaDefinition
from django_saga.models.fields import ExactCharField
from django_saga.models.ids import uuid7


class SagaInstance(models.Model):
    """A saga under way or ended. Its lock guards every decision about it and its steps."""

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        RUNNING = "running", _("running")
        COMPENSATING = "compensating", _("compensating")
        COMPLETED = "completed", _("completed")
        COMPENSATED = "compensated", _("compensated")
        STUCK = "stuck", _("stuck")
        SUPERSEDED = "superseded", _("superseded")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    definition = models.ForeignKey(
        SagaDefinition, on_delete=models.RESTRICT, related_name="sagas", verbose_name=_("definition")
    )
    name = models.CharField(_("name"), max_length=100)
    status = models.CharField(_("status"), max_length=16, choices=Status.choices)
    reason = models.CharField(
        _("reason"), max_length=40, blank=True, default="", help_text=_("Why it turned back.")
    )
    culprit = models.CharField(
        _("culprit"), max_length=100, blank=True, default="", help_text=_("The step it turned back at.")
    )
    input = models.JSONField(_("input"), null=True)
    graph = models.JSONField(
        _("graph"), null=True, help_text=_("The steps of a saga that was composed at run time.")
    )
    input_digest = models.CharField(_("input digest"), max_length=64)
    idempotency_key = ExactCharField(_("idempotency key"), max_length=200, null=True)
    # No foreign keys, which would need an index: few rows have them, and they are followed by primary key.
    forked_from = models.UUIDField(
        _("forked from"), null=True, help_text=_("The saga in place of which it goes on.")
    )
    superseded_by = models.UUIDField(
        _("superseded by"), null=True, help_text=_("The saga that goes on in its place.")
    )
    created_at = models.DateTimeField(_("started at"))
    deadline_at = models.DateTimeField(_("deadline"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    paused_at = models.DateTimeField(
        _("paused at"), null=True, help_text=_("Nothing new of it is begun until it is resumed.")
    )

    # Which step of another saga started it, and for which of many items; their ids follow from these, see
    # ``models.ids``.
    parent_step = models.UUIDField(_("started by step"), null=True)
    item = models.PositiveIntegerField(_("item"), null=True)

    class Meta:
        verbose_name = _("saga")
        verbose_name_plural = _("sagas")
        # In English and untranslated, as Django's own are: they are rows of the database.
        permissions = [
            ("retry_saga", "Can have steps and compensations tried again"),
            ("cancel_saga", "Can cancel saga"),
            ("compensate_saga", "Can have saga undone in spite of its pivot"),
            ("skip_step", "Can skip steps and compensations"),
            ("mark_step_done", "Can mark steps as done"),
            ("pause_saga", "Can pause and resume sagas and steps"),
            ("fork_saga", "Can have another saga go on in place of one"),
            ("migrate_saga", "Can move sagas to another version"),
            ("close_circuit", "Can close circuits"),
        ]
        constraints = [
            # Keys are unique per name, over all versions; rows without a key do not collide (NULLs are
            # distinct).
            models.UniqueConstraint(fields=["name", "idempotency_key"], name="django_saga_idempotency_key"),
        ]
        indexes = [
            models.Index(
                fields=["deadline_at"],
                name="django_saga_deadline",
                condition=Q(status__in=("pending", "running"), deadline_at__isnull=False),
            ),
            models.Index(
                fields=["status", "id"],
                name="django_saga_unfinished",
                condition=Q(status__in=("pending", "running", "compensating", "stuck")),
            ),
            models.Index(
                fields=["parent_step", "id"],
                name="django_saga_open_children",
                condition=Q(
                    status__in=("pending", "running", "compensating", "stuck"), parent_step__isnull=False
                ),
            ),
            models.Index(
                fields=["parent_step", "status", "id"],
                name="django_saga_children",
                condition=Q(parent_step__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

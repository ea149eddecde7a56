"""Steps: one row for each step that became ready, its compensation included. A live row is an alarm clock."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_saga.models.fields import ExactCharField
from django_saga.models.ids import uuid7
from django_saga.models.instance import SagaInstance


class SagaStep(models.Model):
    """A step of a saga.

    ``due_at`` is the row's alarm: scheduled, when it may be claimed; owned, when its lease ends; at rest,
    NULL.
    ``token`` is the fence: it rises with every claim, and only its holder may record an outcome.
    """

    class Status(models.TextChoices):
        SCHEDULED = "scheduled", _("scheduled")
        RUNNING = "running", _("running")
        WAITING = "waiting", _("waiting")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        UNKNOWN = "unknown", _("unknown")
        UNDO_SCHEDULED = "undo_scheduled", _("undo scheduled")
        UNDOING = "undoing", _("undoing")
        UNDONE = "undone", _("undone")
        UNDO_FAILED = "undo_failed", _("undo failed")
        SKIPPED = "skipped", _("skipped")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    saga = models.ForeignKey(
        # The unique constraint below serves look-ups by saga: an index of its own would be a second one.
        SagaInstance,
        on_delete=models.RESTRICT,
        related_name="steps",
        db_index=False,
        verbose_name=_("saga"),
    )
    name = models.CharField(_("name"), max_length=100)
    # What a worker has to have registered to claim the row; here as well, since claims look at one table
    # only.
    definition_id = models.BigIntegerField(_("definition"))
    queue = models.CharField(_("queue"), max_length=50, default="default")
    # The lane it is claimed in; ``core.lanes`` says what may stand here.
    executor = models.CharField(_("executor"), max_length=40, default="thread")
    status = models.CharField(_("status"), max_length=16, choices=Status.choices)
    attempt = models.PositiveIntegerField(
        _("attempt"), default=0, help_text=_("Of the step, or of its compensation once that began.")
    )
    crashes = models.PositiveIntegerField(_("crashes"), default=0)
    outcome = models.CharField(_("outcome"), max_length=10, blank=True, default="")
    partial = models.BooleanField(_("partial work"), default=False)
    token = models.BigIntegerField(_("token"), default=0)
    owner = models.UUIDField(_("owner"), null=True)
    due_at = models.DateTimeField(_("due at"), null=True)
    deadline_at = models.DateTimeField(_("deadline"), null=True)
    result = models.JSONField(_("result"), null=True)
    compensation_data = models.JSONField(_("compensation data"), null=True)
    undo_result = models.JSONField(_("result of the compensation"), null=True)
    reason = models.CharField(_("reason"), max_length=40, blank=True, default="")
    error = models.TextField(_("last error"), blank=True, default="")
    # What wakes it, if it waits for something else than a time: see ``store.waiting``.
    waits_for = ExactCharField(_("waits for"), max_length=255, blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("opened at"))
    claimed_at = models.DateTimeField(_("claimed at"), null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)

    class Meta:
        verbose_name = _("saga step")
        verbose_name_plural = _("saga steps")
        constraints = [
            models.UniqueConstraint(fields=["saga", "name"], name="django_saga_step_unique"),
            models.CheckConstraint(
                condition=Q(status__in=("running", "undoing"), owner__isnull=False, due_at__isnull=False)
                | (~Q(status__in=("running", "undoing")) & Q(owner__isnull=True)),
                name="django_saga_step_owned_while_running",
            ),
            # Nothing would ever wake it otherwise.
            models.CheckConstraint(
                condition=Q(due_at__isnull=False) | ~Q(status__in=("scheduled", "waiting", "undo_scheduled")),
                name="django_saga_step_due_while_scheduled",
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "executor", "due_at"],
                name="django_saga_claim",
                condition=Q(status__in=("scheduled", "waiting", "undo_scheduled")),
            ),
            models.Index(
                fields=["due_at"],
                name="django_saga_lease",
                condition=Q(status__in=("running", "undoing")),
            ),
            models.Index(
                fields=["waits_for"],
                name="django_saga_waits_for",
                condition=Q(status__in=("waiting", "undo_scheduled")) & ~Q(waits_for=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of saga {self.saga_id}"

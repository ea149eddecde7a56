"""Events from outside that sagas wait for; those that come early are kept."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_saga.core.external import MAX_ADDRESS_LENGTH
from django_saga.core.names import MAX_KEY_LENGTH, MAX_NAME_LENGTH
from django_saga.core.plain import plain
from django_saga.models.fields import ExactCharField
from django_saga.models.step import SagaStep


class ExternalEvent(models.Model):
    """Something that happened outside, told by ``send_event``. One step takes it, or nobody has yet."""

    id = models.BigAutoField(primary_key=True)
    name = ExactCharField(_("name"), max_length=MAX_NAME_LENGTH)
    # Columns have names that no database wants quoted.
    key = ExactCharField(_("key"), max_length=MAX_KEY_LENGTH, db_column="event_key")
    # Made of name and key: what the steps that wait for it have in ``waits_for``.
    address = ExactCharField(_("address"), max_length=MAX_ADDRESS_LENGTH)
    event_id = ExactCharField(
        _("sender's id"), max_length=200, null=True, help_text=_("The same event sent again is the same one.")
    )
    payload = models.JSONField(_("payload"), null=True)
    sent_at = models.DateTimeField(_("sent at"))
    taken_by = models.ForeignKey(
        SagaStep,
        on_delete=models.RESTRICT,
        related_name="events_taken",
        null=True,
        verbose_name=_("taken by"),
    )
    taken_at = models.DateTimeField(_("taken at"), null=True)

    class Meta:
        verbose_name = _("external event")
        verbose_name_plural = _("external events")
        constraints = [
            # Events without an id do not collide (NULLs are distinct). Where there are no partial indexes,
            # this one also serves those who look for what was not taken.
            models.UniqueConstraint(fields=["address", "event_id"], name="django_saga_event_once"),
            models.CheckConstraint(
                condition=Q(taken_by__isnull=True, taken_at__isnull=True)
                | Q(taken_by__isnull=False, taken_at__isnull=False),
                name="django_saga_event_taken_at",
            ),
        ]
        indexes = [
            models.Index(
                fields=["address", "id"], name="django_saga_event_waiting", condition=Q(taken_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return plain(f"{self.name} of {self.key}")

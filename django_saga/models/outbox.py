"""The outbox: messages written in the transaction that they tell of, and sent once that is committed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_saga.core.messages import MAX_ID_LENGTH, MAX_STREAM_LENGTH
from django_saga.core.names import MAX_KEY_LENGTH, MAX_NAME_LENGTH
from django_saga.core.plain import plain
from django_saga.models.fields import ExactCharField
from django_saga.models.partition import Partition


class OutboxStream(models.Model):
    """Counts the messages of one topic for one key. Its lock makes their numbers follow the commits."""

    id = models.BigAutoField(primary_key=True)
    name = ExactCharField(_("name"), max_length=MAX_STREAM_LENGTH, unique=True)
    last_number = models.BigIntegerField(_("last number"))

    class Meta:
        verbose_name = _("outbox stream")
        verbose_name_plural = _("outbox streams")

    def __str__(self) -> str:
        return plain(self.name)


class OutboxPartition(Partition):
    """A share of the streams of one broker: one relay at a time sends from it."""

    class Meta:
        verbose_name = _("outbox partition")
        verbose_name_plural = _("outbox partitions")
        constraints = [
            models.UniqueConstraint(fields=["name", "number"], name="django_saga_outbox_partition"),
        ]


class OutboxMessage(models.Model):
    """A message to be sent, or that was."""

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        PUBLISHED = "published", _("published")
        DEAD = "dead", _("dead")
        DISCARDED = "discarded", _("discarded")

    id = models.BigAutoField(primary_key=True)
    message_id = models.UUIDField(_("message id"), unique=True, editable=False)
    topic = models.CharField(_("topic"), max_length=MAX_NAME_LENGTH)
    # Columns have names that no database wants quoted.
    key = ExactCharField(_("key"), max_length=MAX_KEY_LENGTH, null=True, db_column="message_key")
    # The name, not a foreign key: it is in every message that travels.
    stream = ExactCharField(_("stream"), max_length=MAX_STREAM_LENGTH, null=True)
    number = models.BigIntegerField(_("number in the stream"))
    broker = models.CharField(_("broker"), max_length=100)
    part_number = models.PositiveSmallIntegerField(_("partition"))
    # Text, not a JSON column: it travels as it was written, and no database changes its numbers.
    payload = models.TextField(_("payload"))
    headers = models.TextField(_("headers"))
    correlation_id = ExactCharField(
        _("correlation id"),
        max_length=MAX_ID_LENGTH,
        blank=True,
        default="",
        help_text=_("What all messages of one beginning have in common; empty at the beginning."),
    )
    causation_id = ExactCharField(
        _("causation id"),
        max_length=MAX_ID_LENGTH,
        blank=True,
        default="",
        help_text=_("The message it follows from, or the step that published it."),
    )
    saga_id = models.UUIDField(_("saga"), null=True, editable=False)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices)
    attempts = models.PositiveIntegerField(_("attempts"), default=0, help_text=_("Refused by the broker."))
    due_at = models.DateTimeField(_("next attempt at"), null=True)
    error_class = models.CharField(_("error class"), max_length=200, blank=True, default="")
    error = models.TextField(_("last error"), blank=True, default="")
    fingerprint = models.CharField(_("fingerprint of the error"), max_length=64, blank=True, default="")
    failed_at = models.DateTimeField(_("first failed at"), null=True)
    created_at = models.DateTimeField(_("written at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, help_text=_("Sent, dead or discarded then."))

    class Meta:
        verbose_name = _("outbox message")
        verbose_name_plural = _("outbox messages")
        # In English and untranslated, as Django's own are: they are rows of the database.
        permissions = [
            ("requeue_outboxmessage", "Can requeue outbox message"),
            ("discard_outboxmessage", "Can discard outbox message"),
            ("fail_flow", "Can have a flow fail"),
        ]
        constraints = [
            # Messages without a stream do not collide (NULLs are distinct).
            models.UniqueConstraint(fields=["stream", "number"], name="django_saga_outbox_number"),
        ]
        indexes = [
            models.Index(
                fields=["broker", "part_number", "id"],
                name="django_saga_outbox_pending",
                condition=Q(status="pending"),
            ),
            models.Index(fields=["id"], name="django_saga_outbox_dead", condition=Q(status="dead")),
            models.Index(
                fields=["correlation_id"],
                name="django_saga_outbox_flow",
                condition=~Q(correlation_id=""),
            ),
            models.Index(
                fields=["saga_id"], name="django_saga_outbox_saga", condition=Q(saga_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return plain(f"{self.topic} {self.message_id}")

"""The inbox: messages that came, each once for every consumer, until a handler has done its work."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_saga.core.messages import MAX_ID_LENGTH, MAX_STREAM_LENGTH
from django_saga.core.names import MAX_KEY_LENGTH, MAX_NAME_LENGTH
from django_saga.core.plain import plain
from django_saga.models.fields import ExactCharField
from django_saga.models.partition import Partition


class InboxPartition(Partition):
    """A share of what one consumer gets: one worker at a time handles it."""

    class Meta:
        verbose_name = _("inbox partition")
        verbose_name_plural = _("inbox partitions")
        constraints = [
            models.UniqueConstraint(fields=["name", "number"], name="django_saga_inbox_partition"),
        ]


class InboxStream(models.Model):
    """What a consumer has had of a stream whose rows were pruned: the numbers from the first to the last."""

    id = models.BigAutoField(primary_key=True)
    consumer = models.CharField(_("consumer"), max_length=MAX_NAME_LENGTH)
    stream = ExactCharField(_("stream"), max_length=MAX_STREAM_LENGTH)
    # Part of the key: two programs may count streams of one name.
    source = ExactCharField(_("source"), max_length=MAX_ID_LENGTH)
    first_number = models.BigIntegerField(_("first number"))
    last_number = models.BigIntegerField(_("high-water mark"))

    class Meta:
        verbose_name = _("inbox stream")
        verbose_name_plural = _("inbox streams")
        constraints = [
            models.UniqueConstraint(fields=["consumer", "stream", "source"], name="django_saga_inbox_stream"),
        ]

    def __str__(self) -> str:
        return plain(f"{self.consumer} {self.stream}")


class InboxSubscription(models.Model):
    """A topic that a consumer handles, as some worker's code says."""

    id = models.BigAutoField(primary_key=True)
    consumer = models.CharField(_("consumer"), max_length=MAX_NAME_LENGTH)
    topic = models.CharField(_("topic"), max_length=MAX_NAME_LENGTH)
    seen_at = models.DateTimeField(_("last seen"), help_text=_("When a worker with such code was there."))

    class Meta:
        verbose_name = _("inbox subscription")
        verbose_name_plural = _("inbox subscriptions")
        constraints = [
            models.UniqueConstraint(fields=["consumer", "topic"], name="django_saga_inbox_subscription"),
        ]

    def __str__(self) -> str:
        return plain(f"{self.consumer} {self.topic}")


class InboxMessage(models.Model):
    """A message that came for a consumer."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DONE = "done", _("done")
        DEAD = "dead", _("dead")
        DISCARDED = "discarded", _("discarded")
        FAILED = "failed", _("had its flow fail")
        REFUSED = "refused", _("refused: its flow had failed")
        UNDONE = "undone", _("undone")

    id = models.BigAutoField(primary_key=True)
    consumer = models.CharField(_("consumer"), max_length=MAX_NAME_LENGTH)
    message_id = ExactCharField(_("message id"), max_length=MAX_ID_LENGTH)
    topic = models.CharField(_("topic"), max_length=MAX_NAME_LENGTH)
    key = ExactCharField(_("key"), max_length=MAX_KEY_LENGTH, null=True, db_column="message_key")
    source = ExactCharField(_("source"), max_length=MAX_ID_LENGTH, blank=True, default="")
    stream = ExactCharField(_("stream"), max_length=MAX_STREAM_LENGTH, null=True)
    number = models.BigIntegerField(_("number in the stream"), default=0)
    part_number = models.PositiveSmallIntegerField(_("partition"))
    correlation_id = ExactCharField(_("correlation id"), max_length=MAX_ID_LENGTH, blank=True, default="")
    # As it came, so that what cannot be read can be looked at; emptied when nobody needs it any more.
    body = models.BinaryField(_("body"), null=True)
    # JSON text: what the handler returned, for its compensation. NULL: there is nothing to undo.
    result = models.TextField(_("result"), null=True)  # noqa: DJ001
    status = models.CharField(_("status"), max_length=10, choices=Status.choices)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    crashes = models.PositiveIntegerField(
        _("crashes"), default=0, help_text=_("Begun, and nobody knows how it ended.")
    )
    due_at = models.DateTimeField(_("next attempt at"), null=True)
    error_class = models.CharField(_("error class"), max_length=200, blank=True, default="")
    error = models.TextField(_("last error"), blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")
    fingerprint = models.CharField(_("fingerprint of the error"), max_length=64, blank=True, default="")
    failed_at = models.DateTimeField(_("first failed at"), null=True)
    received_at = models.DateTimeField(_("received at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, help_text=_("No longer waiting since then."))

    class Meta:
        verbose_name = _("inbox message")
        verbose_name_plural = _("inbox messages")
        permissions = [
            ("requeue_inboxmessage", "Can requeue inbox message"),
            ("discard_inboxmessage", "Can discard inbox message"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["consumer", "message_id"], name="django_saga_inbox_once"),
        ]
        indexes = [
            models.Index(
                fields=["consumer", "part_number", "id"],
                name="django_saga_inbox_waiting",
                condition=Q(status="waiting"),
            ),
            models.Index(
                fields=["correlation_id"],
                name="django_saga_inbox_flow",
                condition=~Q(correlation_id=""),
            ),
            models.Index(fields=["message_id"], name="django_saga_inbox_message"),
            models.Index(fields=["id"], name="django_saga_inbox_dead", condition=Q(status="dead")),
        ]

    def __str__(self) -> str:
        return plain(f"{self.topic} {self.message_id} for {self.consumer}")

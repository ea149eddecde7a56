"""Worker processes, for people: nothing that keeps sagas correct depends on these rows."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class SagaWorker(models.Model):
    """One worker process. Its id is random: a host name or process number may come again."""

    class State(models.TextChoices):
        RUNNING = "running", _("running")
        DRAINING = "draining", _("draining")
        STOPPED = "stopped", _("stopped")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices)
    queues = models.JSONField(_("queues"), default=list)
    definitions = models.JSONField(_("definitions"), default=list)
    started_at = models.DateTimeField(_("started at"))
    seen_at = models.DateTimeField(_("last seen at"))

    class Meta:
        verbose_name = _("saga worker")
        verbose_name_plural = _("saga workers")
        indexes = [models.Index(fields=["seen_at"], name="django_saga_worker_seen")]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"

"""The versions of sagas this database has seen."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SagaDefinition(models.Model):
    """One version of a saga, written when a worker or ``migrate`` first meets it in code."""

    name = models.CharField(_("name"), max_length=100)
    version = models.PositiveIntegerField(_("version"), default=1)
    fingerprint = models.CharField(
        _("fingerprint"), max_length=64, help_text=_("Digest of the graph; sagas in flight depend on it.")
    )
    graph = models.JSONField(_("graph"), default=dict, help_text=_("Steps and what they wait for."))
    description = models.TextField(_("description"), blank=True, default="")
    created_at = models.DateTimeField(_("first seen at"))

    class Meta:
        verbose_name = _("saga definition")
        verbose_name_plural = _("saga definitions")
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="django_saga_definition_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

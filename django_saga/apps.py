"""Wires the app up when Django starts: no database access, no threads."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class DjangoSagaConfig(AppConfig):
    """The app ``django_saga``: finds the modules ``sagas`` and ``handlers`` of every installed app."""

    name = "django_saga"
    label = "django_saga"
    verbose_name = _("Sagas")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django_saga import checks as checks  # registers them
        from django_saga import runtime

        runtime.install()
        autodiscover_modules("sagas", "handlers")

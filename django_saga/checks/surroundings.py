"""Checks of what only the deployer can know: settings and database."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from django_saga.conf import SagaSettings, get_settings
from django_saga.core.problem import did_you_mean


@register("django_saga")
def check_settings(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report unknown keys and wrong values in ``DJANGO_SAGA``."""
    try:
        get_settings()
    except ImproperlyConfigured as error:
        hint = "Correct the setting DJANGO_SAGA, or the environment variable that stands over it."
        return [Error(str(error), hint=hint, id="django_saga.E101")]
    return []


@register("django_saga")
def check_database(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report an alias that does not exist, and SQLite set up so that writers fail instead of waiting."""
    known = _known_settings()
    if known is None:
        return []
    aliases = list(connections)
    if known.database not in aliases:
        return [
            Error(
                f"DJANGO_SAGA['DATABASE'] is {known.database!r}, which is not in DATABASES.",
                hint=f"Name one of {', '.join(aliases)}.{did_you_mean(known.database, aliases)}",
                id="django_saga.E102",
            )
        ]
    if connections[known.database].vendor != "sqlite":
        return []
    mode = connections.settings[known.database].get("OPTIONS", {}).get("transaction_mode")
    if mode is not None and str(mode).upper() in ("IMMEDIATE", "EXCLUSIVE"):
        return []
    return [
        Warning(
            f"The SQLite database {known.database!r} does not begin transactions with a lock: "
            'workers that write at once fail with "database is locked" instead of waiting.',
            hint=f"Set DATABASES[{known.database!r}]['OPTIONS']['transaction_mode'] = 'IMMEDIATE'.",
            id="django_saga.W101",
        )
    ]


@register("django_saga", deploy=True)
def check_fault_points(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report fault points in production: a variable of the environment could crash workers."""
    known = _known_settings()
    if known is None or not known.fault_points or settings.DEBUG:
        return []
    return [
        Error(
            "DJANGO_SAGA['FAULT_POINTS'] is on: the variable SAGA_FAULTS can crash this process on purpose.",
            hint="Remove FAULT_POINTS; it is for tests only.",
            id="django_saga.E103",
        )
    ]


def _known_settings() -> SagaSettings | None:
    try:
        return get_settings()
    except ImproperlyConfigured:
        return None  # has an error of its own

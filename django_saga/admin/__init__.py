"""Sagas in the Django admin: what happened, happens and is to come, to look at; dead letters have buttons."""

from django_saga.admin import (
    definitions,
    effects,
    gates,
    history,
    locks,
    messages,
    operations,
    outside,
    sagas,
    steps,
    workers,
)

__all__ = [
    "definitions",
    "effects",
    "gates",
    "history",
    "locks",
    "messages",
    "operations",
    "outside",
    "sagas",
    "steps",
    "workers",
]

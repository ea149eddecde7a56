"""Sagas in the Django admin: what happened, what happens and what is to come, to look at only."""

from django_saga.admin import (
    definitions,
    effects,
    gates,
    history,
    locks,
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
    "operations",
    "outside",
    "sagas",
    "steps",
    "workers",
]

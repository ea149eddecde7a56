"""Has steps that wait for something look now, once it is there for all to see."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction

from django_saga.engine import wake
from django_saga.store import waiting


def after_commit(using: str, addresses: Collection[str]) -> None:
    """Ring once the open transaction commits; at once when none is open."""
    # Should this fail, as the database went away right then, workers look for what was missed.
    transaction.on_commit(lambda: ring(using, addresses), using=using, robust=True)


def ring(using: str, addresses: Collection[str]) -> None:
    """Ring for ``addresses``, and wake workers if anybody heard."""
    if waiting.ring(using, addresses) and wake.hears(using):
        wake.nudge(using)

"""The link between a saga and the one that goes on in its place."""

from __future__ import annotations

from uuid import UUID

from django_saga.models import SagaInstance


def link(using: str, origin: UUID, fork: UUID) -> None:
    """Have both rows name each other; the caller has the lock of ``origin`` and has just written ``fork``."""
    rows = SagaInstance.objects.using(using)
    rows.filter(pk=origin).update(superseded_by=fork)
    rows.filter(pk=fork).update(forked_from=origin)

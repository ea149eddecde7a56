"""Finding sagas without counting or reading them all: the newest, by part of the id, by when they began."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from django_saga.core.states import SagaStatus
from django_saga.models import SagaInstance
from django_saga.models.ids import first_id

Row = TypeVar("Row", bound=Model)

SHORTEST_PREFIX = 8
# Ids carry the clock of the process that started the saga, ``created_at`` that of the database.
_CLOCKS_DIFFER_BY = timedelta(hours=1)


class IdRange(NamedTuple):
    """The ids that begin with some hexadecimal digits."""

    first: UUID
    last: UUID


def id_range(text: str) -> IdRange | None:
    """Give the ids that begin with ``text``, hyphens or not; None when no id does, or too many may."""
    digits = re.sub(r"[\s{}-]", "", text).lower()
    if not SHORTEST_PREFIX <= len(digits) <= 32 or not re.fullmatch(r"[0-9a-f]+", digits):
        return None
    return IdRange(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))


def began_since(rows: QuerySet[Row], at: datetime) -> QuerySet[Row]:
    """Keep the sagas, or steps, that began at ``at`` or later; ids rise with time, their index finds them."""
    return rows.filter(pk__gte=first_id(at - _CLOCKS_DIFFER_BY), created_at__gte=at)


def newest(
    using: str,
    *,
    statuses: Sequence[str] = (),
    name: str = "",
    since: datetime | None = None,
    limit: int,
) -> list[SagaInstance]:
    """Give the newest sagas, at most ``limit``, without their inputs, in one query.

    Those that a step of another saga started, which may be thousands, are among them only if they are stuck
    and such are asked for, or their ``name`` is.
    """
    sagas = (
        SagaInstance.objects.using(using)
        .select_related("definition")
        .defer("input", "graph", "definition__graph")
    )
    if statuses:
        sagas = sagas.filter(status__in=statuses)
    if name:
        sagas = sagas.filter(name=name)
    elif SagaStatus.STUCK not in statuses:
        sagas = sagas.filter(parent_step__isnull=True)
    if since is not None:
        sagas = began_since(sagas, since)
    return list(sagas.order_by("-pk")[:limit])


def beginning_with(using: str, ids: IdRange, limit: int) -> list[SagaInstance]:
    """Give sagas whose ids are in ``ids``, newest first, at most ``limit``."""
    sagas = SagaInstance.objects.using(using).select_related("definition")
    return list(sagas.filter(pk__gte=ids.first, pk__lte=ids.last).order_by("-pk")[:limit])

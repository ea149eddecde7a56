"""What the search boxes find, by the indexes there are: beginnings of ids, names, whole idempotency keys."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from django_saga.core.outline import of_stored
from django_saga.models import SagaDefinition, SagaInstance
from django_saga.observability.lookup import id_range

# A word that matches more keys than this is no key anyone looks for.
_KEYS = 50


def sagas(rows: QuerySet[Any], term: str, using: str) -> QuerySet[Any]:
    """Keep sagas with that id (or beginning of it), idempotency key, or part of a name."""
    definitions = list(SagaDefinition.objects.using(using).only("name"))
    named = [row.pk for row in definitions if term.lower() in row.name]
    # Looked up by itself: with OR beside it, a database may rather read the whole table than the keys' index.
    keyed = SagaInstance.objects.using(using).filter(
        name__in={row.name for row in definitions}, idempotency_key=term
    )
    wanted = _ids("pk", term)
    if keys := list(keyed.values_list("pk", flat=True)[:_KEYS]):
        wanted |= Q(pk__in=keys)
    if named:
        wanted |= Q(definition_id__in=named)
    return _kept(rows, wanted)


def steps(rows: QuerySet[Any], term: str, using: str, *, own_ids: bool) -> QuerySet[Any]:
    """Keep rows of a saga with that id, or of steps with ``term`` in the name; ``own_ids``: or of that id."""
    field = "name" if own_ids else "step"
    wanted = _ids("saga_id", term)
    if own_ids:
        wanted |= _ids("pk", term)
    if names := _step_names(term, using):
        wanted |= Q(**{f"{field}__in": names})
    return _kept(rows, wanted)


def rows_of(rows: QuerySet[Any], term: str, *, text: str, ids: str = "") -> QuerySet[Any]:
    """Keep rows of a small table by part of the column ``text``, or by the id in ``ids``."""
    wanted = Q(**{f"{text}__icontains": term})
    return rows.filter(wanted | _ids(ids, term) if ids else wanted)


def _step_names(term: str, using: str) -> list[str]:
    graphs = SagaDefinition.objects.using(using).values_list("graph", flat=True)
    names = {node.name for graph in graphs for node in of_stored(graph)}
    return sorted(name for name in names if term.lower() in name.lower())


def _ids(field: str, term: str) -> Q:
    ids = id_range(term)
    return Q() if ids is None else Q(**{f"{field}__gte": ids.first, f"{field}__lte": ids.last})


def _kept(rows: QuerySet[Any], wanted: Q) -> QuerySet[Any]:
    return rows.filter(wanted) if wanted else rows.none()

"""How far cases are: what the pages, the APIs and the demo show of them and of their sagas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import Count, QuerySet

from django_saga.models import SagaInstance
from example_project.cases.models import Case

IN_FLIGHT = (SagaInstance.Status.PENDING, SagaInstance.Status.RUNNING, SagaInstance.Status.COMPENSATING)
# Kept for sagas that were forked; a case's saga is never in it here.
_NOT_SHOWN = SagaInstance.Status.SUPERSEDED

C = TypeVar("C", bound=Case)


@dataclass(frozen=True, slots=True)
class Progress:
    """Cases and their sagas counted by status; every status is there, with 0 if need be."""

    cases: dict[str, int]
    sagas: dict[str, int]

    @property
    def placed(self) -> int:
        return sum(self.cases.values())

    @property
    def in_flight(self) -> int:
        return sum(self.sagas[status] for status in IN_FLIGHT)


def progress(cases: type[Case], saga: str) -> Progress:
    """Count all cases of a kind and the sagas of the name ``saga``, in two queries."""
    return Progress(
        cases=_counted(cases._default_manager.all(), [str(value) for value, _ in _choices(cases)]),
        sagas=_counted(
            SagaInstance.objects.filter(name=saga),
            [status for status in SagaInstance.Status.values if status != _NOT_SHOWN],
        ),
    )


def with_sagas(cases: Iterable[C], *, steps: bool = False) -> list[C]:
    """Set ``saga`` on each of ``cases``, None where it is gone; with ``steps``, fetch its steps as well."""
    found = list(cases)
    sagas = SagaInstance.objects.prefetch_related("steps") if steps else SagaInstance.objects.all()
    by_id = sagas.in_bulk([case.saga_id for case in found if case.saga_id])
    for case in found:
        case.saga = by_id.get(case.saga_id) if case.saga_id else None
    return found


def _choices(cases: type[Case]) -> Iterable[tuple[Any, Any]]:
    return cases._meta.get_field("status").flatchoices


def _counted(rows: QuerySet[Any], statuses: Iterable[str]) -> dict[str, int]:
    # Without order_by() the model's default ordering would be part of the grouping.
    counts = dict(rows.order_by().values_list("status").annotate(Count("pk")))
    return {status: counts.get(status, 0) for status in statuses}

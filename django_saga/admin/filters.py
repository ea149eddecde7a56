"""Filters of the lists: none reads a big table to find out what can be chosen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_saga.core.events import EVENTS
from django_saga.core.states import LIVE_SAGA, LIVE_STEP, SagaStatus, StepStatus
from django_saga.models import SagaDefinition
from django_saga.observability.lookup import began_since

_FEW = LIVE_STEP | {StepStatus.UNDO_FAILED}
_UNFINISHED = sorted({*LIVE_SAGA, SagaStatus.STUCK})
_LATEST = 200_000
_SPANS = {
    "1h": (timedelta(hours=1), _("Past hour")),
    "24h": (timedelta(days=1), _("Past 24 hours")),
    "7d": (timedelta(days=7), _("Past 7 days")),
    "30d": (timedelta(days=30), _("Past 30 days")),
}


class DefinitionFilter(admin.SimpleListFilter):
    """By saga and version."""

    title = _("saga")
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        definitions = SagaDefinition.objects.using(model_admin.using).order_by("name", "version")
        return [(str(row.pk), str(row)) for row in definitions.defer("graph", "description")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        # A value that is none of the choices, as in an old bookmark, filters nothing.
        value = self.value()
        if value is None or not value.isdecimal():
            return queryset
        return queryset.filter(definition_id=int(value))


class BeganFilter(admin.SimpleListFilter):
    """By when the saga began, or the step was opened."""

    title = _("start")
    parameter_name = "within"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [(key, word) for key, (_span, word) in _SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = _SPANS.get(self.value() or "")
        return queryset if chosen is None else began_since(queryset, timezone.now() - chosen[0])


class StepStatusFilter(admin.ChoicesFieldListFilter):
    """By status; live and dead steps are sought in unfinished sagas only, which are few."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen: Any = self.used_parameters.get(self.lookup_kwarg, [])
        if _FEW.intersection(chosen):
            queryset = queryset.filter(saga__status__in=_UNFINISHED)
        return cast("QuerySet[Any]", super().queryset(request, queryset))


class KindFilter(admin.SimpleListFilter):
    """By kind of event. No index knows rare kinds, so the latest events alone are looked through."""

    title = _("event, of the latest 200,000")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind.replace("_", " ")) for kind in EVENTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        if "saga__id__exact" not in request.GET:
            newest = (
                queryset.model.objects.using(queryset.db).order_by("-pk").values_list("pk", flat=True).first()
            )
            queryset = queryset.filter(pk__gt=(newest or 0) - _LATEST)
        return queryset.filter(kind=self.value())

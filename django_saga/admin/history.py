"""The history in the admin: every event the machine was fed, with the error and traceback it brought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells, search
from django_saga.admin.filters import KindFilter
from django_saga.admin.readonly import EndlessAdmin, Tool
from django_saga.admin.story_page import event_state, event_took, worker_name
from django_saga.models import SagaEvent, SagaInstance, SagaWorker


@admin.register(SagaEvent)
class SagaEventAdmin(EndlessAdmin):
    list_display = ["what", "step", "number", "said", "saga_link", "decided", "took", "worker_link"]
    list_filter = [KindFilter]
    list_select_related = ["saga"]
    list_defer = ["traceback", "saga__input", "saga__graph"]
    search_fields = ["id"]
    search_help_text = _("Part of a step's name, or a saga's id: at least the first 8 characters of it.")
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "what",
                    "saga_link",
                    "step",
                    "number",
                    "token",
                    "worker_link",
                    "decided",
                    "attempt_started",
                    "attempt_ended",
                    "took",
                    "facts",
                ]
            },
        ),
        (_("Error"), {"fields": ["class_shown", "error_shown", "traceback_shown"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("saga").defer("saga__input", "saga__graph")

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return search.steps(rows, term, self.using, own_ids=False)

    def prepare(self, request: HttpRequest, rows: Sequence[SagaEvent]) -> None:
        workers = SagaWorker.objects.using(self.using).in_bulk({row.worker for row in rows if row.worker})
        for row in rows:
            cast(Any, row).workers = workers

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        event = super().get_object(request, object_id, from_field)
        if event is not None:
            self.prepare(request, [event])
        return event

    def tools(self, request: HttpRequest, obj: SagaEvent) -> list[Tool]:
        return [
            (_("History of the saga"), self.list_url(SagaEvent, saga__id__exact=obj.saga_id)),
            *(
                [(_("Saga"), self.url(SagaInstance, obj.saga_id))]
                if self.may_view(request, SagaInstance)
                else []
            ),
        ]

    @admin.display(description=_("event"))
    def what(self, event: SagaEvent) -> SafeString:
        return event_state(event)

    @admin.display(description=_("attempt"))
    def number(self, event: SagaEvent) -> str:
        return str(event.attempt or cells.NOTHING)

    @admin.display(description=_("saga"))
    def saga_link(self, event: SagaEvent) -> SafeString:
        return cells.link(self.url(SagaInstance, event.saga_id), cells.saga_name(event.saga, event.saga.name))

    @admin.display(description=_("decided"))
    def decided(self, event: SagaEvent) -> SafeString | str:
        return cells.when(event.at)

    @admin.display(description=_("attempt started"))
    def attempt_started(self, event: SagaEvent) -> SafeString | str:
        return cells.when(event.started_at)

    @admin.display(description=_("attempt ended"))
    def attempt_ended(self, event: SagaEvent) -> SafeString | str:
        return cells.when(event.ended_at)

    @admin.display(description=_("took"))
    def took(self, event: SagaEvent) -> str:
        return cells.length(event_took(event))

    @admin.display(description=_("worker"))
    def worker_link(self, event: SagaEvent) -> SafeString | str:
        if event.worker is None:
            return cells.NOTHING
        return worker_name(self, event.worker, cast(Any, event).workers)

    @admin.display(description=_("error"))
    def said(self, event: SagaEvent) -> str:
        return cells.short(": ".join(part for part in (event.error_class, event.error) if part), 100)

    @admin.display(description=_("facts"))
    def facts(self, event: SagaEvent) -> SafeString | str:
        return cells.data(event.data)

    @admin.display(description=_("error class"))
    def class_shown(self, event: SagaEvent) -> str:
        return cells.short(event.error_class, 200) or cells.NOTHING

    @admin.display(description=_("error"))
    def error_shown(self, event: SagaEvent) -> SafeString | str:
        return cells.block(event.error)

    @admin.display(description=_("traceback"))
    def traceback_shown(self, event: SagaEvent) -> SafeString | str:
        return cells.block(event.traceback)

"""Steps in the admin: across all sagas, and each with its attempts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells, search
from django_saga.admin.filters import BeganFilter, DefinitionFilter, StepStatusFilter
from django_saga.admin.readonly import EndlessAdmin, Tool
from django_saga.admin.story_page import event_lines, open_words
from django_saga.core.states import OWNED_STEP
from django_saga.models import SagaEvent, SagaInstance, SagaStep, SagaWorker
from django_saga.store import clock

_EVENTS = 100


@admin.register(SagaStep)
class SagaStepAdmin(EndlessAdmin):
    list_display = ["label", "saga_link", "state", "attempt", "last_error", "due"]
    list_filter = [("status", StepStatusFilter), DefinitionFilter, BeganFilter]
    list_select_related = ["saga"]
    list_defer = ["result", "compensation_data", "undo_result", "saga__input", "saga__graph"]
    search_fields = ["id"]
    search_help_text = _(
        "Part of a step's name, or the id of a saga or step: at least its first 8 characters."
    )
    empty_text = _("No step has become ready yet.")
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "state",
                    "situation",
                    "saga_link",
                    "queue",
                    "executor",
                    "attempt",
                    "crashes",
                    "outcome",
                    "partial",
                    "token",
                    "opened",
                    "claimed",
                    "ended",
                    "deadline",
                ]
            },
        ),
        (
            _("Payloads"),
            {"fields": ["result_shown", "compensation_data_shown", "undo_result_shown", "error_shown"]},
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("saga").defer("saga__input", "saga__graph")

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return search.steps(rows, term, self.using, own_ids=True)

    def page(self, request: HttpRequest, obj: SagaStep) -> dict[str, Any]:
        if not self.may_view(request, SagaEvent):
            return {"saga_history": None}
        events = SagaEvent.objects.using(self.using).filter(saga_id=obj.saga_id, step=obj.name)
        newest = list(events.defer("traceback").order_by("-pk")[: _EVENTS + 1])
        workers = SagaWorker.objects.using(self.using).in_bulk({e.worker for e in newest if e.worker})
        return {
            "saga_history": event_lines(self, newest[:_EVENTS][::-1], workers, clock.now(self.using)),
            "saga_history_limit": _EVENTS if len(newest) > _EVENTS else None,
            "saga_history_url": self.list_url(SagaEvent, saga__id__exact=obj.saga_id, step=obj.name),
        }

    def tools(self, request: HttpRequest, obj: SagaStep) -> list[Tool]:
        return (
            [(_("Saga"), self.url(SagaInstance, obj.saga_id))] if self.may_view(request, SagaInstance) else []
        )

    @admin.display(description=_("step"))
    def label(self, step: SagaStep) -> str:
        return cells.short(step.name)

    @admin.display(description=_("saga"))
    def saga_link(self, step: SagaStep) -> SafeString:
        return cells.link(self.url(SagaInstance, step.saga_id), cells.saga_name(step.saga, step.saga.name))

    @admin.display(description=_("status"))
    def state(self, step: SagaStep) -> SafeString:
        return cells.step_state(step)

    @admin.display(description=_("now"))
    def situation(self, step: SagaStep) -> SafeString | str:
        owners = [step.owner] if step.owner and step.status in OWNED_STEP else []
        workers = SagaWorker.objects.using(self.using).in_bulk(owners)
        return cells.lines(open_words(self, step, workers, clock.now(self.using)))

    @admin.display(description=_("due, or lease until"))
    def due(self, step: SagaStep) -> SafeString | str:
        return cells.when(step.due_at)

    @admin.display(description=_("last error"))
    def last_error(self, step: SagaStep) -> str:
        return cells.short(step.error, 100)

    @admin.display(description=_("opened"))
    def opened(self, step: SagaStep) -> SafeString | str:
        return cells.when(step.created_at)

    @admin.display(description=_("claimed"))
    def claimed(self, step: SagaStep) -> SafeString | str:
        return cells.when(step.claimed_at)

    @admin.display(description=_("ended"))
    def ended(self, step: SagaStep) -> SafeString | str:
        return cells.when(step.ended_at)

    @admin.display(description=_("deadline"))
    def deadline(self, step: SagaStep) -> SafeString | str:
        return cells.when(step.deadline_at)

    @admin.display(description=_("result"))
    def result_shown(self, step: SagaStep) -> SafeString | str:
        return cells.data(step.result)

    @admin.display(description=_("result of the compensation"))
    def undo_result_shown(self, step: SagaStep) -> SafeString | str:
        return cells.data(step.undo_result)

    @admin.display(description=_("data to undo it"))
    def compensation_data_shown(self, step: SagaStep) -> SafeString | str:
        return cells.data(step.compensation_data)

    @admin.display(description=_("last error"))
    def error_shown(self, step: SagaStep) -> SafeString | str:
        return cells.block(step.error)

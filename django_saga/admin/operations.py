"""Operators' actions in the admin: who did what to which saga, and what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells, search
from django_saga.admin.readonly import EndlessAdmin, Tool
from django_saga.core import shapes
from django_saga.models import SagaInstance, SagaOperation

_SHAPES = {
    SagaOperation.Result.OPEN: shapes.Shape("○", "o", shapes.BUSY),
    SagaOperation.Result.DONE: shapes.Shape("✔", "+", shapes.GOOD),
}
_ELSE = shapes.Shape("✖", "x", shapes.BAD)


def came_of_it(operation: SagaOperation) -> SafeString:
    """Say what came of an action: a shape and a word."""
    shape = _SHAPES.get(SagaOperation.Result(operation.result), _ELSE)
    return cells.state(shape, operation.get_result_display())


@admin.register(SagaOperation)
class SagaOperationAdmin(EndlessAdmin):
    list_display = ["label", "came_of_it", "saga_link", "step", "by", "done", "why_given"]
    list_filter = ["result"]
    list_select_related = ["saga"]
    list_defer = ["detail", "saga__input", "saga__graph"]
    search_fields = ["id"]
    search_help_text = _("Part of who did it, or a saga's id: at least the first 8 characters of it.")
    empty_text = _("No operator has done anything yet.")
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "label",
                    "came_of_it",
                    "saga_link",
                    "step",
                    "by",
                    "done",
                    "known",
                    "request_id",
                    "before",
                    "after",
                    "why_shown",
                    "detail_shown",
                ]
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("saga").defer("saga__input", "saga__graph")

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return search.rows_of(rows, term, ids="saga_id", text="actor")

    def tools(self, request: HttpRequest, obj: SagaOperation) -> list[Tool]:
        if obj.saga_id is None or not self.may_view(request, SagaInstance):
            return []
        return [(_("Saga"), self.url(SagaInstance, obj.saga_id))]

    @admin.display(description=_("action"))
    def label(self, operation: SagaOperation) -> str:
        return cells.short(operation.action)

    @admin.display(description=_("came of it"))
    def came_of_it(self, operation: SagaOperation) -> SafeString:
        return came_of_it(operation)

    @admin.display(description=_("saga"))
    def saga_link(self, operation: SagaOperation) -> SafeString | str:
        if operation.saga is None:
            return cells.short(operation.definition)
        return cells.link(
            self.url(SagaInstance, operation.saga.pk), cells.saga_name(operation.saga, operation.saga.name)
        )

    @admin.display(description=_("by"))
    def by(self, operation: SagaOperation) -> str:
        return cells.short(operation.actor, 150)

    @admin.display(description=_("at"))
    def done(self, operation: SagaOperation) -> SafeString | str:
        return cells.when(operation.at)

    @admin.display(description=_("effect known"))
    def known(self, operation: SagaOperation) -> SafeString | str:
        return cells.when(operation.known_at) if operation.known_at else cells.NOTHING

    @admin.display(description=_("reason given"))
    def why_given(self, operation: SagaOperation) -> str:
        return cells.short(operation.why, 100)

    @admin.display(description=_("reason given"))
    def why_shown(self, operation: SagaOperation) -> SafeString | str:
        return cells.block(operation.why)

    @admin.display(description=_("detail"))
    def detail_shown(self, operation: SagaOperation) -> SafeString | str:
        return cells.block(operation.detail)

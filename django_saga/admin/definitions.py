"""Definitions in the admin: the versions of sagas this database has seen, and their graphs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells, search
from django_saga.admin.name_pages import NamePages
from django_saga.admin.readonly import ReadOnlyAdmin, Tool
from django_saga.core import mermaid
from django_saga.core.outline import lock_policy, of_stored, ordered
from django_saga.dsl.registry import registry
from django_saga.exceptions import UnknownSaga
from django_saga.models import SagaDefinition, SagaInstance


@admin.register(SagaDefinition)
class SagaDefinitionAdmin(ReadOnlyAdmin):
    list_display = ["label", "description", "steps", "in_code", "first_seen"]
    ordering = ["name", "-version"]
    search_fields = ["name"]
    search_help_text = _("Part of a saga's name.")
    empty_text = _(
        "No saga is known yet. Definitions are written by “migrate” and by workers, from the code."
    )
    fieldsets = [
        (None, {"fields": ["label", "description", "in_code", "first_seen", "fingerprint"]}),
    ]

    def get_urls(self) -> list[Any]:
        return [*NamePages(self).urls(), *super().get_urls()]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return search.rows_of(rows, term, text="name")

    def page(self, request: HttpRequest, obj: SagaDefinition) -> dict[str, Any]:
        nodes = ordered(of_stored(obj.graph))
        drawing = mermaid.flowchart(str(obj), nodes, lock_policy(obj.graph))
        stand = NamePages(self).lines(request, obj, [node.name for node in nodes])
        return {
            "saga_nodes": [(node, stand[node.name]) for node in nodes],
            "saga_all": stand[""],
            "saga_drawing": cells.block(drawing),
        }

    def tools(self, request: HttpRequest, obj: SagaDefinition) -> list[Tool]:
        if not self.may_view(request, SagaInstance):
            return []
        return [
            (_("Sagas"), self.list_url(SagaInstance, of=obj.pk)),
            (_("Stuck sagas"), self.list_url(SagaInstance, of=obj.pk, status__exact="stuck")),
        ]

    @admin.display(description=_("saga"), ordering="name")
    def label(self, definition: SagaDefinition) -> str:
        return str(definition)

    @admin.display(description=_("steps"))
    def steps(self, definition: SagaDefinition) -> str:
        return cells.short(", ".join(node.name for node in ordered(of_stored(definition.graph))))

    @admin.display(description=_("in this code"), boolean=True)
    def in_code(self, definition: SagaDefinition) -> bool:
        try:
            registry.get(definition.name, definition.version)
        except UnknownSaga:
            return False
        return True

    @admin.display(description=_("first seen"), ordering="created_at")
    def first_seen(self, definition: SagaDefinition) -> SafeString | str:
        return cells.when(definition.created_at)

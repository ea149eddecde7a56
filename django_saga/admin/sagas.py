"""Sagas in the admin: the list, and the page that tells one saga's story."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells, search
from django_saga.admin.action_pages import ActionPages
from django_saga.admin.filters import BeganFilter, DefinitionFilter
from django_saga.admin.flow_pages import flow_url, may_see
from django_saga.admin.letters import LIST_URL, pages_url
from django_saga.admin.locks import lock_lines
from django_saga.admin.operations import came_of_it
from django_saga.admin.readonly import EndlessAdmin, Tool
from django_saga.admin.story_page import event_lines, step_lines
from django_saga.core.outline import of_stored
from django_saga.core.spans import between
from django_saga.models import (
    SagaDefinition,
    SagaEvent,
    SagaInstance,
    SagaLock,
    SagaOperation,
    SagaStep,
)
from django_saga.observability import advice, locking, standing, story

# The newest that a page shows; the list of events has them all.
_EVENTS = 200
_OPERATIONS = 50


@admin.register(SagaInstance)
class SagaInstanceAdmin(EndlessAdmin):
    list_display = ["label", "key", "state", "where", "began"]
    list_filter = ["status", DefinitionFilter, BeganFilter]
    list_select_related = ["definition"]
    list_defer = ["input", "graph", "definition__graph", "definition__description"]
    search_fields = ["id"]
    search_help_text = _(
        "Part of a saga's name, a whole idempotency key, or an id: at least the first 8 characters of it."
    )
    empty_text = _("There are no sagas yet. One appears here as soon as code starts it.")

    def get_urls(self) -> list[Any]:
        return [*ActionPages(self).urls(), *super().get_urls()]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return search.sagas(rows, term, self.using)

    def prepare(self, request: HttpRequest, rows: Sequence[SagaInstance]) -> None:
        self._attach(rows, standing.telling_steps(self.using, rows))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        saga = super().get_object(request, object_id, from_field)
        if saga is not None:
            self._attach([saga], standing.telling_steps(self.using, [saga]))
        return saga

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("definition")

    def _attach(self, rows: Sequence[SagaInstance], steps: dict[UUID, list[SagaStep]]) -> None:
        now = timezone.now()
        locks = locking.waiting(self.using, rows)
        for saga in rows:
            told = standing.where(saga, steps.get(saga.pk, []), now, locks.get(saga.pk, ()))
            cast(Any, saga).standing = told

    # --- the page ---------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: SagaInstance | None = None) -> Any:
        if obj is None:
            return []
        shown = {
            "state": True,
            "where": True,
            "why": obj.reason,
            "definition_link": True,
            "key": obj.idempotency_key,
            "parent": obj.parent_step,
            "fork_of": obj.forked_from,
            "fork": obj.superseded_by,
            "began": True,
            "finished": obj.finished_at,
            "took": obj.finished_at,
            "deadline": obj.deadline_at,
            "paused": obj.paused_at,
        }
        composed = [(_("Composed of"), {"fields": ["graph_shown"]})] if obj.graph is not None else []
        return [
            (None, {"fields": [name for name, has_value in shown.items() if has_value]}),
            (_("Input"), {"fields": ["input_shown"]}),
            *composed,
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        url = pages_url(self, LIST_URL) if self.may_view(request, SagaStep) else ""
        tools: list[Tool] = [(_("Dead letters"), url)] if url else []
        return super().changelist_view(request, {"saga_list_tools": tools, **(extra_context or {})})

    def page(self, request: HttpRequest, obj: SagaInstance) -> dict[str, Any]:
        may_see_history = self.may_view(request, SagaEvent)
        may_see_steps = self.may_view(request, SagaStep)
        told = story.read(self.using, obj, events=_EVENTS)
        operations: list[dict[str, Any]] = []
        if self.may_view(request, SagaOperation):
            newest = SagaOperation.objects.using(self.using).filter(saga_id=obj.pk).order_by("-pk")
            operations = [
                {
                    "url": self.url(SagaOperation, row.pk),
                    "row": row,
                    "actor": cells.short(row.actor, 150),
                    "why": cells.short(row.why),
                    "came": came_of_it(row),
                    "detail": cells.short(row.detail, 200),
                    "at": cells.when(row.at, told.now),
                }
                for row in newest[:_OPERATIONS]
            ]
        return {
            "saga_advice": advice.advice(told) if may_see_steps else [],
            "saga_offers": ActionPages(self).offered(request, obj),
            "saga_steps": step_lines(self, told, attempts=may_see_history) if may_see_steps else None,
            "saga_history": event_lines(self, told.events, told.workers, told.now)
            if may_see_history
            else None,
            "saga_history_limit": _EVENTS if told.left_out else None,
            "saga_history_url": self.list_url(SagaEvent, saga__id__exact=obj.pk),
            "saga_operations": operations,
            "saga_locks": lock_lines(self, told.locks) if self.may_view(request, SagaLock) else [],
        }

    def tools(self, request: HttpRequest, obj: SagaInstance) -> list[Tool]:
        offered = (
            (SagaStep, _("Steps"), {"saga__id__exact": obj.pk}),
            (SagaEvent, _("History"), {"saga__id__exact": obj.pk}),
            (SagaOperation, _("Operations"), {"saga__id__exact": obj.pk}),
        )
        tools: list[Tool] = [
            (text, self.list_url(model, **filters))
            for model, text, filters in offered
            if self.may_view(request, model)
        ]
        if parents := self._steps_with_children(obj):
            tools.append((_("Children"), self.list_url(SagaInstance, parent_step__in=parents)))
        if may_see(self, request):
            tools.append((_("Messages"), flow_url(self, str(obj.pk))))
        return tools

    def _steps_with_children(self, saga: SagaInstance) -> str:
        """Name the steps (ids, as the list's filter takes them) that started other sagas."""
        names = [node.name for node in of_stored(saga.definition.graph) if node.starts]
        if not names:
            return ""
        steps = SagaStep.objects.using(self.using).filter(saga_id=saga.pk, name__in=names)
        return ",".join(str(pk) for pk in steps.values_list("pk", flat=True))

    # --- cells ------------------------------------------------------------------------------------

    @admin.display(description=_("saga"))
    def label(self, saga: SagaInstance) -> SafeString:
        return cells.saga_name(saga, saga.definition)

    @admin.display(description=_("idempotency key"))
    def key(self, saga: SagaInstance) -> str:
        return cells.short(saga.idempotency_key or cells.NOTHING, 200)

    @admin.display(description=_("started by"))
    def parent(self, saga: SagaInstance) -> SafeString | str:
        steps = SagaStep.objects.using(self.using).filter(pk__in=[saga.parent_step])
        step = steps.only("saga_id", "name").first()
        if step is None:
            return cells.NOTHING
        facts = {"step": cells.short(step.name, 100), "saga": step.saga_id}
        return cells.link(self.url(SagaInstance, step.saga_id), _("step %(step)s of saga %(saga)s") % facts)

    @admin.display(description=_("goes on in place of"))
    def fork_of(self, saga: SagaInstance) -> SafeString | str:
        return self._other(saga.forked_from)

    @admin.display(description=_("goes on in its place"))
    def fork(self, saga: SagaInstance) -> SafeString | str:
        return self._other(saga.superseded_by)

    def _other(self, saga: UUID | None) -> SafeString | str:
        return cells.link(self.url(SagaInstance, saga), saga) if saga else cells.NOTHING

    @admin.display(description=_("status"))
    def state(self, saga: SagaInstance) -> SafeString:
        return cells.saga_state(saga)

    @admin.display(description=_("where it stands"))
    def where(self, saga: SagaInstance) -> str:
        return cells.short(cast(Any, saga).standing) or cells.NOTHING

    @admin.display(description=_("why it turned back"))
    def why(self, saga: SagaInstance) -> str:
        return cells.short(standing.why(saga)) or cells.NOTHING

    @admin.display(description=_("started"))
    def began(self, saga: SagaInstance) -> SafeString | str:
        return cells.when(saga.created_at)

    @admin.display(description=_("finished"))
    def finished(self, saga: SagaInstance) -> SafeString | str:
        return cells.when(saga.finished_at)

    @admin.display(description=_("took"))
    def took(self, saga: SagaInstance) -> str:
        return cells.length(between(saga.created_at, saga.finished_at) if saga.finished_at else None)

    @admin.display(description=_("deadline"))
    def deadline(self, saga: SagaInstance) -> SafeString | str:
        return cells.when(saga.deadline_at)

    @admin.display(description=_("paused since"))
    def paused(self, saga: SagaInstance) -> SafeString | str:
        return cells.when(saga.paused_at)

    @admin.display(description=_("definition"))
    def definition_link(self, saga: SagaInstance) -> SafeString:
        return cells.link(self.url(SagaDefinition, saga.definition_id), saga.definition)

    @admin.display(description=_("input"))
    def input_shown(self, saga: SagaInstance) -> SafeString | str:
        return cells.data(saga.input)

    @admin.display(description=_("graph"))
    def graph_shown(self, saga: SagaInstance) -> SafeString | str:
        return cells.data(saga.graph)

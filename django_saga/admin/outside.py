"""Events from outside and persons' decisions in the admin: what came, and which step took it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells
from django_saga.admin.approval_pages import LIST_URL, ApprovalPages
from django_saga.admin.letters import pages_url
from django_saga.admin.readonly import EndlessAdmin, Tool
from django_saga.models import ExternalEvent, SagaApproval, SagaStep

_PAYLOADS = ("result", "compensation_data", "undo_result")


@admin.register(ExternalEvent)
class ExternalEventAdmin(EndlessAdmin):
    list_display = ["label", "for_key", "sent", "taker", "taken"]
    list_select_related = ["taken_by"]
    list_defer = ["payload", *(f"taken_by__{name}" for name in _PAYLOADS)]
    search_fields = ["id"]
    search_help_text = _("A whole key, or the sender's whole id.")
    empty_text = _("No event was sent.")
    fieldsets = [(None, {"fields": ["label", "for_key", "senders_id", "sent", "taker", "taken"]})]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(key=term) | rows.filter(event_id=term)

    @admin.display(description=_("name"))
    def label(self, event: ExternalEvent) -> str:
        return cells.short(event.name, 100)

    @admin.display(description=_("key"))
    def for_key(self, event: ExternalEvent) -> str:
        return cells.short(event.key, 200)

    @admin.display(description=_("sender's id"))
    def senders_id(self, event: ExternalEvent) -> str:
        return cells.short(event.event_id, 200) if event.event_id else cells.NOTHING

    @admin.display(description=_("sent"))
    def sent(self, event: ExternalEvent) -> SafeString | str:
        return cells.when(event.sent_at)

    @admin.display(description=_("taken by"))
    def taker(self, event: ExternalEvent) -> SafeString | str:
        if event.taken_by is None:
            return _now("nobody yet")
        return cells.link(self.url(SagaStep, event.taken_by.pk), cells.short(event.taken_by.name, 100))

    @admin.display(description=_("taken"))
    def taken(self, event: ExternalEvent) -> SafeString | str:
        return cells.when(event.taken_at)


@admin.register(SagaApproval)
class SagaApprovalAdmin(EndlessAdmin):
    list_display = ["label", "decision", "by", "reason", "decided"]
    list_select_related = ["step"]
    list_defer = ["data", *(f"step__{name}" for name in _PAYLOADS)]
    search_fields = ["id"]
    search_help_text = _("The name of who decided.")
    empty_text = _("Nobody decided anything.")
    fieldsets = [(None, {"fields": ["label", "decision", "by", "reason", "decided"]})]

    def get_urls(self) -> list[Any]:
        return [*ApprovalPages(self).urls(), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        tools: list[Tool] = [(_("Waiting for you"), pages_url(self, LIST_URL))]
        return super().changelist_view(request, {"saga_list_tools": tools, **(extra_context or {})})

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(actor=term)

    @admin.display(description=_("step"))
    def label(self, approval: SagaApproval) -> SafeString:
        return cells.link(self.url(SagaStep, approval.step_id), cells.short(approval.step.name, 100))

    @admin.display(description=_("decision"))
    def decision(self, approval: SagaApproval) -> str:
        told = _now("approved") if approval.approved else _now("rejected")
        return _now("%(decision)s, not acted on yet") % {"decision": told} if approval.pending else told

    @admin.display(description=_("by"))
    def by(self, approval: SagaApproval) -> str:
        return cells.short(approval.actor, 150)

    @admin.display(description=_("reason given"))
    def reason(self, approval: SagaApproval) -> str:
        return cells.short(approval.why, 200)

    @admin.display(description=_("at"))
    def decided(self, approval: SagaApproval) -> SafeString | str:
        return cells.when(approval.at)

"""Buttons for dead letters in the admin: who may requeue or discard them, and what leads to that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from django_saga.admin.readonly import EndlessAdmin, ReadOnlyAdmin, Tool
from django_saga.models import SagaStep
from django_saga.operations.letters import permission
from django_saga.store.letters import MODELS

REQUEUE, DISCARD = "requeue", "discard"
VERBS = {REQUEUE: _("Requeue"), DISCARD: _("Discard")}
LIST_URL = "django_saga_dead_letters"
# So many are shown on a page, and acted on at once.
MOST = 300


def may_act(ours: ReadOnlyAdmin, request: HttpRequest, action: str, box: str) -> bool:
    """True when the user may see the letters of ``box``, and may do ``action`` with them."""
    return ours.may_view(request, model_of(box)) and request.user.has_perm(permission(action, box))


def model_of(box: str) -> type[Model]:
    """Give the model whose rows the letters of ``box`` are."""
    return MODELS.get(box, SagaStep)


def pages_url(ours: ReadOnlyAdmin, name: str, **query: Iterable[str] | str) -> str:
    """Give the URL of a page of dead letters; empty where a site has replaced the admin that has them."""
    try:
        url = reverse(f"admin:{name}", current_app=ours.admin_site.name)
    except NoReverseMatch:
        return ""
    return f"{url}?{urlencode(query, doseq=True)}" if query else url


def ask_url(ours: ReadOnlyAdmin, action: str, **query: Iterable[str] | str) -> str:
    """Give the URL of the page that asks whether to do ``action`` with a ``letter`` or a ``fingerprint``."""
    return pages_url(ours, f"django_saga_{action}_letters", **query)


class LetterAdmin(EndlessAdmin):
    """For messages: those that are dead have buttons. Each leads to a page that asks; none acts by itself."""

    box: ClassVar[str]
    actions = ["requeue_selected", "discard_selected"]

    def has_requeue_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Named so that Django offers the list's action to those who may."""
        return may_act(self, request, REQUEUE, self.box)

    def has_discard_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Named so that Django offers the list's action to those who may."""
        return may_act(self, request, DISCARD, self.box)

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        # The location is known from Django 6.1 on.
        where = {} if action_location is None else {"action_location": action_location}
        # What a site offers for all models was not made for rows that only the engine writes.
        offered = super().get_actions(request, **where)
        return {name: action for name, action in offered.items() if name in self.actions}

    @admin.action(permissions=[REQUEUE], description=_("Requeue selected dead letters"))
    def requeue_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._ask(REQUEUE, queryset)

    @admin.action(permissions=[DISCARD], description=_("Discard selected dead letters"))
    def discard_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._ask(DISCARD, queryset)

    def _ask(self, action: str, rows: QuerySet[Any]) -> HttpResponse:
        keys = rows.values_list("pk", flat=True)[:MOST]
        return HttpResponseRedirect(ask_url(self, action, letter=[f"{self.box}:{key}" for key in keys]))

    def tools(self, request: HttpRequest, obj: Any) -> list[Tool]:
        if obj.status != "dead":
            return []
        offered = (
            (verb, ask_url(self, action, letter=f"{self.box}:{obj.pk}"))
            for action, verb in VERBS.items()
            if may_act(self, request, action, self.box)
        )
        return [(verb, url) for verb, url in offered if url]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        url = pages_url(self, LIST_URL)
        tools: list[Tool] = [(_("Dead letters"), url)] if url else []
        return super().changelist_view(request, {"saga_list_tools": tools, **(extra_context or {})})

"""What all pages of the admin share: nobody adds, changes or deletes rows, and no list counts millions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from django_saga.admin.keyset import KeysetChangeList
from django_saga.conf import get_settings

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

Tool = tuple[str | Promise, str]


class ReadOnlyAdmin(ModelAdmin):
    """An admin to look at. ``empty_text`` is shown where there are no rows at all."""

    actions: Any = None
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    view_on_site = False
    empty_value_display = "-"
    empty_text: ClassVar[str | Promise] = ""

    class Media:
        css = {"all": ["django_saga/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @property
    def using(self) -> str:
        """The database of the sagas."""
        return get_settings().database

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).using(self.using)

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Keep what the search box is asked for; ``term`` is not empty."""
        raise NotImplementedError

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (self.find(queryset, term) if term else queryset), False

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Give what the page of ``obj`` shows beside its fields, for its template."""
        return {}

    def tools(self, request: HttpRequest, obj: Any) -> Sequence[Tool]:
        """Give the links at the top of the page of ``obj``: text and URL."""
        return ()

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= {"saga_tools": self.tools(request, obj), **self.page(request, obj)}
        return super().render_change_form(request, context, add, change, form_url, obj)

    # --- links ------------------------------------------------------------------------------------

    def may_view(self, request: HttpRequest, model: type[Model]) -> bool:
        """True when the user may see rows of ``model`` in this admin."""
        return self.admin_site.is_registered(model) and self.admin_site.get_model_admin(
            model
        ).has_view_permission(request)

    def url(self, model: type[Model], pk: int | str | UUID) -> str:
        """Give the URL of the page of one row."""
        return self._reverse(model, "change", quote(pk))

    def list_url(self, model: type[Model], **filters: object) -> str:
        """Give the URL of the list of ``model``, filtered."""
        return self.with_query(self._reverse(model, "changelist"), **filters)

    @staticmethod
    def with_query(url: str, **query: object) -> str:
        """Give ``url`` with ``query`` behind it, if there is any."""
        return f"{url}?{urlencode(query)}" if query else url

    def _reverse(self, model: type[Model], view: str, *args: str) -> str:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}"
        return reverse(name, args=args, current_app=self.admin_site.name)


class EndlessAdmin(ReadOnlyAdmin):
    """For tables of millions of rows: newest first, in pages that cost the same however far back they are.

    ``list_defer`` names columns that the list need not load.
    """

    ordering = ["-pk"]
    sortable_by = ()
    list_defer: ClassVar[Sequence[str]] = ()
    empty_text = _("Nothing has been recorded yet.")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Fetch at once what the cells of all ``rows`` of a list need."""

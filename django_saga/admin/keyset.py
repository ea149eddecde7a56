"""Pages of a list by key: ``?p=older-<key>`` goes on where the last page ended.

Nothing is counted, and no page reads the rows of those before it. New rows push no others to another page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

if TYPE_CHECKING:
    from django_saga.admin.readonly import EndlessAdmin

_OLDER, _NEWER = "older-", "newer-"


class KeysetChangeList(ChangeList):
    """A list ordered by falling key. ``older_url`` and ``newer_url`` are empty where no such page is."""

    model_admin: EndlessAdmin
    is_endless = True
    newest_url = ""
    newer_url = ""
    older_url = ""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        rows = super().get_queryset(request, exclude_parameters)
        # defer() of nothing is no change; of None it would undo others.
        return rows.defer(*self.model_admin.list_defer) if self.model_admin.list_defer else rows

    def get_results(self, request: HttpRequest) -> None:
        way, key = self._asked(request.GET.get(PAGE_VAR, ""))
        rows = self._page(way, key)
        self.model_admin.prepare(request, rows)
        self.result_list: Any = rows
        # Equal, so that the search form claims to know no number.
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = False
        self.show_admin_actions = bool(self.model_admin.get_actions(request))
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator(rows, self.list_per_page)

    def _page(self, way: str, key: object) -> list[Any]:
        size = self.list_per_page
        if way == _NEWER:
            # One more than shown tells whether there is a next page.
            rows = list(self.queryset.filter(pk__gt=key).order_by("pk")[: size + 1])[::-1]
            more_newer, more_older = len(rows) > size, True
            rows = rows[-size:]
        else:
            below = self.queryset.filter(pk__lt=key) if way else self.queryset
            rows = list(below.order_by("-pk")[: size + 1])
            more_newer, more_older = bool(way), len(rows) > size
            rows = rows[:size]
        if way:
            self.newest_url = self.get_query_string()
        if rows and more_newer:
            self.newer_url = self.get_query_string({PAGE_VAR: f"{_NEWER}{rows[0].pk}"})
        if rows and more_older:
            self.older_url = self.get_query_string({PAGE_VAR: f"{_OLDER}{rows[-1].pk}"})
        return rows

    def _asked(self, page: str) -> tuple[str, object]:
        for way in (_OLDER, _NEWER):
            if page.startswith(way):
                try:
                    return way, self.lookup_opts.pk.to_python(page.removeprefix(way))
                except ValidationError:
                    break
        return "", None

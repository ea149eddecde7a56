"""Cases in the admin: only looked at, since their sagas write to them."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from example_project.cases.models import Case


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Rows that sagas write and nobody else."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class CaseAdmin(ReadOnlyAdmin):
    """Cases of one kind, each with a link to its saga."""

    list_filter = ["status"]
    date_hierarchy = "placed_at"
    exclude = ["saga_id"]
    readonly_fields = ["saga_link", "placed_at"]

    @admin.display(description="saga")
    def saga_link(self, case: Case) -> str:
        if case.saga_id is None:
            return "-"
        url = reverse("admin:django_saga_sagainstance_change", args=[case.saga_id])
        return format_html('<a href="{}">{}</a>', url, case.saga_id)

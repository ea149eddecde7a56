"""Guarded effects in the admin: which of them happened, were undone, or must not happen any more."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells
from django_saga.admin.readonly import EndlessAdmin
from django_saga.models import SagaEffect


@admin.register(SagaEffect)
class SagaEffectAdmin(EndlessAdmin):
    list_display = ["label", "became", "since"]
    list_defer = ["result"]
    search_fields = ["id"]
    search_help_text = _("A whole idempotency key, with or without :do or :undo.")
    empty_text = _("No effect was guarded.")
    fieldsets = [(None, {"fields": ["label", "became", "since"]})]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        stem = term.removesuffix(":do").removesuffix(":undo")
        return rows.filter(effect_key__in={term, stem})

    @admin.display(description=_("key"))
    def label(self, effect: SagaEffect) -> str:
        return cells.short(effect.effect_key, 200)

    @admin.display(description=_("status"))
    def became(self, effect: SagaEffect) -> str:
        return str(effect.get_status_display())

    @admin.display(description=_("since"))
    def since(self, effect: SagaEffect) -> SafeString | str:
        return cells.when(effect.changed_at)

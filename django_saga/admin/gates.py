"""Gates in the admin: which sagas and steps are held back in all workers, by whom and why."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells
from django_saga.admin.readonly import ReadOnlyAdmin
from django_saga.core import shapes
from django_saga.models import SagaGate
from django_saga.observability import waits


def condition(gate: SagaGate) -> SafeString:
    """Say how a gate stands: a shape and a word."""
    if gate.paused_at:
        return cells.state(shapes.Shape("■", "#", shapes.BACK), _now("paused"))
    if told := waits.circuit(gate, timezone.now()):
        return cells.state(shapes.Shape("✖", "x", shapes.BAD), told[0])
    return cells.state(shapes.Shape("▶", ">", shapes.GOOD), _now("open"))


@admin.register(SagaGate)
class SagaGateAdmin(ReadOnlyAdmin):
    list_display = ["label", "condition", "since", "by", "why_given"]
    ordering = ["saga", "step"]
    search_fields = ["saga", "step"]
    empty_text = _("Nothing was ever held back: no saga or step was paused.")
    fieldsets = [(None, {"fields": ["label", "condition", "since", "by", "why_shown"]})]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        for word in term.split():
            rows = rows.filter(Q(saga__icontains=word) | Q(step__icontains=word))
        return rows

    @admin.display(description=_("saga and step"), ordering="saga")
    def label(self, gate: SagaGate) -> str:
        return cells.short(str(gate))

    @admin.display(description=_("state"), ordering="paused_at")
    def condition(self, gate: SagaGate) -> SafeString:
        return condition(gate)

    @admin.display(description=_("since"), ordering="paused_at")
    def since(self, gate: SagaGate) -> SafeString | str:
        return cells.when(gate.paused_at or gate.opened_at)

    @admin.display(description=_("by"))
    def by(self, gate: SagaGate) -> str:
        return cells.short(gate.paused_by, 150)

    @admin.display(description=_("reason given"))
    def why_given(self, gate: SagaGate) -> str:
        return cells.short(gate.paused_why, 100)

    @admin.display(description=_("reason given"))
    def why_shown(self, gate: SagaGate) -> SafeString | str:
        return cells.block(gate.paused_why)

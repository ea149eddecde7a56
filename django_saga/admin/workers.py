"""Workers in the admin: who runs, what each serves, and what it has in hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells, search
from django_saga.admin.readonly import ReadOnlyAdmin
from django_saga.conf import get_settings
from django_saga.core import shapes
from django_saga.core.states import OWNED_STEP
from django_saga.models import SagaInstance, SagaStep, SagaWorker

_IN_HAND = 100


@admin.register(SagaWorker)
class SagaWorkerAdmin(ReadOnlyAdmin):
    list_display = ["label", "condition", "queue_names", "saga_names", "started", "seen"]
    list_filter = ["state"]
    ordering = ["-seen_at"]
    search_fields = ["host"]
    search_help_text = _(
        "Part of the host's name, or the worker's id: at least the first 8 characters of it."
    )
    empty_text = _("No worker has run on this database yet. Start one: manage.py saga_worker")
    fieldsets = [
        (None, {"fields": ["label", "id", "condition", "queue_names", "saga_names", "started", "seen"]}),
    ]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return search.rows_of(rows, term, ids="pk", text="host")

    def page(self, request: HttpRequest, obj: SagaWorker) -> dict[str, Any]:
        if not self.may_view(request, SagaStep):
            return {"saga_in_hand": None}
        # Few rows are in flight at any time, and an index knows them.
        steps = SagaStep.objects.using(self.using).filter(status__in=sorted(OWNED_STEP), owner=obj.pk)
        steps = steps.select_related("saga").defer(
            "result", "compensation_data", "undo_result", "saga__input", "saga__graph"
        )
        return {
            "saga_in_hand": [
                {
                    "url": self.url(SagaStep, step.pk),
                    "step": step,
                    "saga": cells.link(
                        self.url(SagaInstance, step.saga_id), cells.saga_name(step.saga, step.saga.name)
                    ),
                    "state": cells.step_state(step),
                    "claimed": cells.when(step.claimed_at),
                }
                for step in steps.order_by("claimed_at")[:_IN_HAND]
            ]
        }

    @admin.display(description=_("worker"), ordering="host")
    def label(self, worker: SagaWorker) -> str:
        return cells.short(str(worker))

    @admin.display(description=_("state"), ordering="state")
    def condition(self, worker: SagaWorker) -> SafeString:
        state = SagaWorker.State
        if worker.state == state.STOPPED:
            return cells.state(shapes.Shape("■", "#", shapes.QUIET), worker.get_state_display())
        if timezone.now() - worker.seen_at > max(get_settings().lease, timedelta(seconds=10)) * 2:
            return cells.state(shapes.Shape("✖", "x", shapes.BAD), _now("not seen any more"))
        if worker.state == state.DRAINING:
            return cells.state(shapes.Shape("◀", "<", shapes.BACK), worker.get_state_display())
        return cells.state(shapes.Shape("▶", ">", shapes.GOOD), worker.get_state_display())

    @admin.display(description=_("queues"))
    def queue_names(self, worker: SagaWorker) -> str:
        return cells.words(worker.queues)

    @admin.display(description=_("sagas"))
    def saga_names(self, worker: SagaWorker) -> str:
        return cells.words(worker.definitions)

    @admin.display(description=_("started"), ordering="started_at")
    def started(self, worker: SagaWorker) -> SafeString | str:
        return cells.when(worker.started_at)

    @admin.display(description=_("last seen"), ordering="seen_at")
    def seen(self, worker: SagaWorker) -> SafeString | str:
        return cells.when(worker.seen_at)

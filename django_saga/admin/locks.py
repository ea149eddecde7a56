"""Locks in the admin: what sagas keep others from, and who waits for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells
from django_saga.admin.readonly import EndlessAdmin, ReadOnlyAdmin, Tool
from django_saga.core import shapes
from django_saga.core.states import StepStatus
from django_saga.models import SagaInstance, SagaLock
from django_saga.observability import locking
from django_saga.observability.locking import LockStory
from django_saga.observability.lookup import id_range


class HeldFilter(admin.SimpleListFilter):
    """By whether the lock is held or waited for."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [("held", _("held")), ("waits", _("waits"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = {"held": True, "waits": None}
        return queryset.filter(held=chosen[self.value() or ""]) if self.value() in chosen else queryset


@admin.register(SagaLock)
class SagaLockAdmin(EndlessAdmin):
    list_display = ["label", "state", "saga_link", "held_by", "asked"]
    list_filter = [HeldFilter]
    list_select_related = ["saga"]
    list_defer = ["saga__input", "saga__graph"]
    search_fields = ["id"]
    search_help_text = _("Beginning of the target, or a saga's id: at least the first 8 characters of it.")
    empty_text = _("No saga holds a lock, or waits for one.")
    fieldsets = [(None, {"fields": ["label", "state", "saga_link", "held_by", "asked"]})]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("saga").defer("saga__input", "saga__graph")

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        ids = id_range(term)
        of_saga = Q(saga_id__gte=ids.first, saga_id__lte=ids.last) if ids else Q()
        return rows.filter(Q(target__startswith=term) | of_saga)

    def prepare(self, request: HttpRequest, rows: Sequence[SagaLock]) -> None:
        for told in locking.stories(self.using, rows).values():
            for story in told:
                cast(Any, story.lock).story = story

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        lock = super().get_object(request, object_id, from_field)
        if lock is not None:
            self.prepare(request, [lock])
        return lock

    def tools(self, request: HttpRequest, obj: SagaLock) -> list[Tool]:
        may_view = self.may_view(request, SagaInstance)
        return [(_("Saga"), self.url(SagaInstance, obj.saga_id))] if may_view else []

    @admin.display(description=_("target"))
    def label(self, lock: SagaLock) -> str:
        return cells.short(lock.target, 200)

    @admin.display(description=_("state"))
    def state(self, lock: SagaLock) -> SafeString:
        return lock_state(cast(Any, lock).story)

    @admin.display(description=_("saga"))
    def saga_link(self, lock: SagaLock) -> SafeString:
        return saga_link(self, lock.saga)

    @admin.display(description=_("held by"))
    def held_by(self, lock: SagaLock) -> SafeString | str:
        holder = cast(Any, lock).story.holder
        return saga_link(self, holder) if holder is not None else cells.NOTHING

    @admin.display(description=_("since"))
    def asked(self, lock: SagaLock) -> SafeString | str:
        return cells.when(lock.since)


def lock_lines(admin: ReadOnlyAdmin, stories: Iterable[LockStory]) -> list[dict[str, Any]]:
    """Give the locks of one saga as its page shows them."""
    return [
        {
            "url": admin.url(SagaLock, story.lock.pk),
            "target": cells.short(story.lock.target, 200),
            "state": lock_state(story),
            "holder": saga_link(admin, story.holder) if story.holder is not None else cells.NOTHING,
            "since": cells.when(story.lock.since),
        }
        for story in stories
    ]


def lock_state(story: LockStory) -> SafeString:
    """Say whether a lock is held, with a sign; for one that is not, how many come before."""
    if story.lock.held:
        return cells.state(shapes.STEP[StepStatus.SUCCEEDED], _now("held"))
    told = _now("waits")
    if story.ahead:
        told = _now("waits, %(number)d before it") % {"number": story.ahead}
    return cells.state(shapes.STEP[StepStatus.WAITING], told)


def saga_link(admin: ReadOnlyAdmin, saga: SagaInstance) -> SafeString:
    """Give a link to a saga's page."""
    return cells.link(admin.url(SagaInstance, saga.pk), cells.saga_name(saga, saga.name))

"""Messages in the admin: what was published and what came, which of it is dead, and the buttons for that."""

from __future__ import annotations

import json
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_saga.admin import cells
from django_saga.admin.flow_pages import FlowPages, flow_url, may_see
from django_saga.admin.letter_pages import LetterPages
from django_saga.admin.letters import LetterAdmin
from django_saga.admin.message_shapes import shape_of
from django_saga.admin.readonly import EndlessAdmin, ReadOnlyAdmin, Tool
from django_saga.models import (
    InboxMessage,
    InboxPartition,
    InboxStream,
    InboxSubscription,
    OutboxMessage,
    OutboxPartition,
    OutboxStream,
    SagaInstance,
)
from django_saga.store.letters import INBOX, OUTBOX


class _MessageAdmin(LetterAdmin):
    """What both boxes show."""

    list_filter: ClassVar[Any] = ["status"]
    search_fields = ["id"]

    def tools(self, request: HttpRequest, obj: Any) -> list[Tool]:
        tools = super().tools(request, obj)
        url = flow_url(self, obj.correlation_id or str(obj.message_id))
        return [*tools, (_("Flow"), url)] if url and may_see(self, request) else tools

    @admin.display(description=_("topic"))
    def label(self, message: Any) -> str:
        return cells.short(message.topic, 100)

    @admin.display(description=_("key"))
    def for_key(self, message: Any) -> str:
        return cells.short(message.key, 200) if message.key else cells.NOTHING

    @admin.display(description=_("message id"))
    def known_as(self, message: Any) -> str:
        return cells.short(str(message.message_id), 200)

    @admin.display(description=_("state"))
    def condition(self, message: Any) -> SafeString:
        return cells.state(shape_of(message.status), message.get_status_display())

    @admin.display(description=_("place in its stream"))
    def place(self, message: Any) -> str:
        return (
            cells.NOTHING
            if message.stream is None
            else f"{message.number} · {cells.short(message.stream, 200)}"
        )

    @admin.display(description=_("last error"))
    def told(self, message: Any) -> str:
        return (
            cells.short(f"{message.error_class}: {message.error}", 120)
            if message.error_class
            else cells.NOTHING
        )

    @admin.display(description=_("last error"))
    def error_shown(self, message: Any) -> SafeString | str:
        return cells.block(f"{message.error_class}: {message.error}" if message.error_class else "")

    @admin.display(description=_("first failed"))
    def failed(self, message: Any) -> SafeString | str:
        return cells.when(message.failed_at)

    @admin.display(description=_("next attempt"))
    def due(self, message: Any) -> SafeString | str:
        return cells.when(message.due_at)

    @admin.display(description=_("ended"))
    def ended(self, message: Any) -> SafeString | str:
        return cells.when(message.ended_at)


@admin.register(OutboxMessage)
class OutboxMessageAdmin(_MessageAdmin):
    box = OUTBOX
    list_display = ["label", "for_key", "condition", "attempts", "told", "written", "ended"]
    list_defer = ["payload", "headers", "error"]
    search_help_text = _("A whole message id, or the id of the saga that published it.")
    empty_text = _("No message was published.")
    fieldsets = [
        (None, {"fields": ["label", "for_key", "known_as", "place", "broker", "published_by"]}),
        (_("State"), {"fields": ["condition", "attempts", "due", "written", "ended"]}),
        (_("Error"), {"fields": ["error_shown", "failed", "fingerprint"]}),
        (_("Content"), {"fields": ["payload_shown", "headers_shown"]}),
    ]

    def get_urls(self) -> list[URLPattern]:
        return [*FlowPages(self).urls(), *super().get_urls()]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        try:
            wanted = UUID(term)
        except ValueError:
            return rows.none()
        return rows.filter(Q(message_id=wanted) | Q(saga_id=wanted))

    @admin.display(description=_("published by"))
    def published_by(self, message: OutboxMessage) -> SafeString | str:
        if message.saga_id is None:
            return cells.NOTHING
        return cells.link(self.url(SagaInstance, message.saga_id), message.saga_id)

    @admin.display(description=_("written"))
    def written(self, message: OutboxMessage) -> SafeString | str:
        return cells.when(message.created_at)

    @admin.display(description=_("payload"))
    def payload_shown(self, message: OutboxMessage) -> SafeString | str:
        return cells.data(json.loads(message.payload))

    @admin.display(description=_("headers"))
    def headers_shown(self, message: OutboxMessage) -> SafeString | str:
        return cells.data(json.loads(message.headers))


@admin.register(InboxMessage)
class InboxMessageAdmin(_MessageAdmin):
    box = INBOX
    list_display = ["label", "who", "for_key", "condition", "attempts", "told", "received", "ended"]
    list_defer = ["body", "error", "traceback"]
    search_help_text = _("A whole message id.")
    empty_text = _("No message came.")
    fieldsets = [
        (None, {"fields": ["label", "who", "for_key", "known_as", "sender", "place"]}),
        (_("State"), {"fields": ["condition", "attempts", "crashes", "due", "received", "ended"]}),
        (_("Error"), {"fields": ["error_shown", "trace", "failed", "fingerprint"]}),
        (_("Content"), {"fields": ["body_shown"]}),
    ]

    def get_urls(self) -> list[URLPattern]:
        # Before Django's own: those take whatever follows for a row's key.
        return [*LetterPages(self).urls(), *super().get_urls()]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(message_id=term)

    @admin.display(description=_("consumer"))
    def who(self, message: InboxMessage) -> str:
        return cells.short(message.consumer, 100)

    @admin.display(description=_("source"))
    def sender(self, message: InboxMessage) -> str:
        return cells.short(message.source, 200)

    @admin.display(description=_("received"))
    def received(self, message: InboxMessage) -> SafeString | str:
        return cells.when(message.received_at)

    @admin.display(description=_("traceback"))
    def trace(self, message: InboxMessage) -> SafeString | str:
        return cells.block(message.traceback)

    @admin.display(description=_("as it came"))
    def body_shown(self, message: InboxMessage) -> SafeString | str:
        return cells.block(bytes(message.body or b"").decode("utf-8", "backslashreplace"))


class _StreamAdmin(EndlessAdmin):
    """How far streams have come."""

    search_fields = ["id"]
    search_help_text = _("A whole name.")
    empty_text = _("No message had a key.")

    @admin.display(description=_("last number"))
    def reached(self, stream: OutboxStream | InboxStream) -> int:
        return stream.last_number


@admin.register(OutboxStream)
class OutboxStreamAdmin(_StreamAdmin):
    list_display = ["label", "reached"]
    fieldsets = [(None, {"fields": ["label", "reached"]})]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(name=term)

    @admin.display(description=_("name"))
    def label(self, stream: OutboxStream) -> str:
        return cells.short(stream.name, 200)


@admin.register(InboxStream)
class InboxStreamAdmin(_StreamAdmin):
    list_display = ["label", "who", "reached"]
    fieldsets = [(None, {"fields": ["label", "who", "sender", "reached"]})]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(stream=term)

    @admin.display(description=_("stream"))
    def label(self, stream: InboxStream) -> str:
        return cells.short(stream.stream, 200)

    @admin.display(description=_("consumer"))
    def who(self, stream: InboxStream) -> str:
        return cells.short(stream.consumer, 100)

    @admin.display(description=_("source"))
    def sender(self, stream: InboxStream) -> str:
        return cells.short(stream.source, 200)


@admin.register(InboxSubscription)
class InboxSubscriptionAdmin(ReadOnlyAdmin):
    list_display = ["who", "label", "seen"]
    ordering = ["consumer", "topic"]
    search_fields = ["consumer", "topic"]
    empty_text = _("No worker has said yet which messages it handles.")
    fieldsets = [(None, {"fields": ["who", "label", "seen"]})]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(Q(consumer__icontains=term) | Q(topic__icontains=term))

    @admin.display(description=_("consumer"), ordering="consumer")
    def who(self, subscription: InboxSubscription) -> str:
        return cells.short(subscription.consumer, 100)

    @admin.display(description=_("topic"), ordering="topic")
    def label(self, subscription: InboxSubscription) -> str:
        return cells.short(subscription.topic, 100)

    @admin.display(description=_("last seen"), ordering="seen_at")
    def seen(self, subscription: InboxSubscription) -> SafeString | str:
        return cells.when(subscription.seen_at)


@admin.register(OutboxPartition, InboxPartition)
class PartitionAdmin(ReadOnlyAdmin):
    list_display = ["label", "number", "held", "taken"]
    ordering = ["name", "number"]
    search_fields = ["name"]
    empty_text = _("No worker has looked for messages yet.")
    fieldsets = [(None, {"fields": ["label", "number", "held", "taken"]})]

    def find(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return rows.filter(name__icontains=term)

    @admin.display(description=_("of"), ordering="name")
    def label(self, partition: Any) -> str:
        return cells.short(partition.name, 100)

    @admin.display(description=_("leased until"))
    def held(self, partition: Any) -> SafeString | str:
        return cells.when(partition.leased_until)

    @admin.display(description=_("last taken"))
    def taken(self, partition: Any) -> SafeString | str:
        return cells.when(partition.taken_at)

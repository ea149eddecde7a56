"""What a handler gets: a message with its payload as the handler wants it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from django_saga.core import flows
from django_saga.core.messages import (
    CAUSATION,
    CONSUMER,
    CORRELATION,
    MAX_ID_LENGTH,
    TRACE,
    Message,
    stored_id,
)
from django_saga.dsl.handler import Handler
from django_saga.engine import publishing


class Received:
    """A message that came."""

    def __init__(
        self,
        message: Message,
        handler: Handler,
        *,
        attempt: int,
        using: str,
        known_as: str = "",
        undoes: bool = False,
    ) -> None:
        self._message = message
        self._handler = handler
        self._using = using
        self._known_as = known_as or stored_id(message.source, message.id)
        self._undoes = undoes
        self.attempt = attempt

    @property
    def using(self) -> str:
        """The database whose transaction it is handled in."""
        return self._using

    @cached_property
    def payload(self) -> Any:
        """What the sender published, of the type the handler declares."""
        data = json.loads(self._message.data)
        schema = self._handler.schema
        return data if schema is None else schema.from_plain(data, "payload")

    @property
    def id(self) -> str:
        """The id; the same when the message comes again."""
        return self._message.id

    @property
    def topic(self) -> str:
        """The topic."""
        return self._message.topic

    @property
    def key(self) -> str | None:
        """What its order is kept for."""
        return self._message.key

    @property
    def source(self) -> str:
        """Who sent it."""
        return self._message.source

    @property
    def sent_at(self) -> datetime:
        """When it was published, by the sender's database."""
        return self._message.at

    @property
    def headers(self) -> Mapping[str, str]:
        """What the sender gave along."""
        return dict(self._message.headers)

    @property
    def correlation_id(self) -> str:
        """What this message and all that came of the same beginning have in common: its flow."""
        return self._message.headers.get(CORRELATION, "")[:MAX_ID_LENGTH] or self._known_as

    @property
    def context(self) -> dict[str, Any]:
        """What those before gave along with ``publish(context=...)``."""
        return flows.context_in(self._message.headers)

    @property
    def completed(self) -> tuple[str, ...]:
        """The consumers on the way to this message, the first one first; each has done its part."""
        return flows.completed_in(self._message.headers)

    def publish(
        self,
        topic: str,
        payload: Any = None,
        *,
        key: str | int | UUID | None = None,
        headers: Mapping[str, str] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> UUID:
        """Publish what follows from this message, in the transaction of the handler.

        As ``django_saga.publish``; the message carries on this one's correlation id, its trace, and its
        context, to which ``context`` is added.
        """
        known = {**self._carried(), **(headers or {})}
        carried = {**self.context, **(context or {})}
        return publishing.publish(
            topic, payload, key=key, headers=known, context=carried or None, using=self._using
        )

    async def apublish(
        self,
        topic: str,
        payload: Any = None,
        *,
        key: str | int | UUID | None = None,
        headers: Mapping[str, str] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> UUID:
        """Async twin of ``publish``, for ``async def`` handlers."""
        return await sync_to_async(self.publish)(topic, payload, key=key, headers=headers, context=context)

    def _carried(self) -> dict[str, str]:
        consumer, headers = self._handler.consumer, self._message.headers
        marks = {name: headers[name] for name in TRACE if name in headers}
        marks |= {CORRELATION: self.correlation_id, CAUSATION: self._known_as, CONSUMER: consumer}
        if self._undoes:
            return {**marks, flows.TURNED: "1"}
        return {**marks, flows.COMPLETED: json.dumps([*self.completed, consumer], separators=(",", ":"))}

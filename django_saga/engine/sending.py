"""Sends events from outside to sagas that wait for them, now or later."""

from __future__ import annotations

from typing import Any, Protocol
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.external import event_address
from django_saga.core.names import key_text, name_problem
from django_saga.dsl import payloads
from django_saga.engine import ringing
from django_saga.engine.starter import check_key
from django_saga.exceptions import EncodingError, InvalidInput
from django_saga.faults import fault_point
from django_saga.store import external


class _Handle(Protocol):
    @property
    def id(self) -> UUID: ...


def send_event(
    name: str,
    payload: Any = None,
    *,
    key: str | int | UUID | None = None,
    saga: _Handle | UUID | None = None,
    event_id: str | None = None,
    using: str | None = None,
) -> bool:
    """Send an event to the step that waits for it, in the caller's transaction, or in one of its own.

    It meets a ``wait_for_event`` of the same ``name`` and the same ``key``, or, where that names none, one of
    ``saga`` (its handle or id). One step takes it; until one does, it is kept. ``event_id`` is the sender's
    own id of the event: sent again with the same name, key and id, it is the same event, and False is given.
    ``using`` is a database alias, by default the setting ``DATABASE``. Raises ``InvalidInput`` before
    anything is written.
    """
    if (key is None) is (saga is None):
        raise TypeError('Say whom the event is for: key="...", or saga=handle.')
    using = using or get_settings().database
    event = _checked(name, payload, key if saga is None else getattr(saga, "id", saga), event_id)
    with transaction.atomic(using=using, savepoint=False):
        new = external.write(using, event)
        fault_point("event.after_insert")
        if new:
            ringing.after_commit(using, [event.address])
    return new


async def asend_event(
    name: str,
    payload: Any = None,
    *,
    key: str | int | UUID | None = None,
    saga: _Handle | UUID | None = None,
    event_id: str | None = None,
    using: str | None = None,
) -> bool:
    """Async twin of ``send_event``."""
    return await sync_to_async(send_event)(name, payload, key=key, saga=saga, event_id=event_id, using=using)


def _checked(name: str, payload: Any, key: Any, event_id: str | None) -> external.NewEvent:
    if problem := name_problem(name, "the name of an event"):
        raise InvalidInput(f"{problem}.")
    check_key(event_id, "event_id")
    limit = get_settings().max_result_bytes
    try:
        text = key_text(key, "the key of an event")
        data = payloads.encode(payload, "payload", limit, "MAX_RESULT_BYTES")
        return external.NewEvent(name, text, event_address(name, text), event_id, data)
    except ValueError as error:
        raise InvalidInput(f"Event {name}: {error}") from None
    except EncodingError as error:
        raise InvalidInput(f"Event {name}: {error}") from error

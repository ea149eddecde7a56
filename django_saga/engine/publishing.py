"""Publishes messages: checked, then written into the outbox in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.flows import CONTEXT
from django_saga.core.messages import CAUSATION, CORRELATION, MAX_ID_LENGTH, headers_problem
from django_saga.core.names import key_text, name_problem
from django_saga.core.natural import natural
from django_saga.dsl import payloads
from django_saga.engine import wake
from django_saga.exceptions import EncodingError, InvalidMessage
from django_saga.faults import fault_point
from django_saga.store import outbox
from django_saga.store.outbox import Draft

_DEFAULT = "default"


def publish(
    topic: str,
    payload: Any = None,
    *,
    key: str | int | UUID | None = None,
    headers: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
    using: str | None = None,
) -> UUID:
    """Write a message into the outbox, in the caller's transaction or one of its own, and give its id.

    It is sent once that transaction is committed, at least once, to the broker that the setting ``TOPICS``
    names for ``topic``. Messages of a topic with the same ``key`` are sent in the order in which their
    transactions commit; without a key they have no order. ``payload`` is anything that JSON can carry, as for
    results of steps; on the way it is ordinary JSON. ``context`` is carried on by all messages that follow
    from this one. ``using`` is a database alias, by default the setting ``DATABASE``. Raises
    ``InvalidMessage`` before anything is written.
    """
    using = using or get_settings().database
    message = draft(topic, payload, key, headers, context=context)
    with transaction.atomic(using=using, savepoint=False):
        return write(using, [message])[0]


async def apublish(
    topic: str,
    payload: Any = None,
    *,
    key: str | int | UUID | None = None,
    headers: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
    using: str | None = None,
) -> UUID:
    """Async twin of ``publish``; it has a transaction of its own."""
    return await sync_to_async(publish)(
        topic, payload, key=key, headers=headers, context=context, using=using
    )


def draft(
    topic: str,
    payload: Any,
    key: str | int | UUID | None,
    headers: Mapping[str, str] | None,
    *,
    context: Mapping[str, Any] | None = None,
    saga_id: UUID | None = None,
) -> Draft:
    """Check a message. Raises ``InvalidMessage``."""
    if problem := name_problem(topic, "a topic"):
        raise InvalidMessage(f"{problem}.")
    known = dict(headers or {})
    try:
        text = None if key is None else key_text(key, "the key")
    except ValueError as error:
        raise InvalidMessage(f"Message for {topic}: {error}.") from None
    if problem := headers_problem(known):
        raise InvalidMessage(f"Message for {topic}: {problem}.")
    limit = get_settings().max_message_bytes
    try:
        if context is not None:
            known[CONTEXT] = natural(payloads.encode(dict(context), "context", limit, "MAX_MESSAGE_BYTES"))
        data = natural(payloads.encode(payload, "payload", limit, "MAX_MESSAGE_BYTES"))
    except EncodingError as error:
        raise InvalidMessage(f"Message for {topic}: {error}") from error
    attributes = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
    if (size := len(data.encode()) + len(attributes.encode())) > limit:
        raise InvalidMessage(
            f"Message for {topic}: payload and headers have {size:,} bytes; the limit is {limit:,} "
            "(setting MAX_MESSAGE_BYTES)"
        )
    follows = (known.get(CORRELATION, "")[:MAX_ID_LENGTH], known.get(CAUSATION, "")[:MAX_ID_LENGTH])
    return Draft(topic, text, data, attributes, broker_of(topic), saga_id, *follows)


def write(using: str, drafts: list[Draft]) -> list[UUID]:
    """Write messages in the open transaction and have them sent once it is committed; give their ids."""
    if not drafts:
        return []
    ids = outbox.append(using, drafts, get_settings().sender)
    fault_point("outbox.after_insert")
    wake.after_commit(using, wake.OUTBOX)
    return ids


def broker_of(topic: str) -> str:
    """Name the broker that gets messages of ``topic``: of the first entry of the setting ``TOPICS`` that
    fits.
    """
    for pattern, broker in get_settings().topics.items():
        if fnmatchcase(topic, pattern):
            return broker
    return _DEFAULT

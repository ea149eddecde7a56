"""What came of one beginning: its messages, who handled them, and the messages that followed, as a tree."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Q

from django_saga.core.messages import CONSUMER
from django_saga.models import InboxMessage, OutboxMessage

# More of one flow nobody can look at.
_MOST = 2_000


@dataclass(slots=True)
class Handled:
    """A consumer that got a message, and what it published."""

    consumer: str
    status: str
    error: str = ""
    then: list[Said] = field(default_factory=list)


@dataclass(slots=True)
class Said:
    """A message of the flow. ``status``: empty for one that came from elsewhere."""

    id: str
    topic: str
    key: str | None
    status: str
    by: str  # the step that published it, if one did
    handled: list[Handled] = field(default_factory=list)
    then: list[Said] = field(default_factory=list)  # of handlers that are not known here


def flow(using: str, correlation_id: str) -> list[Said]:
    """Give the messages at the beginning of a flow, each with what followed.

    ``correlation_id``: a saga's id, or the id of the first message.
    """
    sent = _sent(using, correlation_id)
    wanted = Q(correlation_id=correlation_id) | Q(message_id__in=[correlation_id, *map(_id_of, sent)])
    came = InboxMessage.objects.using(using).filter(wanted).defer("body", "traceback").order_by("pk")[:_MOST]
    messages = {_id_of(row): _said(row) for row in sent}
    handled: dict[tuple[str, str], Handled] = {}
    for row in came:
        message = messages.setdefault(row.message_id, Said(row.message_id, row.topic, row.key, "", ""))
        one = handled[row.message_id, row.consumer] = Handled(row.consumer, row.status, row.error)
        message.handled.append(one)
    return _arranged(sent, messages, handled)


def _sent(using: str, correlation_id: str) -> Sequence[OutboxMessage]:
    wanted = Q(correlation_id=correlation_id)
    with suppress(ValueError):
        wanted |= Q(message_id=UUID(correlation_id))
    rows = OutboxMessage.objects.using(using).filter(wanted).defer("payload", "error")
    return list(rows.order_by("pk")[:_MOST])


def _arranged(
    sent: Sequence[OutboxMessage], messages: dict[str, Said], handled: dict[tuple[str, str], Handled]
) -> list[Said]:
    follows = {_id_of(row): (row.causation_id, _consumer(row)) for row in sent}
    roots = []
    for message_id, message in messages.items():
        cause, consumer = follows.get(message_id, ("", ""))
        if (cause, consumer) in handled:
            handled[cause, consumer].then.append(message)
        elif cause in messages and cause != message_id:
            messages[cause].then.append(message)
        else:
            roots.append(message)
    return roots


def _said(row: OutboxMessage) -> Said:
    by = row.causation_id if row.saga_id else ""
    return Said(_id_of(row), row.topic, row.key, row.status, by)


def _id_of(row: OutboxMessage) -> str:
    return str(row.message_id)


def _consumer(row: OutboxMessage) -> str:
    headers: dict[str, Any] = json.loads(row.headers)
    return str(headers.get(CONSUMER, ""))


def tally(said: Sequence[Said]) -> dict[str, int]:
    """Count handlers of a flow by status."""
    found: dict[str, int] = defaultdict(int)
    for message in said:
        for one in message.handled:
            found[one.status] += 1
            for status, number in tally(one.then).items():
                found[status] += number
        for status, number in tally(message.then).items():
            found[status] += number
    return dict(found)

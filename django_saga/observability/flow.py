"""What came of one beginning: its messages, who handled them, and the messages that followed, as a tree."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q

from django_saga.core.messages import CONSUMER
from django_saga.models import InboxMessage, OutboxMessage
from django_saga.store.flows import flow_of

# More of one flow nobody can look at.
_MOST = 2_000


@dataclass(slots=True)
class Handled:
    """A consumer that got a message, and what it published."""

    id: int
    consumer: str
    status: str
    error: str = ""
    can_undo: bool = False  # it has a compensation, and what it did was not undone
    then: list[Said] = field(default_factory=list)


@dataclass(slots=True)
class Said:
    """A message of the flow. ``status``: empty for one that came from elsewhere."""

    id: str
    topic: str
    key: str | None
    status: str
    by: str  # the step that published it, if one did
    row: int | None = None  # of the outbox
    saga: UUID | None = None
    handled: list[Handled] = field(default_factory=list)
    then: list[Said] = field(default_factory=list)  # of handlers that are not known here


def flow(using: str, correlation_id: str) -> list[Said]:
    """Give the messages at the beginning of a flow, each with what followed.

    ``correlation_id``: a saga's id, or the id of the first message, or of any other one.
    """
    correlation_id = flow_of(using, correlation_id) or ""
    if not correlation_id:
        return []
    sent = _sent(using, correlation_id)
    wanted = Q(correlation_id=correlation_id) | Q(message_id__in=[correlation_id, *map(_id_of, sent)])
    came = InboxMessage.objects.using(using).filter(wanted).defer("body", "traceback").order_by("pk")[:_MOST]
    messages = {_id_of(row): _said(row) for row in sent}
    handled: dict[tuple[str, str], Handled] = {}
    for row in came:
        message = messages.setdefault(row.message_id, Said(row.message_id, row.topic, row.key, "", ""))
        one = handled[row.message_id, row.consumer] = Handled(
            row.pk, row.consumer, row.status, row.error, row.result is not None
        )
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
    return Said(_id_of(row), row.topic, row.key, row.status, by, row.pk, row.saga_id)


def _id_of(row: OutboxMessage) -> str:
    return str(row.message_id)


def _consumer(row: OutboxMessage) -> str:
    headers: dict[str, Any] = json.loads(row.headers)
    return str(headers.get(CONSUMER, ""))


class Line(NamedTuple):
    """A place in a drawing: a message, or who handled it. ``after``: the number of the line it hangs on."""

    depth: int
    about: Said | Handled
    after: int | None


def walk(said: Sequence[Said]) -> list[Line]:
    """Give a flow line by line, each before what followed from it."""
    # Not by recursion: a flow may be longer than Python's stack.
    found: list[Line] = []
    ahead = [Line(0, message, None) for message in reversed(said)]
    while ahead:
        line = ahead.pop()
        here, below = len(found), line.depth + 1
        found.append(line)
        follow = [Line(below, message, here) for message in line.about.then]
        if isinstance(line.about, Said):
            follow = [*(Line(below, one, here) for one in line.about.handled), *follow]
        ahead += reversed(follow)
    return found


def tally(lines: Sequence[Line]) -> dict[str, int]:
    """Count handlers of a flow by status."""
    return dict(Counter(line.about.status for line in lines if isinstance(line.about, Handled)))

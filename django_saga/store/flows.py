"""Flows in the inbox: which of them failed, and what a consumer has done in them.

Invariant: once a consumer has handled that a flow failed, none of its effects in that flow that have a
compensation is left: each was undone, or was never committed. The row of the message is the fence. An effect
commits only with the change of that row from ``waiting`` to ``done``; whoever turns a flow back first locks
the consumer's rows of it, and changes what waits to ``refused``, which that change then finds. A message that
arrives after that lock finds the failure, which was committed before, when it is handled.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from django.db.models import F, Q, QuerySet

from django_saga.core import envelope
from django_saga.core.flows import FLOW_FAILED
from django_saga.core.messages import MAX_ID_LENGTH
from django_saga.core.names import fits
from django_saga.exceptions import MalformedMessage
from django_saga.models import InboxMessage, OutboxMessage
from django_saga.store.letters import Failure

_Status = InboxMessage.Status
_UNSETTLED = (_Status.WAITING, _Status.DEAD, _Status.DONE)


def failed_among(using: str, consumer: str, flows: Collection[str]) -> set[str]:
    """Give those of ``flows`` of which the consumer was told that they failed."""
    told = InboxMessage.objects.using(using).filter(
        consumer=consumer, topic=FLOW_FAILED, correlation_id__in=sorted(flows)
    )
    return set(told.exclude(status=_Status.DISCARDED).values_list("correlation_id", flat=True))


def unsettled(using: str) -> set[tuple[str, str]]:
    """Give consumers and flows that failed, where the consumer has not undone its part yet."""
    told = InboxMessage.objects.using(using).filter(
        topic=FLOW_FAILED, status__in=(_Status.WAITING, _Status.DEAD)
    )
    return set(told.values_list("consumer", "correlation_id"))


def flow_of(using: str, given: str) -> str | None:
    """Give the correlation id of a flow by that id, or by the id of any message of it; None when nothing is
    known of it here.
    """
    if not fits(given, MAX_ID_LENGTH):
        return None
    sent, came = OutboxMessage.objects.using(using), InboxMessage.objects.using(using)
    # A UUID may be written in several ways; kept is one.
    names, ids = [given], []
    with suppress(ValueError):
        ids.append(UUID(given))
        names.append(str(ids[0]))
    for found in (
        sent.filter(correlation_id__in=names).values_list("correlation_id", "message_id"),
        came.filter(correlation_id__in=names).values_list("correlation_id", "message_id"),
        sent.filter(message_id__in=ids).values_list("correlation_id", "message_id"),
        came.filter(message_id__in=names).values_list("correlation_id", "message_id"),
    ):
        for correlation_id, message_id in found[:1]:
            return str(correlation_id or message_id)
    return None


def is_told(using: str, flow: str) -> bool:
    """True when somebody said that a flow failed, and nobody took that back by discarding it."""
    told = {"correlation_id": flow, "topic": FLOW_FAILED}
    return (
        OutboxMessage.objects.using(using).filter(**told).exclude(status="discarded").exists()
        or InboxMessage.objects.using(using).filter(**told).exclude(status="discarded").exists()
    )


def headers_of(using: str, flow: str) -> dict[str, str]:
    """Give the headers of the message of a flow that was sent or came last: it knows most of what was given
    along.
    """
    mine = OutboxMessage.objects.using(using)
    sent = mine.filter(correlation_id=flow).defer("payload").order_by("-pk").first()
    if sent is not None:
        return dict(json.loads(sent.headers))
    came = InboxMessage.objects.using(using).filter(Q(correlation_id=flow) | Q(message_id=flow))
    for row in came.exclude(body=None).order_by("-pk")[:1]:
        with suppress(MalformedMessage):
            return dict(envelope.read(bytes(row.body or b"")).headers)
    with suppress(ValueError):
        for first in mine.filter(message_id=UUID(flow)).only("headers"):
            return dict(json.loads(first.headers))
    return {}


def locked(using: str, consumer: str, flow: str) -> list[InboxMessage]:
    """Lock the messages of a flow that a consumer has handled or could still handle; the latest comes first.

    Call it in the transaction that turns the flow back.
    """
    mine = Q(correlation_id=flow) | Q(message_id=flow, correlation_id="")
    rows = InboxMessage.objects.using(using).filter(mine, consumer=consumer, status__in=_UNSETTLED)
    found = rows.exclude(topic=FLOW_FAILED).select_for_update().order_by("id")
    return sorted(found, key=lambda row: (row.ended_at is not None, row.ended_at, row.pk), reverse=True)


def keep(using: str, row_id: int, result: str) -> None:
    """Keep what a handler returned, in the transaction of its effects."""
    InboxMessage.objects.using(using).filter(pk=row_id, status=_Status.WAITING).update(result=result)


def refuse(using: str, ids: Sequence[int], now: datetime) -> None:
    """Mark messages as not handled, as their flow had failed."""
    rows = InboxMessage.objects.using(using).filter(pk__in=ids, status__in=(_Status.WAITING, _Status.DEAD))
    _end(rows, _Status.REFUSED, now)


def undone(using: str, row_id: int, now: datetime) -> None:
    """Mark a message as undone, in the transaction of its compensation."""
    _end(InboxMessage.objects.using(using).filter(pk=row_id, status=_Status.DONE), _Status.UNDONE, now)


def fail(using: str, row_id: int, failure: Failure, now: datetime) -> bool:
    """Mark a message as the one whose handler had its flow fail; False when it was refused meanwhile. The
    caller holds its partition.
    """
    rows = InboxMessage.objects.using(using).filter(pk=row_id, status=_Status.WAITING)
    told = {"error_class": failure.error_class, "error": failure.error, "fingerprint": failure.fingerprint}
    return bool(_end(rows, _Status.FAILED, now, attempts=F("attempts") + 1, **told))


def _end(rows: QuerySet[InboxMessage], status: _Status, now: datetime, **fields: object) -> int:
    ended = {"status": status, "ended_at": now, "due_at": None, "crashes": 0, "body": None, "result": None}
    return rows.update(**ended, **fields)

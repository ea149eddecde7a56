"""Flows in the inbox: which of them failed, and what a consumer has done in them.

Invariant: once a consumer has handled that a flow failed, none of its effects in that flow is left: each was
undone, or was never committed. The row of the message is the fence. An effect commits only with the change
of that row from ``waiting`` to ``done``; whoever turns a flow back first locks the consumer's rows of it, and
changes what waits to ``refused``, which that change then finds. A message that arrives after that lock finds
the failure, which was committed before, when it is handled.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from django.db.models import F, Q, QuerySet

from django_saga.core.flows import FLOW_FAILED
from django_saga.models import InboxMessage
from django_saga.store.letters import Failure

_Status = InboxMessage.Status
_UNSETTLED = (_Status.WAITING, _Status.DEAD, _Status.DONE)


def failed_among(using: str, consumer: str, flows: Collection[str]) -> set[str]:
    """Give those of ``flows`` of which the consumer was told that they failed."""
    told = InboxMessage.objects.using(using).filter(
        consumer=consumer, topic=FLOW_FAILED, correlation_id__in=sorted(flows)
    )
    return set(told.exclude(status=_Status.DISCARDED).values_list("correlation_id", flat=True))


def locked(using: str, consumer: str, flow: str) -> list[InboxMessage]:
    """Lock the messages of a flow that a consumer has handled or could still handle; the latest comes first.

    Call it in the transaction that turns the flow back.
    """
    rows = InboxMessage.objects.using(using).filter(
        Q(correlation_id=flow) | Q(message_id=flow), consumer=consumer, status__in=_UNSETTLED
    )
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

"""Flows that cannot go on: having everybody undo what was done in one."""

from __future__ import annotations

import json
from contextlib import suppress
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from django_saga.conf import get_settings
from django_saga.core.flows import FLOW_FAILED, FlowFailure
from django_saga.exceptions import FlowNotFound, OperationRefused
from django_saga.faults import fault_point
from django_saga.messaging import flows
from django_saga.models import InboxMessage, OutboxMessage, SagaInstance, SagaOperation
from django_saga.store import clock


def fail_flow(correlation_id: str, *, by: str, why: str, using: str | None = None) -> None:
    """Tell all consumers of a flow that it failed, as a handler does by ``FlowFailed``: each that has a
    compensation undoes what it did in it.

    ``using`` is a database alias, by default the setting ``DATABASE``. Raises ``ValueError`` without a
    reason, ``OperationRefused`` (recorded) when everybody was told before, ``FlowNotFound`` when no message
    of it is known here.
    """
    if not why.strip():
        raise ValueError(f"fail_flow {correlation_id}: say why it failed (why=…)")
    using = using or get_settings().database
    refusal = ""
    with transaction.atomic(using=using):
        sent = _sent(using, correlation_id)
        if sent is None and not _came(using, correlation_id):
            raise FlowNotFound(f"No message of a flow {correlation_id!a:.220} is known here.")
        if _is_told(using, correlation_id):
            refusal = f"fail flow refused for {correlation_id}: all were told already that it failed"
        else:
            headers = json.loads(sent.headers) if sent else {}
            flows.say(using, correlation_id, FlowFailure("", "", why), headers)
        SagaOperation.objects.using(using).create(
            saga=_saga(using, correlation_id),
            action="fail flow",
            actor=by[:150],
            why=why,
            result=SagaOperation.Result.REFUSED if refusal else SagaOperation.Result.DONE,
            detail=refusal or f"flow {correlation_id}",
            before="failed" if refusal else "going on",
            after="failed",
            at=clock.now(using),
        )
        fault_point("operator.before_commit")
    if refusal:
        raise OperationRefused(refusal)


def _sent(using: str, correlation_id: str) -> OutboxMessage | None:
    """Give the message that was sent last in a flow: it knows most of what was given along."""
    wanted = Q(correlation_id=correlation_id)
    with suppress(ValueError):
        wanted |= Q(message_id=UUID(correlation_id))
    return OutboxMessage.objects.using(using).filter(wanted).defer("payload").order_by("-pk").first()


def _came(using: str, correlation_id: str) -> bool:
    wanted = Q(correlation_id=correlation_id) | Q(message_id=correlation_id)
    return InboxMessage.objects.using(using).filter(wanted).exists()


def _is_told(using: str, correlation_id: str) -> bool:
    told = {"correlation_id": correlation_id, "topic": FLOW_FAILED}
    return (
        OutboxMessage.objects.using(using).filter(**told).exists()
        or InboxMessage.objects.using(using).filter(**told).exists()
    )


def _saga(using: str, correlation_id: str) -> SagaInstance | None:
    """Give the saga whose messages began the flow, if one did."""
    with suppress(ValueError):
        return SagaInstance.objects.using(using).filter(pk=UUID(correlation_id)).first()
    return None

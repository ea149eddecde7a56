"""Flows that cannot go on: having everybody undo what was done in one."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.flows import FlowFailure
from django_saga.exceptions import FlowNotFound, OperationRefused
from django_saga.faults import fault_point
from django_saga.messaging import flows
from django_saga.models import SagaInstance, SagaOperation
from django_saga.store import clock
from django_saga.store import flows as rows


def fail_flow(correlation_id: str, *, by: str, why: str, using: str | None = None) -> None:
    """Tell all consumers of a flow that it failed, as a handler does by ``FlowFailed``: each that has a
    compensation undoes what it did in it.

    The message carries what was given along, as far as that is known here. ``correlation_id``: the flow's,
    or the id of any message of it. ``using`` is a database alias, by default the setting ``DATABASE``. Raises
    ``ValueError`` without a reason, ``OperationRefused`` (recorded) when everybody was told before,
    ``FlowNotFound`` when no message of it is known here.
    """
    if not why.strip():
        raise ValueError(f"fail_flow {correlation_id}: say why it failed (why=…)")
    using = using or get_settings().database
    refusal = ""
    with transaction.atomic(using=using):
        flow = rows.flow_of(using, correlation_id)
        if flow is None:
            raise FlowNotFound(f"No message of a flow {correlation_id!a:.220} is known here.")
        if rows.is_told(using, flow):
            refusal = f"fail flow refused for {flow}: all were told already that it failed"
        else:
            flows.say(using, flow, FlowFailure("", "", why), rows.headers_of(using, flow))
        SagaOperation.objects.using(using).create(
            saga=_saga(using, flow),
            action="fail flow",
            actor=by[:150],
            why=why,
            result=SagaOperation.Result.REFUSED if refusal else SagaOperation.Result.DONE,
            detail=refusal or f"flow {flow}",
            before="failed" if refusal else "going on",
            after="failed",
            at=clock.now(using),
        )
        fault_point("operator.before_commit")
    if refusal:
        raise OperationRefused(refusal)


def _saga(using: str, correlation_id: str) -> SagaInstance | None:
    """Give the saga whose messages began the flow, if one did."""
    with suppress(ValueError):
        return SagaInstance.objects.using(using).filter(pk=UUID(correlation_id)).first()
    return None

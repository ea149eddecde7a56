"""Flows that cannot go on: having everybody undo what was done in one."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.actions import Action
from django_saga.core.flows import FlowFailure
from django_saga.exceptions import FlowNotFound, OperationRefused
from django_saga.messaging import flows
from django_saga.models import SagaInstance
from django_saga.operations import audit
from django_saga.operations.access import PERMISSIONS, By, actor_of
from django_saga.store import clock
from django_saga.store import flows as rows


def fail_flow(correlation_id: str, *, by: By, why: str, using: str | None = None) -> None:
    """Tell all consumers of a flow that it failed, as a handler does by ``FlowFailed``: each that has a
    compensation undoes what it did in it.

    The message carries what was given along, as far as that is known here. ``correlation_id``: the flow's,
    or the id of any message of it. ``using`` is a database alias, by default the setting ``DATABASE``. Raises
    ``ValueError`` without a reason, ``PermissionDenied`` (recorded) for a user who may not,
    ``OperationRefused`` (recorded) when everybody was told before, ``FlowNotFound`` when no message of it is
    known here.
    """
    if not why.strip():
        raise ValueError(f"fail_flow {correlation_id}: say why it failed (why=…)")
    using = using or get_settings().database
    who = actor_of(by)
    with transaction.atomic(using=using):
        flow = rows.flow_of(using, correlation_id)
        if flow is None:
            raise FlowNotFound(f"No message of a flow {correlation_id!a:.220} is known here.")
        denied = who.lacks(PERMISSIONS[Action.FAIL_FLOW])
        told = rows.is_told(using, flow)
        refusal = denied or ("all were told already that it failed" if told else "")
        if refusal:
            refusal = f"fail flow refused for {flow}: {refusal}"
        else:
            flows.say(using, flow, FlowFailure("", "", why), rows.headers_of(using, flow))
        saga = _saga(using, flow)
        saga_id = saga.pk if saga else None
        this = audit.Act(action=Action.FAIL_FLOW, who=who, why=why, about=saga, saga_id=saga_id)
        audit.record(
            using,
            this,
            at=clock.now(using),
            before="failed" if told else "going on",
            after="going on" if denied and not told else "failed",
            refusal=refusal,
            detail=f"flow {flow}",
        )
    if denied:
        raise PermissionDenied(refusal)
    if refusal:
        raise OperationRefused(refusal)


def _saga(using: str, correlation_id: str) -> SagaInstance | None:
    """Give the saga whose messages began the flow, if one did."""
    with suppress(ValueError):
        return SagaInstance.objects.using(using).filter(pk=UUID(correlation_id)).first()
    return None

"""What operators may do: each action once, with its guard, its lock and its audit row in one transaction."""

from django_saga.operations.access import Actor, of_request
from django_saga.operations.actions import (
    cancel,
    compensate,
    mark_done,
    retry_compensation,
    retry_step,
    skip_compensation,
    skip_step,
)
from django_saga.operations.approvals import approve, reject
from django_saga.operations.circuits import close_circuit
from django_saga.operations.flows import fail_flow
from django_saga.operations.forking import fork
from django_saga.operations.letters import discard, requeue
from django_saga.operations.migrations import migrate_sagas
from django_saga.operations.pausing import pause, resume

__all__ = [
    "Actor",
    "approve",
    "cancel",
    "close_circuit",
    "compensate",
    "discard",
    "fail_flow",
    "fork",
    "mark_done",
    "migrate_sagas",
    "of_request",
    "pause",
    "reject",
    "requeue",
    "resume",
    "retry_compensation",
    "retry_step",
    "skip_compensation",
    "skip_step",
]

"""The tables: fields, constraints and indexes, no behaviour. All writes are functions in ``store``."""

from django_saga.models.approval import SagaApproval
from django_saga.models.definition import SagaDefinition
from django_saga.models.effect import SagaEffect
from django_saga.models.event import SagaEvent
from django_saga.models.external import ExternalEvent
from django_saga.models.gate import SagaGate
from django_saga.models.ids import child_id, uuid7
from django_saga.models.inbox import InboxMessage, InboxPartition, InboxStream, InboxSubscription
from django_saga.models.instance import SagaInstance
from django_saga.models.lock import SagaLock
from django_saga.models.operation import SagaOperation
from django_saga.models.outbox import OutboxMessage, OutboxPartition, OutboxStream
from django_saga.models.step import SagaStep
from django_saga.models.worker import SagaWorker

__all__ = [
    "ExternalEvent",
    "InboxMessage",
    "InboxPartition",
    "InboxStream",
    "InboxSubscription",
    "OutboxMessage",
    "OutboxPartition",
    "OutboxStream",
    "SagaApproval",
    "SagaDefinition",
    "SagaEffect",
    "SagaEvent",
    "SagaGate",
    "SagaInstance",
    "SagaLock",
    "SagaOperation",
    "SagaStep",
    "SagaWorker",
    "child_id",
    "uuid7",
]

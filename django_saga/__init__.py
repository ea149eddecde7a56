"""django-saga: business transactions across services that end done or undone, whatever crashes in between.

The public names are loaded on first use, so that listing ``django_saga`` in ``INSTALLED_APPS`` imports no
model early.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from django_saga.core.limits import Breaker as Breaker
    from django_saga.core.limits import Rate as Rate
    from django_saga.core.retry import Retry as Retry
    from django_saga.core.states import CompensationPolicy as CompensationPolicy
    from django_saga.core.states import FailurePolicy as FailurePolicy
    from django_saga.core.states import ForwardRecovery as ForwardRecovery
    from django_saga.core.states import LockPolicy as LockPolicy
    from django_saga.core.states import OnTimeout as OnTimeout
    from django_saga.core.states import Probe as Probe
    from django_saga.core.states import SagaStatus as SagaStatus
    from django_saga.core.states import StepStatus as StepStatus
    from django_saga.dsl.action import action as action
    from django_saga.dsl.builder import SagaBuilder as SagaBuilder
    from django_saga.dsl.children import child as child
    from django_saga.dsl.children import for_each as for_each
    from django_saga.dsl.composed import ComposedSaga as ComposedSaga
    from django_saga.dsl.flow import Flow as Flow
    from django_saga.dsl.flow import saga as saga
    from django_saga.dsl.handle import Handle
    from django_saga.dsl.handler import handler as handler
    from django_saga.dsl.outside import approval as approval
    from django_saga.dsl.outside import wait_for_event as wait_for_event
    from django_saga.dsl.part import part as part
    from django_saga.dsl.remote import remote as remote
    from django_saga.dsl.result import StepResult as StepResult
    from django_saga.dsl.saga import Saga as Saga
    from django_saga.dsl.step import step as step
    from django_saga.dsl.transition import Transition as Transition
    from django_saga.dsl.waits import sleep as sleep
    from django_saga.engine.context import Context as Context
    from django_saga.engine.guard import do_once as do_once
    from django_saga.engine.guard import forget_effects as forget_effects
    from django_saga.engine.guard import undo_once as undo_once
    from django_saga.engine.pruning import prune_sagas as prune_sagas
    from django_saga.engine.publishing import apublish as apublish
    from django_saga.engine.publishing import publish as publish
    from django_saga.engine.sending import asend_event as asend_event
    from django_saga.engine.sending import send_event as send_event
    from django_saga.exceptions import EffectRefused as EffectRefused
    from django_saga.exceptions import FlowFailed as FlowFailed
    from django_saga.exceptions import IdempotencyConflict as IdempotencyConflict
    from django_saga.exceptions import InvalidDefinition as InvalidDefinition
    from django_saga.exceptions import InvalidForm as InvalidForm
    from django_saga.exceptions import InvalidInput as InvalidInput
    from django_saga.exceptions import InvalidMessage as InvalidMessage
    from django_saga.exceptions import NothingToUndo as NothingToUndo
    from django_saga.exceptions import OperationRefused as OperationRefused
    from django_saga.exceptions import OutcomeUnknown as OutcomeUnknown
    from django_saga.exceptions import PermanentFailure as PermanentFailure
    from django_saga.exceptions import RetryLater as RetryLater
    from django_saga.exceptions import SagaError as SagaError
    from django_saga.exceptions import SagaFailed as SagaFailed
    from django_saga.exceptions import SagaNotFinished as SagaNotFinished
    from django_saga.exceptions import SagaNotFound as SagaNotFound
    from django_saga.exceptions import TargetLocked as TargetLocked
    from django_saga.exceptions import UnknownSaga as UnknownSaga
    from django_saga.messaging.participant import Command as Command
    from django_saga.messaging.participant import participant as participant
    from django_saga.messaging.received import Received as Received

    # The type of what ``start()`` gives; at run time the class that keeps its promise.
    SagaHandle: TypeAlias = Handle

__version__ = "0.1.0"

_HOME = {
    "Breaker": "core.limits",
    "Rate": "core.limits",
    "Retry": "core.retry",
    "CompensationPolicy": "core.states",
    "FailurePolicy": "core.states",
    "ForwardRecovery": "core.states",
    "LockPolicy": "core.states",
    "OnTimeout": "core.states",
    "Probe": "core.states",
    "SagaStatus": "core.states",
    "StepStatus": "core.states",
    "action": "dsl.action",
    "SagaBuilder": "dsl.builder",
    "child": "dsl.children",
    "for_each": "dsl.children",
    "ComposedSaga": "dsl.composed",
    "Flow": "dsl.flow",
    "saga": "dsl.flow",
    "handler": "dsl.handler",
    "approval": "dsl.outside",
    "wait_for_event": "dsl.outside",
    "part": "dsl.part",
    "remote": "dsl.remote",
    "StepResult": "dsl.result",
    "Saga": "dsl.saga",
    "step": "dsl.step",
    "Transition": "dsl.transition",
    "sleep": "dsl.waits",
    "Context": "engine.context",
    **dict.fromkeys(("do_once", "forget_effects", "undo_once"), "engine.guard"),
    "prune_sagas": "engine.pruning",
    "apublish": "engine.publishing",
    "publish": "engine.publishing",
    "asend_event": "engine.sending",
    "send_event": "engine.sending",
    "SagaHandle": "engine.handle",
    **dict.fromkeys(
        (
            "EffectRefused",
            "FlowFailed",
            "IdempotencyConflict",
            "InvalidDefinition",
            "InvalidForm",
            "InvalidInput",
            "InvalidMessage",
            "NothingToUndo",
            "OperationRefused",
            "OutcomeUnknown",
            "PermanentFailure",
            "RetryLater",
            "SagaError",
            "SagaFailed",
            "SagaNotFinished",
            "SagaNotFound",
            "TargetLocked",
            "UnknownSaga",
        ),
        "exceptions",
    ),
    "Command": "messaging.participant",
    "participant": "messaging.participant",
    "Received": "messaging.received",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

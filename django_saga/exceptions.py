"""Every error django-saga raises: what happened, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any


class SagaError(Exception):
    """Root of all errors of django-saga."""


# --- what a developer did -------------------------------------------------------------------------


class InvalidDefinition(SagaError):
    """A saga's definition has errors; ``manage.py check`` lists them with their remedies."""


class UnknownSaga(SagaError):
    """No saga of that name (and version) is registered in this process."""


class InvalidInput(SagaError):
    """The input was refused before anything was written."""


class InvalidForm(InvalidInput):
    """What a person filled in was refused; ``errors`` holds the messages by field (``""``: of the whole)."""

    def __init__(self, message: str, *, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__(message)
        self.errors = errors


class InvalidMessage(InvalidInput):
    """The message was refused before anything was written: something in it cannot travel."""


class IdempotencyConflict(SagaError):
    """The idempotency key belongs to a saga that was started with another input."""

    def __init__(self, message: str, *, saga_id: Any = None) -> None:
        super().__init__(message)
        self.saga_id = saga_id


class TargetLocked(SagaError):
    """Another saga holds a lock that the new one asks for; nothing was started.

    ``target`` is what is locked, ``saga_id`` and ``saga`` are the id and the name of the saga that has it.
    """

    def __init__(self, message: str, *, target: str, saga_id: Any, saga: str) -> None:
        super().__init__(message)
        self.target = target
        self.saga_id = saga_id
        self.saga = saga


class EncodingError(SagaError):
    """A value cannot be stored as JSON; ``path`` says where in the value, ``problem`` why."""

    def __init__(self, problem: str, *, path: str = "") -> None:
        super().__init__(f"{path or 'value'}: {problem}")
        self.path = path
        self.problem = problem


# --- what the caller of a handle learns -----------------------------------------------------------


class SagaNotFound(SagaError):
    """There is no saga with that id (or not of that class)."""


class LetterNotFound(SagaError):
    """There is no dead letter of that name."""


class FlowNotFound(SagaError):
    """No message with that correlation id is known here."""


class SagaNotFinished(SagaError, TimeoutError):
    """``result(timeout=…)`` ran out before the saga came to its end; the saga goes on."""


class SagaFailed(SagaError):
    """The saga has no result: it was undone, or is stuck and waits for a person."""

    def __init__(self, message: str, *, saga_id: Any, status: str) -> None:
        super().__init__(message)
        self.saga_id = saga_id
        self.status = status


# --- what a step may raise ------------------------------------------------------------------------


class PermanentFailure(SagaError):
    """Raised by a step: it failed, and trying again cannot help.

    ``compensation_data`` hands over partial work: the step is then compensated with it, though it failed.
    """

    def __init__(self, message: str = "", *, compensation_data: Any = None) -> None:
        super().__init__(message)
        self.compensation_data = compensation_data


class FlowFailed(PermanentFailure):
    """Raised by a ``@handler``: the flow of its message cannot go on; what was done in it is to be undone.

    What the handler wrote is undone, and every consumer of the flow that has a ``compensation=`` hears it.
    Elsewhere it counts as ``PermanentFailure``.
    """


class EffectRefused(PermanentFailure):
    """Raised by ``do_once``: the effect came after its compensation, so it was not carried out."""


class RetryLater(SagaError):
    """Raised by a step: try again after ``delay`` (seconds or ``timedelta``) instead of the policy's wait.

    It counts as an attempt: a step that says it for ever ends when its attempts or its deadline are spent.
    """

    def __init__(self, delay: float | timedelta, message: str = "") -> None:
        self.delay = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        super().__init__(message or f"asked to be tried again in {self.delay}")


class OutcomeUnknown(SagaError):
    """Raised by a step that cannot tell whether it had its effect, as when the answer to a call was lost.

    ``TimeoutError`` and ``ConnectionError`` count as this. The step is tried again with the same key; if
    that leads nowhere, it is compensated, with ``ctx.outcome == "unknown"``. An atomic step never is unknown.
    """


class NothingToUndo(SagaError):
    """Raised by a compensation that finds no effect to undo; counts as success."""


# --- what the engine meets ------------------------------------------------------------------------


class IllegalTransition(SagaError):
    """The event does not fit the saga's state; nothing was changed."""


class MigrationRefused(IllegalTransition):
    """The saga, or any, cannot go on by the other version; nothing was changed. ``reasons`` says why, one by
    one.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class ForkRefused(IllegalTransition):
    """The saga cannot be forked from that step; nothing was changed. ``reasons`` says why, one by one."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class LeaseLost(SagaError):
    """Another worker owns the step now, or it was fenced; the outcome was thrown away."""


class BrokenTransaction(SagaError):
    """A handler or atomic step ended, broke or left its transaction; all of it was rolled back."""


class FingerprintConflict(SagaError):
    """A definition's graph changed under an unchanged version while sagas of it are in flight."""


# --- what becomes of messages ---------------------------------------------------------------------


class BrokerUnavailable(SagaError):
    """The broker cannot be reached, or takes nothing now; its messages wait until it does."""


class MessageRefused(SagaError):
    """The broker does not take this message for itself: it is tried again, then parked."""


class MessageHeld(SagaError):
    """The message was not sent, as one before it in its stream was not."""


class MalformedMessage(SagaError):
    """What came from a broker is not a message; trying again cannot help."""


class HandlerMissing(SagaError):
    """This code has no handler of the consumer for the topic; another release may."""


# --- what an operator may meet --------------------------------------------------------------------


class OperationRefused(SagaError):
    """The saga's state does not allow the operator's action; nothing was changed, the refusal is recorded."""

"""Runs one attempt: the one place that calls user code and catches what it raises."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import async_to_sync

from django_saga.conf import get_settings
from django_saga.core.events import (
    Cause,
    ConditionMet,
    ConditionNotMet,
    StepEvent,
    StepFailed,
    StepNotStarted,
    StepSucceeded,
    StepUnknown,
    StepWaits,
)
from django_saga.core.states import Happened, Probe
from django_saga.engine import announcing, failures
from django_saga.engine.context import Context, of_saga
from django_saga.engine.looks import look_of
from django_saga.engine.tasks import Outcome, Recorded, Task
from django_saga.engine.waiting import NoReply, NotYet, Refused, is_over
from django_saga.exceptions import (
    EncodingError,
    InvalidMessage,
    NothingToUndo,
    OutcomeUnknown,
    PermanentFailure,
    RetryLater,
)
from django_saga.faults import fault_point

NO_RESULT = "null"  # of a step that was passed over, as JSON text
# What jitter is drawn from; a test puts something certain in its place.
chance: Callable[[], float] = random.random


def run(task: Task) -> Outcome:
    """Run a ``def`` step, or an ``async def`` one on a loop of its own, and give how it ended."""
    begin(task)
    announcing.begun(task)
    try:
        value = call(task)
        if task.is_async:
            # Not ``asyncio.run()``: this way the step's queries are on this thread's connection.
            value = async_to_sync(_limited)(value, task)
    except _TimedOut:
        return _timed_out(task)
    except (Exception, SystemExit) as error:
        return failed(task, error)
    return succeeded(task, value)


async def arun(task: Task) -> Outcome:
    """Run an ``async def`` step on the running loop, within its timeout."""
    begin(task)
    await announcing.abegun(task)
    try:
        value = await _limited(call(task), task)
    except _TimedOut:
        return _timed_out(task)
    except (Exception, SystemExit) as error:
        return failed(task, error)
    return succeeded(task, value)


def at_once(task: Task) -> Outcome | None:
    """Give how an attempt ends that runs nothing, as of a sleep whose time has come; None: it has to run.

    It blocks nobody, and may be called by the thread that claims.
    """
    if not task.wanted:
        return _outcome(task, StepNotStarted(step=task.row.name, attempt=task.row.attempt))
    if not is_over(task):
        return None
    begin(task)
    announcing.begun(task)
    return succeeded(task, None)


def begin(task: Task) -> None:
    """Note that user code begins now."""
    fault_point("comp.before_user" if task.undo else "step.before_user")
    task.started_at = datetime.now(UTC)
    task.started = time.monotonic()


def call(task: Task) -> Any:
    """Call the step's function, or its compensation, its probe or its condition."""
    name, context = task.row.name, Context(task)
    task.messages.clear()  # of a transaction that has to be run again
    if (look := look_of(task)) is not None:
        return look(task, context)
    if task.undo:
        return task.program.undo(name)(context)
    if task.probing:
        return task.program.probe(name)(context)
    if task.asking:
        return task.program.when(name)(of_saga(task))
    if task.program.functions[name].input is not None:
        _ = context.input  # what cannot be made fails the attempt before the function has any effect
    return task.program.do(name)(context)


class _TimedOut(Exception):
    """The attempt's own time ran out, as told apart from a ``TimeoutError`` of user code."""


async def _limited(awaitable: Any, task: Task) -> Any:
    try:
        async with asyncio.timeout(task.timeout.total_seconds()) as limit:
            return await awaitable
    except TimeoutError:
        if limit.expired():
            raise _TimedOut from None
        raise


def succeeded(task: Task, value: Any) -> Outcome:
    """Give the outcome of an attempt that returned ``value``; a value that is not JSON is a permanent
    failure.
    """
    fault_point("comp.after_user" if task.undo else "step.after_user")
    if isinstance(value, NotYet):
        return _waits(task, value)
    if isinstance(value, NoReply):
        return unknown(task, Cause.NO_REPLY, value.why)
    if isinstance(value, Refused):
        return _refused(task, value)
    if task.probing:
        return _probed(task, value)
    if task.asking:
        return _answered(task, value)
    if task.undo:
        return _undone(task, value)
    try:
        result, data = payloads(task, value)
    except EncodingError as error:
        return failed(task, error)
    event = StepSucceeded(step=task.row.name, attempt=task.row.attempt)
    return _outcome(task, event, result=result, compensation_data=data)


def _refused(task: Task, told: Refused) -> Outcome:
    outcome = failed(task, PermanentFailure(told.why))
    if told.declined and isinstance(outcome.event, StepFailed):
        outcome.event = replace(outcome.event, declined=True)
    return outcome


def _waits(task: Task, told: NotYet) -> Outcome:
    if not told.sends:
        task.messages.clear()  # of a step that looks more than once
    event = StepWaits(
        step=task.row.name,
        attempt=task.row.attempt,
        undo=task.undo,
        until=told.until,
        waits_for=told.waits_for,
        partial=told.partial,
    )
    return _outcome(task, event)


def _undone(task: Task, value: Any) -> Outcome:
    """Give the outcome of a compensation. What it returned is kept if it is JSON; if not, that holds up
    nothing.
    """
    event = StepSucceeded(step=task.row.name, attempt=task.row.attempt, undo=True)
    outcome = _outcome(task, event)
    if value is not None:
        try:
            outcome.undo_result = task.program.encode_undo_result(task.row.name, value)
        except EncodingError as error:
            outcome.error = failures.clean(f"what the compensation returned was not kept: {error}")
    return outcome


def _probed(task: Task, answer: Any) -> Outcome:
    name, attempt = task.row.name, task.row.attempt
    happened = isinstance(answer, Happened)
    if happened or answer is Probe.HAPPENED:
        try:
            result = task.program.encode_result(name, answer.result if happened else None)
        except EncodingError as error:
            return failed(task, error)
        return _outcome(task, StepSucceeded(step=name, attempt=attempt, probe=True), result=result)
    if answer is Probe.DID_NOT_HAPPEN:
        event = StepFailed(step=name, attempt=attempt, probe=True, permanent=True, disproved=True)
    elif answer is Probe.CANNOT_TELL:
        event = StepFailed(step=name, attempt=attempt, probe=True, chance=chance())
    else:
        members = ", ".join(f"Probe.{member}" for member in Probe.__members__)
        return failed(task, PermanentFailure(f"The probe of step {name} gave {answer!r}. Return {members}."))
    outcome = _outcome(task, event)
    outcome.error_class, outcome.error = "probe", f"the probe says: {answer}"
    return outcome


def _answered(task: Task, answer: Any) -> Outcome:
    """Give the outcome of a condition. A step that is passed over has the result None."""
    name, attempt = task.row.name, task.row.attempt
    try:
        met = bool(answer)
        if inspect.iscoroutine(answer):
            answer.close()
            raise PermanentFailure(f"The condition of step {name} gave {answer!r}: call no async def in it.")
    except Exception as error:
        return failed(task, error)
    if met:
        return _outcome(task, ConditionMet(step=name, attempt=attempt))
    return _outcome(task, ConditionNotMet(step=name, attempt=attempt), result=NO_RESULT)


def payloads(task: Task, value: Any) -> tuple[str | None, str | None]:
    """Encode what a step returned as result and compensation data. Raises ``EncodingError``."""
    data = None
    if hasattr(value, "compensation_data") and hasattr(value, "output"):
        data = _for_compensation(task, value.compensation_data)
        value = value.output
    return task.program.encode_result(task.row.name, value), data


def _for_compensation(task: Task, value: Any) -> str | None:
    return None if value is None else task.program.encode_compensation_data(task.row.name, value)


def failed(task: Task, error: BaseException) -> Outcome:
    """Give the outcome of an attempt that raised ``error``."""
    name, attempt = task.row.name, task.row.attempt
    if isinstance(error, NothingToUndo) and task.undo:
        return _outcome(task, StepSucceeded(step=name, attempt=attempt, undo=True))
    if _is_doubtful(error) and not (task.atomic or task.asking):
        return unknown(task, Cause.REPORTED, str(error), error, permanent=not task.retry.allows(error))
    data = None
    is_step = not (task.undo or task.probing or task.asking)
    if isinstance(error, PermanentFailure) and error.compensation_data is not None and is_step:
        try:
            data = _for_compensation(task, error.compensation_data)
        except EncodingError as wrong:
            error = wrong
    # What is no ``Exception``, as a ``sys.exit()`` deep in a library, says nothing about another attempt.
    asked_again = isinstance(error, RetryLater) or not isinstance(error, Exception)
    permanent = isinstance(error, (PermanentFailure, EncodingError, InvalidMessage)) or not (
        asked_again or task.retry.allows(error)
    )
    event = StepFailed(
        step=name,
        attempt=attempt,
        undo=task.undo,
        probe=task.probing,
        asking=task.asking,
        permanent=permanent,
        partial=data is not None,
        retry_after=error.delay if isinstance(error, RetryLater) else None,
        chance=chance(),
    )
    return _outcome(task, event, error=error, compensation_data=data)


def unknown(
    task: Task, cause: Cause, said: str, error: BaseException | None = None, *, permanent: bool = False
) -> Outcome:
    """Give the outcome of an attempt nobody knows the end of; ``permanent``: it is not to be tried again."""
    event = StepUnknown(
        step=task.row.name,
        attempt=task.row.attempt,
        undo=task.undo,
        probe=task.probing,
        asking=task.asking,
        cause=cause,
        permanent=permanent,
        crash_limit=get_settings().max_crashes,
        chance=chance(),
    )
    outcome = _outcome(task, event, error=error)
    outcome.error = failures.clean(f"{cause}: {said}" if said else cause)
    outcome.error_class = outcome.error_class or cause.value
    return outcome


def _timed_out(task: Task) -> Outcome:
    return unknown(task, Cause.TIMED_OUT, f"no answer within {task.timeout}")


def lapsed(task: Task) -> Recorded:
    """Give what comes of an attempt that waited in line until its lease had run out: it is not begun."""
    task.lost = True
    return Recorded(lost=[unknown(task, Cause.WORKER_LOST, "the lease ran out before the step began")])


def refused(outcome: Outcome, error: BaseException) -> Outcome:
    """Give the failure that stands for ``outcome``, which the database would not take."""
    event = StepFailed(
        step=outcome.event.step,
        attempt=outcome.event.attempt,
        undo=outcome.event.undo,
        probe=outcome.event.probe,
        asking=outcome.event.asking,
        permanent=True,
    )
    return _outcome(outcome.task, event, error=error)


def _is_doubtful(error: BaseException) -> bool:
    """True for errors after which the other side may have acted all the same."""
    if isinstance(error, ConnectionRefusedError):
        return False
    return isinstance(error, (OutcomeUnknown, TimeoutError, ConnectionError))


def _outcome(
    task: Task,
    event: StepEvent,
    *,
    result: str | None = None,
    compensation_data: str | None = None,
    error: BaseException | None = None,
) -> Outcome:
    outcome = Outcome(task, event, result, compensation_data)
    outcome.started_at = task.started_at
    outcome.ended_at = datetime.now(UTC)
    if error is not None:
        outcome.error_class = failures.class_name(error)
        outcome.error = failures.clean(str(error) or type(error).__name__)
        outcome.traceback = failures.clean(failures.traceback_of(error))
    return outcome

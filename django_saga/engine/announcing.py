"""Tells those who listen what happened to sagas, after commit: receivers of signals, and hooks.

The only sender of transitions. Nothing that a receiver or a hook raises gets out of here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.db import connections, transaction

from django_saga import signals
from django_saga.core.states import StepStatus
from django_saga.dsl.registry import registry
from django_saga.dsl.saga import Saga
from django_saga.dsl.transition import Transition
from django_saga.engine import breakers, hooks, transitions
from django_saga.engine.handle import SagaHandle
from django_saga.engine.tasks import Recorded, Task
from django_saga.store.starts import NewSaga

if TYPE_CHECKING:
    from django_saga.dsl.program import Program

logger = logging.getLogger("django_saga.signals")


def announce(recorded: Recorded) -> None:
    """Tell what a committed batch changed, and circuit breakers how its attempts ended."""
    for changed in breakers.note(recorded):
        _tell_circuit(recorded.using, changed)
    if recorded.transitions:
        _tell(recorded.transitions)


def after_commit(using: str, told: Sequence[tuple[Program, Transition]]) -> None:
    """Tell once the open transaction commits; at once when none is open, or only that of a test case, which
    never does. Where transactions are managed by hand, nobody says when that is: nothing is told.
    """
    if told:
        _after_commit(using, partial(_tell, told))


def circuit_closed_after_commit(using: str, saga: str, step: str, *, by: str) -> None:
    """Tell that a person closed a circuit, once the open transaction commits."""
    senders = [program.saga for program in registry.all() if program.definition.name == saga]
    changed = breakers.Changed(senders[-1] if senders else Saga, saga, step, None)
    _after_commit(using, partial(_tell_circuit, using, changed, by=by))


def _after_commit(using: str, tell: Callable[[], None]) -> None:
    connection = connections[using]
    blocks = connection.atomic_blocks
    if blocks and not blocks[-1]._from_testcase:  # type: ignore[attr-defined]
        transaction.on_commit(tell, using=using, robust=True)
    elif blocks or connection.get_autocommit():
        tell()


def hears_start(program: Program) -> bool:
    """True when somebody wants to know of a saga that is started."""
    return transitions.is_wanted(program, "saga_started", "")


def started(using: str, program: Program, sagas: Sequence[NewSaga]) -> None:
    """Tell of ``sagas`` that were started, once that is committed."""
    if sagas and hears_start(program):
        after_commit(using, [(program, _start(using, program, saga)) for saga in sagas])


def begun(task: Task) -> None:
    """Tell that an attempt begins: its claim is committed, and its function is called next."""
    if told := _beginning(task):
        _tell(told)


async def abegun(task: Task) -> None:
    """Do as ``begun`` without holding up the event loop."""
    if told := _beginning(task):
        await sync_to_async(_tell)(told)


def _start(using: str, program: Program, saga: NewSaga) -> Transition:
    return Transition(
        signal="saga_started",
        saga=SagaHandle(program, saga.id, using),
        version=program.definition.version,
        status=saga.state.status.value,
    )


def _beginning(task: Task) -> list[tuple[Program, Transition]]:
    program, row = task.program, task.row
    if task.asking:
        return []  # whether the step begins is not known yet
    if not transitions.is_wanted(program, "step_started", "", row.name, undo=task.undo):
        return []
    begins = Transition(
        signal="step_started",
        saga=SagaHandle(program, row.saga_id, task.using),
        version=program.definition.version,
        step=row.name,
        undo=task.undo,
        attempt=row.attempt,
        status=(StepStatus.UNDOING if task.undo else StepStatus.RUNNING).value,
    )
    return [(program, begins)]


def _tell(told: Sequence[tuple[Program, Transition]]) -> None:
    for program, transition in told:
        about = ("saga", transition.saga.name, transition.saga.id)
        with _contained(transition.signal, about):
            signal = signals.TRANSITIONS[transition.signal]
            if signal.receivers:
                _send(signal, program.saga, transition.arguments(), about)
            if program.hooks:
                hooks.call(program, transition)


def _tell_circuit(using: str, changed: breakers.Changed, *, by: str = "") -> None:
    facts: dict[str, Any] = {"name": changed.saga, "step": changed.step, "using": using}
    if changed.until is None:
        signal, facts["by"] = signals.circuit_closed, by
    else:
        signal, facts["open_until"] = signals.circuit_opened, changed.until
    about = ("step", changed.step, "of saga", changed.saga)
    with _contained(signal.name, about):
        _send(signal, changed.sender, facts, about)


@contextmanager
def _contained(signal: str, about: tuple[object, ...]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:  # no ``Exception`` of a receiver: an exit, or a cancelled task
        if hooks.is_for_process(error):
            raise
        _log("a receiver or hook", signal, about, error)


def _send(
    signal: signals.TransitionSignal, sender: type, facts: dict[str, Any], about: tuple[object, ...]
) -> None:
    for receiver, answer in signal.send_robust(sender, **facts):
        if isinstance(answer, Exception):
            who = f"receiver {getattr(receiver, '__qualname__', repr(receiver))}"
            _log(who, signal.name, about, answer)


def _log(who: str, signal: str, about: tuple[object, ...], error: BaseException) -> None:
    what = " ".join(map(str, about))
    logger.error(
        "%s of %s failed for %s: %s: %s", who, signal, what, type(error).__name__, error, exc_info=error
    )

"""What a worker says on its terminal: one line for each thing a person may have to know."""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import datetime
from typing import Any, TextIO

from django_saga import signals
from django_saga.core.state import PAST_PIVOT
from django_saga.engine.tasks import Outcome
from django_saga.observability import message_log, trouble
from django_saga.store.errors import is_conflict

logger = logging.getLogger("django_saga.worker")

# While more sagas a second than this end undone, they are counted instead: nobody could read so many lines.
_MOST_LINES = 20


def attach(stdout: Any, stderr: Any, *, verbosity: int) -> None:
    """Log worker events and stuck sagas; to the terminal when the project configured no handler for them."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    logger.setLevel(level)
    if not logger.hasHandlers():
        handler = logging.StreamHandler(_stream(stderr))
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(process)d %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    signals.worker_event.connect(_worker_event, dispatch_uid="django_saga.console")
    signals.message_event.connect(message_log.tell, dispatch_uid="django_saga.console")
    signals.saga_finished.connect(_saga_finished, dispatch_uid="django_saga.console")
    signals.circuit_opened.connect(_circuit_opened, dispatch_uid="django_saga.console")
    signals.circuit_closed.connect(_circuit_closed, dispatch_uid="django_saga.console")
    if logger.isEnabledFor(logging.DEBUG):
        for name, signal in signals.TRANSITIONS.items():
            if name.startswith("step_") and name != "step_started":
                signal.connect(_step_changed, dispatch_uid="django_saga.console")


def say(text: str) -> None:
    """Say something about the worker as a whole."""
    logger.warning(text)


def _stream(wrapper: Any) -> TextIO:
    return getattr(wrapper, "_out", None) or sys.stderr


def _worker_event(*, worker: Any, event: str, **facts: Any) -> None:
    if event == "started":
        sagas = ", ".join(str(program.definition) for program in worker.programs.values()) or "none"
        logger.info(
            "worker %s started: process %d, queues %s, sagas %s",
            worker.id,
            os.getpid(),
            ", ".join(worker.queues),
            sagas,
        )
    elif event == "draining":
        count = len(worker.in_flight)
        logger.info("worker %s drains: %d step%s in flight", worker.id, count, "" if count == 1 else "s")
    elif event == "stopped":
        _undone.tell_rest()
        logger.info("worker %s stopped", worker.id)
    elif event == "retired":
        logger.error("worker %s leaves: steps hang past their timeout; its process is replaced", worker.id)
    elif event == "trouble":
        error = facts["error"]
        trouble.tell(
            f"worker {worker.id}", error, level=logging.DEBUG if is_conflict(error) else logging.WARNING
        )
    elif event == "recovered":
        trouble.forget()
        logger.info("worker %s: the database answers again", worker.id)
    elif event == "hook_failed":
        task, error = facts["task"], facts["error"]
        logger.error(
            "saga %s step %s: committed, but its on_commit hook failed: %s: %s",
            task.row.saga_id,
            task.row.name,
            type(error).__name__,
            str(error).strip(),
        )
    elif event == "late_result":
        outcome: Outcome = facts["outcome"]
        row = outcome.task.row
        logger.warning(
            "late result dropped: saga %s step %s attempt %d, the step moved on from token %d",
            row.saga_id,
            row.name,
            row.attempt,
            row.token,
        )


def _circuit_opened(*, name: str, step: str, open_until: datetime, **_: Any) -> None:
    until = open_until.isoformat(sep=" ", timespec="seconds")
    logger.warning(
        "the circuit of %s.%s opens: too many attempts failed; nothing begins until %s", name, step, until
    )


def _circuit_closed(*, name: str, step: str, by: str, **_: Any) -> None:
    logger.info("the circuit of %s.%s closes: %s", name, step, f"by {by}" if by else "a trial was answered")


class Undone:
    """Sagas that ended undone: how many lines were written of them this second, and how many were not."""

    def __init__(self) -> None:
        self._since = -1.0
        self._lines = self._untold = 0

    def may_be_told(self, now: float) -> bool:
        """True unless the second of ``now`` (monotonic) has its lines already."""
        if now - self._since >= 1:
            self.tell_rest()
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines > _MOST_LINES:
            self._untold += 1
        return self._lines <= _MOST_LINES

    def tell_rest(self) -> None:
        """Say how many had no line of their own."""
        if self._untold:
            logger.info("%d more sagas were undone within a second; saga_list shows them", self._untold)
        self._untold = 0


_undone = Undone()


def _saga_finished(*, saga_id: Any, name: str, status: str, reason: str, culprit: str, **_: Any) -> None:
    at = f" at {culprit}" if culprit else ""
    if status == "stuck":
        logger.error(
            "saga %s %s is stuck: %s%s%s, see saga_show %s",
            name,
            saga_id,
            reason,
            at,
            "" if reason == PAST_PIVOT else "; a compensation is dead",
            saga_id,
        )
    elif status != "completed":
        if _undone.may_be_told(time.monotonic()):
            logger.info("saga %s %s %s: %s%s", name, saga_id, status, reason, at)
    else:
        logger.debug("saga %s %s completed", name, saga_id)


def _step_changed(
    *,
    signal: signals.TransitionSignal,
    saga_id: Any,
    step: str,
    undo: bool,
    attempt: int,
    outcome: str,
    error: str,
    **_: Any,
) -> None:
    logger.debug(
        "saga %s step %s%s attempt %d %s%s",
        saga_id,
        step,
        " (undo)" if undo else "",
        attempt,
        outcome or signal.name.removeprefix("step_"),
        f": {error}" if error else "",
    )

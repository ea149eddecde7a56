"""What happened to a saga or to one of its steps, as hooks are told it, and which hooks are told what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_saga.dsl.handle import Handle

HOOKS = ("on_enter", "on_success", "on_failure", "on_compensate", "on_stuck", "on_exit")

_ALWAYS = {
    "saga_started": ("on_enter",),
    "saga_turned_back": ("on_failure",),
    "step_started": ("on_enter",),
    "step_succeeded": ("on_success", "on_exit"),
    "step_failed": ("on_failure", "on_exit"),
    "step_skipped": ("on_exit",),
    "step_undone": ("on_compensate", "on_exit"),
    "step_undo_failed": ("on_stuck", "on_exit"),
}
_AT_REST = {
    "completed": ("on_success", "on_exit"),
    "compensated": ("on_compensate", "on_exit"),
    "stuck": ("on_stuck", "on_exit"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What happened to ``saga``, or to its ``step`` where that is not empty.

    ``signal``: the name of the signal for it. ``status``: of the saga or the step, after. Of sagas:
    ``before``, their status till then; ``reason`` and ``culprit``, why and at which step they turned back. Of
    steps: ``undo``, whether it is about the compensation; ``attempt``; ``outcome``, how the attempt ended
    (``"succeeded"``, ``"failed"``, ``"unknown"``, or empty when none did), ``error_class`` and ``error``,
    what it raised; ``due_at``, when the next attempt is.
    """

    signal: str
    saga: Handle
    version: int
    status: str
    before: str = ""
    reason: str = ""
    culprit: str = ""
    step: str = ""
    undo: bool = False
    attempt: int = 0
    outcome: str = ""
    error_class: str = ""
    error: str = ""
    due_at: datetime | None = None

    def arguments(self) -> dict[str, Any]:
        """Give the arguments of the signal."""
        saga = self.saga
        found = {"saga_id": saga.id, "name": saga.name, "version": self.version, "using": saga.using}
        names = _OF_STEPS if self.step else _OF_SAGAS
        return found | {name: getattr(self, name) for name in names}


_OF_SAGAS = ("before", "status", "reason", "culprit")
_OF_STEPS = ("step", "undo", "attempt", "outcome", "status", "error_class", "error", "due_at")


def hooks_for(signal: str, status: str, *, undo: bool = False) -> tuple[str, ...]:
    """Name the hooks that are told of a transition, in the order they are called."""
    if signal == "saga_finished":
        return _AT_REST.get(status, ("on_exit",))
    if signal == "step_started" and undo:
        return ()  # what the step does begins only once
    return _ALWAYS.get(signal, ())

"""Which look a step that waits has in place of a function of the saga."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from django_saga.core.waits import WaitKind
from django_saga.engine import children, outside, remote, waiting
from django_saga.engine.context import Context
from django_saga.engine.tasks import Task

Look: TypeAlias = Callable[[Task, Context], Any]

_LOOKS: dict[WaitKind, Look] = {
    WaitKind.SLEEP: waiting.sleep,
    WaitKind.EVENT: outside.event,
    WaitKind.APPROVAL: outside.approval,
    WaitKind.CHILD: children.child,
    WaitKind.EACH: children.each,
    WaitKind.REMOTE: remote.look,
}
# What undoes a step without a function of the saga.
_LOOKS_BACK: dict[WaitKind, Look] = {
    WaitKind.CHILD: children.undo,
    WaitKind.EACH: children.undo,
    WaitKind.REMOTE: remote.look,
}


def look_of(task: Task) -> Look | None:
    """Give what the task does in place of a function of the saga; None: it has one of its own."""
    wait = task.step.wait
    if wait is None or task.asking or task.probing or (task.undo and not wait.takes_back):
        return None
    return (_LOOKS_BACK if task.undo else _LOOKS)[wait.kind]

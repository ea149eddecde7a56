"""Which look a step that waits has in place of a function of the saga."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from django_saga.core.waits import WaitKind
from django_saga.engine import children, outside, waiting
from django_saga.engine.context import Context
from django_saga.engine.tasks import Task

Look: TypeAlias = Callable[[Task, Context], Any]

_LOOKS: dict[WaitKind, Look] = {
    WaitKind.SLEEP: waiting.sleep,
    WaitKind.EVENT: outside.event,
    WaitKind.APPROVAL: outside.approval,
    WaitKind.CHILD: children.child,
    WaitKind.EACH: children.each,
}


def look_of(task: Task) -> Look | None:
    """Give what the task does in place of a function of the saga; None: it has one of its own."""
    wait = task.step.wait
    if wait is None or task.asking or (task.undo and not wait.has_children):
        return None
    return children.undo if task.undo else _LOOKS[wait.kind]

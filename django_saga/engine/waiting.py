"""What steps do that wait: they look whether it is time, or what they wait for is there.

The function of such a step only says what it waits for; what is here does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_saga.core.waits import WAITING, WaitKind
from django_saga.engine.context import Context
from django_saga.engine.tasks import Task
from django_saga.exceptions import PermanentFailure


@dataclass(frozen=True, slots=True)
class NotYet:
    """What a look gives that found nothing.

    ``until``: when to look again at the latest; None: when woken. ``waits_for``: what wakes the step, see
    ``store.waiting``. ``partial``: it began something that has to be undone if the saga turns back.
    ``sends``: it published something, which is to be sent.
    """

    until: datetime | None = None
    waits_for: str = ""
    partial: bool = False
    sends: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """What a look gives that has the step fail for good and, unlike an error, keeps what it wrote and
    locked. ``declined``: whoever was to act for the step says that nothing was done.
    """

    why: str
    declined: bool = False


@dataclass(frozen=True, slots=True)
class NoReply:
    """What a look gives whose command nobody answered in time."""

    why: str


def is_over(task: Task) -> bool:
    """True for a sleep that was begun before: it is only claimed again when its time has come."""
    wait = task.step.wait
    return wait is not None and wait.kind is WaitKind.SLEEP and task.row.reason == WAITING


def sleep(task: Task, context: Context) -> Any:
    """Look whether the time has come."""
    if is_over(task):
        return None
    until = task.program.do(task.row.name)(context)
    if not isinstance(until, datetime) or until.tzinfo is None:
        raise PermanentFailure(
            f"until= of step {task.row.name} gave {until!r}. Give a datetime with a time zone, as "
            "django.utils.timezone.now() has one."
        )
    has_come = task.row.claimed_at is not None and until <= task.row.claimed_at
    return None if has_come else NotYet(until=until)

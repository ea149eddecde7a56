"""Tells circuit breakers how attempts of their steps ended."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from django.db import DatabaseError, InterfaceError

from django_saga.core.events import Cause, StepEvent, StepFailed, StepSucceeded, StepUnknown
from django_saga.core.limits import Breaker
from django_saga.engine import connections
from django_saga.engine.tasks import Outcome, Recorded
from django_saga.store import breakers

# The other side did not answer. A worker that was lost says nothing of it.
_NO_ANSWER = (Cause.TIMED_OUT, Cause.REPORTED)


def note(recorded: Recorded) -> None:
    """Count what a committed batch says of the other side of steps that have a breaker."""
    told = [
        o
        for o in recorded.outcomes
        if o.task.step.limits.breaker is not None and o.task.part is o.task.step and not o.task.asking
    ]
    if not told:
        return
    failures: dict[tuple[str, str, Breaker], list[datetime]] = defaultdict(list)
    answers: dict[tuple[str, str], datetime] = {}
    for outcome in told:
        name, claimed_at = _name(outcome), outcome.task.row.claimed_at
        breaker = outcome.task.step.limits.breaker
        if claimed_at is None or breaker is None:
            continue
        if _failed(outcome.event):
            failures[*name, breaker].append(claimed_at)
        elif _answered(outcome.event):
            answers[name] = max(claimed_at, answers.get(name, claimed_at))
    try:
        for (saga, step, breaker), claimed in failures.items():
            breakers.failed(recorded.using, saga, step, breaker, claimed)
        for (saga, step), claimed_at in answers.items():
            breakers.answered(recorded.using, saga, step, claimed_at)
    except (DatabaseError, InterfaceError):
        connections.refresh(recorded.using, after_error=True)  # a note less


def _name(outcome: Outcome) -> tuple[str, str]:
    return outcome.task.program.definition.name, outcome.task.row.name


def _failed(event: StepEvent) -> bool:
    if isinstance(event, StepFailed):
        return not event.permanent  # that is an answer: no
    return isinstance(event, StepUnknown) and event.cause in _NO_ANSWER


def _answered(event: StepEvent) -> bool:
    return isinstance(event, (StepSucceeded, StepFailed))

"""Tells circuit breakers how attempts of their steps ended."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError

from django_saga.core.events import Cause, StepEvent, StepFailed, StepSucceeded, StepUnknown
from django_saga.core.limits import Breaker
from django_saga.engine import connections
from django_saga.engine.tasks import Outcome, Recorded
from django_saga.store import breakers

# The other side did not answer. A worker that was lost says nothing of it.
_NO_ANSWER = (Cause.TIMED_OUT, Cause.REPORTED)


class Changed(NamedTuple):
    """A circuit that was opened (``until`` then), or closed."""

    sender: type
    saga: str
    step: str
    until: datetime | None


def note(recorded: Recorded) -> list[Changed]:
    """Count what a committed batch says of the other side of steps that have a breaker; give the circuits
    that were opened or closed by it.
    """
    told = [
        o
        for o in recorded.outcomes
        if o.task.step.limits.breaker is not None and o.task.part is o.task.step and not o.task.asking
    ]
    if not told:
        return []
    senders = {_name(outcome): outcome.task.program.saga for outcome in told}
    changed = []
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
            if until := breakers.failed(recorded.using, saga, step, breaker, claimed):
                changed.append(Changed(senders[saga, step], saga, step, until))
        for (saga, step), claimed_at in answers.items():
            if breakers.answered(recorded.using, saga, step, claimed_at):
                changed.append(Changed(senders[saga, step], saga, step, None))
    except (DatabaseError, InterfaceError):
        connections.refresh(recorded.using, after_error=True)  # a note less
    return changed


def _name(outcome: Outcome) -> tuple[str, str]:
    return outcome.task.program.definition.name, outcome.task.row.name


def _failed(event: StepEvent) -> bool:
    if isinstance(event, StepFailed):
        return not event.permanent  # that is an answer: no
    return isinstance(event, StepUnknown) and event.cause in _NO_ANSWER


def _answered(event: StepEvent) -> bool:
    return isinstance(event, (StepSucceeded, StepFailed))

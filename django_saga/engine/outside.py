"""Looks of steps that wait for the world outside: whether the event has come, whether a person has decided.

They run in a transaction with what comes of them, like any atomic step.
"""

from __future__ import annotations

from typing import Any

from django_saga.core import encoding
from django_saga.core.external import approval_address, event_address
from django_saga.core.names import key_text
from django_saga.core.spans import span
from django_saga.core.states import OnTimeout
from django_saga.engine.context import Context
from django_saga.engine.tasks import Task
from django_saga.engine.waiting import NotYet, Refused
from django_saga.exceptions import PermanentFailure
from django_saga.store import approvals, clock, external, sagas


def event(task: Task, context: Context) -> Any:
    """Take the event that the step waits for."""
    assert task.step.wait is not None
    name = task.step.wait.name
    try:
        key = key_text(task.program.do(task.row.name)(context), "the key of an event")
    except ValueError as error:
        raise PermanentFailure(f"correlate= of step {task.row.name}: {error}") from None
    address = event_address(name, key)
    payload = external.take(task.using, address, task.row.id)
    if payload is not None:
        return encoding.decode(payload)
    return _later(task, address, f"no event {name} came for {key}")


def approval(task: Task, context: Context) -> Any:
    """Act on what a person decided."""
    # Under the saga's lock, so that nobody is told that his word counts when the time is up for the step.
    sagas.lock(task.using, [task.row.saga_id])
    decision = approvals.pending(task.using, task.row.id)
    if decision is None:
        return _later(task, approval_address(task.row.id), "nobody decided")
    approvals.acted_on(task.using, decision)
    if not decision.approved:
        return Refused(f"rejected by {decision.actor}: {decision.why or 'no reason given'}")
    return {"approved_by": decision.actor, "data": encoding.decode(decision.data or "null")}


def _later(task: Task, address: str, told: str) -> Any:
    """Wait on, or do as the step's policy says when its time is up."""
    wait, until = task.step.wait, task.row.deadline_at
    if until is None or clock.now(task.using) < until:
        return NotYet(until=until, waits_for=address)
    assert wait is not None
    assert task.step.deadline is not None
    if wait.on_timeout is OnTimeout.GO_ON:
        return encoding.decode(wait.result)
    # No error: rolling back what it did would let go of the saga's lock before this is recorded.
    return Refused(f"{told} within {span(task.step.deadline)}")

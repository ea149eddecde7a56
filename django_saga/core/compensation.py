"""Which compensations may run now: reverse dependency order, in parallel where the graph allows.

A step may be undone when every step that waited for it, directly or not, is *cleared*: nothing of it is in
flight and nothing of it is left to undo. A step without a compensation is cleared once those behind it are,
so it keeps the order between its neighbours.

A dead compensation clears its step where the policy is to ``CONTINUE``. ``SKIP_DEPENDENTS``: it does not, so
what the step had waited for stays as it is. ``STOP``: while any is dead no other gets its turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django_saga.core.definition import SagaDefinition
from django_saga.core.state import StepState
from django_saga.core.states import LIVE_STEP, CompensationPolicy, StepStatus


class Wave(NamedTuple):
    """Compensations that may start now, and whether there is nothing to wait for: none of them, nothing in
    flight.
    """

    scheduled: dict[str, StepState]
    finished: bool


def wave(
    definition: SagaDefinition, steps: Mapping[str, StepState], now: datetime, *, asked: str = ""
) -> Wave:
    """Find the compensations whose turn has come. ``steps`` holds every step that was ever opened, ``asked``
    is one that a person asked for: it does not ``STOP`` for others.
    """
    policy = definition.compensation_policy
    stopped = policy is CompensationPolicy.STOP and any(
        step.status is StepStatus.UNDO_FAILED for step in steps.values()
    )
    live = False
    cleared: dict[str, bool] = {}
    scheduled: dict[str, StepState] = {}
    for name in reversed(definition.order):
        free = all(map(cleared.__getitem__, definition.dependents[name]))
        step = steps.get(name)
        if step is None:
            cleared[name] = free
        elif step.status in LIVE_STEP:
            live, cleared[name] = True, False
        elif needs_undo(step) and definition[name].undo is not None:
            cleared[name] = False
            if free and (name == asked or not stopped):
                scheduled[name] = step.begin_undo(now)
        elif step.status is StepStatus.UNDO_FAILED and policy is CompensationPolicy.SKIP_DEPENDENTS:
            cleared[name] = False
        else:
            cleared[name] = free
    return Wave(scheduled, not (live or scheduled))


def needs_undo(step: StepState) -> bool:
    """True while the step has, or may have, an effect that was not undone."""
    if step.status is StepStatus.SUCCEEDED or step.status is StepStatus.UNKNOWN:
        return True
    return step.status is StepStatus.FAILED and step.partial

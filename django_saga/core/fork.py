"""How another saga goes on in place of one, from one of its steps: what it takes over, and when it may not.

The rule is that no effect is lost, and none is anybody's twice. What the original did before the step, or
beside it, is taken over, and from then on the fork's alone to undo. What it did at the step or behind it is
not: so it must have left nothing there that would have to be undone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

from django_saga.core import tries
from django_saga.core.decision import Decision
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import (
    CancelRequested,
    CompensateRequested,
    Event,
    SagaForked,
    SagaSuperseded,
    Taken,
)
from django_saga.core.forward import what_is_left
from django_saga.core.problem import did_you_mean
from django_saga.core.state import FORKED, OMITTED, PAST_PIVOT, SagaState, StepState
from django_saga.core.states import LIVE_STEP, Outcome, SagaStatus, StepStatus
from django_saga.exceptions import ForkRefused

_FORWARD = (SagaStatus.PENDING, SagaStatus.RUNNING)
_PASSED = (StepStatus.SUCCEEDED, StepStatus.SKIPPED)


def superseded(
    definition: SagaDefinition, state: SagaState, event: SagaSuperseded, now: datetime
) -> Decision:
    """Close the original. Raises ``ForkRefused``."""
    take_over(definition, state, event)
    closed = {}
    for name, step in state.steps.items():
        if step.undoing:
            # It was never tried, else there would be no fork: the fork has the effect now.
            closed[name] = StepState(name, StepStatus.SUCCEEDED, outcome=step.outcome, partial=step.partial)
        elif step.status in LIVE_STEP:
            closed[name] = tries.abandoned(definition[name], step)
    return Decision(SagaStatus.SUPERSEDED, closed, FORKED, event.step)


def require_wanted(told: Iterable[Event]) -> None:
    """Raise ``ForkRefused`` when somebody said that the saga is to be undone."""
    for event in told:
        if isinstance(event, CancelRequested | CompensateRequested):
            word = "cancelled" if isinstance(event, CancelRequested) else "compensated on request"
            raise ForkRefused(f"it is being {word}: start another one instead")


def take_over(definition: SagaDefinition, state: SagaState, event: SagaSuperseded) -> tuple[Taken, ...]:
    """Give the steps that the fork takes over. Raises ``ForkRefused`` that says all that is in the way."""
    if event.step not in definition.by_name:
        near = did_you_mean(event.step, definition.by_name)
        raise ForkRefused(
            f"{definition} has no step {event.step!r}.{near} Its steps are {', '.join(definition.by_name)}"
        )
    if event.step in definition.mains:
        main = definition.mains[event.step]
        raise ForkRefused(f"step {event.step} only stands in for {main}: fork it from {main}")
    if not state.steps:
        raise ForkRefused("it waits for its locks, and nothing of it has begun: cancel it and start another")
    behind = {name for name in definition.order if event.step in (name, *definition.ancestors[name])}
    passed = {name: step for name, step in state.steps.items() if _is_passed(state, step, event)}
    reasons = list(_in_the_way(definition, state, event, behind, passed))
    reasons += _not_reached(definition, state, event.step, passed.keys() - behind)
    if reasons:
        raise ForkRefused(*reasons)
    found = []
    for name in definition.order:
        step = state.steps.get(name)
        replaced = name not in passed and any(other in passed for other in definition.stand_ins[name])
        if step is None or name in behind or not (name in passed or replaced):
            continue
        # A compensation that was opened is called off.
        status = StepStatus.SUCCEEDED if step.undoing else step.status
        found.append(Taken(name, status.value, step.outcome.value, step.partial, step.reason))
    return tuple(found)


def begin(definition: SagaDefinition, event: SagaForked, *, now: datetime) -> SagaState:
    """Give the state a fork begins in: with what it took over, and open what waits for nothing else."""
    steps = {
        each.step: StepState(
            each.step,
            StepStatus(each.status),
            outcome=Outcome(each.outcome),
            partial=each.partial,
            reason=each.reason,
        )
        for each in event.taken
    }
    due = max(event.starts_at or now, now)
    for name in definition.order:
        if name not in steps and name not in definition.mains and _is_ready(definition, name, steps):
            steps[name] = tries.opened(definition, name, due)
    status = SagaStatus.PENDING if due > now else SagaStatus.RUNNING
    reason, culprit = what_is_left(definition, steps)
    return SagaState(status, steps, reason, culprit, event.deadline_at, event.paused)


# --- what is in the way ---------------------------------------------------------------------------


def _in_the_way(
    definition: SagaDefinition,
    state: SagaState,
    event: SagaSuperseded,
    behind: set[str],
    passed: Mapping[str, StepState],
) -> Iterator[str]:
    for name in definition.order:
        step = state.steps.get(name)
        if step is None:
            continue
        if (wait := definition[name].wait) and wait.has_children:
            # They hang on the original's step: the fork could not undo them.
            yield f"step {name} has started sagas of its own, which stay with it"
        elif name in event.in_flight:
            yield f"step {name} is running: pause the saga, and fork it when that has ended"
        elif name in passed and name not in behind:
            continue
        elif (effect := _effect(step, event)) and not _is_needless(definition, name):
            replaced = any(other in passed for other in definition.stand_ins[name])
            if not (step.status is StepStatus.FAILED and replaced and name not in behind):
                yield f"step {name} {effect}"


def _effect(step: StepState, event: SagaSuperseded) -> str:
    """Say what effect the step has left, or may have left, which a fork that begins before it would lose."""
    if step.status is StepStatus.UNDO_FAILED:
        return "could not be undone: have its compensation tried again first"
    if step.undoing and step.name in event.undo_tried:
        return "is being undone: fork it from there when that is over"
    if step.status is StepStatus.SUCCEEDED or (step.undoing and step.outcome is Outcome.SUCCEEDED):
        return "has succeeded, and nobody would undo it: fork from a step behind it"
    if step.status is not StepStatus.UNDONE and step.outcome is Outcome.UNKNOWN:
        return "may have had its effect, and nobody would undo it: it has to be settled first"
    if step.partial and step.status is not StepStatus.UNDONE:
        return "has failed with partial work that is still to be undone"
    if step.status is StepStatus.WAITING and step.partial:
        return "waits, and has begun something that would have to be undone"
    return ""


def _is_needless(definition: SagaDefinition, name: str) -> bool:
    """True for a step that was declared to leave nothing that would have to be undone.

    From the pivot on, steps need no compensation either, but there that does not say that nothing is left.
    """
    from_pivot = name == definition.pivot or name in definition.past_pivot
    return definition[name].undo is None and not from_pivot


def _not_reached(
    definition: SagaDefinition, state: SagaState, target: str, passed: Collection[str]
) -> Iterator[str]:
    """Whatever is taken over must have had what it waited for, and so must the step to begin at."""
    begun = [name for name in definition.order if name in passed or name == target]
    needed = {before for each in begun for before in definition.ancestors[each]}
    for name in (each for each in definition.order if each in needed):
        if name in definition.mains or any(o in passed for o in (name, *definition.stand_ins[name])):
            continue
        step = state.steps.get(name)
        if step is None:
            yield f"step {target} was not reached: {name} comes before it, and was never begun"
        else:
            yield f"step {target} has to begin with what {name} did, which is {step.status}: fork from {name}"


def _is_passed(state: SagaState, step: StepState, event: SagaSuperseded) -> bool:
    if step.name in event.in_flight:
        return False
    if step.status is StepStatus.SKIPPED:
        # In a saga that turned back, one that was never begun is skipped too; one gone past has an outcome.
        forward = state.status in _FORWARD or state.reason == PAST_PIVOT
        return forward or step.outcome is not Outcome.NONE or step.reason == OMITTED
    called_off = step.undoing and step.outcome is Outcome.SUCCEEDED and step.name not in event.undo_tried
    return step.status is StepStatus.SUCCEEDED or called_off


def _is_ready(definition: SagaDefinition, name: str, steps: Mapping[str, StepState]) -> bool:
    return all(
        any(
            each in steps and steps[each].status in _PASSED
            for each in (before, *definition.stand_ins[before])
        )
        for before in definition[name].after
    )

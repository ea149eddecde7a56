"""How a saga under way goes on by another version of its definition, and when it may not.

The rule is that it could have come to where it stands by the new version: what has begun had what it waits
for, and what is owed can be undone, in the new version's order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from django_saga.core import tries
from django_saga.core.compensation import needs_undo, wave
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Event, Migrated
from django_saga.core.problem import did_you_mean
from django_saga.core.state import ASKING, FORWARD_REASONS, PAST_PIVOT, SagaState, StepState
from django_saga.core.states import FailurePolicy, SagaStatus, StepStatus
from django_saga.exceptions import MigrationRefused

_FORWARD = (SagaStatus.PENDING, SagaStatus.RUNNING)
_GIVEN_UP = (StepStatus.FAILED, StepStatus.UNKNOWN)


def require_mapping(old: SagaDefinition, new: SagaDefinition, renamed: Mapping[str, str]) -> None:
    """Raise ``MigrationRefused`` unless ``renamed`` gives steps of ``old`` names of steps of ``new``, each
    its own.
    """
    wrong = []
    for before, after in renamed.items():
        if before not in old.by_name:
            wrong.append(f"{old} has no step {before!r}.{did_you_mean(before, old.by_name)}")
        if after not in new.by_name:
            wrong.append(f"{new} has no step {after!r}.{did_you_mean(after, new.by_name)}")
    taken: dict[str, str] = {}
    for name in old.by_name:
        target = renamed.get(name, name)
        if target in new.by_name and (other := taken.setdefault(target, name)) != name:
            wrong.append(f"steps {other!r} and {name!r} of {old} would both be {target!r} of {new}")
    if wrong:
        raise MigrationRefused(*wrong)


def migrate(
    old: SagaDefinition, new: SagaDefinition, state: SagaState, event: Migrated, *, now: datetime
) -> SagaState:
    """Give the state in which a saga of ``old`` goes on by ``new``. Raises ``MigrationRefused``.

    A step that ``new`` does not have keeps its name and stays as it ended; one that never began is taken
    back, as is one whose turn has not come in ``new``.
    """
    names = {name: name for name in state.steps if name in new.by_name} | dict(event.renamed)
    if state.status.is_terminal:
        raise MigrationRefused(f"it is {state.status}")
    reasons = [
        reason for step in state.steps.values() for reason in _lost(old, new, step, names.get(step.name))
    ]
    steps = {
        target: _asked_as(new, step._replace(name=target))
        for name, step in state.steps.items()
        if (target := names.get(name, name)) in new.by_name or not _is_untouched(step)
    }
    forward = state.status in _FORWARD or state.reason == PAST_PIVOT
    behind = _newly_behind(old, new, names)
    if forward:
        reasons += [*_another_way(state), *_another_pivot(old, new, state, names)]
        reasons += _ahead_of_its_turn(new, steps)
    else:
        reasons += _undone_too_early(new, steps, behind)
    if reasons:
        raise MigrationRefused(*dict.fromkeys(reasons))
    moved = state._replace(steps=steps, culprit=names.get(state.culprit, state.culprit))
    if forward:
        return _go_forward(new, moved, state, now)
    return _go_back(new, moved._replace(steps=_called_off(new, steps, behind)), now)


def named_as_now(events: Iterable[Event]) -> list[dict[str, str]]:
    """Give, for each event of a history, what steps that were renamed later are called at its end."""
    names: dict[str, str] = {}
    found = []
    for event in reversed(list(events)):
        found.append(names)
        if isinstance(event, Migrated):
            names = {**names, **{old: names.get(new, new) for old, new in event.renamed}}
    return found[::-1]


# --- what would be lost ---------------------------------------------------------------------------


def _lost(old: SagaDefinition, new: SagaDefinition, step: StepState, target: str | None) -> Iterator[str]:
    spec = old.by_name.get(step.name)
    owed = (needs_undo(step) or step.undoing or step.status is StepStatus.UNDO_FAILED) and bool(
        spec and spec.undo
    )
    if target is None:
        if owed:
            yield f"step {step.name} has an effect to undo, and v{new.version} has no such step"
        elif step.is_open and not _is_untouched(step):
            yield f"step {step.name} was tried and is not over, and v{new.version} has no such step"
        return
    if step.omitted and not new[target].when:
        yield f"step {step.name} was passed over by its condition, and {target} of v{new.version} has none"
    if owed and new[target].undo is None:
        yield f"step {step.name} has an effect to undo, and {target} of v{new.version} has no compensation"
    if target != step.name and _is_being_tried(step):
        # Its key has its name in it, so what was called would not know it again.
        yield f"step {step.name} was tried: as {target} it would go on with another idempotency key"


def _is_untouched(step: StepState) -> bool:
    """True for a step that is open and was never tried; to ask its condition is no try."""
    is_open = step.status in (StepStatus.SCHEDULED, StepStatus.WAITING)
    never = step.asking or not (step.attempt or step.crashes or step.outcome or step.partial)
    return is_open and never


def _asked_as(new: SagaDefinition, step: StepState) -> StepState:
    """Have a step that never began ask its condition where it has one in ``new``, and only there."""
    spec = new.by_name.get(step.name)
    if spec is None or not _is_untouched(step) or step.asking is bool(spec.when):
        return step
    reason = ASKING if spec.when else ""
    return StepState(
        step.name, StepStatus.SCHEDULED, due_at=step.due_at, deadline_at=step.deadline_at, reason=reason
    )


def _is_being_tried(step: StepState) -> bool:
    """True when the step, or its compensation, was tried and may be tried again."""
    if step.status in (StepStatus.SCHEDULED, StepStatus.WAITING):
        return not _is_untouched(step)
    return step.status is StepStatus.UNDO_FAILED or (step.undoing and bool(step.attempt or step.crashes))


def _ahead_of_its_turn(new: SagaDefinition, steps: Mapping[str, StepState]) -> Iterator[str]:
    for name, step in steps.items():
        if name not in new.by_name:
            if step.status in _GIVEN_UP:
                yield f"step {name} has {step.status}, and v{new.version} has no such step"
        elif not _is_untouched(step):
            for before in new.order:
                waits = before in new.ancestors[name] and before not in new.mains
                if waits and not _has_passed(steps, before):
                    yield f"step {name} has begun, and in v{new.version} it waits for {before}"


def _another_way(state: SagaState) -> Iterator[str]:
    if state.reason == PAST_PIVOT:
        yield f"it is held up past its pivot at step {state.culprit}: settle that first"
    elif state.reason in FORWARD_REASONS:
        yield f"it has gone past step {state.culprit} another way ({state.reason})"


def _another_pivot(
    old: SagaDefinition, new: SagaDefinition, state: SagaState, names: Mapping[str, str]
) -> Iterator[str]:
    """Before it a saga may turn back, and past it not: that has to be so in both versions."""
    was = {target: name for name, target in names.items()}
    for name in dict.fromkeys([old.pivot, was.get(new.pivot, new.pivot)]):
        step = state.steps.get(name)
        if step is not None and not _is_untouched(step) and names.get(old.pivot, "") != new.pivot:
            where = f"v{old.version}" if name == old.pivot else f"v{new.version}"
            yield f"step {name}, the pivot of {where} only, has begun"


def _newly_behind(old: SagaDefinition, new: SagaDefinition, names: Mapping[str, str]) -> dict[str, list[str]]:
    """Give, for each step of ``new``, those that are undone before it there and were not in ``old``."""
    was = {target: name for name, target in names.items()}
    return {
        name: [
            behind
            for behind in new.order
            if name in new.ancestors[behind]
            and was.get(name) not in old.ancestors.get(was.get(behind, ""), ())
        ]
        for name in new.order
    }


def _undone_too_early(
    new: SagaDefinition, steps: Mapping[str, StepState], behind: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    for name, step in steps.items():
        if step.status is StepStatus.UNDONE or (
            _is_being_tried(step) and step.status not in (StepStatus.SCHEDULED, StepStatus.WAITING)
        ):
            for other in behind.get(name, ()):
                if other in steps and _is_owed(new, steps[other]):
                    yield f"the undoing of {name} has begun, and in v{new.version} {other} is undone before"


def _called_off(
    new: SagaDefinition, steps: Mapping[str, StepState], behind: Mapping[str, Sequence[str]]
) -> dict[str, StepState]:
    """Have compensations that were opened, but never tried, wait for those that ``new`` has before them."""
    found = dict(steps)
    for name, step in steps.items():
        if step.undoing and any(o in steps and _is_owed(new, steps[o]) for o in behind.get(name, ())):
            found[name] = step._replace(status=StepStatus(step.outcome), due_at=None)
    return found


def _is_owed(new: SagaDefinition, step: StepState) -> bool:
    if step.is_open:
        return not _is_untouched(step)
    return needs_undo(step) and new[step.name].undo is not None


def _has_passed(steps: Mapping[str, StepState], name: str) -> bool:
    return name in steps and (steps[name].status is StepStatus.SUCCEEDED or steps[name].omitted)


# --- how it goes on -------------------------------------------------------------------------------


def _go_forward(new: SagaDefinition, moved: SagaState, before: SagaState, now: datetime) -> SagaState:
    if moved.failing and new.failure_policy is FailurePolicy.FAIL_FAST:
        given_up = {n: tries.abandoned(new[n], s) if s.is_open else s for n, s in moved.steps.items()}
        return _go_back(new, moved._replace(steps=given_up), now)
    if not before.steps:
        return moved  # it waits to be let in, and begins with the first steps it has then
    due = now
    if before.status is SagaStatus.PENDING:
        due = max(now, min((s.due_at for s in before.steps.values() if s.due_at is not None), default=now))
    steps = dict(moved.steps)
    for name in (name for name in new.order if name not in new.mains):
        ready = all(_has_passed(steps, before_it) for before_it in new[name].after)
        if name not in steps and ready:
            steps[name] = tries.opened(new, name, due)
        elif name in steps and not ready and _is_untouched(steps[name]):
            del steps[name]
    if all(_has_passed(steps, name) for name in new.sinks):
        return moved._replace(status=SagaStatus.COMPLETED, steps=steps)
    if moved.failing and not any(step.is_open for step in steps.values()):
        return _go_back(new, moved._replace(steps=steps), now)
    return moved._replace(steps=steps)


def _go_back(new: SagaDefinition, moved: SagaState, now: datetime) -> SagaState:
    steps = dict(moved.steps)
    due = wave(new, steps, now)
    steps.update(due.scheduled)
    status = SagaStatus.COMPENSATING
    if due.finished:
        dead = any(step.status is StepStatus.UNDO_FAILED for step in steps.values())
        status = SagaStatus.STUCK if dead else SagaStatus.COMPENSATED
    return moved._replace(status=status, steps=steps)

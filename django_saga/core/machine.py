"""What may happen next: every rule of a saga, as a function from a state and an event to a decision.

Pure: time comes in as ``now``, chance in the event. ``RULES`` is the table of legal moves; what is not in
it is an ``IllegalTransition``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from django_saga.core import back, events, fork, forward, tries
from django_saga.core.decision import Decision
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Event, StepEvent
from django_saga.core.migration import migrate
from django_saga.core.state import SagaState
from django_saga.core.states import SagaStatus
from django_saga.core.waits import NEVER
from django_saga.exceptions import IllegalTransition


def start(definition: SagaDefinition, event: events.SagaStarted, *, now: datetime) -> SagaState:
    """Give the state a saga begins in: its first steps due at once, or at ``event.starts_at``, which for a
    saga with priority has passed; none of them is opened while it waits for its locks. ``event.held``: they
    have no time yet. A fork begins with the steps it took over.
    """
    if isinstance(event, events.SagaForked):
        return fork.begin(definition, event, now=now)
    if event.waits:
        return SagaState(SagaStatus.PENDING, {}, deadline_at=event.deadline_at)
    if event.held:  # its alarm is set when it is its turn
        opened = (tries.opened(definition, name, now) for name in definition.roots)
        waiting = {step.name: step._replace(due_at=NEVER) for step in opened}
        return SagaState(SagaStatus.PENDING, waiting, deadline_at=event.deadline_at)
    due = event.starts_at or now
    steps = {name: tries.opened(definition, name, max(due, now)) for name in definition.roots}
    if due < now:
        steps = {
            name: step._replace(due_at=step.due_at - (now - due))
            for name, step in steps.items()
            if step.due_at
        }
    status = SagaStatus.PENDING if due > now else SagaStatus.RUNNING
    return SagaState(status, steps, deadline_at=event.deadline_at)


def reads(
    definition: SagaDefinition, status: SagaStatus, event: Event, *, failing: bool = False
) -> frozenset[str] | None:
    """Name the steps beside its own whose state ``decide`` needs for ``event``; None: all that were opened.

    ``failing``: whether a step failed for good already. In a saga that is compensating, steps whose
    compensation is open or dead are needed beside those named.
    """
    if failing:
        return None
    if status in _FORWARD and type(event) in _PASSES:
        return definition.consulted[event.step]  # type: ignore[attr-defined]
    if status in _FORWARD and type(event) in (events.ConditionMet, events.StepWaits):
        return frozenset()
    if isinstance(event, StepEvent) and definition.is_chain:
        # What stands behind the step was never opened, or is undone: what is before it is left.
        return definition.ancestors[event.step]
    return None


def decide(definition: SagaDefinition, state: SagaState, event: Event, *, now: datetime) -> Decision:
    """Decide what ``event`` changes.

    Raises ``IllegalTransition`` when the saga's status has no rule for the event, or its step is not open
    for it.
    """
    rule = RULES.get((state.status, type(event)))
    if rule is None:
        raise IllegalTransition(f"a saga that is {state.status} takes no event {event.kind}")
    if isinstance(event, StepEvent):
        step = state.steps.get(event.step)
        if step is None or not step.is_open or step.undoing is not event.undo:
            found = "not opened" if step is None else step.status
            raise IllegalTransition(f"step {event.step} is {found}, it takes no event {event.kind}")
        # A step runs only once its condition is known, and once it may have run it is not passed over.
        if type(event) in _ANSWERS and step.asking is (type(event) is events.StepSucceeded):
            found = "not known yet" if step.asking else "known"
            raise IllegalTransition(f"what the condition of step {event.step} says is {found}")
    return rule(definition, state, event, now)


def apply(state: SagaState, decision: Decision) -> SagaState:
    """Give the state after ``decision``."""
    return SagaState(
        decision.status,
        {**state.steps, **decision.steps},
        state.reason if decision.reason is None else decision.reason,
        state.culprit if decision.culprit is None else decision.culprit,
        None if decision.no_deadline else decision.deadline_at or state.deadline_at,
        state.paused if decision.paused is None else decision.paused,
    )


def fold(
    definition: SagaDefinition,
    history: Iterable[tuple[Event, datetime]],
    versions: Callable[[int], SagaDefinition] | None = None,
) -> SagaState:
    """Feed a saga's history, each event with the time it was decided at, to the machine again.

    ``definition`` is the one the saga has at the end; ``versions`` finds those it was migrated from.
    """
    rows = list(history)
    moves = [event for event, _ in rows if isinstance(event, events.Migrated)]
    known = {definition.version: definition}
    for move in moves:
        for version in {move.from_version, move.to_version} - known.keys():
            if versions is None:
                raise IllegalTransition(f"the saga was migrated, and v{version} is not known")
            known[version] = versions(version)
    first, at = rows[0]
    if not isinstance(first, events.SagaStarted):
        raise IllegalTransition(f"a history begins with saga_started, not {first.kind}")
    now_by = known[moves[0].from_version] if moves else definition
    state = start(now_by, first, now=at)
    for event, at in rows[1:]:
        if isinstance(event, events.Migrated):
            before, now_by = now_by, known[event.to_version]
            state = migrate(before, now_by, state, event, now=at)
        else:
            state = apply(state, decide(now_by, state, event, now=at))
    return state


# --- the table ------------------------------------------------------------------------------------

Rule = Callable[..., Decision]
_FORWARD = (SagaStatus.RUNNING, SagaStatus.PENDING)
_PASSES = (events.StepSucceeded, events.ConditionNotMet)
_ANSWERS = (events.StepSucceeded, events.ConditionMet, events.ConditionNotMet)

RULES: dict[tuple[SagaStatus, type[Event]], Rule] = {
    **{
        (status, kind): rule
        for status in _FORWARD
        for kind, rule in (
            (events.StepSucceeded, forward.step_done),
            (events.StepFailed, forward.step_failed),
            (events.StepUnknown, forward.step_unknown),
            (events.StepWaits, forward.step_waits),
            (events.ConditionMet, forward.condition_met),
            (events.ConditionNotMet, forward.condition_not_met),
            (events.DeadlinePassed, forward.out_of_time),
            (events.CancelRequested, forward.cancelled),
        )
    },
    (SagaStatus.COMPENSATING, events.StepSucceeded): back.late_success,
    (SagaStatus.COMPENSATING, events.StepFailed): back.failed_while_undoing,
    (SagaStatus.COMPENSATING, events.StepUnknown): back.unknown_while_undoing,
    (SagaStatus.COMPENSATING, events.StepNotStarted): back.not_started,
    (SagaStatus.COMPENSATING, events.StepWaits): back.waits_while_undoing,
    (SagaStatus.COMPENSATING, events.ConditionMet): back.condition_answered,
    (SagaStatus.COMPENSATING, events.ConditionNotMet): back.condition_answered,
    **{
        (status, kind): rule
        for status in (SagaStatus.COMPENSATING, SagaStatus.STUCK)
        for kind, rule in ((events.UndoRetried, back.undo_retried), (events.UndoSkipped, back.undo_skipped))
    },
    **{
        (status, kind): rule
        for status in (SagaStatus.RUNNING, SagaStatus.STUCK)
        for kind, rule in (
            (events.StepRetried, forward.step_retried),
            (events.StepSkipped, forward.step_skipped),
            (events.StepMarkedDone, forward.step_marked_done),
            (events.CompensateRequested, forward.compensate_requested),
        )
    },
    (SagaStatus.PENDING, events.CompensateRequested): forward.compensate_requested,
    # What ended well is undone after all, if the saga that started it turns back.
    **{
        (status, events.TakenBack): forward.taken_back
        for status in (*_FORWARD, SagaStatus.STUCK, SagaStatus.COMPLETED)
    },
    (SagaStatus.PENDING, events.LocksGranted): forward.let_in,
    **{
        (status, kind): rule
        for status in (*_FORWARD, SagaStatus.COMPENSATING)
        for kind, rule in ((events.SagaPaused, forward.paused), (events.SagaResumed, forward.resumed))
    },
    (SagaStatus.STUCK, events.SagaResumed): forward.resumed,
    **{(status, events.SagaSuperseded): fork.superseded for status in SagaStatus if not status.is_terminal},
}

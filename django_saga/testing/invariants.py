"""The invariants of every saga in the database, checked from its rows and its history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from uuid import UUID

from django.db.models import QuerySet

from django_saga.conf import get_settings
from django_saga.core import machine
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Event, StepEvent, StepSucceeded, StepUnknown
from django_saga.core.states import (
    LIVE_SAGA,
    LIVE_STEP,
    OWNED_STEP,
    CompensationPolicy,
    SagaStatus,
    StepStatus,
)
from django_saga.dsl.registry import registry
from django_saga.exceptions import IllegalTransition, UnknownSaga
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from django_saga.store import history

_AT_ONCE = 200  # sagas read together


def assert_saga_invariants(using: str | None = None) -> int:
    """Check every saga of registered definitions in the database ``using``; give how many were checked.

    Raises ``AssertionError`` that lists each violation with the saga it concerns. Holds at any time, also
    while workers run, if it is called inside a transaction that sees one snapshot; tests call it when all
    is quiet.
    """
    return check(SagaInstance.objects.using(using or get_settings().database))


def check(sagas: QuerySet[SagaInstance]) -> int:
    """Check ``sagas``, as ``assert_saga_invariants`` does all of them."""
    using = sagas.db
    wrong: list[str] = []
    checked = 0
    rows = sagas.select_related("definition").order_by("id").iterator()
    while some := list(islice(rows, _AT_ONCE)):
        for saga in _read(using, some):
            checked += 1
            for invariant in CHECKS:
                found = invariant(saga)
                wrong += [f"{saga.row.name} {saga.row.pk} ({saga.status}): {what}" for what in found]
    if wrong:
        raise AssertionError(f"{len(wrong)} violations of saga invariants:\n" + "\n".join(wrong))
    return checked


@dataclass(frozen=True)
class _Saga:
    row: SagaInstance
    definition: SagaDefinition
    steps: dict[str, SagaStep]
    events: list[SagaEvent]
    facts: list[Event]

    @property
    def status(self) -> SagaStatus:
        return SagaStatus(self.row.status)

    def ends(self, step: str, *, undo: bool) -> list[int]:
        """Positions in the history at which ``step``, or its compensation, succeeded."""
        return [
            at
            for at, event in enumerate(self.facts)
            if isinstance(event, StepSucceeded) and event.step == step and event.undo is undo
        ]

    def begins(self, step: str, *, undo: bool) -> list[int]:
        """Positions of any end of an attempt."""
        return [
            at
            for at, event in enumerate(self.facts)
            if isinstance(event, StepEvent) and event.step == step and event.undo is undo
        ]


def _read(using: str, rows: Sequence[SagaInstance]) -> Iterator[_Saga]:
    ids = [row.pk for row in rows]
    steps: dict[UUID, dict[str, SagaStep]] = defaultdict(dict)
    for step in SagaStep.objects.using(using).filter(saga_id__in=ids):
        steps[step.saga_id][step.name] = step
    events: dict[UUID, list[SagaEvent]] = defaultdict(list)
    for event in SagaEvent.objects.using(using).filter(saga_id__in=ids).order_by("id"):
        events[event.saga_id].append(event)
    for row in rows:
        try:
            definition = registry.get(row.name, row.definition.version).definition
        except UnknownSaga:
            continue
        facts = [history.fact(event) for event in events[row.pk]]
        yield _Saga(row, definition, steps[row.pk], events[row.pk], facts)


def _folds_to_its_rows(saga: _Saga) -> Iterator[str]:
    """The history, fed to the machine again, gives the rows."""
    try:
        state = machine.fold(
            saga.definition, zip(saga.facts, (event.at for event in saga.events), strict=True)
        )
    except IllegalTransition as error:
        yield f"its history does not replay: {error}"
        return
    folded = (state.status, state.reason, state.culprit, state.paused)
    stored = (saga.status, saga.row.reason, saga.row.culprit, saga.row.paused_at is not None)
    if folded != stored:
        yield f"its history gives {folded}, its row says {stored}"
    if state.steps.keys() != saga.steps.keys():
        yield f"its history gives steps {sorted(state.steps)}, its rows are {sorted(saga.steps)}"
        return
    for name, step in state.steps.items():
        row = saga.steps[name]
        at_rest = {"running": "scheduled", "undoing": "undo_scheduled"}.get(row.status, row.status)
        given = (step.status.value, step.crashes, step.outcome.value, step.partial, step.reason)
        found = (at_rest, row.crashes, row.outcome, row.partial, row.reason)
        if given != found:
            yield f"step {name}: its history gives {given}, its row says {found}"
        in_flight = row.status in OWNED_STEP
        if row.attempt != step.attempt + in_flight:
            yield f"step {name}: attempt {row.attempt} in its row, {step.attempt} ended by its history"
        if not in_flight and row.due_at != step.due_at:
            yield f"step {name}: due at {row.due_at}, by its history at {step.due_at}"


def _ends_as_its_steps_do(saga: _Saga) -> Iterator[str]:
    """Completed: every step succeeded. Compensated: nothing is left that has a compensation. Stuck: one is
    dead.
    """
    statuses = {name: StepStatus(step.status) for name, step in saga.steps.items()}
    if saga.status is SagaStatus.COMPLETED:
        missing = [s.name for s in saga.definition.steps if statuses.get(s.name) is not StepStatus.SUCCEEDED]
        if missing:
            yield f"completed, but {missing} did not succeed"
        if any(isinstance(event, StepEvent) and event.undo for event in saga.facts):
            yield "completed, but something was undone"
    if saga.status in (SagaStatus.COMPENSATED, SagaStatus.STUCK):
        dead = [name for name, status in statuses.items() if status is StepStatus.UNDO_FAILED]
        if bool(dead) is not (saga.status is SagaStatus.STUCK):
            yield f"{saga.status}, with dead compensations {dead}"
        for name, status in statuses.items():
            left = status in (StepStatus.SUCCEEDED, StepStatus.UNKNOWN) or (
                status is StepStatus.FAILED and saga.steps[name].partial
            )
            if left and saga.definition[name].undo is not None and not _held_back(saga, name, dead):
                yield f"{saga.status}, but step {name} is {status} and was not undone"
    if not saga.status.is_live and saga.row.finished_at is None:
        yield "it has ended, but not at any time"


def _held_back(saga: _Saga, step: str, dead: Sequence[str]) -> bool:
    """True when the saga's policy leaves ``step`` as it is while the compensations of ``dead`` are dead."""
    policy = saga.definition.compensation_policy
    if policy is CompensationPolicy.STOP:
        return bool(dead)
    behind = any(step in saga.definition.ancestors[name] for name in dead)
    return behind and policy is CompensationPolicy.SKIP_DEPENDENTS


def _is_never_lost(saga: _Saga) -> Iterator[str]:
    """A live saga has a step with an alarm; a saga at rest has none."""
    live = [name for name, step in saga.steps.items() if step.status in LIVE_STEP]
    if saga.status in LIVE_SAGA and not live:
        yield "it is live, but none of its steps is: nothing would ever wake it"
    if saga.status not in LIVE_SAGA and live:
        yield f"it is at rest, but {live} are live"
    for name, step in saga.steps.items():
        if (step.status in LIVE_STEP) is (step.due_at is None):
            yield f"step {name} is {step.status}, due at {step.due_at}"
        if (step.status in OWNED_STEP) is (step.owner is None):
            yield f"step {name} is {step.status}, owned by {step.owner}"


def _keeps_the_order(saga: _Saga) -> Iterator[str]:
    """No step ends before those it waits for succeeded; none is undone while one behind it is not."""
    for step in saga.definition.steps:
        for before in step.after:
            ran, done = saga.begins(step.name, undo=False), saga.ends(before, undo=False)
            if ran and not (done and done[0] < ran[0]):
                yield f"step {step.name} ran before {before} had succeeded"
        for before in saga.definition.ancestors[step.name]:
            earlier, later = saga.begins(before, undo=True), saga.begins(step.name, undo=True)
            if earlier and later and max(later) > earlier[0] and not _retried(saga, step.name):
                yield f"{before} was being undone before {step.name} was"


def _retried(saga: _Saga, step: str) -> bool:
    """True when an operator had the dead compensation of ``step`` tried again, after all others."""
    return any(event.kind == "undo_retried" and getattr(event, "step", "") == step for event in saga.facts)


def _fences(saga: _Saga) -> Iterator[str]:
    """Tokens rise with every attempt, and no attempt was recorded twice."""
    for name, step in saga.steps.items():
        tokens = [event.token for event in saga.events if event.step == name and event.token]
        if any(later <= earlier for earlier, later in pairwise(tokens)):
            yield f"step {name}: tokens {tokens} do not rise"
        if tokens and tokens[-1] > step.token:
            yield f"step {name}: recorded with token {tokens[-1]}, its row has {step.token}"


def _counts_attempts(saga: _Saga) -> Iterator[str]:
    """Attempts stay within the policy, crashes within the limit."""
    retried = {getattr(e, "step", "") for e in saga.facts if e.kind == "undo_retried"}
    for step in saga.definition.steps:
        for undo in (False, True):
            policy = step.retry if not undo else step.undo.retry if step.undo else None
            ended = [
                e for e in saga.facts if isinstance(e, StepEvent) and (e.step, e.undo) == (step.name, undo)
            ]
            free = [e for e in ended if isinstance(e, StepUnknown) and e.cause in ("worker lost", "released")]
            charged = len(ended) - len(free)
            if policy and charged > policy.attempts and not (undo and step.name in retried):
                yield f"step {step.name}: {charged} attempts charged, {policy.attempts} allowed"
            lost = [e for e in free if e.cause == "worker lost"]
            if lost and len(lost) > lost[-1].crash_limit + 1 and not (undo and step.name in retried):
                yield f"step {step.name}: took its worker with it {len(lost)} times"


def _tells_time(saga: _Saga) -> Iterator[str]:
    """Times of a saga's history do not go back."""
    if any(later.at < earlier.at for earlier, later in pairwise(saga.events)):
        yield "times in its history go back"


CHECKS: tuple[Callable[[_Saga], Iterator[str]], ...] = (
    _folds_to_its_rows,
    _ends_as_its_steps_do,
    _is_never_lost,
    _keeps_the_order,
    _fences,
    _counts_attempts,
    _tells_time,
)

"""The invariants of every saga in the database, checked from its rows and its history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise

from django.db.models import QuerySet

from django_saga.conf import get_settings
from django_saga.core import machine
from django_saga.core.events import (
    ConditionMet,
    ConditionNotMet,
    SagaForked,
    SagaStarted,
    StepEvent,
    StepNotStarted,
    StepRetried,
    StepUnknown,
    StepWaits,
)
from django_saga.core.state import PAST_PIVOT
from django_saga.core.states import (
    LIVE_SAGA,
    LIVE_STEP,
    OWNED_STEP,
    CompensationPolicy,
    ForwardRecovery,
    SagaStatus,
    StepStatus,
)
from django_saga.core.waits import NEVER, WAITING
from django_saga.engine import versions
from django_saga.exceptions import IllegalTransition, UnknownSaga
from django_saga.models import SagaInstance
from django_saga.testing.record import SagaRecord, read

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
        for saga in read(using, some):
            checked += 1
            for invariant in CHECKS:
                found = invariant(saga)
                wrong += [f"{saga.row.name} {saga.row.pk} ({saga.status}): {what}" for what in found]
    if wrong:
        raise AssertionError(f"{len(wrong)} violations of saga invariants:\n" + "\n".join(wrong))
    return checked


def _folds_to_its_rows(saga: SagaRecord) -> Iterator[str]:
    """The history, fed to the machine again, gives the rows."""
    try:
        using = saga.row._state.db or get_settings().database
        rows = zip(saga.told, (event.at for event in saga.events), strict=True)
        state = machine.fold(saga.definition, rows, versions.of_name(using, saga.row.name))
    except (IllegalTransition, UnknownSaga) as error:
        yield f"its history does not replay: {error}"
        return
    kept = saga.row
    folded = (state.status, state.reason, state.culprit, state.deadline_at, state.paused)
    stored = (saga.status, kept.reason, kept.culprit, kept.deadline_at, kept.paused_at is not None)
    if folded != stored:
        yield f"its history gives {folded}, its row says {stored}"
    if state.steps.keys() != saga.steps.keys():
        yield f"its history gives steps {sorted(state.steps)}, its rows are {sorted(saga.steps)}"
        return
    for name, step in state.steps.items():
        row = saga.steps[name]
        running = "waiting" if row.reason == WAITING else "scheduled"
        at_rest = {"running": running, "undoing": "undo_scheduled"}.get(row.status, row.status)
        given = (step.status.value, step.crashes, step.outcome.value, step.partial, step.reason)
        found = (at_rest, row.crashes, row.outcome, row.partial, row.reason)
        if given != found:
            yield f"step {name}: its history gives {given}, its row says {found}"
        in_flight = row.status in OWNED_STEP
        if row.attempt != step.attempt + in_flight:
            yield f"step {name}: attempt {row.attempt} in its row, {step.attempt} ended by its history"
        # What a step waits for may have come: then its alarm was set to that time.
        may_be_woken = row.waits_for or step.due_at == NEVER
        was_woken = may_be_woken and step.due_at and row.due_at and row.due_at < step.due_at
        if not in_flight and row.due_at != step.due_at and not was_woken:
            yield f"step {name}: due at {row.due_at}, by its history at {step.due_at}"


def _ends_as_its_steps_do(saga: SagaRecord) -> Iterator[str]:
    """Completed: every step succeeded, or was passed in another way. Compensated: nothing is left that has a
    compensation. Stuck: one is dead, or a step past the pivot.
    """
    statuses = {name: StepStatus(step.status) for name, step in saga.steps.items()}
    if saga.status is SagaStatus.COMPLETED:
        missing = [
            step.name
            for step in saga.definition.steps
            if step.name not in saga.definition.mains and not saga.passed(step.name)
        ]
        if missing:
            yield f"completed, but {missing} did not succeed"
        if any(isinstance(event, StepEvent) and event.undo for event in saga.facts):
            yield "completed, but something was undone"
    if saga.status is SagaStatus.STUCK and saga.row.reason == PAST_PIVOT:
        if statuses.get(saga.row.culprit) not in (StepStatus.FAILED, StepStatus.UNKNOWN):
            yield f"held up at {saga.row.culprit}, which is {statuses.get(saga.row.culprit)}"
    elif saga.status in (SagaStatus.COMPENSATED, SagaStatus.STUCK):
        dead = [name for name, status in statuses.items() if status is StepStatus.UNDO_FAILED]
        if bool(dead) is not (saga.status is SagaStatus.STUCK):
            yield f"{saga.status}, with dead compensations {dead}"
        for name, status in statuses.items():
            left = status in (StepStatus.SUCCEEDED, StepStatus.UNKNOWN) or (
                status is StepStatus.FAILED and saga.steps[name].partial
            )
            step = saga.definition.by_name.get(name)  # None: its present version does not have it
            if left and step is not None and step.undo and not _held_back(saga, name, dead):
                yield f"{saga.status}, but step {name} is {status} and was not undone"
    if not saga.status.is_live and saga.row.finished_at is None:
        yield "it has ended, but not at any time"


def _held_back(saga: SagaRecord, step: str, dead: Sequence[str]) -> bool:
    """True when the saga's policy leaves ``step`` as it is while the compensations of ``dead`` are dead."""
    policy = saga.definition.compensation_policy
    if policy is CompensationPolicy.STOP:
        return bool(dead)
    behind = any(step in saga.definition.ancestors[name] for name in dead)
    return behind and policy is CompensationPolicy.SKIP_DEPENDENTS


def _hands_over_what_it_did(saga: SagaRecord) -> Iterator[str]:
    """What a superseded saga would have to undo is its fork's; a fork knows where each of its steps ran."""
    if saga.status is SagaStatus.SUPERSEDED:
        taken = {each.step for each in saga.heir.taken} if saga.heir else set()
        if saga.heir is None or saga.heir.origin != str(saga.row.pk):
            yield "superseded, but no saga goes on in its place"
        for name, row in saga.steps.items():
            owed = row.status in (StepStatus.SUCCEEDED, StepStatus.UNKNOWN) or row.partial
            if owed and row.status != StepStatus.UNDONE and saga.definition[name].undo and name not in taken:
                yield f"step {name} is {row.status}, and its fork did not take it over"
    elif saga.row.superseded_by is not None:
        yield f"superseded by {saga.row.superseded_by}, but {saga.status}"
    begun = saga.told[0]
    taken = {each.step for each in begun.taken} if isinstance(begun, SagaForked) else set()
    elsewhere = {name for name, row in saga.steps.items() if row.ran_in}
    if not saga.moved_at and elsewhere != taken:
        yield f"it took over {sorted(taken)}, its rows that ran elsewhere are {sorted(elsewhere)}"


def _is_never_lost(saga: SagaRecord) -> Iterator[str]:
    """A live saga has a step with an alarm, or stands in line for a lock; a saga at rest has none."""
    live = [name for name, step in saga.steps.items() if step.status in LIVE_STEP]
    if saga.status in LIVE_SAGA and not live and not saga.in_line:
        yield "it is live, but none of its steps is: nothing would ever wake it"
    if saga.status not in LIVE_SAGA and live:
        yield f"it is at rest, but {live} are live"
    for name, step in saga.steps.items():
        if (step.status in LIVE_STEP) is (step.due_at is None):
            yield f"step {name} is {step.status}, due at {step.due_at}"
        if (step.status in OWNED_STEP) is (step.owner is None):
            yield f"step {name} is {step.status}, owned by {step.owner}"


def _keeps_the_order(saga: SagaRecord) -> Iterator[str]:
    """No step ends before those it waits for were passed; none is undone while one behind it is not."""
    for step in saga.definition.steps:
        for before in step.after:
            ran, done = saga.begins(step.name, undo=False), saga.passes(before)
            if ran and ran[0] >= saga.moved_at and not (done and done[0] < ran[0]):
                yield f"step {step.name} ran before {before} had succeeded"
        for before in saga.definition.ancestors[step.name]:
            earlier, later = (
                [at for at in saga.begins(name, undo=True) if at >= saga.moved_at]
                for name in (before, step.name)
            )
            if earlier and later and max(later) > earlier[0] and not _retried(saga, step.name):
                yield f"{before} was being undone before {step.name} was"


def _retried(saga: SagaRecord, step: str) -> bool:
    """True when an operator had the dead compensation of ``step`` tried again, after all others."""
    return any(event.kind == "undo_retried" and getattr(event, "step", "") == step for event in saga.facts)


def _fences(saga: SagaRecord) -> Iterator[str]:
    """Tokens rise with every attempt, and no attempt was recorded twice."""
    for name, step in saga.steps.items():
        rows = zip(saga.events, saga.facts, strict=True)
        tokens = [event.token for event, fact in rows if getattr(fact, "step", "") == name and event.token]
        if any(later <= earlier for earlier, later in pairwise(tokens)):
            yield f"step {name}: tokens {tokens} do not rise"
        if tokens and tokens[-1] > step.token:
            yield f"step {name}: recorded with token {tokens[-1]}, its row has {step.token}"


def _counts_attempts(saga: SagaRecord) -> Iterator[str]:
    """Attempts stay within the policy, crashes within the limit."""
    retried = {getattr(e, "step", "") for e in saga.facts if e.kind == "undo_retried"}
    endless = {e.step for e in saga.facts if isinstance(e, StepRetried)} | {
        step.name for step in saga.definition.steps if step.forward_recovery is ForwardRecovery.RETRY
    }
    for step in saga.definition.steps:
        phases = [
            ("do", step.retry),
            ("undo", step.undo and step.undo.retry),
            ("probe", step.probe and step.probe.retry),
            ("ask", step.retry if step.when else None),
        ]
        for phase, policy in phases:
            again = step.name in (endless if phase in ("do", "ask") else retried if phase == "undo" else ())
            ended = [
                e
                for e in saga.facts
                if isinstance(e, StepEvent)
                and not isinstance(e, StepWaits)  # a look that found nothing is no attempt
                and (e.step, _phase(e)) == (step.name, phase)
            ]
            free = [e for e in ended if isinstance(e, StepUnknown) and e.cause in ("worker lost", "released")]
            charged = len(ended) - len(free)
            # What was charged by an earlier version's policy stays so.
            if again or any(e in saga.facts[: saga.moved_at] for e in ended):
                continue
            if policy and charged > policy.attempts:
                yield f"step {step.name}, {phase}: {charged} attempts charged, {policy.attempts} allowed"
            lost = [e for e in free if e.cause == "worker lost"]
            if lost and len(lost) > lost[-1].crash_limit + 1:
                yield f"step {step.name}, {phase}: took its worker with it {len(lost)} times"


def _phase(event: StepEvent) -> str:
    return "undo" if event.undo else "probe" if event.probe else "ask" if event.asking else "do"


def _runs_only_what_is_wanted(saga: SagaRecord) -> Iterator[str]:
    """A step with a condition runs only once that was met, and never once it was not."""
    for step in saga.definition.steps:
        told = [
            fact
            for fact in saga.facts[saga.moved_at :]
            if isinstance(fact, StepEvent) and fact.step == step.name
        ]
        met = [isinstance(fact, ConditionMet) for fact in told if fact.asking]
        ran = any(_phase(fact) != "ask" and not isinstance(fact, StepNotStarted) for fact in told)
        if step.when and ran and not (saga.moved_at or any(met)):
            yield f"step {step.name} ran though its condition was not met"
        if sum(isinstance(fact, ConditionMet | ConditionNotMet) for fact in told) > 1:
            yield f"the condition of step {step.name} was answered twice"


def _tells_time(saga: SagaRecord) -> Iterator[str]:
    """Times of a saga's history do not go back."""
    if any(later.at < earlier.at for earlier, later in pairwise(saga.events)):
        yield "times in its history go back"


def _holds_its_locks(saga: SagaRecord) -> Iterator[str]:
    """From its start, or once they were granted, to its end a saga holds what it locks; before, it waits for
    all of that; afterwards there is nothing, also while a parent takes back what had completed.
    """
    started = saga.facts[0]
    over = saga.status.is_terminal or saga.let_go_before_its_end
    targets = started.locks if isinstance(started, SagaStarted) and not over else ()
    held = None if saga.in_line else True
    wanted = [(target, held) for target in targets]
    found = sorted((lock.target, lock.held) for lock in saga.locks)
    if found != wanted:
        yield f"its locks (True: held, None: waited for) are {found}, by its history {wanted}"


CHECKS: tuple[Callable[[SagaRecord], Iterator[str]], ...] = (
    _folds_to_its_rows,
    _ends_as_its_steps_do,
    _hands_over_what_it_did,
    _is_never_lost,
    _keeps_the_order,
    _runs_only_what_is_wanted,
    _fences,
    _counts_attempts,
    _tells_time,
    _holds_its_locks,
)

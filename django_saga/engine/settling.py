"""Closing the rows of operators' actions once their effect is known.

A retry is done when the step has run again, a cancellation when the saga is undone. Both are read from the
history, which is only appended to: whoever reads it finds the same, so that several workers may look at once,
and no outcome costs anything for the few that an operator waits for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet

from django_saga.core.actions import Action
from django_saga.core.fingerprint import fingerprint
from django_saga.core.states import SagaStatus
from django_saga.models import SagaEvent, SagaInstance, SagaOperation
from django_saga.store import clock

_RETRIES: Final = {
    Action.RETRY_STEP: False,
    Action.RETRY_COMPENSATION: True,
}  # whether the compensation is meant
_BACK: Final = (Action.CANCEL, Action.COMPENSATE)
COMES_LATER: Final = frozenset({*_RETRIES, *_BACK})  # actions whose effect comes later
_AT_ONCE = 100
_ENDS = ("step_succeeded", "step_failed", "step_unknown")
_SETTLED = {
    "undo_skipped": "its compensation was skipped",
    "step_skipped": "it was skipped",
    "step_marked_done": "it was marked as done",
}
_Result = SagaOperation.Result


class Effect(NamedTuple):
    """What came of an action."""

    result: str
    detail: str


def settle(using: str) -> int:
    """Close what is open and whose effect is known; give how many."""
    closed, last = 0, None
    while True:
        found = _ripe(using).order_by("pk")
        page = list((found.filter(pk__gt=last) if last else found)[:_AT_ONCE])
        for row in page:
            closed += _close(using, row)
        if len(page) < _AT_ONCE:
            return closed
        last = page[-1].pk


def _ripe(using: str) -> QuerySet[SagaOperation]:
    """Give the open ones for which something happened that may be their effect: thousands may be open whose
    sagas wait for hours, and each worker looks every second.
    """
    later = SagaEvent.objects.filter(saga_id=OuterRef("saga_id"), pk__gt=OuterRef("since_event"))
    of_it = Q(step=OuterRef("step"), kind__in=[*_ENDS, *_SETTLED]) | Q(kind="migrated")
    at_rest = [status for status in SagaStatus if not status.is_live]
    over = [status for status in at_rest if status is not SagaStatus.STUCK]
    back = Q(action__in=_BACK, saga__status__in=at_rest)
    again = Q(action__in=list(_RETRIES)) & (Q(saga__status__in=over) | Exists(later.filter(of_it)))
    rows = SagaOperation.objects.using(using).filter(back | again, result=_Result.OPEN)
    return rows.select_related("saga").defer("saga__input", "saga__graph")


def _close(using: str, row: SagaOperation) -> int:
    known = effect(using, row)
    if known is None:
        return 0
    # Whoever is first; all found the same.
    still_open = SagaOperation.objects.using(using).filter(pk=row.pk, result=_Result.OPEN)
    return still_open.update(result=known.result, detail=known.detail, known_at=clock.now(using))


def effect(using: str, row: SagaOperation) -> Effect | None:
    """Give what came of an open action, as the history tells it; None while that is not known."""
    assert row.saga is not None
    if row.action in _BACK:
        return _of_turning_back(using, row.saga)
    since = SagaEvent.objects.using(using).filter(saga_id=row.saga_id, pk__gt=row.since_event)
    return _of_retry(using, row, row.saga, since.order_by("pk").iterator())


def _of_turning_back(using: str, saga: SagaInstance) -> Effect | None:
    status = SagaStatus(saga.status)
    if status.is_live:
        return None
    if status is SagaStatus.STUCK:
        dead = saga.steps.using(using).filter(status="undo_failed").order_by("pk").first()
        why = f": the compensation of {dead.name} is dead: {dead.error}" if dead else ""
        return Effect(_Result.FAILED, f"the saga is stuck{why}")
    return Effect(_Result.DONE, f"the saga is {status}")


def _of_retry(
    using: str, row: SagaOperation, saga: SagaInstance, since: Iterable[SagaEvent]
) -> Effect | None:
    step, undo = row.step, _RETRIES[Action(row.action)]
    for event in since:
        data = event.data if isinstance(event.data, dict) else {}
        if event.kind == "migrated":
            step = dict(data.get("renamed") or []).get(step, step)
        if event.step != step:
            continue
        if event.kind in _SETTLED:
            return Effect(_Result.FAILED, f"it did not run again: {_SETTLED[event.kind]}")
        if event.kind in _ENDS and bool(data.get("undo")) is undo and not data.get("asking"):
            return _of_attempt(using, row, event)
    if SagaStatus(saga.status).is_live or saga.status == SagaStatus.STUCK:
        return None
    return Effect(_Result.FAILED, f"it did not run again: the saga is {saga.status}")


def _of_attempt(using: str, row: SagaOperation, event: SagaEvent) -> Effect:
    if event.kind == "step_succeeded":
        return Effect(_Result.DONE, f"attempt {event.attempt} succeeded")
    before = (
        SagaEvent.objects.using(using)
        .filter(saga_id=row.saga_id, step=row.step, pk__lt=row.since_event, kind__in=_ENDS)
        .exclude(kind="step_succeeded")
        .order_by("-pk")
        .only("error_class", "error")
        .first()
    )
    how = "is unknown again" if event.kind == "step_unknown" else "failed again"
    if before is None or not event.error_class:
        told = ""
    elif fingerprint(event.error_class, event.error) == fingerprint(before.error_class, before.error):
        told = ", with the same error"
    else:
        told = ", with another error"
    said = f": {event.error_class}: {event.error}" if event.error_class else ""
    return Effect(_Result.FAILED, f"attempt {event.attempt} {how}{told}{said}")

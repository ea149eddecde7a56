"""Where a saga stands, in a few words: the step it is at, or why it turned back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_saga.core import lanes
from django_saga.core.spans import between, span
from django_saga.core.state import ASKING, PAST_PIVOT, PROBING
from django_saga.core.states import LIVE_STEP, SagaStatus, StepStatus
from django_saga.models import SagaInstance, SagaStep
from django_saga.observability import locking, waits
from django_saga.observability.locking import LockStory

# Steps a person wants to hear of in a list; those that succeeded, were undone or never began are left out.
_TELLING = sorted([*LIVE_STEP, StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.UNDO_FAILED])
_NAMED = 2
# A worker that is there claims a due step within moments.
_LATE = timedelta(seconds=10)


def telling_steps(using: str, sagas: Sequence[SagaInstance]) -> dict[UUID, list[SagaStep]]:
    """Give the steps of ``sagas`` that say where they stand, without payloads, in one query."""
    found: dict[UUID, list[SagaStep]] = defaultdict(list)
    wanted = [saga.pk for saga in sagas if saga.status != SagaStatus.COMPLETED]
    if not wanted:
        return found
    steps = SagaStep.objects.using(using).filter(saga_id__in=wanted, status__in=_TELLING)
    for step in steps.defer("result", "compensation_data", "undo_result", "error").order_by(
        "created_at", "name"
    ):
        found[step.saga_id].append(step)
    return found


def where(
    saga: SagaInstance, steps: Sequence[SagaStep], now: datetime, locks: Sequence[LockStory] = ()
) -> str:
    """Say where ``saga`` stands, from its ``telling_steps`` and the locks it may be ``waiting`` for."""
    if saga.status == SagaStatus.COMPLETED:
        return "; ".join(told for told in (why(saga), took(saga)) if told)
    if saga.status == SagaStatus.STUCK and saga.reason == PAST_PIVOT:
        return why(saga, steps)
    if saga.status == SagaStatus.STUCK:
        return _several(_dead(step) for step in steps if step.status == StepStatus.UNDO_FAILED)
    live = sorted((step for step in steps if step.status in LIVE_STEP), key=_running_first)
    if live:
        return _several(_live(step, now) for step in live)
    if saga.status == SagaStatus.PENDING:
        return _several(locking.words(story, now) for story in locks if not story.lock.held)
    return why(saga, steps)


def why(saga: SagaInstance, steps: Sequence[SagaStep] = ()) -> str:
    """Say why ``saga`` turned back, is held up, or did not end the usual way; nothing while all is well."""
    if not saga.culprit:
        return saga.reason
    at = _("%(reason)s at %(step)s") % {"reason": saga.reason, "step": saga.culprit}
    tried = [s.attempt for s in steps if s.name == saga.culprit and s.status == StepStatus.FAILED]
    return f"{at}, {_attempts(tried[0])}" if tried else at


def tried(step: SagaStep) -> str:
    """Say what an attempt of ``step`` is one of, as it stands: of its condition, its probe or itself."""
    if step.reason == ASKING:
        return _("condition")
    return _("probe") if step.reason == PROBING else _("attempt")


def took(saga: SagaInstance) -> str:
    """Say how long an ended ``saga`` took."""
    if saga.finished_at is None:
        return ""
    return _("took %(span)s") % {"span": span(between(saga.created_at, saga.finished_at))}


def _live(step: SagaStep, now: datetime) -> str:
    name = step.name
    if step.status in (StepStatus.UNDO_SCHEDULED, StepStatus.UNDOING):
        name = _("undo of %(step)s") % {"step": step.name}
    if step.status in (StepStatus.RUNNING, StepStatus.UNDOING):
        facts = {"step": name, "what": tried(step), "number": step.attempt}
        return _("%(step)s, %(what)s %(number)d") % facts
    due = step.due_at or now
    if not lanes.is_open(step.executor):
        return _("%(step)s, paused") % {"step": name}
    if told := waits.until(step, now):
        return f"{name}, {told}"
    if due > now:
        facts = {"step": name, "what": tried(step), "number": step.attempt + 1, "span": span(due - now)}
        return _("%(step)s, %(what)s %(number)d in %(span)s") % facts
    due = max(due, step.created_at)  # with priority it takes its place before it was there
    if now - due > _LATE:
        return _("%(step)s, due for %(span)s") % {"step": name, "span": span(now - due)}
    return _("%(step)s, due") % {"step": name}


def _dead(step: SagaStep) -> str:
    told = _("undo of %(step)s is dead") % {"step": step.name}
    return f"{told}, {_attempts(step.attempt)}"


def _attempts(number: int) -> str:
    return ngettext("%(number)d attempt", "%(number)d attempts", number) % {"number": number}


def _several(parts: Iterable[str]) -> str:
    told = list(parts)
    more = len(told) - _NAMED
    shown = "; ".join(told[:_NAMED])
    return f"{shown}; +{more}" if more > 0 else shown


def _running_first(step: SagaStep) -> bool:
    return step.status not in (StepStatus.RUNNING, StepStatus.UNDOING)

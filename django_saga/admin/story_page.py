"""What the pages of the admin show of a story: steps with their attempts, and the history, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_saga.admin import cells
from django_saga.admin.readonly import ReadOnlyAdmin
from django_saga.core import shapes
from django_saga.core.spans import between, span
from django_saga.core.state import OMITTED, UNDO_SKIPPED
from django_saga.core.states import CLAIMABLE_STEP, OWNED_STEP, SagaStatus, StepStatus
from django_saga.core.waits import WAITING
from django_saga.models import SagaEvent, SagaStep, SagaWorker
from django_saga.observability.standing import tried
from django_saga.observability.story import Attempt, StepStory, Story
from django_saga.observability.waits import until

_ATTEMPTS = 6
_SHAPES = {
    "step_succeeded": shapes.STEP[StepStatus.SUCCEEDED],
    "step_failed": shapes.STEP[StepStatus.FAILED],
    "step_unknown": shapes.STEP[StepStatus.UNKNOWN],
    "deadline_passed": shapes.SAGA[SagaStatus.COMPENSATING],
    "cancel_requested": shapes.SAGA[SagaStatus.COMPENSATING],
}
_NEUTRAL = shapes.TO_COME
_UNDO = (StepStatus.UNDO_SCHEDULED, StepStatus.UNDOING, StepStatus.UNDONE, StepStatus.UNDO_FAILED)


@dataclass
class StepLine:
    """A step as the page shows it; ``attempts`` and ``undo_attempts`` are sentences."""

    name: str
    url: str
    state: SafeString
    notes: list[str] = field(default_factory=list)
    now: list[SafeString | str] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    undo_name: str = ""
    undo_attempts: list[str] = field(default_factory=list)
    error: SafeString | str = ""
    result: SafeString | str = ""


@dataclass
class EventLine:
    """An event as the page shows it."""

    url: str
    at: SafeString | str
    what: SafeString
    step: str
    attempt: str
    took: str
    worker: SafeString | str
    error_class: str
    error: str


def step_lines(admin: ReadOnlyAdmin, told: Story, *, attempts: bool) -> list[StepLine]:
    """Give the steps of ``told`` in order; ``attempts``: with those the history tells of."""
    return [_step_line(admin, told, step, attempts) for step in told.steps]


def _step_line(admin: ReadOnlyAdmin, told: Story, step: StepStory, attempts: bool) -> StepLine:
    name, row = cells.short(step.node.name), step.row
    if row is None:
        word = _("to come") if told.is_to_come(step) else _("never began")
        if told.stands_by(step):
            word = _("stands by")
        return StepLine(name, "", cells.state(shapes.TO_COME, word), _notes(step))
    line = StepLine(name, admin.url(SagaStep, row.pk), cells.step_state(row), _notes(step))
    line.now = list(open_words(admin, row, told.workers, told.now))
    line.error = cells.block(row.error) if row.error else ""
    line.result = cells.data(row.result) if row.result is not None else ""
    if step.undo_attempts or row.status in _UNDO:
        line.undo_name = cells.short(step.node.compensation)
    if attempts:
        line.attempts = _attempts(step.attempts)
        line.undo_attempts = _attempts(step.undo_attempts)
    return line


def _notes(step: StepStory) -> list[str]:
    node = step.node
    notes = []
    if node.after:
        notes.append(_("after %(steps)s") % {"steps": cells.short(", ".join(node.after))})
    if node.atomic:
        notes.append(_("atomic"))
    if node.wait:
        notes.append(cells.short(node.wait))
    if node.pivot:
        notes.append(_("pivot"))
    if node.when:
        notes.append(_("when %(condition)s") % {"condition": cells.short(node.when)})
    if node.stands_in_for:
        notes.append(_("stands in for %(step)s") % {"step": cells.short(node.stands_in_for)})
    if node.queue != "default":
        notes.append(_("queue %(queue)s") % {"queue": cells.short(node.queue)})
    if step.row is not None and step.row.ran_in:
        notes.append(_("taken over"))
    if step.row is not None and step.row.partial and step.row.reason != WAITING:
        notes.append(_("handed over partial work"))
    return notes


def open_words(
    admin: ReadOnlyAdmin, row: SagaStep, workers: Mapping[UUID, SagaWorker], now: datetime
) -> Iterable[SafeString | str]:
    """Say what an open step waits for, or why a closed one was given up."""
    if row.status in OWNED_STEP and row.owner is not None:
        yield format_html(
            _("{} {} on worker {} since {}"),
            tried(row),
            row.attempt,
            worker_name(admin, row.owner, workers),
            cells.when(row.claimed_at, now),
        )
        yield format_html(_("lease until {}"), cells.when(row.due_at, now))
    elif told := until(row, now):
        yield told
    elif row.status in CLAIMABLE_STEP:
        yield format_html(_("{} {} due {}"), tried(row), row.attempt + 1, cells.when(row.due_at, now))
    elif row.reason == OMITTED:
        yield _("condition not met")
    elif row.reason == UNDO_SKIPPED:
        yield _("compensation skipped")
    elif row.reason:
        yield _("given up: %(reason)s") % {"reason": cells.short(row.reason)}
    if row.deadline_at and row.due_at:
        yield format_html(_("deadline {}"), cells.when(row.deadline_at, now))


def _attempts(attempts: list[Attempt]) -> list[str]:
    told = [_attempt(attempt) for attempt in attempts[-_ATTEMPTS:]]
    left_out = len(attempts) - len(told)
    return [_("… %(number)d earlier attempts") % {"number": left_out}, *told] if left_out else told


def _attempt(attempt: Attempt) -> str:
    event = attempt.event
    words = {
        "probe": _("probe %(number)d: %(ended)s"),
        "condition": _("condition %(number)d: %(ended)s"),
        "attempt": _("attempt %(number)d: %(ended)s"),
    }
    told = words[attempt.kind] % {"number": event.attempt, "ended": _ended(attempt.ended)}
    if attempt.cause:
        told += f" ({cells.short(attempt.cause)})"
    if attempt.took is not None:
        told += _(" in %(span)s") % {"span": span(attempt.took)}
    said = ": ".join(part for part in (event.error_class.rpartition(".")[2], event.error) if part)
    return f"{told}: {cells.short(said)}" if said else told


def _ended(word: str) -> str:
    return {
        "succeeded": _("succeeded"),
        "failed": _("failed"),
        "unknown": _("unknown"),
        "not started": _("not started"),
        "waits": _("waits"),
        "met": _("met"),
        "not met": _("not met"),
    }[word]


# --- history --------------------------------------------------------------------------------------


def event_lines(
    admin: ReadOnlyAdmin, events: Iterable[SagaEvent], workers: Mapping[UUID, SagaWorker], now: datetime
) -> list[EventLine]:
    """Give events as the page shows them."""
    return [
        EventLine(
            admin.url(SagaEvent, event.pk),
            cells.when(event.at, now),
            event_state(event),
            cells.short(event.step),
            str(event.attempt or ""),
            cells.length(event_took(event)) if event.started_at else "",
            worker_name(admin, event.worker, workers) if event.worker else "",
            cells.short(event.error_class.rpartition(".")[2]),
            cells.short(event.error, 300),
        )
        for event in events
    ]


def event_state(event: SagaEvent) -> SafeString:
    """Say what happened, with a sign."""
    return cells.state(_SHAPES.get(event.kind, _NEUTRAL), _event_words(event))


def _event_words(event: SagaEvent) -> str:
    data = event.data if isinstance(event.data, dict) else {}
    undo = data.get("undo") is True
    waits = data.get("waits") is True
    told = {
        "saga_started": _("saga started, waits for its locks") if waits else _("saga started"),
        "saga_forked": _("went on in place of another saga"),
        "saga_superseded": _("another saga went on in its place"),
        "step_succeeded": _("compensation succeeded") if undo else _("step succeeded"),
        "step_failed": _("compensation failed") if undo else _("step failed"),
        "step_unknown": _("compensation's outcome unknown") if undo else _("step's outcome unknown"),
        "step_not_started": _("step not started: no longer wanted"),
        "step_waits": _("compensation waits") if undo else _("step waits"),
        "condition_met": _("condition met"),
        "condition_not_met": _("condition not met: step skipped"),
        "deadline_passed": _("deadline passed"),
        "cancel_requested": _("cancelled"),
        "saga_paused": _("paused"),
        "saga_resumed": _("resumed"),
        "undo_retried": _("compensation to be tried again"),
        "undo_skipped": _("compensation skipped"),
        "step_retried": _("step to be tried again"),
        "step_skipped": _("step skipped"),
        "step_marked_done": _("step marked as done"),
        "compensate_requested": _("asked to compensate"),
        "locks_granted": _("got its locks"),
        "taken_back": _("taken back with its parent"),
        "migrated": _("went on as v%(version)s") % {"version": data.get("to_version")},
    }.get(event.kind, event.kind)
    cause = data.get("cause")
    return f"{told}: {cells.short(str(cause))}" if cause else told


def event_took(event: SagaEvent) -> timedelta | None:
    """Give how long the attempt ran, when that is known."""
    if event.started_at is None or event.ended_at is None:
        return None
    return between(event.started_at, event.ended_at)


def worker_name(admin: ReadOnlyAdmin, worker: UUID, workers: Mapping[UUID, SagaWorker]) -> SafeString | str:
    """Name a worker: host and process when its row is still there, with a link."""
    known = workers.get(worker)
    if known is None:
        return str(worker)[:8]
    return cells.link(admin.url(SagaWorker, worker), cells.short(str(known)))

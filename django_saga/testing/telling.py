"""A saga's story as text, for the message of a test that failed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from uuid import UUID

from django.db import Error

from django_saga.conf import get_settings
from django_saga.core.plain import one_line, plain
from django_saga.core.spans import span
from django_saga.core.state import ASKING, OMITTED
from django_saga.core.states import CLAIMABLE_STEP, OWNED_STEP
from django_saga.dsl.handle import Handle
from django_saga.exceptions import SagaNotFound
from django_saga.models import SagaInstance, SagaStep
from django_saga.observability import story
from django_saga.observability.standing import why
from django_saga.observability.story import Attempt, StepStory, Story
from django_saga.observability.waits import until
from django_saga.testing import plan

_EVENTS = 200
_SAGAS = 5


def saga_story(saga: Handle | UUID, *, using: str | None = None) -> str:
    """Tell what happened to ``saga`` (a handle or an id): its steps with their attempts, and the traceback of
    the last one that did not succeed.

    Raises ``SagaNotFound``.
    """
    key, using = _found(saga, using)
    try:
        row = SagaInstance.objects.using(using).select_related("definition").get(pk=key)
    except SagaInstance.DoesNotExist:
        raise SagaNotFound(f"There is no saga {key} in the database {using!r}.") from None
    return "\n".join(_lines(story.read(using, row, events=_EVENTS, tracebacks=True)))


def stories(sagas: Collection[UUID], using: str, *, unless_in: str = "") -> str:
    """Tell the stories of ``sagas`` that are not in the text ``unless_in``, of many only the first ones.

    Raises nothing when the database does not answer any more.
    """
    wanted = [saga for saga in sagas if not re.search(rf"Story of \S+ v\d+ {saga}", unless_in)]
    try:
        told = [saga_story(saga, using=using) for saga in wanted[:_SAGAS]]
    except (Error, SagaNotFound) as error:
        return f"The sagas' stories cannot be read any more: {error}"
    if len(wanted) > _SAGAS:
        told.append(f"… and {len(wanted) - _SAGAS} more sagas")
    return "\n\n".join(told)


def _found(saga: Handle | UUID, using: str | None) -> tuple[UUID, str]:
    if isinstance(saga, UUID):
        return saga, using or get_settings().database
    return saga.id, using or saga.using


def _lines(told: Story) -> Iterator[str]:
    saga = told.saga
    turned = why(saga, [step.row for step in told.steps if step.row])
    yield f"Story of {saga.definition} {saga.pk}: {saga.status}" + (f" ({plain(turned)})" if turned else "")
    for step in told.steps:
        yet = "to come" if told.is_to_come(step) else "never began"
        yield f"  {plain(step.node.name)}: {step.status.replace('_', ' ') or yet}"
        yield from _attempts(told, step)
    for turn in told.turns:
        if turn.kind != "saga_started":
            yield f"  {turn.kind.replace('_', ' ')}" + (f": {one_line(turn.error)}" if turn.error else "")
    errors = [event for event in told.events if event.traceback and not _is_planned(event.traceback)]
    if errors:
        yield f"The last error in its code, at {plain(errors[-1].step)}:"
        yield from (f"  {line}" for line in plain(errors[-1].traceback, lines=True).splitlines())


def _is_planned(traceback: str) -> bool:
    """True when the error was raised by the plan of a test."""
    places = [line for line in traceback.splitlines() if line.startswith('  File "')]
    return bool(places) and plan.__file__ in places[-1]


def _attempts(told: Story, step: StepStory) -> Iterator[str]:
    for attempt in (*step.attempts, *step.undo_attempts):
        what = (
            f"{attempt.kind} {attempt.event.attempt}"
            if attempt.kind != "attempt"
            else _what(attempt.undo, attempt.event.attempt)
        )
        yield f"    {what}: {_end(attempt)}"
    if step.row is not None:
        yield from _open(told, step.row)


def _open(told: Story, row: SagaStep) -> Iterator[str]:
    undo = row.status.startswith("undo")
    if row.due_at is None:
        if row.reason and row.reason != OMITTED:
            yield f"    given up: {plain(row.reason)}"
        return
    left = row.due_at - told.now
    when = f"in {span(left)}" if left.total_seconds() > 0 else "now"
    if words := until(row, told.now):
        yield f"    {words}"
    elif row.status in CLAIMABLE_STEP:
        what = "condition" if row.reason == ASKING else _what(undo, row.attempt + 1)
        yield f"    {what}: due {when}"
    elif row.status in OWNED_STEP:
        yield f"    {_what(undo, row.attempt)}: in flight, its lease ends {when}"


def _what(undo: bool, number: int) -> str:
    return f"{'undo, ' if undo else ''}attempt {number}"


def _end(attempt: Attempt) -> str:
    event = attempt.event
    # What has no error of its own has its cause for one, and the message begins with the cause.
    kind = "" if event.error_class == attempt.cause else event.error_class
    return ": ".join([attempt.ended, *(plain(part) for part in (kind, one_line(event.error)) if part)])

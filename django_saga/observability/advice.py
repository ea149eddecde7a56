"""What a person can do about a saga that does not come on by itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_saga.core.plain import one_line, plain
from django_saga.core.spans import span
from django_saga.core.state import PAST_PIVOT
from django_saga.core.states import CLAIMABLE_STEP, OWNED_STEP, SagaStatus, StepStatus
from django_saga.dsl.registry import registry
from django_saga.exceptions import UnknownSaga
from django_saga.models import SagaStep
from django_saga.observability.story import StepStory, Story

# Workers look for due steps every second or so, and for dead workers' steps as often.
_LATE = timedelta(seconds=10)
_FAILED = (StepStatus.FAILED, StepStatus.UNKNOWN)


class Advice(NamedTuple):
    """A sentence or two, and code that helps (empty: none); both harmless to show."""

    text: str
    code: str = ""


def advice(story: Story) -> list[Advice]:
    """Give what to know and do about ``story``; nothing when all is well or over, or it is of the past."""
    if story.past:
        return []
    if story.saga.status == SagaStatus.STUCK:
        tell = _held_up if story.saga.reason == PAST_PIVOT else _dead
        return [*(tell(story, step) for step in dead_steps(story)), *_kept(story)]
    if not SagaStatus(story.saga.status).is_live:
        return []
    return [
        *_unregistered(story),
        *_barred(story),
        *_uncalled(story),
        *_paused(story),
        *_asked(story),
        *(found for step in story.steps if step.row for found in _late(story, step.row)),
    ]


def dead_steps(story: Story) -> list[StepStory]:
    """Give the steps of a stuck saga that it waits for a person about: dead themselves past its pivot, else
    by their compensations.
    """
    if story.saga.reason != PAST_PIVOT:
        return [step for step in story.steps if step.status == StepStatus.UNDO_FAILED]
    replaced = {step.node.stands_in_for for step in story.steps if step.row}
    failed = [step for step in story.steps if step.status in _FAILED]
    return [step for step in failed if step.node.name not in replaced]


def _dead(story: Story, step: StepStory) -> Advice:
    assert step.row is not None
    count = ngettext("%(number)d attempt", "%(number)d attempts", step.row.attempt) % {
        "number": step.row.attempt
    }
    facts = {
        "compensation": step.node.compensation or _("the compensation"),
        "step": step.row.name,
        "count": count,
        "reason": step.row.reason,
    }
    told = _("%(compensation)s, which undoes %(step)s, is dead after %(count)s (%(reason)s)") % facts
    if step.row.error:
        told = f"{told}: {one_line(step.row.error)}"
    todo = _(
        "Mend the cause, then have it tried again. "
        "What it would have undone still stands until then. If it was undone by hand, or is to stay, "
        "operations.skip_compensation() says so."
    )
    return Advice(plain(f"{told.rstrip('.')}. {todo}"), _retry(story, step.row.name))


def _held_up(story: Story, step: StepStory) -> Advice:
    assert step.row is not None
    facts = {"step": step.row.name, "status": step.row.status, "reason": step.row.reason}
    told = _("%(step)s is %(status)s for good (%(reason)s), and the saga is past its pivot") % facts
    if step.row.error:
        told = f"{told}: {one_line(step.row.error)}"
    todo = _(
        "Mend the cause and have it tried again; or have it skipped by operations.skip_step(), done by "
        "mark_done() with the result it should have had, or the saga undone by saga_compensate."
    )
    return Advice(plain(f"{told.rstrip('.')}. {todo}"), _retry(story, step.row.name))


def _retry(story: Story, step: str) -> str:
    using = story.saga._state.db
    more = f" --database {using}" if using not in (None, "default") else ""
    return f"./manage.py saga_retry {story.saga.pk} {shlex.quote(plain(step))} --reason …{more}"


def _kept(story: Story) -> Iterator[Advice]:
    if targets := ", ".join(told.lock.target for told in story.locks if told.lock.held):
        said = _("Until then it keeps its locks: %(targets)s. Sagas that ask for one are refused, or wait.")
        yield Advice(plain(said % {"targets": targets}))


def _barred(story: Story) -> Iterator[Advice]:
    for told in story.locks:
        if told.holder is not None and told.holder.status == SagaStatus.STUCK:
            facts = {"target": told.lock.target, "saga": told.holder.name, "id": told.holder.pk}
            said = _(
                "%(target)s is held by saga %(saga)s %(id)s, which is stuck: it waits until a person has "
                "brought that one to its end."
            )
            yield Advice(plain(said % facts))


def _uncalled(story: Story) -> Iterator[Advice]:
    waits = [told for told in story.locks if not told.lock.held]
    if not waits or any(told.holder or told.ahead for told in waits):
        return
    late = story.now - max(told.lock.since for told in waits)
    if late > _LATE:
        facts = {"span": span(late), "targets": plain(", ".join(told.lock.target for told in waits))}
        yield Advice(
            _(
                "It has waited for %(span)s, what it waits for (%(targets)s) is free, and no worker has let "
                "it in: does a saga_worker run that knows this saga?"
            )
            % facts
        )


def _unregistered(story: Story) -> Iterator[Advice]:
    definition = story.saga.definition
    try:
        registry.get(definition.name, definition.version)
    except UnknownSaga:
        facts = {"saga": plain(str(definition))}
        yield Advice(
            _(
                "The code of this process has no saga %(saga)s, and workers leave alone what they do not "
                "know. Keep the class in a sagas.py until its last saga has ended."
            )
            % facts
        )


def _paused(story: Story) -> Iterator[Advice]:
    named = [gate for gate in story.gates if gate.paused_at]
    ways = [f'saga="{story.saga.pk}"'] if story.saga.paused_at else []
    for gate in named:
        way = f"definition={json.dumps(gate.saga)}"
        ways.append(f"{way}, step={json.dumps(gate.step)}" if gate.step else way)
    if ways:
        using = story.saga._state.db
        more = f", using={json.dumps(using)}" if using not in (None, "default") else ""
        calls = [f'operations.resume({way}, by="…", why="…"{more})' for way in ways]
        yield Advice(
            _("Paused by an operator. When it may go on, in “manage.py shell”:"),
            "\n".join(["from django_saga import operations", *calls]),
        )


def _asked(story: Story) -> Iterator[Advice]:
    for step in story.steps:
        row = step.row
        if row is not None and row.status == StepStatus.WAITING and row.waits_for.startswith("approval:"):
            told = _("%(step)s %(waits)s. Who has that permission decides, by operations.approve() or:")
            using = story.saga._state.db
            more = f" --database {using}" if using not in (None, "default") else ""
            yield Advice(
                plain(told % {"step": row.name, "waits": step.node.wait}),
                plain(f"./manage.py saga_approve {story.saga.pk} {row.name} --user … [--reject]{more}"),
            )


def _late(story: Story, row: SagaStep) -> Iterator[Advice]:
    # With priority it takes its place before it was there.
    late = story.now - max(row.due_at or story.now, row.created_at)
    if late <= _LATE or story.waits_for(row):
        return
    facts = {"step": plain(row.name), "span": span(late), "queue": plain(row.queue)}
    if row.status in CLAIMABLE_STEP:
        yield Advice(
            _(
                "%(step)s has been due for %(span)s and no worker has taken it: does a saga_worker run "
                "that serves the queue “%(queue)s” and knows this saga, and has it threads left?"
            )
            % facts
        )
    elif row.status in OWNED_STEP:
        yield Advice(
            _(
                "The lease on %(step)s ran out %(span)s ago: its worker is gone, and the next one to look "
                "takes the step over. Does a saga_worker run?"
            )
            % facts
        )

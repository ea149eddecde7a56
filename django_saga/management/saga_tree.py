"""The tree of ``saga_show``: the saga, its steps in order with their attempts, and what a person can do."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from uuid import UUID

from django_saga.core import shapes
from django_saga.core.plain import one_line, plain
from django_saga.core.spans import between, span
from django_saga.core.state import OMITTED, UNDO_SKIPPED
from django_saga.core.states import CLAIMABLE_STEP, OWNED_STEP, StepStatus
from django_saga.core.waits import WAITING
from django_saga.management.terminal import Terminal, ago, clock_time
from django_saga.models import SagaEvent, SagaInstance, SagaStep
from django_saga.observability import families, guarded
from django_saga.observability.advice import advice
from django_saga.observability.locking import LockStory, words
from django_saga.observability.standing import took, tried, why
from django_saga.observability.story import Attempt, StepStory, Story
from django_saga.observability.waits import until

_SHOWN_INPUT = 2_000
_FIRST, _LAST = 2, 8
_UNDO = (StepStatus.UNDO_SCHEDULED, StepStatus.UNDOING, StepStatus.UNDONE, StepStatus.UNDO_FAILED)
_TURNS = {
    "cancel_requested": "cancelled",
    "deadline_passed": "turned back: its deadline passed",
    "saga_forked": "went on in place of another saga",
    "saga_superseded": "another saga went on in its place",
    "saga_paused": "paused",
    "saga_resumed": "resumed",
    "undo_retried": "an operator had the compensation tried again",
    "undo_skipped": "an operator skipped the compensation",
    "step_retried": "an operator had the step tried again",
    "step_skipped": "an operator skipped the step",
    "step_marked_done": "an operator marked the step as done",
    "compensate_requested": "turned back at an operator's request",
    "locks_granted": "got its locks",
    "taken_back": "taken back: the step that started it is undone",
    "migrated": "went on by another version",
}
_FORKS = ("saga_forked", "saga_superseded")


class Tree:
    """Draws one story on one terminal. ``tracebacks``: stored tracebacks are shown, and errors in full."""

    def __init__(self, story: Story, terminal: Terminal, *, tracebacks: bool) -> None:
        self.story = story
        self.terminal = terminal
        self.tracebacks = tracebacks

    def lines(self) -> Iterator[str]:
        """Give the lines."""
        yield from self._head()
        yield ""
        yield self.terminal.strong("Steps")
        steps = self.story.steps
        for number, step in enumerate(steps):
            last = number == len(steps) - 1
            yield f"{'└─' if last else '├─'} {self._step_head(step)}"
            yield from _indent(self._branch(list(self._below(step))), "   " if last else "│  ")
        if self.story.left_out:
            yield "Older events of a long history were not read; the admin has them all."
        if told := list(self._turns()):
            yield from ("", self.terminal.strong("Turns"), *told)
        if found := advice(self.story):
            yield from ("", self.terminal.strong("What to do"))
            for item in found:
                yield from textwrap.wrap(item.text, self.terminal.width or 110)
                yield from (f"    {line}" for line in item.code.splitlines())

    # --- the saga ---------------------------------------------------------------------------------

    def _head(self) -> Iterator[str]:
        saga, now = self.story.saga, self.story.now
        shape = shapes.of_saga(saga.status)
        status = self.terminal.paint(shape, f"{self.terminal.bare_sign(shape)} {saga.status}")
        yield f"{status}  {plain(str(saga.definition))}  {saga.pk}"
        if self.story.past:
            yield f"  as of     {clock_time(now)}"
        if said := why(saga, [step.row for step in self.story.steps if step.row]):
            yield f"  why       {plain(said)}"
            yield from (f"            {line}" for line in self._fault(saga.culprit))
        if parent := self.story.parent:
            item = "" if parent.item is None else f" for item {parent.item}"
            yield f"  parent    {plain(parent.name)} {parent.saga_id}, step {plain(parent.step)}{item}"
        if saga.idempotency_key:
            yield f"  key       {plain(saga.idempotency_key)}"
        if saga.forked_from:
            yield f"  fork of   {saga.forked_from}"
        if saga.superseded_by:
            yield f"  fork      {saga.superseded_by}, which goes on in its place"
        yield f"  started   {clock_time(saga.created_at)} ({ago(saga.created_at, now)})"
        if saga.deadline_at:
            yield f"  deadline  {clock_time(saga.deadline_at)} ({ago(saga.deadline_at, now)})"
        if saga.finished_at:
            yield f"  ended     {clock_time(saga.finished_at)} ({took(saga)})"
        for number, story in enumerate(self.story.locks):
            yield f"  {'' if number else 'locks':<8}  {plain(self._lock(story))}"
        yield from self._input(saga)

    def _lock(self, story: LockStory) -> str:
        now = self.story.now
        since = f"since {clock_time(story.lock.since)} ({ago(story.lock.since, now)})"
        if story.lock.held:
            return f"holds {story.lock.target} {since}"
        return words(story, now) if story.lock.since > now else f"{words(story, now)}, {since}"

    def _fault(self, culprit: str) -> Iterator[str]:
        """Say what the step at fault said last, before anything was undone."""
        attempts = [
            attempt for step in self.story.steps if step.node.name == culprit for attempt in step.attempts
        ]
        if attempts and attempts[-1].event.error:
            yield one_line(attempts[-1].event.error)

    def _input(self, saga: SagaInstance) -> Iterator[str]:
        short = json.dumps(saga.input, ensure_ascii=False)
        if len(short) <= 90:
            yield f"  input     {plain(short)}"
            return
        text = json.dumps(saga.input, ensure_ascii=False, indent=2)
        yield "  input"
        for line in text[:_SHOWN_INPUT].splitlines():
            yield f"    {plain(line)}"
        if len(text) > _SHOWN_INPUT:
            yield f"    … {len(text) - _SHOWN_INPUT:,} more characters; --json gives them all"

    def _turns(self) -> Iterator[str]:
        for event in self.story.turns:
            if event.kind in _TURNS:
                said = f": {one_line(event.error)}" if event.error else ""
                of = "at" if event.kind in _FORKS else "of"
                step = f" {of} {plain(event.step)}" if event.step else ""
                yield f"  {clock_time(event.at)}  {_TURNS[event.kind]}{step}{_route(event)}{said}"

    # --- a step -----------------------------------------------------------------------------------

    def _step_head(self, step: StepStory) -> str:
        shape = shapes.of_step(step.status)
        yet = "to come" if self.story.is_to_come(step) else "never began"
        if self.story.stands_by(step):
            yet = "stands by"
        word = step.status.replace("_", " ") or yet
        if step.row and step.row.reason == OMITTED:
            word += f": {OMITTED}"
        notes = [f"after {', '.join(map(plain, step.node.after))}"] if len(step.node.after) > 1 else []
        notes += ["atomic"] if step.node.atomic else []
        notes += [step.node.wait] if step.node.wait else []
        notes += ["pivot"] if step.node.pivot else []
        notes += [f"when {plain(step.node.when)}"] if step.node.when else []
        notes += [f"stands in for {plain(step.node.stands_in_for)}"] if step.node.stands_in_for else []
        notes += [f"queue {plain(step.node.queue)}"] if step.node.queue != "default" else []
        if step.row and step.row.ran_in:
            notes.append("taken over")
        if step.row and step.row.partial and step.row.reason != WAITING:
            notes.append("handed over partial work")
        sign = f"{self.terminal.bare_sign(shape)} {plain(step.node.name)}"
        return f"{self.terminal.paint(shape, sign)}  {word}" + (f"  ({'; '.join(notes)})" if notes else "")

    def _below(self, step: StepStory) -> Iterator[list[str]]:
        """Give the items beneath a step, each as its lines."""
        row = step.row
        undoing = row is not None and row.status in _UNDO
        yield from self._attempts(step.attempts)
        if found := self.story.children.get(step.node.name):
            yield from ([plain(line)] for line in families.lines(found))
        if row is not None and not undoing:
            yield from self._open(row)
        if row is not None and row.result is not None:
            yield [f"result {one_line(json.dumps(row.result, ensure_ascii=False), 160)}"]
        if row is not None and row.compensation_data is not None:
            yield [f"data to undo it {one_line(json.dumps(row.compensation_data, ensure_ascii=False), 160)}"]
        if effect := self.story.effects.get(step.node.name):
            yield [f"{guarded.words(effect)}, {clock_time(effect.changed_at)}"]
        if undoing or step.undo_attempts:
            below = list(self._attempts(step.undo_attempts))
            if row is not None and undoing:
                below += self._open(row)
            if row is not None and row.undo_result is not None:
                below.append([f"result {one_line(json.dumps(row.undo_result, ensure_ascii=False), 160)}"])
            yield [f"compensation {plain(step.node.compensation)}".rstrip(), *self._branch(below)]

    def _open(self, row: SagaStep) -> Iterator[list[str]]:
        """Say what an open step waits for, or why a closed one was given up."""
        now = self.story.now
        if row.status in OWNED_STEP:
            since = f"since {span(between(row.claimed_at, now))}" if row.claimed_at else ""
            told = f"{tried(row)} {row.attempt}: running on {self._worker(row.owner)} {since}".rstrip()
            lease = (
                f"lease until {clock_time(row.due_at)} ({ago(row.due_at, now)})" if row.due_at else "no lease"
            )
            yield [told if self.story.past else f"{told}, {lease}"]
        elif told := until(row, now):
            yield [told]
            yield from ([f"waits: {one_line(why)}"] for why in self.story.waits_for(row))
        elif row.status in CLAIMABLE_STEP and row.due_at:
            again = f"next {tried(row)}" if row.attempt else tried(row)
            yield [f"{again} {row.attempt + 1}: due {clock_time(row.due_at)} ({ago(row.due_at, now)})"]
            yield from ([f"waits: {one_line(told)}"] for told in self.story.waits_for(row))
        elif row.reason == UNDO_SKIPPED:
            yield [row.reason]
        elif row.reason and row.reason != OMITTED:
            yield [f"given up: {plain(row.reason)}"]
        if row.deadline_at and row.due_at:
            yield [f"deadline of the step {clock_time(row.deadline_at)} ({ago(row.deadline_at, now)})"]

    def _attempts(self, attempts: Sequence[Attempt]) -> Iterator[list[str]]:
        left_out = len(attempts) - _FIRST - _LAST
        if left_out < 2 or self.tracebacks:
            yield from (self._attempt(attempt) for attempt in attempts)
            return
        yield from (self._attempt(attempt) for attempt in attempts[:_FIRST])
        yield [f"… {left_out:,} more attempts, shown by --traceback and --json"]
        yield from (self._attempt(attempt) for attempt in attempts[-_LAST:])

    def _attempt(self, attempt: Attempt) -> list[str]:
        event = attempt.event
        told = f"{attempt.kind} {event.attempt}: {attempt.ended}"
        if attempt.cause:
            told += f" ({plain(attempt.cause)})"
        if attempt.took is not None:
            told += f" in {span(attempt.took)}"
        if event.worker:
            told += f", {self._worker(event.worker)}"
        told += f", {clock_time(event.at)}"
        return [told, *(f"  {line}" for line in self._error(event))]

    def _error(self, event: SagaEvent) -> Iterator[str]:
        name = plain(event.error_class)
        if not self.tracebacks:
            if event.error or name:
                yield ": ".join(part for part in (name, one_line(event.error)) if part)
            return
        lines = plain(event.error, lines=True).splitlines() or [""]
        if event.error or name:
            yield ": ".join(part for part in (name, lines[0]) if part)
            yield from lines[1:]
        yield from plain(event.traceback, lines=True).splitlines()

    def _worker(self, worker: UUID | None) -> str:
        if worker is None:
            return "no worker"
        known = self.story.workers.get(worker)
        return f"worker {str(worker)[:8]}" + (f" ({plain(known.host)}:{known.pid})" if known else "")

    def _branch(self, items: Sequence[Sequence[str]]) -> list[str]:
        lines: list[str] = []
        for number, item in enumerate(items):
            last = number == len(items) - 1
            lines.append(f"{'└─' if last else '├─'} {item[0]}")
            lines += _indent(item[1:], "   " if last else "│  ")
        return lines


def _route(event: SagaEvent) -> str:
    """Say from which version to which, of a migration, and which steps have other names now."""
    data = event.data if isinstance(event.data, dict) else {}
    if event.kind != "migrated":
        return ""
    names = "".join(f", {plain(str(old))} → {plain(str(new))}" for old, new in data.get("renamed") or [])
    return f": v{data.get('from_version')} → v{data.get('to_version')}{names}"


def _indent(lines: Sequence[str] | Iterator[str], margin: str) -> list[str]:
    return [margin + line for line in lines]

"""The story of one saga: its steps in order, those to come included, each with the attempts it had."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django_saga.core.outline import Node, of_saga, ordered
from django_saga.core.spans import between
from django_saga.core.states import LIVE_STEP, OWNED_STEP, SagaStatus, StepStatus
from django_saga.models import SagaEffect, SagaEvent, SagaGate, SagaInstance, SagaStep, SagaWorker
from django_saga.observability import families, guarded, locking, waits
from django_saga.observability.families import Children, Parent
from django_saga.observability.locking import LockStory
from django_saga.store import clock

_ENDS = {
    "step_succeeded": "succeeded",
    "step_failed": "failed",
    "step_unknown": "unknown",
    "step_not_started": "not started",
    "step_waits": "waits",
    "condition_met": "met",
    "condition_not_met": "not met",
}
_GIVEN_UP = (StepStatus.FAILED, StepStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. ``ended`` is succeeded, failed, unknown, not started or, for a look that found nothing,
    waits; of a condition met or not met. ``cause`` says why unknown.
    """

    event: SagaEvent
    ended: str
    undo: bool
    cause: str = ""

    @property
    def of_probe(self) -> bool:
        """True when not the step ran, but its probe."""
        return bool((self.event.data or {}).get("probe"))

    @property
    def of_condition(self) -> bool:
        """True when not the step ran, but its condition was asked."""
        return self.event.kind.startswith("condition_") or bool((self.event.data or {}).get("asking"))

    @property
    def kind(self) -> str:
        """What was attempted: ``attempt`` of the step or its compensation, ``probe`` or ``condition``."""
        return "probe" if self.of_probe else "condition" if self.of_condition else "attempt"

    @property
    def took(self) -> timedelta | None:
        """How long the step's function ran, when that is known."""
        if self.event.started_at is None or self.event.ended_at is None:
            return None
        return between(self.event.started_at, self.event.ended_at)


@dataclass(slots=True)
class StepStory:
    """One step; ``row`` is None while it was never opened."""

    node: Node
    row: SagaStep | None = None
    attempts: list[Attempt] = field(default_factory=list)
    undo_attempts: list[Attempt] = field(default_factory=list)

    @property
    def status(self) -> str:
        """Its status; empty while it was never opened."""
        return self.row.status if self.row else ""

    @property
    def is_open(self) -> bool:
        """True while it waits or runs."""
        return self.status in LIVE_STEP


@dataclass(slots=True)
class Story:
    """A saga as it stood at ``now``. ``events``: what was read of the history; ``left_out``: more exists.

    ``past``: it was read of an earlier time.
    """

    saga: SagaInstance
    steps: list[StepStory]
    events: list[SagaEvent]
    workers: dict[UUID, SagaWorker]
    now: datetime
    left_out: bool = False
    locks: list[LockStory] = field(default_factory=list)
    past: bool = False
    gates: list[SagaGate] = field(default_factory=list)
    parent: Parent | None = None
    children: dict[str, Children] = field(default_factory=dict)  # by step
    effects: dict[str, SagaEffect] = field(default_factory=dict)  # guarded ones, by step

    @property
    def turns(self) -> list[SagaEvent]:
        """Events that ended no attempt: the start, a cancellation, a deadline, an operator's word."""
        return [event for event in self.events if event.kind not in _ENDS]

    def waits_for(self, row: SagaStep) -> list[str]:
        """Say what holds back ``row`` beside its time."""
        return waits.held_by(self.saga, row, self.gates, self.now)

    def stands_by(self, step: StepStory) -> bool:
        """True while ``step`` may yet have to stand in for another one."""
        main = next((each for each in self.steps if each.node.name == step.node.stands_in_for), None)
        return main is not None and step.row is None and (main.is_open or self.is_to_come(main))

    def is_to_come(self, step: StepStory) -> bool:
        """True while ``step``, which was never opened, may still be: nothing it waits for was given up."""
        if self.saga.status not in (SagaStatus.PENDING, SagaStatus.RUNNING):
            return False
        barred: set[str] = set()
        for each in self.steps:  # those before a step come before it
            if each.status == "" and each.node.stands_in_for:
                barred.add(each.node.name)  # unless it has been opened, nobody counts on it
            elif each.status in _GIVEN_UP or barred.intersection(each.node.after):
                barred.add(each.node.name)
        return step.node.name not in barred


def read(
    using: str, saga: SagaInstance, *, events: int, tracebacks: bool = False, payloads: bool = True
) -> Story:
    """Read the story of ``saga`` in four queries, with at most ``events`` of its newest events; in one more
    for effects that are guarded, two if it may have locks, and one while a step waits.
    """
    steps = SagaStep.objects.using(using).filter(saga_id=saga.pk)
    history = SagaEvent.objects.using(using).filter(saga_id=saga.pk)
    if not payloads:
        steps = steps.defer("result", "compensation_data", "undo_result")
    if not tracebacks:
        history = history.defer("traceback")
    rows = list(steps.order_by("pk"))
    told = list(history.order_by("-pk")[: events + 1])
    left_out = len(told) > events
    told = told[:events][::-1]
    nodes = of_saga(saga.definition.graph, saga.graph)
    story = assemble(using, saga, nodes, rows, told, clock.now(using), left_out=left_out)
    if locking.takes_locks(saga):
        story.locks = locking.of_one(using, saga.pk)
    story.gates = waits.gates(using, saga, rows)
    story.parent = families.parent(using, saga)
    starting = {node.name for node in nodes if node.starts}
    atomic = {node.name for node in nodes if node.atomic}
    story.effects = guarded.of_steps(using, saga, [row for row in rows if row.name not in atomic])
    story.children = {row.name: families.children(using, row) for row in rows if row.name in starting}
    return story


def assemble(
    using: str,
    saga: SagaInstance,
    nodes: Sequence[Node],
    rows: Sequence[SagaStep],
    told: list[SagaEvent],
    now: datetime,
    *,
    left_out: bool,
    past: bool = False,
) -> Story:
    """Put a story together from the saga's graph, its steps' rows and its history."""
    steps, workers = _steps(nodes, rows, told), _workers(using, rows, told)
    return Story(saga, steps, told, workers, now, left_out, past=past)


def _steps(nodes: Sequence[Node], rows: Iterable[SagaStep], told: Iterable[SagaEvent]) -> list[StepStory]:
    stories = {node.name: StepStory(node) for node in ordered(nodes)}
    for row in rows:
        # A row that the graph does not know is shown all the same: it is what happened.
        story = stories.setdefault(row.name, StepStory(Node(row.name, queue=row.queue)))
        story.row = row
    for event, name in _by_todays_name(list(told)):
        if event.kind not in _ENDS:
            continue
        data = event.data if isinstance(event.data, dict) else {}
        attempt = Attempt(event, _ENDS[event.kind], bool(data.get("undo")), str(data.get("cause") or ""))
        story = stories.setdefault(name, StepStory(Node(name)))
        (story.undo_attempts if attempt.undo else story.attempts).append(attempt)
    return list(stories.values())


def _by_todays_name(told: Sequence[SagaEvent]) -> list[tuple[SagaEvent, str]]:
    """Give events with the names their steps have today: a migration may have renamed them since."""
    names: dict[str, str] = {}
    found = []
    for event in reversed(told):
        found.append((event, names.get(event.step, event.step)))
        if event.kind == "migrated" and isinstance(event.data, dict):
            names |= {old: names.get(new, new) for old, new in event.data.get("renamed") or []}
    return found[::-1]


def _workers(using: str, rows: Iterable[SagaStep], told: Iterable[SagaEvent]) -> dict[UUID, SagaWorker]:
    ids = {row.owner for row in rows if row.status in OWNED_STEP} | {event.worker for event in told}
    return SagaWorker.objects.using(using).in_bulk([worker for worker in ids if worker])

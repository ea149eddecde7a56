"""Whether this code fits the sagas in flight, whether workers serve them, and whether all locks are theirs.

Reads rows of sagas in flight only, by their index, however many have ended, and of those they started.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count

from django_saga.conf import get_settings
from django_saga.core.difference import Change, changes
from django_saga.core.states import SagaStatus
from django_saga.core.stored import from_data, to_data
from django_saga.dsl.program import Program
from django_saga.dsl.registry import registry
from django_saga.exceptions import UnknownSaga
from django_saga.models import SagaDefinition, SagaLock, SagaStep, SagaWorker
from django_saga.store import clock, in_flight

SAME, CHANGED, MISSING = "same", "changed", "missing"
_SHOWN = 100  # orphaned locks, of which there are none


class Left(NamedTuple):
    """Steps of sagas in flight that the code no longer has: how many of that name are in a status."""

    step: str
    status: str
    number: int


@dataclass(slots=True)
class Version:
    """A version of a saga with sagas in flight: what the code has of it, and who serves it.

    ``code`` is same, changed (another graph under this version) or missing. ``unserved``: queues of its steps
    that no worker serves; all of them when no worker announces the version.
    """

    name: str
    version: int
    counts: dict[str, int]
    since: datetime
    code: str = SAME
    changes: list[Change] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    workers: int = 0
    unserved: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Wrong(NamedTuple):
    """One thing that is wrong: ``kind`` is invalid, changed, missing, unserved or orphaned (a lock is)."""

    kind: str
    saga: str
    message: str
    hint: str


@dataclass(slots=True)
class Fit:
    """What was found at ``now``."""

    versions: list[Version]
    wrong: list[Wrong]
    now: datetime

    @property
    def fits(self) -> bool:
        """True when this code carries every saga in flight."""
        return all(wrong.kind in ("unserved", "orphaned") for wrong in self.wrong)

    @property
    def served(self) -> bool:
        """True when workers that are there carry every saga in flight."""
        return all(wrong.kind != "unserved" for wrong in self.wrong)

    @property
    def orphaned(self) -> bool:
        """True when a saga that has ended holds a lock, or stands in line for one."""
        return any(wrong.kind == "orphaned" for wrong in self.wrong)


def look(using: str) -> Fit:
    """Compare the registered sagas with those in flight in the database ``using``."""
    now = clock.now(using)
    workers = _workers(using, now)
    versions = [_version(using, row, workers) for row in _in_flight(using)]
    versions.sort(key=lambda version: (version.name, version.version))
    wrong = [
        *_invalid(),
        *(found for version in versions for found in _judge(version)),
        *_orphans(using),
    ]
    return Fit(versions, wrong, now)


# --- what there is --------------------------------------------------------------------------------


class _Row(NamedTuple):
    definition: SagaDefinition
    counts: dict[str, int]
    since: datetime


def _in_flight(using: str) -> list[_Row]:
    found: dict[int, list[in_flight.Counted]] = defaultdict(list)
    for counted in (*in_flight.counted(using), *in_flight.counted_not_settled(using)):
        found[counted.definition_id].append(counted)
    rows = SagaDefinition.objects.using(using).only("name", "version", "fingerprint", "graph").in_bulk(found)
    return [
        _Row(rows[key], _by_status(counts), min(each.since for each in counts))
        for key, counts in found.items()
    ]


def _by_status(counts: Sequence[in_flight.Counted]) -> dict[str, int]:
    numbers: Counter[str] = Counter()
    for each in counts:
        numbers[each.status] += each.number
    return dict(numbers)


def _workers(using: str, now: datetime) -> list[tuple[Sequence[str], Sequence[str]]]:
    """Give what each worker that is there serves: queues and definitions."""
    patience = max(get_settings().lease, timedelta(seconds=10)) * 2
    rows = SagaWorker.objects.using(using).filter(seen_at__gte=now - patience, state=SagaWorker.State.RUNNING)
    return list(rows.values_list("queues", "definitions"))


def _version(using: str, row: _Row, workers: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Version:
    definition = row.definition
    found = Version(definition.name, definition.version, row.counts, row.since)
    queues: set[str] = set()
    for served, announced in workers:
        if str(definition) in announced:
            found.workers += 1
            queues.update(served)
    found.unserved = sorted(_queues(definition) - queues)
    try:
        program = registry.get(definition.name, definition.version)
    except UnknownSaga:
        found.code = MISSING
        return found
    if program.definition.fingerprint != definition.fingerprint:
        found.code = CHANGED
        found.changes = _changes(definition, program)
        found.left = _left(using, definition, [c.step for c in found.changes if c.what == "removed"])
    return found


def _queues(row: SagaDefinition) -> set[str]:
    steps = row.graph.get("steps") if isinstance(row.graph, Mapping) else None
    return {str(step.get("queue") or "default") for step in steps or [] if isinstance(step, Mapping)}


def _changes(row: SagaDefinition, program: Program) -> list[Change]:
    try:
        from_data(row.name, row.version, row.graph)
    except ValueError as error:
        return [Change("", str(error))]
    return changes(row.graph, to_data(program.definition))


def _left(using: str, row: SagaDefinition, removed: Sequence[str]) -> list[Left]:
    if not removed:
        return []
    steps = SagaStep.objects.using(using).filter(
        saga__definition_id=row.pk, saga__status__in=in_flight.IN_FLIGHT, name__in=removed
    )
    counted = steps.order_by("name", "status").values_list("name", "status").annotate(number=Count("pk"))
    return [Left(*found) for found in counted]


# --- what is wrong with it ------------------------------------------------------------------------


def _invalid() -> Iterator[Wrong]:
    for program in registry.every():
        for problem in program.problems:
            at = f"step {problem.step}: " if problem.step else ""
            yield Wrong("invalid", str(program.definition), f"{at}{problem.message}", problem.hint)
    for first, *others in registry.conflicts():
        paths = ", ".join(program.path for program in (first, *others))
        hint = "Set another name or version in all but one of them."
        yield Wrong("invalid", str(first.definition), f"It is defined by several classes: {paths}.", hint)


def _judge(version: Version) -> Iterator[Wrong]:
    if version.code == MISSING:
        others = [p.definition.version for p in registry.all() if p.definition.name == version.name]
        migrate = f"saga_migrate {version.name} --from {version.version} --to {others[-1]}" if others else ""
        yield Wrong(
            "missing",
            str(version),
            "This code does not have it: its sagas in flight would be left alone.",
            "Keep its class until they have ended" + (f", or move them on: {migrate}." if migrate else "."),
        )
    elif version.code == CHANGED:
        yield Wrong(
            "changed",
            str(version),
            "This code has another graph under this version: workers and start() would refuse it.",
            f"Give the changed saga the version {version.version + 1} and keep the old class beside it.",
        )
    if not version.workers:
        yield Wrong(
            "unserved",
            str(version),
            "No worker that is there serves it.",
            "Run a saga_worker with code that has it.",
        )
    elif version.unserved:
        yield Wrong(
            "unserved",
            str(version),
            f"No worker that is there serves its queues {', '.join(version.unserved)}.",
            f"Run a saga_worker with --queues {','.join(version.unserved)}.",
        )


def _orphans(using: str) -> Iterator[Wrong]:
    """A saga's locks go in the transaction that ends it. Whatever is left was left by other hands."""
    ended = [status.value for status in SagaStatus if status.is_terminal]
    left = SagaLock.objects.using(using).filter(saga__status__in=ended).order_by("saga_id", "target")
    targets: dict[tuple[UUID, str, str], list[str]] = defaultdict(list)
    for saga_id, name, status, target in left.values_list("saga_id", "saga__name", "saga__status", "target")[
        :_SHOWN
    ]:
        targets[saga_id, name, status].append(target)
    for (saga_id, name, status), held in targets.items():
        yield Wrong(
            "orphaned",
            f"{name} {saga_id}",
            f"It is {status} and has locks all the same, which others are refused for or wait for:"
            f" {', '.join(held)}.",
            "Only rows that were changed by hand are left so. Delete the locks:"
            f' SagaLock.objects.filter(saga_id="{saga_id}").delete()',
        )

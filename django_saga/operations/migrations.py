"""Moving sagas in flight from one version of their definition to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, transaction

from django_saga.conf import get_settings
from django_saga.core.actions import Action
from django_saga.core.events import Migrated
from django_saga.core.migration import require_mapping
from django_saga.dsl.registry import registry
from django_saga.engine import announcing, migration, versions, wake
from django_saga.engine.migration import InFlight, Moved, Route
from django_saga.exceptions import MigrationRefused, UnknownSaga
from django_saga.models import SagaDefinition, SagaInstance
from django_saga.operations import audit
from django_saga.operations.access import PERMISSIONS, Actor, By, actor_of
from django_saga.store import clock, definitions, errors, in_flight

_AT_ONCE = 100  # sagas found together; each is moved in a transaction of its own
_EXAMPLES = 3
_TRIES = 5
MIGRATED, IN_FLIGHT, REFUSED = "migrated", "in flight", "refused"


@dataclass(slots=True)
class Fate:
    """Sagas that fared alike: how many, and the ids of some."""

    outcome: str
    detail: str
    number: int = 0
    examples: list[UUID] = field(default_factory=list)


@dataclass(slots=True)
class MigrationReport:
    """What became, or in a dry run would become, of the sagas.

    The outcome of a fate is migrated (its detail: the status, or how that changed), in flight (a worker has
    a step of it; to be run again later) or refused (its detail: why).
    """

    route: str
    dry_run: bool
    fates: dict[tuple[str, str], Fate] = field(default_factory=dict)

    @property
    def looked_at(self) -> int:
        """How many sagas were looked at."""
        return sum(fate.number for fate in self.fates.values())

    @property
    def left(self) -> int:
        """How many were, or would be, left in the old version."""
        return self.looked_at - self.count(MIGRATED)

    def count(self, outcome: str) -> int:
        """Give how many sagas have ``outcome``."""
        return sum(fate.number for fate in self.fates.values() if fate.outcome == outcome)

    def note(self, saga_id: UUID, outcome: str, detail: str) -> None:
        """Count one saga."""
        found = self.fates.setdefault((outcome, detail), Fate(outcome, detail))
        found.number += 1
        if len(found.examples) < _EXAMPLES:
            found.examples.append(saga_id)


def migrate_sagas(
    name: str,
    *,
    from_version: int,
    to_version: int,
    mapping: Mapping[str, str] | None = None,
    by: By,
    why: str = "",
    dry_run: bool = False,
    progress: Callable[[MigrationReport], None] | None = None,
    using: str | None = None,
) -> MigrationReport:
    """Move the sagas of ``name`` in flight from one version to another, each in a transaction of its own.

    ``mapping`` gives steps their new names; all others keep theirs. What cannot go is left as it is and
    reported. ``dry_run`` changes nothing. To be run again after whatever happened: what was moved stays so.
    ``progress`` is called with the report now and then. Raises ``PermissionDenied`` (recorded) for a user who
    may not, ``MigrationRefused`` for a mapping that does not fit, ``UnknownSaga`` for a version that is not
    known, and, as a worker does, ``InvalidDefinition`` and ``FingerprintConflict``.
    """
    using = using or get_settings().database
    who = actor_of(by)
    if denied := who.lacks(PERMISSIONS[Action.MIGRATE]):
        refusal = f"migrate refused for {name}: {denied}"
        with transaction.atomic(using=using):
            this = audit.Act(action=Action.MIGRATE, who=who, why=why, definition=name[:100])
            audit.record(using, this, at=clock.now(using), before="", after="", refusal=refusal)
        raise PermissionDenied(refusal)
    route = _route(using, name, from_version, to_version, dict(mapping or {}), dry_run=dry_run)
    report = MigrationReport(f"{route.old} → v{to_version}", dry_run)
    for chunk in _found(using, route.old_id):
        opened = [_one(using, saga_id, route, report, who=who, why=why) for saga_id in chunk]
        if any(opened):
            wake.after_commit(using)
        if progress is not None:
            progress(report)
    return report


def _route(
    using: str, name: str, from_version: int, to_version: int, renamed: dict[str, str], *, dry_run: bool
) -> Route:
    if from_version == to_version:
        raise MigrationRefused(f"saga {name} is to go from version {from_version} to the same one")
    row = SagaDefinition.objects.using(using).filter(name=name, version=from_version).first()
    if row is None:
        raise UnknownSaga(f"The database {using!r} has never seen saga {name!r} in version {from_version}.")
    new = registry.get(name, to_version)
    new.require_valid()
    old = versions.as_started(row)
    require_mapping(old, new.definition, renamed)
    pairs = tuple(sorted((before, after) for before, after in renamed.items() if before != after))
    event = Migrated(from_version=from_version, to_version=to_version, renamed=pairs)
    with transaction.atomic(using=using):
        new_id = definitions.identify(using, new.definition)
        transaction.set_rollback(dry_run, using=using)
    return Route(old, row.pk, new, new_id, event)


def _found(using: str, definition_id: int) -> Iterator[list[UUID]]:
    """Give the sagas of a definition that are in flight, some at a time."""
    for status in in_flight.IN_FLIGHT:
        last = UUID(int=0)
        while some := in_flight.after(using, status, definition_id, last, _AT_ONCE):
            yield some
            last = some[-1]


def _one(using: str, saga_id: UUID, route: Route, report: MigrationReport, *, who: Actor, why: str) -> bool:
    """Move one saga and note how it fared; give whether workers have something to do for it now."""
    moved = None
    try:
        moved = _moved(using, saga_id, route, who=who, why=why, dry_run=report.dry_run)
    except InFlight as error:
        report.note(saga_id, IN_FLIGHT, str(error))
    except MigrationRefused as error:
        report.note(saga_id, REFUSED, str(error))
    else:
        if moved is not None:
            changed = f"{moved.before} → {moved.after}"
            report.note(saga_id, MIGRATED, changed if moved.before != moved.after else moved.after)
    return moved is not None and moved.recorded is not None and moved.recorded.waiting


def _moved(using: str, saga_id: UUID, route: Route, *, who: Actor, why: str, dry_run: bool) -> Moved | None:
    for left in reversed(range(_TRIES)):
        try:
            with transaction.atomic(using=using):
                moved = migration.migrate(using, saga_id, route, why=why, dry_run=dry_run)
                if moved is not None and moved.recorded is not None:
                    _audit(using, saga_id, route, moved, who=who, why=why)
            return moved
        except DatabaseError as error:
            # It lost against a worker: the transaction is worth running again as it is.
            if not left or not errors.is_conflict(error):
                raise
    raise AssertionError("unreachable")


def _audit(using: str, saga_id: UUID, route: Route, moved: Moved, *, who: Actor, why: str) -> None:
    recorded = moved.recorded
    assert recorded is not None
    transaction.on_commit(lambda: announcing.announce(recorded), using=using)
    event = route.event
    renamed = ", ".join(f"{before} → {after}" for before, after in event.renamed)
    audit.record(
        using,
        audit.Act(
            action=Action.MIGRATE,
            who=who,
            why=why,
            about=SagaInstance(id=saga_id, name=route.old.name),
            saga_id=saga_id,
        ),
        at=recorded.now or clock.now(using),
        before=moved.before,
        after=moved.after,
        detail=f"v{event.from_version} → v{event.to_version}" + (f"; {renamed}" if renamed else ""),
    )

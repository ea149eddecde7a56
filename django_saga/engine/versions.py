"""Which definition a saga has: of the code if that is the same, else as the database keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from django_saga.conf import get_settings
from django_saga.core.definition import SagaDefinition
from django_saga.core.stored import from_data
from django_saga.dsl.registry import registry
from django_saga.engine.graphs import program_of
from django_saga.exceptions import UnknownSaga
from django_saga.models import SagaDefinition as Row
from django_saga.models import SagaInstance
from django_saga.store import definitions
from django_saga.store.rows import StepRow

if TYPE_CHECKING:
    from django_saga.dsl.program import Program


def as_started(row: Row) -> SagaDefinition:
    """Give the definition that sagas of ``row`` have, also when the code has another by now, or none.

    Raises ``UnknownSaga`` when what is stored of it cannot be read.
    """
    try:
        program = registry.get(row.name, row.version)
    except UnknownSaga:
        program = None
    if program is not None and not program.problems and program.definition.fingerprint == row.fingerprint:
        return program.definition
    try:
        return from_data(row.name, row.version, row.graph)
    except ValueError as error:
        raise UnknownSaga(f"Saga {row} is not in this code, and {error}.") from None


def of_name(using: str, name: str) -> Callable[[int], SagaDefinition]:
    """Give what finds the definitions of ``name`` by version, for the fold of a history."""

    def find(version: int) -> SagaDefinition:
        row = Row.objects.using(using).filter(name=name, version=version).first()
        if row is None:
            raise UnknownSaga(f"Saga {name} v{version} was never seen by the database {using!r}.")
        return as_started(row)

    return find


def of_saga(saga: SagaInstance) -> SagaDefinition:
    """Give the definition that ``saga`` has, its own if it was composed. Raises as ``as_started``."""
    if saga.graph is None:
        return as_started(saga.definition)
    found = registry.get(saga.definition.name, saga.definition.version)
    return program_of(saga._state.db or get_settings().database, found, saga.pk).definition


def id_of(using: str, saga_id: UUID, rows: Iterable[StepRow] = ()) -> int:
    """Give the id of the definition a saga has, by its steps if it has any; the caller holds its lock."""
    for row in rows:
        return row.definition_id
    return SagaInstance.objects.using(using).values_list("definition_id", flat=True).get(pk=saga_id)


def current(using: str, saga_id: UUID, definition_id: int, known: SagaDefinition) -> SagaDefinition:
    """Give the definition with that row: ``known``, unless the saga is of another version or was migrated.

    Raises ``UnknownSaga`` when the code does not have it.
    """
    found = _other(using, saga_id, definition_id, known)
    return found.definition if found else known


def current_program(using: str, saga_id: UUID, definition_id: int, known: Program) -> Program:
    """Do as ``current`` does, with the code behind the definition."""
    return _other(using, saga_id, definition_id, known.definition) or known


def _other(using: str, saga_id: UUID, definition_id: int, known: SagaDefinition) -> Program | None:
    if definitions.remembered(using, known) == definition_id:
        return None
    row = Row.objects.using(using).only("name", "version").get(pk=definition_id)
    if (row.name, row.version) == (known.name, known.version):
        return None
    return program_of(using, registry.get(row.name, row.version), saga_id)

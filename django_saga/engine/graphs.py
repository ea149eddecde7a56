"""Which program carries a saga: its definition's, or, composed at run time, that of the graph it brought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from django_saga.exceptions import InvalidDefinition
from django_saga.store import claims

if TYPE_CHECKING:
    from django_saga.dsl.program import Program


def program_of(using: str, program: Program, saga_id: UUID) -> Program:
    """Give the program of one saga of ``program``. Raises ``InvalidDefinition`` for a graph that is none."""
    if not program.brings_graph:
        return program
    return program.of(claims.graphs(using, [saga_id]).get(saga_id))


def programs_of(
    using: str, programs: Mapping[int, Program], sagas: Iterable[tuple[UUID, int]]
) -> dict[UUID, Program]:
    """Give the program of each of ``sagas`` (id, definition id).

    One whose graph cannot be read, as its row was changed by hand, is left out: it must hold up no other.
    """
    found = {saga_id: programs[definition_id] for saga_id, definition_id in sagas}
    composed = [saga_id for saga_id, program in found.items() if program.brings_graph]
    if composed:
        for saga_id, graph in claims.graphs(using, composed).items():
            try:
                found[saga_id] = found[saga_id].of(graph)
            except InvalidDefinition:
                del found[saga_id]
    return found

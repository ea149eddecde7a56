"""Definition rows: which versions this database has seen, and whether code still agrees with them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain
from typing import Any

from django.db import connections, transaction

from django_saga.core.definition import SagaDefinition as Definition
from django_saga.core.stored import to_data
from django_saga.exceptions import FingerprintConflict
from django_saga.models import SagaDefinition, SagaInstance
from django_saga.store import clock, in_flight

_ids: dict[tuple[str, str, str, str], int] = {}
_lock = threading.Lock()
_GRAPH = "_graph_as_data"


def identify(using: str, definition: Definition) -> int:
    """Give the id of the definition's row, written if it is new. Raises as ``identify_all`` does."""
    known = _ids.get(_key(using, definition))
    return known if known is not None else identify_all(using, [definition])[0]


def identify_all(using: str, definitions: Sequence[Definition]) -> list[int]:
    """Give the ids of the definitions' rows, in their order; new ones are written together.

    Raises ``FingerprintConflict`` when a graph changed under an unchanged version while sagas of it are in
    flight, or have completed for one that is.
    """
    keys = [_key(using, definition) for definition in definitions]
    unmet = {key: definition for key, definition in zip(keys, definitions, strict=True) if key not in _ids}
    if not unmet:
        return [_ids[key] for key in keys]
    with transaction.atomic(using=using):
        found = dict(zip(unmet, _synchronise(using, list(unmet.values())), strict=True))

    def remember() -> None:
        with _lock:
            _ids.update(found)

    # Inside the caller's transaction a row may yet be rolled back, so only committed ids are remembered; none
    # where transactions are managed by hand, since nobody says when that is.
    connection = connections[using]
    if connection.in_atomic_block or connection.get_autocommit():
        transaction.on_commit(remember, using=using)
    return [found[key] if key in found else _ids[key] for key in keys]


def remembered(using: str, definition: Definition) -> int | None:
    """Give the id of the definition's row if this process has met it, without asking the database."""
    return _ids.get(_key(using, definition))


def forget() -> None:
    """Forget remembered ids, as tests must that empty the tables."""
    with _lock:
        _ids.clear()


def _key(using: str, definition: Definition) -> tuple[str, str, str, str]:
    # The database's name as well as its alias: tests give one alias several databases.
    return using, str(connections[using].settings_dict["NAME"]), definition.name, definition.fingerprint


def _synchronise(using: str, definitions: Sequence[Definition]) -> list[int]:
    wanted = {(each.name, each.version): _facts(each) for each in definitions}
    rows = _stored(using, definitions)
    # In one order for all: two processes that write the same rows wait for each other one way round only.
    if new := sorted(wanted.keys() - rows.keys()):
        now = clock.now(using)
        SagaDefinition.objects.using(using).bulk_create(
            [SagaDefinition(name=n, version=v, created_at=now, **wanted[n, v]) for n, v in new],
            ignore_conflicts=True,
        )
        rows = _stored(using, definitions)
    for definition in definitions:
        row, facts = rows[definition.name, definition.version], wanted[definition.name, definition.version]
        if any(getattr(row, name) != value for name, value in facts.items()):
            _rewrite(using, row.pk, definition, facts)
    return [rows[each.name, each.version].pk for each in definitions]


def _stored(using: str, definitions: Sequence[Definition]) -> dict[tuple[str, int], SagaDefinition]:
    found = SagaDefinition.objects.using(using).filter(name__in={each.name for each in definitions})
    return {(row.name, row.version): row for row in found}


def _facts(definition: Definition) -> dict[str, Any]:
    return {
        "fingerprint": definition.fingerprint,
        "graph": _graph(definition),
        "description": definition.description,
    }


def _graph(definition: Definition) -> dict[str, Any]:
    # Kept with the definition, which never changes: tests that empty the tables have the same ones written
    # again and again. Not by its value: what users put into one need not be hashable.
    kept = vars(definition)
    if _GRAPH not in kept:
        kept[_GRAPH] = to_data(definition)
    graph: dict[str, Any] = kept[_GRAPH]
    return graph


def _rewrite(using: str, row_id: int, definition: Definition, facts: dict[str, Any]) -> None:
    # The row's lock keeps two workers with different code from both finding it free to change.
    row = SagaDefinition.objects.using(using).select_for_update().get(pk=row_id)
    if row.fingerprint != definition.fingerprint:
        live = SagaInstance.objects.using(using).filter(status__in=in_flight.IN_FLIGHT)
        if any(
            some.filter(definition=row_id).exists() for some in chain([live], in_flight.not_settled(using))
        ):
            raise FingerprintConflict(
                f"Saga {definition} has another graph than the one its sagas in flight were started with "
                f"(fingerprint {definition.fingerprint[:12]} in code, {row.fingerprint[:12]} in the "
                f"database). Give the changed saga the version {definition.version + 1} and keep the old "
                "class until its sagas have ended; saga_check shows what changed."
            )
    SagaDefinition.objects.using(using).filter(pk=row_id).update(**facts)

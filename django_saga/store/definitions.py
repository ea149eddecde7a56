"""Definition rows: which versions this database has seen, and whether code still agrees with them."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from django.db import connections, transaction

from django_saga.core.definition import SagaDefinition as Definition
from django_saga.core.states import LIVE_SAGA
from django_saga.exceptions import FingerprintConflict
from django_saga.models import SagaDefinition, SagaInstance
from django_saga.store import clock

_ids: dict[tuple[str, str, str, str], int] = {}
_lock = threading.Lock()


def graph(definition: Definition) -> dict[str, object]:
    """Give the graph as plain data, for people and for drawing."""
    return {
        **({"limits": str(definition.limits)} if str(definition.limits) else {}),
        "steps": [
            {
                "name": step.name,
                "after": list(step.after),
                "atomic": step.atomic,
                "queue": step.queue,
                "compensation": step.undo.function if step.undo else None,
                **({"limits": str(step.limits)} if str(step.limits) else {}),
            }
            for step in definition.steps
        ],
    }


def identify(using: str, definition: Definition) -> int:
    """Give the id of the definition's row, written if it is new.

    Raises ``FingerprintConflict`` when the graph changed under an unchanged version while sagas of it are
    in flight.
    """
    # The database's name as well as its alias: tests give one alias several databases.
    key = (using, str(connections[using].settings_dict["NAME"]), definition.name, definition.fingerprint)
    known = _ids.get(key)
    if known is not None:
        return known
    with transaction.atomic(using=using):
        found = _synchronise(using, definition)

    def remember() -> None:
        with _lock:
            _ids[key] = found

    # Inside the caller's transaction the row may yet be rolled back, so only a committed id is remembered.
    transaction.on_commit(remember, using=using)
    return found


def synchronise(using: str, definitions: Iterable[Definition]) -> dict[int, Definition]:
    """Write the rows of ``definitions`` and give them by id. Raises as ``identify`` does."""
    return {identify(using, definition): definition for definition in definitions}


def forget() -> None:
    """Forget remembered ids, as tests must that empty the tables."""
    with _lock:
        _ids.clear()


def _synchronise(using: str, definition: Definition) -> int:
    rows = SagaDefinition.objects.using(using)
    row, created = rows.get_or_create(
        name=definition.name,
        version=definition.version,
        defaults={
            "fingerprint": definition.fingerprint,
            "graph": graph(definition),
            "description": definition.description,
            "created_at": clock.now(using),
        },
    )
    if created:
        return row.pk
    if row.fingerprint != definition.fingerprint:
        # The row's lock keeps two workers with different code from both finding it free to change.
        row = rows.select_for_update().get(pk=row.pk)
        live = SagaInstance.objects.using(using).filter(
            definition_id=row.pk, status__in=[*LIVE_SAGA, "stuck"]
        )
        if live.exists():
            raise FingerprintConflict(
                f"Saga {definition} has another graph than the one its sagas in flight were started with "
                f"(fingerprint {definition.fingerprint[:12]} in code, {row.fingerprint[:12]} in the "
                f"database). Give the changed saga the version {definition.version + 1} and keep the old "
                "class until its sagas have ended."
            )
        row.fingerprint = definition.fingerprint
    row.graph = graph(definition)
    row.description = definition.description
    row.save(using=using)
    return row.pk

"""Circuits: a person who knows that the other side answers again need not wait for a trial."""

from __future__ import annotations

from django_saga.core.actions import Action
from django_saga.engine import announcing
from django_saga.operations.access import By, actor_of
from django_saga.operations.naming import act_on_name
from django_saga.store import breakers, pauses


def close_circuit(definition: str, step: str, *, by: By, why: str = "", using: str | None = None) -> None:
    """Close the circuit of a ``step`` of all sagas of a ``definition`` (its name): what waits begins at once.

    Failures count anew. Raises ``OperationRefused`` (recorded) when it is not open; ``SagaNotFound`` when
    there is no such name or step.
    """

    def closed(using: str, name: pauses.Name) -> str:
        if not breakers.close(using, *name):
            return "its circuit is not open"
        announcing.circuit_closed_after_commit(using, *name, by=actor_of(by).name)
        return ""

    act_on_name(
        Action.CLOSE_CIRCUIT,
        definition,
        step,
        closed,
        before="open",
        after="closed",
        by=by,
        why=why,
        using=using,
    )

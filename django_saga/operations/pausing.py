"""Pauses: of one saga, of all sagas of a name, or of one step in all of them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.events import SagaPaused, SagaResumed
from django_saga.core.problem import did_you_mean
from django_saga.engine import wake
from django_saga.exceptions import OperationRefused, SagaNotFound
from django_saga.faults import fault_point
from django_saga.models import SagaDefinition, SagaOperation
from django_saga.operations.actions import act
from django_saga.store import clock, pauses

_OPPOSITE = {"paused": "", "": "paused"}


def pause(
    *,
    saga: UUID | str | None = None,
    definition: str | None = None,
    step: str | None = None,
    by: str,
    why: str = "",
    using: str | None = None,
) -> None:
    """Have nothing new begun of one ``saga`` (its id), of all sagas of a ``definition`` (its name), or of one
    ``step`` of theirs. What is in flight ends and is recorded; deadlines go on.

    The pause of a name reaches every worker within about a second. Raises ``OperationRefused`` (recorded)
    when it is paused already, or the saga has ended; ``SagaNotFound`` when there is no such saga, name or
    step.
    """
    _check(saga, definition, step)
    if saga is not None:
        act("pause", saga, SagaPaused(), step="", by=by, why=why, using=using)
        return

    def paused(using: str, name: pauses.Name) -> str:
        held = pauses.pause(using, name, by=by, why=why, at=clock.now(using))
        if held is None:
            return ""
        said = f" ({held.paused_why})" if held.paused_why else ""
        return f"it is paused already, by {held.paused_by}{said}"

    _on_name("pause", definition, step, paused, after="paused", by=by, why=why, using=using)


def resume(
    *,
    saga: UUID | str | None = None,
    definition: str | None = None,
    step: str | None = None,
    by: str,
    why: str = "",
    using: str | None = None,
) -> None:
    """End a pause; what is paused in several ways waits for the end of each. Raises as ``pause`` does."""
    _check(saga, definition, step)
    if saga is not None:
        act("resume", saga, SagaResumed(), step="", by=by, why=why, using=using)
        return

    def resumed(using: str, name: pauses.Name) -> str:
        return "" if pauses.resume(using, name) else "it is not paused"

    _on_name("resume", definition, step, resumed, after="", by=by, why=why, using=using)


def _check(saga: UUID | str | None, definition: str | None, step: str | None) -> None:
    """Raise ``TypeError`` unless either one saga or a name is meant."""
    if (saga is None) is (definition is None) or (saga is not None and step is not None):
        raise TypeError("Name one of the three: saga=ID, definition=NAME, or definition=NAME with step=NAME.")


def _on_name(
    action: str,
    definition: str | None,
    step: str | None,
    change: Callable[[str, pauses.Name], str],
    *,
    after: str,
    by: str,
    why: str,
    using: str | None,
) -> None:
    """Apply ``change``, which says why it refuses, to a name, and record it in the same transaction."""
    using = using or get_settings().database
    saga, named = _known(using, definition or "", step)
    with transaction.atomic(using=using):
        refusal = change(using, (saga, named))
        if refusal:
            refusal = f"{action} refused for {f'{saga}.{named}' if named else saga}: {refusal}"
        SagaOperation.objects.using(using).create(
            definition=saga,
            action=action,
            step=named,
            actor=by[:150],
            why=why,
            result=SagaOperation.Result.REFUSED if refusal else SagaOperation.Result.DONE,
            detail=refusal,
            before=after if refusal else _OPPOSITE[after],
            after=after,
            at=clock.now(using),
        )
        wake.after_commit(using)
        fault_point("operator.before_commit")
    if refusal:
        raise OperationRefused(refusal)


def _known(using: str, saga: str, step: str | None) -> pauses.Name:
    rows = SagaDefinition.objects.using(using)
    names = sorted(set(rows.values_list("name", flat=True)))
    if saga not in names:
        raise SagaNotFound(f"No saga is named {saga!r} in this database.{did_you_mean(saga, names)}")
    graphs = rows.filter(name=saga).values_list("graph", flat=True)
    steps = {each["name"] for graph in graphs for each in graph["steps"]}
    if step is not None and step not in steps:
        raise SagaNotFound(
            f"Saga {saga!r} has no step {step!r}.{did_you_mean(step, sorted(steps))} "
            f"Its steps are {', '.join(sorted(steps))}."
        )
    return saga, step or ""

"""Actions on what has a name: all sagas of one, or one step of theirs."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.problem import did_you_mean
from django_saga.engine import wake
from django_saga.exceptions import OperationRefused, SagaNotFound
from django_saga.faults import fault_point
from django_saga.models import SagaDefinition, SagaOperation
from django_saga.store import clock
from django_saga.store.pauses import Name


def act_on_name(
    action: str,
    definition: str,
    step: str | None,
    change: Callable[[str, Name], str],
    *,
    before: str,
    after: str,
    by: str,
    why: str,
    using: str | None,
) -> None:
    """Apply ``change``, which says why it refuses, to a name, and record it in the same transaction.

    Where it refuses, all is ``after`` already. Raises ``OperationRefused`` then, and ``SagaNotFound`` when
    there is no such name.
    """
    using = using or get_settings().database
    saga, named = _known(using, definition, step)
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
            before=after if refusal else before,
            after=after,
            at=clock.now(using),
        )
        wake.after_commit(using)
        fault_point("operator.before_commit")
    if refusal:
        raise OperationRefused(refusal)


def _known(using: str, saga: str, step: str | None) -> Name:
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

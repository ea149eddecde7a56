"""Actions on what has a name: all sagas of one, or one step of theirs."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import PermissionDenied
from django.db import transaction

from django_saga.conf import get_settings
from django_saga.core.actions import Action
from django_saga.core.problem import did_you_mean
from django_saga.engine import wake
from django_saga.exceptions import OperationRefused, SagaNotFound
from django_saga.models import SagaDefinition
from django_saga.operations import audit
from django_saga.operations.access import PERMISSIONS, By, actor_of
from django_saga.store import clock
from django_saga.store.pauses import Name


def act_on_name(
    action: Action,
    definition: str,
    step: str | None,
    change: Callable[[str, Name], str],
    *,
    before: str,
    after: str,
    by: By,
    why: str,
    using: str | None,
) -> None:
    """Apply ``change``, which says why it refuses, to a name, and record it in the same transaction.

    Where it refuses, all is ``after`` already. Raises ``OperationRefused`` then, ``PermissionDenied``
    (recorded) for a user who may not, and ``SagaNotFound`` when there is no such name.
    """
    using = using or get_settings().database
    who = actor_of(by)
    newest, named = _known(using, definition, step)
    saga = newest.name
    this = audit.Act(action=action, who=who, why=why, about=newest, definition=saga, step=named)
    with transaction.atomic(using=using):
        denied = who.lacks(PERMISSIONS[action])
        refusal = denied or change(using, (saga, named))
        if refusal:
            refusal = f"{action} refused for {f'{saga}.{named}' if named else saga}: {refusal}"
            # Where it was not even looked at, nothing is said of how it stands.
            before = after = "" if denied else after
        audit.record(using, this, at=clock.now(using), before=before, after=after, refusal=refusal)
        wake.after_commit(using)
    if denied:
        raise PermissionDenied(refusal)
    if refusal:
        raise OperationRefused(refusal)


def _known(using: str, saga: str, step: str | None) -> tuple[SagaDefinition, str]:
    """Give the row of the newest version of a name, and the step. Raises ``SagaNotFound``."""
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
    return rows.filter(name=saga).order_by("-version")[0], step or ""

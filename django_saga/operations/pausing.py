"""Pauses: of one saga, of all sagas of a name, or of one step in all of them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django_saga.core.actions import Action
from django_saga.core.events import Event, SagaPaused, SagaResumed
from django_saga.operations.access import By, actor_of
from django_saga.operations.actions import act
from django_saga.operations.naming import act_on_name
from django_saga.store import clock, pauses

_OPPOSITE = {"paused": "", "": "paused"}


def pause(
    *,
    saga: UUID | str | None = None,
    definition: str | None = None,
    step: str | None = None,
    by: By,
    why: str = "",
    using: str | None = None,
) -> None:
    """Have nothing new begun of one ``saga`` (its id), of all sagas of a ``definition`` (its name), or of one
    ``step`` of theirs. What is in flight ends and is recorded; deadlines go on.

    The pause of a name reaches every worker within about a second. Raises ``OperationRefused`` (recorded)
    when it is paused already, or the saga has ended; ``SagaNotFound`` when there is no such saga, name or
    step.
    """

    def paused(using: str, name: pauses.Name) -> str:
        held = pauses.pause(using, name, by=actor_of(by).name, why=why, at=clock.now(using))
        if held is None:
            return ""
        said = f" ({held.paused_why})" if held.paused_why else ""
        return f"it is paused already, by {held.paused_by}{said}"

    _apply(
        Action.PAUSE,
        SagaPaused(),
        paused,
        after="paused",
        saga=saga,
        definition=definition,
        step=step,
        by=by,
        why=why,
        using=using,
    )


def resume(
    *,
    saga: UUID | str | None = None,
    definition: str | None = None,
    step: str | None = None,
    by: By,
    why: str = "",
    using: str | None = None,
) -> None:
    """End a pause; what is paused in several ways waits for the end of each. Raises as ``pause`` does."""

    def resumed(using: str, name: pauses.Name) -> str:
        return "" if pauses.resume(using, name) else "it is not paused"

    _apply(
        Action.RESUME,
        SagaResumed(),
        resumed,
        after="",
        saga=saga,
        definition=definition,
        step=step,
        by=by,
        why=why,
        using=using,
    )


def _apply(
    action: Action,
    event: Event,
    change: Callable[[str, pauses.Name], str],
    *,
    after: str,
    saga: UUID | str | None,
    definition: str | None,
    step: str | None,
    by: By,
    why: str,
    using: str | None,
) -> None:
    """Feed ``event`` to one saga, or apply ``change`` to a name. Raises ``TypeError`` unless one is meant."""
    if (saga is None) is (definition is None) or (saga is not None and step is not None):
        raise TypeError("Name one of the three: saga=ID, definition=NAME, or definition=NAME with step=NAME.")
    if saga is not None:
        act(action, saga, event, step="", by=by, why=why, using=using)
    else:
        before = _OPPOSITE[after]
        name = definition or ""
        act_on_name(action, name, step, change, before=before, after=after, by=by, why=why, using=using)

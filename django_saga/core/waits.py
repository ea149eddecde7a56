"""What a step waits for that does nothing itself: a time, or something from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django_saga.core.spans import span
from django_saga.core.states import OnTimeout

# Why a step is open though nothing of it is to be tried now. In a row that is being looked at it tells that
# the step waits on if there is nothing new.
WAITING = "waiting"
# The alarm of a step that waits for something else than a time.
NEVER = datetime(9000, 1, 1, tzinfo=UTC)


class WaitKind(StrEnum):
    """What a step waits for."""

    SLEEP = "sleep"
    CHILD = "child"  # for another saga
    EACH = "each"  # for one saga for each of many items
    EVENT = "event"  # that somebody sends
    APPROVAL = "approval"  # by a person


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitDefinition:
    """What a step waits for. ``period``: of a sleep, how long; None: the step's function says until when.

    ``name``: of an event, of the saga that is started (in its ``version``), or the permission that whoever
    approves needs. ``on_timeout``: what happens when neither event nor person has come by the step's
    deadline, ``result`` (JSON text) what it then has. ``parallel``: how many sagas for items are under way at
    most (None: all).
    """

    kind: WaitKind
    period: timedelta | None = None
    name: str = ""
    on_timeout: OnTimeout = OnTimeout.FAIL
    result: str = "null"
    version: int = 0
    parallel: int | None = None

    @property
    def has_children(self) -> bool:
        """True for a step that starts sagas, which are undone with it."""
        return self.kind in (WaitKind.CHILD, WaitKind.EACH)

    def __str__(self) -> str:
        if self.kind is WaitKind.CHILD:
            return f"runs saga {self.name}"
        if self.kind is WaitKind.EACH:
            at_once = "all at once" if self.parallel is None else f"{self.parallel} at a time"
            return f"runs saga {self.name} for each item, {at_once}"
        if self.kind is not WaitKind.SLEEP:
            what = "event" if self.kind is WaitKind.EVENT else "approval by"
            return f"waits for {what} {self.name}"
        return f"sleeps {span(self.period)}" if self.period else "sleeps"

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
    REMOTE = "remote"  # for the reply to a command


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitDefinition:
    """What a step waits for. ``period``: of a sleep, how long; None: the step's function says until when.

    ``name``: of an event, of a command, of the saga that is started (in its ``version``), or the permission
    that whoever approves needs. ``on_timeout``: what happens when neither event nor person has come by the
    step's deadline, ``result`` (JSON text) what it then has. ``parallel``: how many sagas for items are under
    way at most (None: all). ``compensation``: the command that has the other side undo what the first one
    did. ``reply_timeout``: how long a reply is waited for, to each of the two (None: for ever).
    """

    kind: WaitKind
    period: timedelta | None = None
    name: str = ""
    on_timeout: OnTimeout = OnTimeout.FAIL
    result: str = "null"
    version: int = 0
    parallel: int | None = None
    compensation: str = ""
    reply_timeout: timedelta | None = None

    @property
    def has_children(self) -> bool:
        """True for a step that starts sagas, which are undone with it."""
        return self.kind in (WaitKind.CHILD, WaitKind.EACH)

    @property
    def sends_commands(self) -> bool:
        """True for a step that another service does."""
        return self.kind is WaitKind.REMOTE

    @property
    def has_effect(self) -> bool:
        """True for a step that has others do something, which may have to be undone."""
        return self.has_children or self.sends_commands

    @property
    def takes_back(self) -> bool:
        """True for a step that has others undo what they did for it, without a function of the saga."""
        return self.has_children or bool(self.compensation)

    def __str__(self) -> str:
        if self.sends_commands:
            return f"sends command {self.name}"
        if self.kind is WaitKind.CHILD:
            return f"runs saga {self.name}"
        if self.kind is WaitKind.EACH:
            at_once = "all at once" if self.parallel is None else f"{self.parallel} at a time"
            return f"runs saga {self.name} for each item, {at_once}"
        if self.kind is not WaitKind.SLEEP:
            what = "event" if self.kind is WaitKind.EVENT else "approval by"
            return f"waits for {what} {self.name}"
        return f"sleeps {span(self.period)}" if self.period else "sleeps"

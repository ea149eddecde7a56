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
    EVENT = "event"  # that somebody sends
    APPROVAL = "approval"  # by a person


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitDefinition:
    """What a step waits for. ``period``: of a sleep, how long; None: the step's function says until when.

    ``name``: of an event, or the permission that whoever approves needs. ``on_timeout``: what happens when
    neither has come by the step's deadline, ``result`` (JSON text) what it then has.
    """

    kind: WaitKind
    period: timedelta | None = None
    name: str = ""
    on_timeout: OnTimeout = OnTimeout.FAIL
    result: str = "null"

    def __str__(self) -> str:
        if self.kind is not WaitKind.SLEEP:
            what = "event" if self.kind is WaitKind.EVENT else "approval by"
            return f"waits for {what} {self.name}"
        return f"sleeps {span(self.period)}" if self.period else "sleeps"

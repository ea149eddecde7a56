"""What a step waits for that does nothing itself: a time, or something from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django_saga.core.spans import span

# Why a step is open though nothing of it is to be tried now. In a row that is being looked at it tells that
# the step waits on if there is nothing new.
WAITING = "waiting"
# The alarm of a step that waits for something else than a time.
NEVER = datetime(9000, 1, 1, tzinfo=UTC)


class WaitKind(StrEnum):
    """What a step waits for."""

    SLEEP = "sleep"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitDefinition:
    """What a step waits for. ``period``: of a sleep, how long; None: the step's function says until when."""

    kind: WaitKind
    period: timedelta | None = None

    def __str__(self) -> str:
        return f"sleeps {span(self.period)}" if self.period else "sleeps"

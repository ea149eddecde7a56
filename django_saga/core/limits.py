"""What limits how many attempts begin: at once, in a length of time, and while the other side fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django_saga.core.retry import as_timedelta
from django_saga.core.spans import span

# Starts that are remembered together: a hundredth of the window is lost at most, and never gained.
_GRAINS = 100


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` attempts begin in any window of ``per`` (seconds or ``timedelta``)."""

    count: int
    per: float | timedelta = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "per", as_timedelta(self.per))
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise ValueError(f"Rate({self.count!r}, ...): give a whole number of 1 or more")
        if as_timedelta(self.per) <= timedelta(0):
            raise ValueError(f"Rate(per={self.per!r}): give a length of time greater than zero")

    @property
    def seconds(self) -> float:
        """The window in seconds."""
        return as_timedelta(self.per).total_seconds()


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker: after ``failures`` failed attempts ``within`` some time nothing is begun for
    ``open_for``, then one attempt at a time is let through until one succeeds. Seconds or ``timedelta``.
    """

    failures: int = 5
    within: float | timedelta = 60
    open_for: float | timedelta = 30

    def __post_init__(self) -> None:
        if isinstance(self.failures, bool) or not isinstance(self.failures, int) or self.failures < 1:
            raise ValueError(f"Breaker(failures={self.failures!r}): give a whole number of 1 or more")
        for name in ("within", "open_for"):
            object.__setattr__(self, name, as_timedelta(getattr(self, name)))
            if getattr(self, name) <= timedelta(0):
                raise ValueError(f"Breaker({name}=...): give a length of time greater than zero")


class Limits(NamedTuple):
    """The limits of a step, or of all steps of a saga together; they hold in all workers. None: no limit."""

    max_concurrency: int | None = None
    rate_limit: Rate | None = None
    breaker: Breaker | None = None

    def __str__(self) -> str:
        told = [f"{self.max_concurrency} at once"] if self.max_concurrency is not None else []
        if isinstance(self.rate_limit, Rate):  # a wrong definition may hold anything
            told.append(f"{self.rate_limit.count} in {span(as_timedelta(self.rate_limit.per))}")
        if isinstance(self.breaker, Breaker):
            told.append("circuit breaker")
        return ", ".join(told)


NO_LIMITS = Limits()

# Attempts that began, in seconds since 1970: the first and the last of some, and how many.
Starts = Sequence[Sequence[float]]


def left(starts: Starts, now: datetime, rate: Rate) -> int:
    """Give how many attempts may begin ``now``."""
    since = now.timestamp() - rate.seconds
    return max(0, rate.count - int(sum(count for _, last, count in starts if last > since)))


def noted(starts: Starts, now: datetime, count: int, rate: Rate) -> list[list[float]]:
    """Give ``starts`` with ``count`` more ``now``; what no window reaches any more is left out."""
    at = now.timestamp()
    kept = [list(some) for some in starts if some[1] > at - rate.seconds]
    # As though all had begun with the last: they count for too long, never too short.
    if kept and at - kept[-1][0] < rate.seconds / _GRAINS:
        kept[-1] = [kept[-1][0], max(at, kept[-1][1]), kept[-1][2] + count]
    else:
        kept.append([at, at, count])
    return kept

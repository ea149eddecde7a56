"""How often a step is tried, and how long it waits in between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


def as_timedelta(value: float | timedelta) -> timedelta:
    """Give ``value`` as a ``timedelta``; bare numbers are seconds."""
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry policy of a step or compensation: exponential backoff with a cap and jitter.

    ``attempts`` counts the first try. The wait before attempt *n+1* is ``delay * factor**(n-1)``, at most
    ``max_delay``, less up to ``jitter`` of itself by chance (0 to 1; "full jitter" is 1), so that steps
    that failed together do not come back together. Errors of a type in ``give_up_on``, or of none in
    ``retry_on``, are permanent. ``delay`` and ``max_delay`` take seconds or ``timedelta``.
    """

    attempts: int = 3
    delay: float | timedelta = timedelta(seconds=1)
    factor: float = 2.0
    max_delay: float | timedelta = timedelta(minutes=10)
    jitter: float = 0.5
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "delay", as_timedelta(self.delay))
        object.__setattr__(self, "max_delay", as_timedelta(self.max_delay))
        if self.attempts < 1:
            raise ValueError(f"Retry(attempts={self.attempts!r}): give 1 or more; 1 means no retry")
        if self.factor < 1:
            raise ValueError(f"Retry(factor={self.factor!r}): give 1 or more; 1 keeps the wait constant")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"Retry(jitter={self.jitter!r}): give a share between 0 and 1")

    def wait_after(self, attempt: int, *, chance: float = 0.0) -> timedelta | None:
        """Wait before the attempt after number ``attempt``; None when the attempts are spent.

        ``chance`` is between 0 and 1 and decides how much of the jitter is taken off.
        """
        if attempt >= self.attempts:
            return None
        return self.backoff(attempt, chance=chance)

    def backoff(self, attempt: int, *, chance: float = 0.0) -> timedelta:
        """Wait after ``attempt`` failures, whether or not any attempt is left."""
        delay, ceiling = as_timedelta(self.delay), as_timedelta(self.max_delay)
        # Beyond 2**30 the exponent only risks an overflow: the cap has long been reached.
        grown = min(delay.total_seconds() * self.factor ** min(attempt - 1, 30), ceiling.total_seconds())
        return timedelta(seconds=grown * (1 - self.jitter * chance))

    def allows(self, error: BaseException) -> bool:
        """True when an error of this type is worth another attempt."""
        return isinstance(error, self.retry_on) and not isinstance(error, self.give_up_on)


DEFAULT_RETRY = Retry()
# A compensation that gives up needs a person at night, so it tries longer.
DEFAULT_UNDO_RETRY = Retry(attempts=8, max_delay=timedelta(minutes=5))

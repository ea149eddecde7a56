"""When a worker looks for due steps: at once when woken or when it left some behind, else ever less often."""

from __future__ import annotations

import time
from typing import Self

from django_saga.conf import get_settings
from django_saga.engine import wake

_FIRST_WAIT = 0.005
# Who is told when there is something to do looks again for what it was not told, but not often.
TOLD = 8


class Polling:
    """The time of the next look, by the monotonic clock, in seconds; each wait is ``growth`` times the one
    before, up to ``longest``.
    """

    def __init__(self, longest: float, *, growth: int = 2) -> None:
        self.next_at = 0.0
        self.left_behind = False  # the last look found more than there was room for
        self.nothing_due = False  # the last look found nothing
        self._longest = longest
        self._growth = growth
        self._wait = _FIRST_WAIT
        self._alarm = 0.0  # a look that is not to be later, whatever looks before it give

    @classmethod
    def for_steps(cls, using: str) -> Self:
        """Make that of a worker, which notifications wake where there are any."""
        longest = get_settings().poll_interval.total_seconds()
        return cls(longest, growth=TOLD if wake.tells(using) else 2)

    def wake(self) -> None:
        """Look now."""
        self.next_at, self._wait = 0.0, _FIRST_WAIT
        self.nothing_due = False

    def by(self, seconds: float) -> None:
        """Look in ``seconds`` at the latest."""
        now = time.monotonic()
        at = now + seconds
        self.next_at = min(self.next_at, at)
        if at > now:
            self._alarm = min(self._alarm, at) if self._alarm > now else at

    def look_again(self, seconds: float) -> None:
        """Look in ``seconds``: the last look is not believed."""
        self.next_at = time.monotonic() + seconds
        self.nothing_due = False

    def postpone(self) -> None:
        """Look a little later, if it was to be now; once, as by then it is no longer now."""
        now = time.monotonic()
        if self.next_at <= now:
            self.next_at = now + _FIRST_WAIT

    def looked(self, *, found: bool, left_behind: bool) -> None:
        """Note what a look gave. An idle worker's waits grow; what a notification missed is found by the
        first.
        """
        self._wait = _FIRST_WAIT if found else min(self._wait * self._growth, self._longest)
        self.left_behind = left_behind
        self.nothing_due = not found and not left_behind
        now = time.monotonic()
        self.next_at = now + (self._longest if left_behind else self._wait)
        if self._alarm > now:
            self.next_at = min(self.next_at, self._alarm)

"""Which call goes wrong, and how: chosen by a seed, so that an order meets the same trouble on every run."""

import random
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Fault(StrEnum):
    """What goes wrong with one call."""

    NONE = "none"
    UNAVAILABLE = "unavailable"  # 503, before the effect
    DROPPED = "dropped"  # the connection breaks after the effect: the caller cannot know
    SLOW_BEFORE = "slow_before"  # the answer, and the effect with it, come late
    SLOW_AFTER = "slow_after"  # the effect is there, only the answer comes late


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """How often each fault happens; the rates are shares of all calls, between 0 and 1."""

    seed: int = 1
    unavailable: float = 0.0
    dropped: float = 0.0
    slow: float = 0.0
    delay: timedelta = timedelta(seconds=3)

    def __post_init__(self) -> None:
        rates = (self.unavailable, self.dropped, self.slow)
        if any(rate < 0 for rate in rates) or sum(rates) > 1:
            raise ValueError(f"fault rates must not be negative nor add up to more than 1: {rates}")

    def choose(self, action: str, reference: str, nth: int) -> Fault:
        """Return the fault of the ``nth`` call of ``action`` for ``reference``.

        It depends on nothing else, so threads that overtake each other change nothing.
        """
        chance = random.Random(f"{self.seed}:{action}:{reference}:{nth}").random()
        if chance < self.unavailable:
            return Fault.UNAVAILABLE
        chance -= self.unavailable
        if chance < self.dropped:
            return Fault.DROPPED
        chance -= self.dropped
        if chance < self.slow / 2:
            return Fault.SLOW_BEFORE
        if chance < self.slow:
            return Fault.SLOW_AFTER
        return Fault.NONE

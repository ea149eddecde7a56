"""Rates: no window ever holds more starts than allowed, and next to none are lost."""

from __future__ import annotations

import random
from bisect import bisect_left
from datetime import timedelta

import pytest

from django_saga.core import lanes
from django_saga.core.definition import SagaDefinition, StepDefinition
from django_saga.core.limits import Limits, Rate, left, noted
from tests.core.machine_play import EPOCH


def starts_of(rate: Rate, seed: int) -> list[float]:
    """When attempts begin if as many begin as may, at moments of chance, some of them greedy."""
    chance = random.Random(seed)
    log: list[list[float]] = []
    at, begun = 0.0, []
    while at < 6 * rate.seconds:
        at += chance.choice([0.0, 0.001, 0.01, 0.3]) * rate.seconds * chance.random()
        now = EPOCH + timedelta(seconds=at)
        may = left(log, now, rate)
        count = chance.randint(0, may)
        if count:
            log = noted(log, now, count, rate)
            begun += [at] * count
        assert len(log) <= 102
    return begun


@pytest.mark.parametrize("rate", [Rate(1, per=1), Rate(5, per=1), Rate(100, per=60), Rate(1000, per=0.5)])
@pytest.mark.parametrize("seed", range(10))
def test_no_window_holds_more_starts_than_the_rate_allows(rate, seed):
    begun = starts_of(rate, seed)

    assert len(begun) > rate.count
    for number, first in enumerate(begun):
        assert bisect_left(begun, first + rate.seconds - 1e-6) - number <= rate.count


def test_a_burst_is_allowed_and_its_places_come_back_when_the_window_has_passed():
    rate = Rate(10, per=60)
    log = noted([], EPOCH, 10, rate)

    assert left(log, EPOCH, rate) == 0
    assert left(log, EPOCH + timedelta(seconds=59.9), rate) == 0
    assert left(log, EPOCH + timedelta(seconds=60), rate) == 10


def test_starts_that_trickle_in_lose_a_hundredth_of_the_window_at_most():
    rate = Rate(1000, per=100)
    log: list[list[float]] = []
    for number in range(1000):
        log = noted(log, EPOCH + timedelta(seconds=number / 100), 1, rate)

    assert len(log) <= 11
    assert left(log, EPOCH + timedelta(seconds=101), rate) >= 100


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Rate(0), r"Rate\(0, ...\): give a whole number of 1 or more"),
        (lambda: Rate("5"), "give a whole number"),  # type: ignore[arg-type]
        (lambda: Rate(True), "give a whole number"),
        (lambda: Rate(5, per=0), "give a length of time greater than zero"),
        (lambda: Rate(5, per=timedelta(seconds=-1)), "give a length of time greater than zero"),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused_where_it_is_written(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_limits_belong_to_no_fingerprint_and_give_a_lane_of_its_own():
    def define(**given):
        limits = Limits(max_concurrency=3) if given.pop("limited", None) else Limits()
        steps = (
            StepDefinition(name="a", no_compensation=True, limits=limits),
            StepDefinition(name="b", after=("a",)),
        )
        return SagaDefinition(name="order", steps=steps, **given)

    free, limited, whole = define(), define(limited=True), define(limits=Limits(rate_limit=Rate(5)))

    assert free.fingerprint == limited.fingerprint == whole.fingerprint
    assert free.lanes == {"a": "thread", "b": "thread"}
    assert limited.lanes == {"a": f"thread{lanes.gate_key('order', 'a')}", "b": "thread"}
    assert set(whole.lanes.values()) == {f"thread{lanes.gate_key('order', '')}"}
    assert all(
        len(lanes.marked(lanes.marked(lane, "held/"), "paused/")) <= 40 for lane in whole.lanes.values()
    )
    assert str(Limits(3, Rate(100, per=60))) == "3 at once, 100 in 1 min"

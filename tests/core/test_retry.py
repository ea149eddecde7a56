"""How often a step is tried, and how long it waits in between."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_saga.core.retry import DEFAULT_RETRY, DEFAULT_UNDO_RETRY, Retry, as_timedelta


def waits(retry, *, chance=0.0):
    return [
        wait and wait.total_seconds() for wait in (retry.wait_after(n, chance=chance) for n in range(1, 6))
    ]


def test_the_wait_doubles_until_the_attempts_are_spent():
    assert waits(Retry(attempts=4)) == [1, 2, 4, None, None]


def test_the_wait_grows_to_the_cap_and_no_further():
    assert waits(Retry(attempts=9, delay=10, factor=3, max_delay=100)) == [10, 30, 90, 100, 100]


def test_a_factor_of_one_keeps_the_wait_constant():
    assert waits(Retry(attempts=9, delay=2, factor=1)) == [2, 2, 2, 2, 2]


def test_one_attempt_means_no_retry():
    assert waits(Retry(attempts=1)) == [None] * 5


def test_chance_takes_up_to_the_jitter_off_the_wait():
    assert waits(Retry(attempts=3, delay=8, jitter=0.5), chance=1.0) == [4, 8, None, None, None]
    assert waits(Retry(attempts=3, delay=8, jitter=0.5), chance=0.5) == [6, 12, None, None, None]
    assert waits(Retry(attempts=3, delay=8, jitter=0), chance=1.0) == [8, 16, None, None, None]
    assert waits(Retry(attempts=3, delay=8, jitter=1), chance=1.0) == [
        timedelta(0),
        timedelta(0),
        None,
        None,
        None,
    ]


def test_seconds_and_timedeltas_are_the_same():
    assert Retry(delay=2, max_delay=0.5) == Retry(
        delay=timedelta(seconds=2), max_delay=timedelta(seconds=0.5)
    )
    assert as_timedelta(1.5) == as_timedelta(timedelta(seconds=1.5)) == timedelta(seconds=1.5)


@given(
    attempt=st.integers(1, 10**6),
    chance=st.floats(0, 1),
    jitter=st.floats(0, 1),
    factor=st.floats(1, 100),
    delay=st.floats(0, 1000),
)
def test_the_wait_never_leaves_its_bounds(attempt, chance, jitter, factor, delay):
    retry = Retry(delay=delay, factor=factor, jitter=jitter, max_delay=60)

    assert timedelta(0) <= retry.backoff(attempt, chance=chance) <= timedelta(seconds=60)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"attempts": 0}, "Retry(attempts=0): give 1 or more; 1 means no retry"),
        ({"factor": 0.5}, "Retry(factor=0.5): give 1 or more; 1 keeps the wait constant"),
        ({"jitter": 1.5}, "Retry(jitter=1.5): give a share between 0 and 1"),
        ({"jitter": -0.1}, "Retry(jitter=-0.1): give a share between 0 and 1"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        Retry(**wrong)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("retry", "allowed"),
    [
        (Retry(), [True, True, True, False]),
        (Retry(retry_on=(OSError,)), [False, True, True, False]),
        (Retry(give_up_on=(OSError,)), [True, False, False, False]),
        (Retry(retry_on=(OSError,), give_up_on=(TimeoutError,)), [False, True, False, False]),
    ],
)
def test_errors_are_worth_another_attempt_by_their_type(retry, allowed):
    errors = [ValueError(), ConnectionError(), TimeoutError(), KeyboardInterrupt()]

    assert [retry.allows(error) for error in errors] == allowed


def test_a_compensation_tries_longer_than_a_step():
    assert Retry(attempts=3, delay=1, factor=2, max_delay=600, jitter=0.5) == DEFAULT_RETRY
    assert Retry(attempts=8, delay=1, factor=2, max_delay=300, jitter=0.5) == DEFAULT_UNDO_RETRY

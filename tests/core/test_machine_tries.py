"""Tries: how often an attempt is made again, when, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from django_saga.core import machine
from django_saga.core.events import SagaStarted, StepFailed
from django_saga.core.retry import Retry
from django_saga.core.states import SagaStatus
from tests.core.machine_play import EPOCH, Player, define


def seconds(player: Player, name: str = "a") -> float | None:
    """Say in how many seconds the step is due."""
    due = player.state.steps[name].due_at
    return None if due is None else (due - player.now).total_seconds()


def reason(player: Player, name: str = "a") -> str:
    return player.state.steps[name].reason


def run_out(player: Player, how: str, name: str = "a") -> list[float | None]:
    """End the step like ``how`` until it is closed; give the waits in between, in seconds."""
    waits = []
    undoing = player.state.steps[name].undoing
    while player.state.steps[name].is_open and player.state.steps[name].undoing is undoing:
        player.end(name, how)
        again = player.state.steps[name]
        if again.is_open and again.undoing is undoing:
            waits.append(seconds(player, name))
            player.advance()
    return waits


def compensating(**facts) -> Player:
    """Give a saga whose step a is to be undone."""
    player = Player(define("a b<a", **facts))
    player.end("a")
    player.cancel()
    return player


# --- attempts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["failed", "timed out", "reported"])
@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_step_is_tried_as_often_as_its_policy_says(how, attempts):
    player = Player(define("a", bare="a", attempts=attempts, delay=7))

    waits = run_out(player, how)

    assert waits == [7] * (attempts - 1)
    assert player.state.steps["a"].attempt == attempts
    assert (player.state.status, reason(player)) == (SagaStatus.COMPENSATED, "attempts spent")


@pytest.mark.parametrize("how", ["failed", "timed out"])
@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_compensation_is_tried_as_often_as_its_own_policy_says(how, attempts):
    player = compensating(attempts=2, undo_attempts=attempts, delay=7)

    waits = run_out(player, how)

    assert waits == [7] * (attempts - 1)
    assert player.state.steps["a"].attempt == attempts
    assert (player.state.status, reason(player)) == (SagaStatus.STUCK, "attempts spent")


def test_the_attempts_of_a_compensation_are_counted_from_the_start():
    player = Player(define("a b<a", attempts=3, undo_attempts=2))
    player.end("a", "failed")
    player.end("a", "lost")
    player.end("a")

    player.cancel()

    step = player.state.steps["a"]
    assert (step.status, step.attempt, step.crashes) == ("undo_scheduled", 0, 0)


@pytest.mark.parametrize("how", ["permanent", "partial", "reported for good"])
def test_what_is_permanent_is_not_tried_again(how):
    player = Player(define("a", bare="a", attempts=3))

    player.end("a", how)

    assert (player.state.status, reason(player)) == (SagaStatus.COMPENSATED, "permanent failure")


@pytest.mark.parametrize("how", ["permanent", "reported for good"])
def test_a_compensation_whose_end_is_permanent_is_dead(how):
    player = compensating(undo_attempts=3)

    player.end("a", how)

    assert (player.state.status, reason(player)) == (SagaStatus.STUCK, "permanent failure")


def test_waits_grow_by_the_policy_and_are_shortened_by_chance():
    definition = define("a", attempts=5)
    steady = definition["a"]
    growing = replace(steady, retry=Retry(attempts=5, delay=10, factor=3, max_delay=60, jitter=0.5))
    player = Player(replace(definition, steps=(growing,)))

    waits = []
    for chance in (0.0, 1.0, 0.0, 0.5):
        player.end("a", "failed", chance=chance)
        waits.append(seconds(player))
        player.advance()

    assert waits == [10, 15, 60, 45]


# --- RetryLater -----------------------------------------------------------------------------------


def test_retry_later_sets_the_wait_instead_of_the_policy():
    player = Player(define("a", attempts=2, delay=7))

    player.end("a", "failed", retry_after=timedelta(hours=3))

    assert (player.state.status, seconds(player)) == (SagaStatus.RUNNING, 3 * 3600)


def test_retry_later_counts_as_an_attempt():
    player = Player(define("a", attempts=2))
    player.end("a", "failed", retry_after=timedelta(seconds=1))
    player.advance()

    player.end("a", "failed", retry_after=timedelta(seconds=1))

    assert (player.state.status, reason(player)) == (SagaStatus.COMPENSATED, "attempts spent")


def test_a_compensation_may_be_retried_later_too():
    player = compensating(undo_attempts=2)

    player.end("a", "failed", retry_after=timedelta(minutes=5))

    assert (player.state.status, seconds(player)) == (SagaStatus.COMPENSATING, 300)


# --- lost workers ---------------------------------------------------------------------------------


def test_a_lost_worker_costs_no_attempt():
    player = Player(define("a", bare="a", attempts=2))
    player.end("a", "lost")

    player.end("a", "failed")

    assert (player.state.status, player.state.steps["a"].attempt) == (SagaStatus.RUNNING, 2)
    player.end("a", "failed")
    assert (player.state.steps["a"].attempt, reason(player)) == (3, "attempts spent")


@pytest.mark.parametrize("limit", [0, 1, 2, 4])
def test_a_step_that_loses_its_worker_each_time_ends_as_a_crash_loop(limit):
    player = Player(define("a", bare="a", attempts=2, delay=7), crash_limit=limit)

    waits = run_out(player, "lost")

    # The first takeover is at once; the one beyond the limit is not made.
    assert waits == ([0] + [7] * limit)[:limit]
    assert player.state.steps["a"].crashes == limit + 1
    assert (player.state.status, reason(player)) == (SagaStatus.COMPENSATED, "crash loop")


def test_a_crash_loop_leaves_the_step_in_doubt_and_compensated():
    player = Player(define("a"), crash_limit=0)

    player.end("a", "lost")

    assert player.statuses() == {"a": "undo_scheduled"}
    assert player.state.steps["a"].outcome == "unknown"


def test_a_compensation_that_loses_its_worker_each_time_is_dead_as_a_crash_loop():
    player = compensating()

    run_out(player, "lost")

    assert (player.state.status, player.state.steps["a"].crashes) == (SagaStatus.STUCK, 2)
    assert (player.statuses(), reason(player)) == ({"a": "undo_failed", "b": "skipped"}, "crash loop")


# --- released attempts ----------------------------------------------------------------------------


def test_a_released_attempt_is_due_at_once_and_not_charged():
    player = Player(define("a", delay=7))

    player.end("a", "released")

    assert (player.state.status, seconds(player)) == (SagaStatus.RUNNING, 0)
    assert (player.state.steps["a"].attempt, player.state.steps["a"].crashes) == (0, 0)
    assert player.claim("a").attempt == 1


def test_a_released_attempt_leaves_the_step_in_doubt():
    player = Player(define("a"))
    player.end("a", "released")

    player.end("a", "permanent")

    assert player.statuses() == {"a": "undo_scheduled"}
    assert player.state.steps["a"].outcome == "unknown"


def test_a_released_compensation_is_due_at_once_and_not_charged():
    player = compensating()

    player.end("a", "released")
    player.end("a")

    assert (player.state.status, player.undone()) == (SagaStatus.COMPENSATED, ["a"])


# --- the step's deadline --------------------------------------------------------------------------


def test_a_step_is_not_tried_again_once_its_deadline_would_have_passed():
    player = Player(define("a", attempts=9, delay=7, deadline=15))

    assert run_out(player, "failed") == [7, 7]

    assert (player.state.steps["a"].attempt, reason(player)) == (3, "step deadline passed")


@pytest.mark.parametrize("how", ["timed out", "lost", "released"])
def test_an_attempt_in_doubt_is_not_made_again_after_the_step_s_deadline(how):
    player = Player(define("a", attempts=9, deadline=15))
    player.claim("a")
    player.advance(timedelta(seconds=15))

    player.end("a", how)

    assert player.statuses() == {"a": "undo_scheduled"}


def test_retry_later_cannot_outlive_the_step_s_deadline():
    player = Player(define("a", attempts=9, deadline=15))

    player.end("a", "failed", retry_after=timedelta(seconds=15))

    assert reason(player) == "step deadline passed"


def test_the_deadline_of_a_step_begins_when_the_step_is_opened():
    player = Player(define("a b<a", deadline=15))
    player.advance(timedelta(seconds=10))

    player.end("a")

    assert player.state.steps["b"].deadline_at == EPOCH + timedelta(seconds=25)


def test_the_deadline_of_a_step_does_not_bound_its_compensation():
    player = Player(define("a", undo_attempts=2, delay=60, deadline=15))
    player.end("a", "timed out")

    player.end("a", "failed")

    assert (player.state.status, seconds(player)) == (SagaStatus.COMPENSATING, 60)


# --- the start ------------------------------------------------------------------------------------


def test_a_saga_that_starts_later_is_pending_until_its_first_outcome():
    player = Player(define("a b<a", attempts=2, deadline=15), starts_at=EPOCH + timedelta(hours=1))
    assert (player.state.status, player.due(), seconds(player)) == (SagaStatus.PENDING, [], 3600)
    assert player.state.steps["a"].deadline_at == EPOCH + timedelta(hours=1, seconds=15)

    player.advance()
    player.end("a", "failed")

    assert player.state.status is SagaStatus.RUNNING


def test_a_saga_whose_start_has_passed_already_runs_at_once():
    started = SagaStarted(starts_at=EPOCH - timedelta(seconds=1), deadline_at=EPOCH + timedelta(days=1))

    state = machine.start(define("a b"), started, now=EPOCH)

    assert (state.status, sorted(state.steps)) == (SagaStatus.RUNNING, ["a", "b"])
    assert state.deadline_at == EPOCH + timedelta(days=1)


def test_a_failure_says_by_itself_when_it_is_tried_again():
    """Chance and waits are facts of the event, so that the history gives the same times again."""
    definition = define("a", attempts=2)
    state = machine.start(definition, SagaStarted(), now=EPOCH)
    event = StepFailed(step="a", attempt=1, chance=0.5, retry_after=timedelta(seconds=3))

    decisions = [machine.decide(definition, state, event, now=EPOCH) for _ in range(2)]

    assert decisions[0] == decisions[1]
    assert decisions[0].steps["a"].due_at == EPOCH + timedelta(seconds=3)

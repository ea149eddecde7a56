"""A step failed for good: what becomes of the other branches, by policy."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_saga.core import events
from django_saga.core.states import FailurePolicy, SagaStatus
from tests.core.machine_play import EPOCH, Player, define

FORK = "a b<a c<a d<c e<bd"
WAIT_ALL = FailurePolicy.WAIT_ALL
GRACE = FailurePolicy.FAIL_FAST_WITH_GRACE


def failing(policy: FailurePolicy, *, attempts: int = 1, grace: float | None = None) -> Player:
    """Play a fork up to the failure of its shorter branch, while the longer one has barely begun."""
    player = Player(define(FORK, failure_policy=policy, grace=grace, attempts=attempts))
    player.end("a")
    player.end("b", "permanent")
    return player


def test_fail_fast_turns_back_at_once():
    player = failing(FailurePolicy.FAIL_FAST)

    assert player.state.status is SagaStatus.COMPENSATING
    assert player.statuses() == {"a": "undo_scheduled", "b": "failed", "c": "skipped"}


def test_wait_all_lets_the_other_branch_go_on_to_its_end_and_then_turns_back():
    player = failing(WAIT_ALL)
    assert (player.state.status, player.state.reason, player.state.culprit) == ("running", "failed", "b")

    player.end("c")
    assert player.statuses() == {"a": "succeeded", "b": "failed", "c": "succeeded", "d": "scheduled"}
    player.end("d")

    assert player.state.status is SagaStatus.COMPENSATING
    for name in "dca":
        player.end(name)
    assert (player.state.status, player.undone()) == ("compensated", ["d", "c", "a"])
    assert "e" not in player.state.steps


def test_a_branch_that_goes_on_has_its_retries():
    player = failing(WAIT_ALL, attempts=2)

    player.end("c", "failed")

    assert player.statuses()["c"] == "scheduled"


def test_the_first_failure_is_the_one_that_is_told():
    player = failing(WAIT_ALL)

    player.end("c", "timed out")

    assert (player.state.status, player.state.reason, player.state.culprit) == ("compensating", "failed", "b")
    assert player.statuses() == {"a": "succeeded", "b": "failed", "c": "undo_scheduled"}


@pytest.mark.parametrize("turn", ["cancel", "pass_deadline"])
def test_a_failing_saga_that_is_told_to_turn_back_does_so_at_once_for_the_reason_it_had(turn):
    player = failing(WAIT_ALL)
    player.claim("c")

    getattr(player, turn)()

    assert player.statuses() == {"a": "succeeded", "b": "failed", "c": "scheduled"}
    assert (player.state.status, player.state.reason, player.state.culprit) == ("compensating", "failed", "b")


def test_grace_gives_the_others_until_a_deadline():
    player = failing(GRACE, grace=30)

    assert (player.state.status, player.state.deadline_at) == ("running", EPOCH + timedelta(seconds=30))
    player.advance(timedelta(seconds=20))
    player.end("c", "failed")
    assert player.state.deadline_at == EPOCH + timedelta(seconds=30)


def test_grace_does_not_outlast_the_sagas_own_deadline():
    definition = define(FORK, failure_policy=GRACE, grace=30)
    soon = EPOCH + timedelta(seconds=10)
    player = Player(definition)
    player.state = player.state._replace(deadline_at=soon)
    player.end("a")

    player.end("b", "permanent")

    assert player.state.deadline_at == soon


def test_a_failure_with_nothing_beside_it_turns_back_under_every_policy():
    for policy in FailurePolicy:
        player = Player(define("a b<a", failure_policy=policy, grace=30 if policy is GRACE else None))
        player.end("a")
        player.end("b", "permanent")
        assert player.state.status is SagaStatus.COMPENSATING, policy


def test_what_a_policy_that_takes_a_time_is_called_with():
    assert FailurePolicy.FAIL_FAST_WITH_GRACE(1.5).period == timedelta(seconds=1.5)
    assert FailurePolicy.FAIL_FAST_WITH_GRACE(timedelta(minutes=1)).period == timedelta(minutes=1)
    with pytest.raises(TypeError, match=r"FailurePolicy\.WAIT_ALL takes no time"):
        FailurePolicy.WAIT_ALL(30)


def test_an_event_of_a_failing_saga_needs_every_step():
    from django_saga.core import machine

    player = failing(WAIT_ALL)
    event = events.StepSucceeded(step="c", attempt=1)

    assert machine.reads(player.definition, player.state.status, event) == frozenset()
    assert machine.reads(player.definition, player.state.status, event, failing=True) is None

"""Dead compensations: what else is undone, and how a person has them tried again."""

from __future__ import annotations

import pytest

from django_saga.core.states import CompensationPolicy, SagaStatus, StepStatus
from django_saga.exceptions import IllegalTransition
from tests.core.machine_play import Player, define
from tests.core.test_machine_back import drain


def stuck(graph: str, dead: str, policy: CompensationPolicy = CompensationPolicy.CONTINUE) -> Player:
    """Play a saga whose steps succeed up to the last one; then the compensations of ``dead`` die."""
    player = Player(define(graph + " z<" + graph.split()[-1][0], policy=policy))
    while "z" not in player.due():
        player.end(player.due()[0])
    player.end("z", "permanent")
    while player.state.status.is_live:
        name = player.due()[0]
        player.end(name, "permanent" if name in dead else "succeeded")
    return player


def test_a_dead_compensation_leaves_the_saga_stuck_after_the_others_were_undone():
    player = stuck("a b<a c<b", dead="b")

    assert player.statuses() == {"a": "undone", "b": "undo_failed", "c": "undone", "z": "failed"}
    assert (player.state.status, player.state.reason) == (SagaStatus.STUCK, "failed")


def test_a_stuck_saga_whose_dead_compensation_is_retried_ends_compensated():
    player = stuck("a b<a", dead="a")

    player.retry_undo("a")

    step = player.state.steps["a"]
    assert (player.state.status, step.status) == (SagaStatus.COMPENSATING, StepStatus.UNDO_SCHEDULED)
    assert (step.attempt, step.crashes, step.reason) == (0, 0, "")
    player.end("a")
    assert player.state.status is SagaStatus.COMPENSATED


def test_a_saga_stays_stuck_until_every_dead_compensation_was_retried():
    player = stuck("a b<a", dead="ab")

    player.retry_undo("b")
    player.end("b")

    assert player.state.status is SagaStatus.STUCK
    player.retry_undo("a")
    player.end("a")
    assert (player.state.status, player.undone()) == (SagaStatus.COMPENSATED, ["b", "a"])


def test_dead_compensations_retried_together_keep_their_order():
    player = stuck("a b<a", dead="ab")
    player.retry_undo("b")

    player.retry_undo("a")

    assert player.statuses() == {"a": "succeeded", "b": "undo_scheduled", "z": "failed"}
    player.end("b")
    player.end("a")
    assert (player.state.status, player.undone()) == (SagaStatus.COMPENSATED, ["b", "a"])


def test_a_compensation_that_waits_to_be_retried_counts_its_tries_from_the_start():
    player = stuck("a b<a", dead="ab")
    player.retry_undo("b")

    player.retry_undo("a")

    waiting = player.state.steps["a"]
    assert (waiting.status, waiting.attempt, waiting.crashes, waiting.reason) == ("succeeded", 0, 0, "")


def test_a_dead_compensation_may_be_retried_while_others_still_run():
    player = Player(define("a b"))
    player.end("a")
    player.claim("b")
    player.cancel()
    player.end("a", "permanent")

    player.retry_undo("a")
    player.end("a")

    assert (player.state.status, player.statuses()) == ("compensating", {"a": "undone", "b": "scheduled"})


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        (CompensationPolicy.CONTINUE, {"a": "undone", "b": "undo_failed", "c": "undone", "d": "undone"}),
        (CompensationPolicy.STOP, {"a": "succeeded", "b": "undo_failed", "c": "succeeded", "d": "undone"}),
        (
            CompensationPolicy.SKIP_DEPENDENTS,
            {"a": "succeeded", "b": "undo_failed", "c": "undone", "d": "undone"},
        ),
    ],
)
def test_what_else_is_undone_beside_a_dead_compensation_is_the_policys_to_say(policy, left):
    player = stuck("a b<a c<a d<c", dead="b", policy=policy)

    assert player.statuses() == {**left, "z": "failed"}
    assert player.state.status is SagaStatus.STUCK

    player.retry_undo("b")
    drain(player)

    assert player.statuses() == {**dict.fromkeys("abcd", "undone"), "z": "failed"}
    assert player.undone()[-1] == "a" or policy is CompensationPolicy.CONTINUE
    assert player.state.status is SagaStatus.COMPENSATED


def test_a_retried_compensation_does_not_stop_for_another_dead_one():
    player = Player(define("a b c", policy=CompensationPolicy.STOP))
    player.end("a")
    player.end("b")
    player.end("c", "permanent")
    player.claim("a")
    player.claim("b")
    player.end("a", "permanent")
    player.end("b", "permanent")
    assert player.statuses() == {"a": "undo_failed", "b": "undo_failed", "c": "failed"}

    player.retry_undo("a")

    assert player.statuses() == {"a": "undo_scheduled", "b": "undo_failed", "c": "failed"}
    player.end("a")
    assert player.state.status is SagaStatus.STUCK


@pytest.mark.parametrize("name", ["b", "z", "nobody"])
def test_only_a_dead_compensation_can_be_retried(name):
    player = stuck("a b<a", dead="a")

    with pytest.raises(
        IllegalTransition, match=f"step {name} is .*: only a dead compensation can be retried"
    ):
        player.retry_undo(name)


# --- a person says that nothing is left to undo ---------------------------------------------------


def test_a_stuck_saga_whose_dead_compensation_is_skipped_ends_compensated():
    player = stuck("a b<a", dead="a")

    player.skip_undo("a")

    step = player.state.steps["a"]
    assert (player.state.status, step.status) == (SagaStatus.COMPENSATED, StepStatus.UNDONE)
    assert (step.outcome, step.reason) == ("succeeded", "compensation skipped")
    assert player.folded() == player.state


def test_a_saga_stays_stuck_until_every_dead_compensation_was_skipped():
    player = stuck("a b<a", dead="ab")

    player.skip_undo("a")
    assert player.state.status is SagaStatus.STUCK
    player.skip_undo("b")

    assert player.state.status is SagaStatus.COMPENSATED


@pytest.mark.parametrize("policy", [CompensationPolicy.STOP, CompensationPolicy.SKIP_DEPENDENTS])
def test_what_a_dead_compensation_held_back_has_its_turn_once_that_is_skipped(policy):
    player = stuck("a b<a", dead="b", policy=policy)
    assert player.statuses()["a"] == "succeeded"

    player.skip_undo("b")

    assert (player.state.status, player.statuses()["a"]) == (SagaStatus.COMPENSATING, "undo_scheduled")
    player.end("a")
    assert player.state.status is SagaStatus.COMPENSATED


@pytest.mark.parametrize("name", ["b", "z", "nobody"])
def test_only_a_dead_compensation_is_skipped(name):
    player = stuck("a b<a", dead="a")

    with pytest.raises(IllegalTransition, match="only a dead compensation can be skipped"):
        player.skip_undo(name)

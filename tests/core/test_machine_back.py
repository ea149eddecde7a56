"""Turning back: what is undone, in which order, and what people are left with."""

from __future__ import annotations

import pytest

from django_saga.core import events, machine
from django_saga.core.states import Outcome, SagaStatus
from django_saga.exceptions import IllegalTransition
from tests.core.machine_play import EPOCH, Effect, Player, define


def drain(player: Player) -> None:
    """Let everything that is still open succeed, one at a time, the newest first."""
    while player.state.status.is_live:
        if not player.due() and not player.claims:
            player.advance()
        player.end(max(player.claims or player.due()))


# --- what is undone -------------------------------------------------------------------------------


def test_what_succeeded_is_undone_in_reverse():
    player = Player(define("a b<a c<b d<c"))
    for name in "abc":
        player.end(name)

    player.end("d", "permanent")
    drain(player)

    assert player.undone() == ["c", "b", "a"]
    assert player.statuses() == {"a": "undone", "b": "undone", "c": "undone", "d": "failed"}
    assert (player.state.status, player.state.reason, player.state.culprit) == ("compensated", "failed", "d")


def test_a_step_that_failed_is_not_compensated():
    player = Player(define("a"))

    player.end("a", "permanent")

    assert (player.state.status, player.statuses()) == ("compensated", {"a": "failed"})


def test_a_step_that_failed_with_partial_work_is_compensated():
    player = Player(define("a"))

    player.end("a", "partial")

    assert player.statuses() == {"a": "undo_scheduled"}
    assert player.state.steps["a"].outcome is Outcome.FAILED
    drain(player)
    assert (player.state.status, player.undone()) == ("compensated", ["a"])


def test_partial_work_ends_the_step_though_tries_are_left():
    player = Player(define("a", attempts=2))

    player.end("a", "partial", permanent=False)

    assert player.statuses() == {"a": "undo_scheduled"}


@pytest.mark.parametrize(
    ("how", "attempts"), [("timed out", 1), ("reported", 1), ("lost", 1), ("reported for good", 9)]
)
def test_a_step_in_doubt_is_compensated_as_unknown(how, attempts):
    player = Player(define("a b<a", attempts=attempts), crash_limit=0)
    player.end("a")

    player.end("b", how)

    assert player.statuses() == {"a": "succeeded", "b": "undo_scheduled"}
    assert player.state.steps["b"].outcome is Outcome.UNKNOWN
    drain(player)
    assert player.undone() == ["b", "a"]


def test_a_step_that_was_once_in_doubt_stays_in_doubt_when_a_later_try_fails():
    player = Player(define("a", attempts=2))
    player.end("a", "timed out")

    player.end("a", "permanent")

    assert player.statuses() == {"a": "undo_scheduled"}
    assert player.state.steps["a"].outcome is Outcome.UNKNOWN


def test_a_step_that_was_in_doubt_and_then_succeeded_is_compensated_as_succeeded():
    player = Player(define("a b<a", attempts=2))
    player.end("a", "timed out")
    player.end("a")

    player.end("b", "permanent")

    assert player.statuses() == {"a": "undo_scheduled", "b": "failed"}
    assert player.state.steps["a"].outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("how", ["timed out", "lost"])
def test_an_atomic_step_is_never_in_doubt(how):
    player = Player(define("a b<a", atomic="ab"), crash_limit=0)
    player.end("a")

    player.end("b", how)

    assert player.statuses() == {"a": "undo_scheduled", "b": "failed"}


def test_a_step_in_doubt_that_waits_for_its_next_try_is_compensated_when_the_saga_is_cancelled():
    player = Player(define("a", attempts=2, delay=5))
    player.end("a", "timed out")

    player.cancel()

    assert player.statuses() == {"a": "undo_scheduled"}
    assert player.state.steps["a"].outcome is Outcome.UNKNOWN


def test_a_step_that_never_began_is_skipped():
    player = Player(define("a b"))

    player.end("a", "permanent")

    assert player.statuses() == {"a": "failed", "b": "skipped"}


# --- in which order -------------------------------------------------------------------------------


def test_a_step_without_a_compensation_keeps_the_order_between_its_neighbours():
    player = Player(define("a b<a c<b d<c", bare="bd"))
    for name in "abc":
        player.end(name)

    player.end("d", "permanent")

    assert player.statuses() == {"a": "succeeded", "b": "succeeded", "c": "undo_scheduled", "d": "failed"}


def test_nothing_is_undone_while_a_step_behind_it_without_a_compensation_is_in_flight():
    player = Player(define("a b<a c<a", bare="b"))
    player.end("a")
    player.claim("b")

    player.end("c", "permanent")

    assert player.statuses() == {"a": "succeeded", "b": "scheduled", "c": "failed"}
    player.end("b")
    assert player.statuses() == {"a": "undo_scheduled", "b": "succeeded", "c": "failed"}


def test_independent_branches_are_undone_at_the_same_time():
    player = Player(define("a b<a c<a d<bc"))
    for name in "abc":
        player.end(name)

    player.end("d", "permanent")
    player.claim_all()

    assert sorted(player.claims) == ["b", "c"]
    player.end("b")
    assert player.statuses() == {"a": "succeeded", "b": "undone", "c": "undo_scheduled", "d": "failed"}
    player.end("c")
    assert player.due() == ["a"]


def test_what_is_done_is_undone_at_once_while_another_branch_is_in_flight():
    player = Player(define("a b c<b d<c"))
    player.end("b")
    player.end("c")
    player.claim("a")

    player.end("d", "permanent")

    assert player.statuses() == {"a": "scheduled", "b": "succeeded", "c": "undo_scheduled", "d": "failed"}
    player.end("c")
    player.end("b")
    assert player.state.status is SagaStatus.COMPENSATING
    player.end("a")
    drain(player)
    assert player.undone() == ["c", "b", "a"]


def test_a_branch_that_ends_after_the_saga_turned_back_opens_nothing_behind_it():
    player = Player(define("a b c<b"))
    player.claim("b")
    player.end("a", "permanent")

    player.end("b")

    assert player.statuses() == {"a": "failed", "b": "undo_scheduled"}


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("failed", "failed"),
        ("timed out", "undo_scheduled"),
        ("lost", "undo_scheduled"),
        ("not started", "skipped"),
    ],
)
def test_a_branch_in_flight_that_does_not_succeed_is_not_tried_again(how, status):
    player = Player(define("a b", attempts=3))
    player.claim("b")
    player.end("a", "permanent")

    player.end("b", how)

    assert player.statuses() == {"a": "failed", "b": status}


def test_a_step_that_was_claimed_but_not_begun_counts_no_attempt():
    player = Player(define("a b"))
    claim = player.claim("b")
    player.cancel()

    player.end(claim, "not started")

    assert player.statuses() == {"a": "skipped", "b": "skipped"}
    assert player.state.steps["b"].attempt == 0


def test_a_compensation_cannot_be_called_off_as_not_started():
    player = Player(define("a b<a"))
    player.end("a")
    player.end("b", "permanent")

    with pytest.raises(IllegalTransition, match="step a is undo_scheduled"):
        player.end("a", "not started")

    assert player.statuses() == {"a": "undo_scheduled", "b": "failed"}


# --- the saga's deadline, cancelling --------------------------------------------------------------


@pytest.mark.parametrize(("turn", "reason"), [("cancel", "cancelled"), ("pass_deadline", "deadline passed")])
def test_cancel_and_deadline_turn_a_saga_back_and_leave_what_is_in_flight_to_its_owner(turn, reason):
    player = Player(define("a b<a c<a"))
    player.end("a")
    player.claim("b")

    getattr(player, turn)()

    assert player.statuses() == {"a": "succeeded", "b": "scheduled", "c": "skipped"}
    assert (player.state.status, player.state.reason, player.state.culprit) == ("compensating", reason, "")
    player.end("b")
    drain(player)
    assert (player.state.status, player.undone()) == ("compensated", ["b", "a"])


def test_a_saga_cancelled_before_it_is_due_is_compensated_at_once():
    player = Player(define("a b<a"), starts_at=EPOCH.replace(hour=1))
    assert (player.state.status, player.due()) == (SagaStatus.PENDING, [])

    player.cancel()

    assert (player.state.status, player.statuses()) == (SagaStatus.COMPENSATED, {"a": "skipped"})


def test_effects_are_logged_in_the_order_they_happened():
    player = Player(define("a b<a"))
    player.end("a")
    player.end("b", "timed out")
    drain(player)

    assert player.effects == [
        Effect("do", "a"),
        Effect("do", "a", "succeeded"),
        Effect("do", "b"),
        Effect("do", "b", "timed out"),
        Effect("undo", "b"),
        Effect("undo", "b", "succeeded"),
        Effect("undo", "a"),
        Effect("undo", "a", "succeeded"),
    ]
    assert player.folded() == player.state
    assert machine.reads(player.definition, player.state.status, events.CancelRequested()) is None

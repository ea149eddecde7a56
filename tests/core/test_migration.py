"""A saga goes on by another version if it could have come there by it; else that is refused and told why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import event, given, seed, settings
from hypothesis import strategies as st

from django_saga.core import machine
from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Migrated, StepSucceeded, UndoRetried
from django_saga.core.migration import migrate, named_as_now, require_mapping
from django_saga.core.state import SagaState
from django_saga.core.states import CompensationPolicy, FailurePolicy, SagaStatus, StepStatus
from django_saga.exceptions import IllegalTransition, MigrationRefused
from tests.core.machine_laws import FORWARD
from tests.core.machine_play import EPOCH, Player, define, shapes
from tests.core.migration_play import finish, moved, played, refused, second
from tests.core.test_machine_random import EXAMPLES, SEED

# --- going on -------------------------------------------------------------------------------------


def test_a_step_behind_goes_on_under_its_new_name_and_new_steps_run():
    player = moved(played(define("a b<a"), "a"), second("a c<a d<c"), b="d")

    assert player.statuses() == {"a": "succeeded", "c": "scheduled"}
    finish(player)
    assert [e.step for e in player.effects if e.how] == ["a", "c", "d"]
    assert player.state.status is SagaStatus.COMPLETED


def test_what_succeeded_under_its_old_name_is_undone_under_the_new_one():
    player = moved(played(define("a b<a c<b"), "a", "b"), second("x y<x c<y"), a="x", b="y")

    player.end("c", "permanent")
    finish(player)

    assert player.undone() == ["y", "x"]
    assert player.state.status is SagaStatus.COMPENSATED


def test_a_step_that_never_began_is_taken_back_when_its_turn_has_not_come():
    player = moved(played(define("a b<a"), "a"), second("a b<ac c<a"))

    assert player.statuses() == {"a": "succeeded", "c": "scheduled"}


def test_a_removed_step_that_never_began_is_gone_and_one_with_nothing_to_undo_stays_as_it_ended():
    player = moved(played(define("a b<a c<b", bare="a"), "a"), second("c"))

    assert player.statuses() == {"c": "scheduled"}
    assert {name: step.status for name, step in player.left.items()} == {"a": "succeeded"}


def test_a_saga_that_has_done_all_that_is_left_is_completed():
    player = moved(played(define("a b<a"), "a"), second("a"))

    assert player.state.status is SagaStatus.COMPLETED


def test_a_pending_saga_begins_when_it_was_to_begin():
    later = EPOCH + timedelta(hours=1)
    player = moved(Player(define("a"), starts_at=later), second("b c"))

    assert player.state.status is SagaStatus.PENDING
    assert {step.due_at for step in player.state.steps.values()} == {later}


def test_a_saga_that_has_no_step_yet_begins_with_the_first_ones_of_the_new_version():
    waiting = SagaState(SagaStatus.PENDING, {})

    assert migrate(define("a"), second("b"), waiting, Migrated(), now=EPOCH) == waiting


def test_compensations_go_on_in_the_order_of_the_new_version():
    player = played(define("a b<a c<b"), "a", "b", "c permanent")
    assert player.statuses()["b"] == "undo_scheduled"

    player = moved(player, second("b a<b c<a"))

    assert player.statuses() == {"a": "undo_scheduled", "b": "succeeded", "c": "failed"}
    finish(player)
    assert player.undone() == ["a", "b"]


def test_another_policy_has_what_was_held_back_undone():
    stuck = played(
        define("a b<a c<a d<bc", policy=CompensationPolicy.STOP),
        *("a", "b", "c", "d permanent", "b permanent", "c"),
    )
    assert (stuck.state.status, stuck.statuses()["a"]) == (SagaStatus.STUCK, "succeeded")

    player = moved(stuck, second("a b<a c<a d<bc"))

    assert (player.state.status, player.statuses()["a"]) == (SagaStatus.COMPENSATING, "undo_scheduled")


def test_a_failing_saga_whose_last_branch_is_gone_turns_back():
    waiting = define("a b<a c<a d<c", failure_policy=FailurePolicy.WAIT_ALL)
    player = played(waiting, "a", "b permanent")
    assert (player.state.status, player.state.failing) == (SagaStatus.RUNNING, True)

    player = moved(player, second("a x<a", failure_policy=FailurePolicy.WAIT_ALL), b="x")

    assert (player.state.status, player.state.culprit) == (SagaStatus.COMPENSATING, "x")
    assert player.statuses() == {"a": "undo_scheduled", "x": "failed"}


def test_a_failing_saga_turns_back_when_the_new_version_waits_for_nothing():
    waiting = define("a b<a c<a d<a", attempts=2, failure_policy=FailurePolicy.WAIT_ALL)
    player = played(waiting, "a", "b permanent", "c timed out")

    player = moved(player, second("a b<a c<a d<a"))

    assert player.statuses() == {
        "a": "succeeded",
        "b": "failed",
        "c": "undo_scheduled",
        "d": "skipped",
    }


def test_a_step_that_was_tried_keeps_its_tries_if_it_keeps_its_name():
    player = played(define("a b<a", attempts=3, delay=9), "a", "b failed")

    player = moved(player, second("a b<a c<b", attempts=3, delay=9))

    assert player.state.steps["b"].attempt == 1
    player.advance()
    player.end("b", "failed")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("player", "new", "renamed", "reasons"),
    [
        (
            played(define("a b<a"), "a"),
            second("b"),
            {},
            ["step a has an effect to undo, and v2 has no such step"],
        ),
        (
            played(define("a b<a"), "a"),
            second("a b<a", bare="a"),
            {},
            ["step a has an effect to undo, and a of v2 has no compensation"],
        ),
        (
            played(define("a b<a"), "a"),
            second("c a<c b<a"),
            {},
            ["step a has begun, and in v2 it waits for c"],
        ),
        (
            played(define("a b<a", bare="b", attempts=2), "a", "b failed"),
            second("a"),
            {},
            ["step b was tried and is not over, and v2 has no such step"],
        ),
        (
            played(define("a b<a", attempts=2), "a", "b timed out"),
            second("a c<a"),
            {"b": "c"},
            ["step b was tried: as c it would go on with another idempotency key"],
        ),
        (
            played(define("a b<a", undo_attempts=2), "a", "b permanent", "a failed"),
            second("c b<c"),
            {"a": "c"},
            ["step a was tried: as c it would go on with another idempotency key"],
        ),
        (
            played(define("a b<a"), "a", "b permanent", "a permanent"),
            second("b"),
            {},
            ["step a has an effect to undo, and v2 has no such step"],
        ),
        (
            played(define("a b<a c<b"), "a", "b", "c permanent", "b"),
            second("b a<b c<a"),
            {},
            ["the undoing of b has begun, and in v2 a is undone before"],
        ),
        (
            played(define("a b", failure_policy=FailurePolicy.WAIT_ALL), "a permanent"),
            second("b c<b"),
            {},
            ["step a has failed, and v2 has no such step"],
        ),
        (
            played(define("a b<a"), "a", "b"),
            second("a b<a c<b"),
            {},
            ["it is completed"],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_could_not_have_come_there_by_the_new_version_is_refused(player, new, renamed, reasons):
    before = player.state

    assert refused(player, new, **renamed) == reasons
    assert player.state == before


@pytest.mark.parametrize(
    ("renamed", "why"),
    [
        ({"shop": "c"}, r"played v1 has no step 'shop'\."),
        ({"a": "cc"}, r"played v2 has no step 'cc'\. Did you mean 'c'\?"),
        ({"a": "b"}, "steps 'a' and 'b' of played v1 would both be 'b' of played v2"),
        ({"a": "c", "b": "c"}, "steps 'a' and 'b' of played v1 would both be 'c' of played v2"),
    ],
)
def test_a_mapping_that_fits_neither_version_is_refused(renamed, why):
    with pytest.raises(MigrationRefused, match=why):
        require_mapping(define("a b<a"), second("b c<b"), renamed)


def test_names_may_change_places():
    require_mapping(define("a b<a"), second("b a<b"), {"a": "b", "b": "a"})

    player = moved(played(define("a b<a"), "a"), second("b a<b"), a="b", b="a")

    assert player.statuses() == {"a": "scheduled", "b": "succeeded"}


# --- the history ----------------------------------------------------------------------------------


def test_a_history_over_several_versions_folds_to_the_state():
    versions = {1: define("a b<a"), 2: second("a c<a b<c"), 3: replace(define("x c<x"), version=3)}
    player = moved(played(versions[1], "a"), versions[2])
    player.end("c")
    player = moved(player, versions[3], a="x")

    folded = machine.fold(versions[3], player.history, versions.__getitem__)

    assert folded == player.state
    assert folded.status is SagaStatus.COMPLETED
    with pytest.raises(IllegalTransition, match="v1 is not known"):
        machine.fold(versions[3], player.history)


def test_a_history_tells_what_its_steps_are_called_today():
    story = [
        StepSucceeded(step="a"),
        Migrated(renamed=(("a", "b"), ("b", "a"))),
        UndoRetried(step="b"),
        Migrated(renamed=(("b", "c"),)),
        UndoRetried(step="c"),
    ]

    today = named_as_now(story)
    assert [names.get(step, step) for names, step in zip(today, "a-b-c", strict=True)] == list("c-c-c")


GRAPHS = [(graph, kinds["bare"]) for size in (1, 2, 3) for graph, kinds in shapes(size)]
ENDS = ["succeeded"] * 4 + ["failed", "permanent", "timed out", "lost", "partial", "reported for good"]


def drawn(rng: Random, version: int) -> SagaDefinition:
    graph, bare = rng.choice(GRAPHS)
    names = dict(zip("abc", rng.sample("abcd", 3), strict=True))
    wait = rng.choice(list(FailurePolicy)[:2])
    definition = define(
        "".join(names.get(letter, letter) for letter in graph),
        bare="".join(names[letter] for letter in bare),
        attempts=2,
        undo_attempts=2,
        policy=rng.choice(list(CompensationPolicy)),
        failure_policy=wait,
    )
    return replace(definition, version=version)


def step_at_random(player: Player, rng: Random) -> None:
    """Do one thing that may happen."""
    dead = [name for name, step in player.state.steps.items() if step.status is StepStatus.UNDO_FAILED]
    stops = player.definition.compensation_policy is CompensationPolicy.STOP
    if dead and not stops and rng.random() < 0.3:
        player.retry_undo(rng.choice(dead))
    elif player.state.status in FORWARD and rng.random() < 0.1:
        player.cancel()
    elif not player.due():
        if player.next_due():
            player.advance()
    else:
        player.end(rng.choice(player.due()), rng.choice(ENDS))


@seed(SEED)
@settings(max_examples=EXAMPLES * 5, deadline=None, print_blob=True)
@given(rng=st.randoms(use_true_random=False))
def test_whatever_is_accepted_goes_on_lawfully_to_an_end_that_its_history_folds_to(rng):
    old, new = drawn(rng, 1), drawn(rng, 2)
    player = Player(old)
    for _ in range(rng.randrange(8)):
        if not player.state.status.is_terminal:
            step_at_random(player, rng)
    gone = [name for name in old.by_name if name not in new.by_name]
    free = [name for name in new.by_name if name not in old.by_name]
    renamed = dict(zip(gone, free, strict=False)) if rng.random() < 0.7 else {}
    require_mapping(old, new, renamed)

    try:
        player = moved(player, new, **renamed)
    except MigrationRefused:
        event("refused")
        return
    event(f"went on, {player.state.status}")
    for _ in range(30):
        if not player.state.status.is_terminal:
            step_at_random(player, rng)

    folded = machine.fold(new, player.history, {1: old}.__getitem__)
    assert folded._replace(steps={}) == player.state._replace(steps={})
    assert folded.steps == {**player.state.steps, **player.left}


@pytest.mark.parametrize("size", [2, 3])
def test_the_same_graph_under_another_number_takes_every_saga_as_it_is(size):
    rng = Random(SEED)
    for graph, kinds in shapes(size):
        old = define(graph, **kinds, attempts=2, undo_attempts=2)
        for _ in range(20):
            player = Player(old)
            for _ in range(rng.randrange(10)):
                if not player.state.status.is_terminal:
                    step_at_random(player, rng)
            if not player.state.status.is_terminal:
                assert moved(player, replace(old, version=2)).state == player.state, player.history

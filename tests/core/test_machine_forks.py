"""Every short history, and at every point of it a fork from every step: no effect is lost or undone twice.

What a fork may do is told here from the workers' effects alone, not from the machine's states. Where it may
begin, it is played to its end in two ways, and both histories are folded. Their numbers are asserted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from django_saga.core import fork, machine
from django_saga.core.definition import SagaDefinition, StepDefinition, UndoDefinition
from django_saga.core.events import (
    Event,
    SagaForked,
    SagaStarted,
    SagaSuperseded,
    StepFailed,
    StepSucceeded,
    StepUnknown,
    Taken,
)
from django_saga.core.retry import Retry
from django_saga.core.state import SagaState
from django_saga.core.states import ForwardRecovery, SagaStatus
from django_saga.exceptions import ForkRefused
from tests.core.machine_laws import FORWARD
from tests.core.machine_play import EPOCH, Player, stored
from tests.core.test_machine_histories import DO_TROUBLES, UNDO_TROUBLES, diamonds, valid

MAYBE = {"succeeded", "partial", "timed out", "lost", "released"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("definitions", "expected"),
    [
        (valid(1), (2, 115, 25)),
        (valid(2), (4, 1308, 253)),
        (valid(3), (28, 53271, 7735)),
        (diamonds(), (5, 39724, 4491)),
    ],
    ids=["one step", "two steps", "three steps", "a diamond"],
)
def test_a_fork_takes_over_what_was_done_and_leaves_nothing_to_undo(definitions, expected):
    asked = begun = 0
    for definition in definitions:
        for player in points(Player(definition)):
            for step in definition.by_name:
                asked += 1
                refusal = why_not(player, step)
                if refusal:
                    with pytest.raises(ForkRefused):
                        forked(player, step)
                else:
                    begun += 1
                    check(player, step)

    assert (len(definitions), asked, begun) == expected


# --- playing ----------------------------------------------------------------------------------------


def points(player: Player, trouble: str = "", seen: set[object] | None = None) -> Iterator[Player]:
    """Give every point of every history, with due steps begun or not, until the saga has come to rest."""
    seen = set() if seen is None else seen
    if _is_known(player, trouble, seen) or player.state.status.is_terminal:
        return
    yield player
    player = player.copy()
    player.claim_all()
    if player.claims and not _is_known(player, trouble, seen):
        yield player
    moves: list[tuple[str, str, tuple[str, ...]]] = []
    for name, claim in player.claims.items():
        moves.append((trouble, "end", (name,)))
        if trouble in ("", name):
            after = "-" if trouble == name else name
            troubles = UNDO_TROUBLES if claim.undo else DO_TROUBLES
            moves += [(after, "end", (name, how)) for how in troubles]
    if not trouble and player.state.status in FORWARD:
        moves.append(("-", "cancel", ()))
    if player.next_due() is not None:
        moves.append((trouble, "advance", ()))
    for after, move, details in moves:
        twin = player.copy()
        getattr(twin, move)(*details)
        yield from points(twin, after, seen)


def _is_known(player: Player, trouble: str, seen: set[object]) -> bool:
    key = (trouble, player.now, tuple(player.claims), tuple(player.effects), len(player.history))
    known = key in seen
    seen.add(key)
    return known


class Both(NamedTuple):
    """The original as it ended, and the fork as it begins."""

    original: SagaState
    fork: SagaState
    began: SagaForked
    ended: SagaSuperseded


def forked(player: Player, step: str) -> Both:
    """Fork, as the engine does."""
    tried = tuple(sorted({e.step for e in player.effects if e.work == "undo" and e.how}))
    ended = SagaSuperseded(step=step, fork="f", undo_tried=tried, in_flight=tuple(sorted(player.claims)))
    taken = fork.take_over(player.definition, player.state, ended)
    decision = machine.decide(player.definition, player.state, ended, now=player.now)
    original = machine.apply(player.state, decision)
    began = SagaForked(step=step, origin="o", taken=taken)
    for event in (ended, began):
        assert (stored(event), type(stored(event))) == (event, type(event))
    return Both(original, machine.start(player.definition, began, now=player.now), began, ended)


# --- what is right, by the effects alone ------------------------------------------------------------


def why_not(player: Player, step: str) -> str:
    """Say why there is no fork from ``step``; empty: there is one."""
    if player.claims:
        return "something is in flight"
    behind = {step, *player.laws.behind[step]}
    for name, spec in player.definition.by_name.items():
        begun = any(e[:2] == ("undo", name) for e in player.effects)
        if effect(player, name) and spec.undo and (name in behind or begun or effect(player, name) != "do"):
            return f"{name} would have to be undone"
        if step in player.laws.behind[name] and (effect(player, name) != "do" or begun):
            return f"{name} is not done"
    return ""


def effect(player: Player, name: str) -> str:
    """Say what effect the step has: "do" if it succeeded, "maybe", or none."""
    hows = [e.how for e in player.effects if e.step == name and e.how and e.work == "do"]
    undone = any(e == ("undo", name, "succeeded") for e in player.effects)
    if undone or MAYBE.isdisjoint(hows):
        return ""
    return "do" if hows[-1] == "succeeded" else "maybe"


def check(player: Player, step: str) -> None:
    both = forked(player, step)
    definition, behind = player.definition, {step, *player.laws.behind[step]}
    done = {n for n in definition.by_name if effect(player, n) == "do"} - behind
    assert {each.step for each in both.began.taken} == done
    assert not any(s.is_open or s.due_at for s in both.original.steps.values())
    assert both.original.status is SagaStatus.SUPERSEDED
    history = [*((stored(e), at) for e, at in player.history), (stored(both.ended), player.now)]
    assert machine.fold(definition, history) == both.original

    whole, ran, undone = play(definition, both, player.now)
    assert (whole, undone) == (SagaStatus.COMPLETED, [])
    assert sorted(ran) == sorted(definition.by_name.keys() - done)

    fails = definition.order[-1] if definition.order[-1] in behind else step
    back, ran, undone = play(definition, both, player.now, fails)
    assert back is SagaStatus.COMPENSATED
    left = {name for name in {*done, *ran} - {fails} if definition[name].undo}
    assert Counter(undone) == Counter(left)
    for name in undone:
        assert player.laws.behind[name].isdisjoint(undone[undone.index(name) :])


def play(
    definition: SagaDefinition, both: Both, now: datetime, fails: str = ""
) -> tuple[SagaStatus, list[str], list[str]]:
    """Carry the fork to its end; give how it ended, what ran and what was undone."""
    state, ran, undone = both.fork, [], []
    history: list[tuple[Event, datetime]] = [(both.began, now)]
    while opened := [each for each in state.steps.values() if each.is_open]:
        opened.sort(key=lambda each: (each.name == fails, each.name))
        step = opened[0]
        event: Event = StepSucceeded(step=step.name, undo=step.undoing)
        if step.undoing:
            undone.append(step.name)
        else:
            ran.append(step.name)
            if step.name == fails:
                event = StepFailed(step=step.name, permanent=True)
        state = machine.apply(state, machine.decide(definition, state, event, now=now))
        history.append((stored(event), now))
    assert machine.fold(definition, history) == state
    return state.status, ran, undone


# --- past the pivot, and what has another in its place ----------------------------------------------


ONCE = Retry(attempts=1)
UNDO = UndoDefinition(function="undo", retry=ONCE)


def define(*steps: StepDefinition) -> SagaDefinition:
    return SagaDefinition(name="forked", steps=steps)


def make(name: str, *after: str, **facts: object) -> StepDefinition:
    return StepDefinition(name=name, after=after, retry=ONCE, **facts)  # type: ignore[arg-type]


PAST = define(
    make("a", undo=UNDO),
    make("b", "a", pivot=True),
    make("c", "b", forward_recovery=ForwardRecovery.ALTERNATE, alternate="d"),
    make("d", "b"),
    make("e", "c", forward_recovery=ForwardRecovery.SKIP),
    make("f", "e"),
)


def past(*moves: str) -> Any:
    """Play: each move names a step that ends; one with a "-" before it fails, one with a "?" in doubt."""
    state = machine.start(PAST, SagaStarted(), now=EPOCH)
    for move in moves:
        how = {"-": StepFailed, "?": StepUnknown}.get(move[0], StepSucceeded)
        facts = {} if how is StepSucceeded else {"permanent": True}
        event = how(step=move.lstrip("-?"), **facts)
        state = machine.apply(state, machine.decide(PAST, state, event, now=EPOCH))
    return SimpleNamespace(definition=PAST, state=state, effects=[], claims={}, now=EPOCH)


def test_what_stood_in_and_what_was_skipped_is_taken_over_as_it_is():
    both = forked(past("a", "b", "-c", "d", "-e", "-f"), "f")

    assert both.began.taken == (
        Taken("a", "succeeded", "succeeded"),
        Taken("b", "succeeded", "succeeded"),
        Taken("c", "failed", "failed", reason="permanent failure"),
        Taken("d", "succeeded", "succeeded"),
        Taken("e", "skipped", "failed", reason="permanent failure"),
    )
    assert (both.fork.status, both.fork.reason, both.fork.culprit) == ("running", "step skipped", "e")
    assert [name for name, step in both.fork.steps.items() if step.is_open] == ["f"]


def test_a_step_whose_stand_in_failed_too_is_begun_anew():
    both = forked(past("a", "b", "-c", "-d"), "c")

    assert [each.step for each in both.began.taken] == ["a", "b"]
    assert [name for name, step in both.fork.steps.items() if step.is_open] == ["c"]
    assert (both.fork.reason, both.fork.culprit) == ("", "")


@pytest.mark.parametrize(
    ("moves", "step", "why"),
    [
        (["a", "b", "-c", "-d"], "d", "step d only stands in for c: fork it from c"),
        (["a", "b", "c", "e", "-f"], "c", "step c has succeeded"),
        (["a", "b", "-c", "d", "e", "-f"], "c", "step d has succeeded"),
        (["a", "b", "c", "e", "-f"], "b", "step b has succeeded"),
    ],
)
def test_past_the_pivot_nothing_is_done_a_second_time(moves, step, why):
    with pytest.raises(ForkRefused, match=why):
        forked(past(*moves), step)


def test_a_step_that_may_have_had_its_effect_past_the_pivot_is_not_begun_anew():
    with pytest.raises(ForkRefused, match="step f may have had its effect"):
        forked(past("a", "b", "c", "e", "?f"), "f")

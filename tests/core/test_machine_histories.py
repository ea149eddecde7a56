"""Every short history, played: workers claim what is due, time passes, the order of effects is looked at.

Where ``test_machine_search`` walks states, this plays whole histories, each from its first event to its rest,
of every valid saga of up to three steps, with and without compensations, and of a diamond of four. Each step
and compensation has two tries, with a wait between them.

* Every claimed attempt may be the next to end, so parallel ones end in every order, also before a due retry.
* All goes well but for one trouble, at every point: an attempt, of a step or of a compensation, that ends in
  any other way; a cancel; a deadline. An attempt's trouble may be followed by a second one of its step.
* A dead compensation is retried by an operator in the end.

Each history, stored as JSON and folded, gives the state it led to. Their numbers are asserted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_saga.core.definition import SagaDefinition
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.core.validation import problems
from tests.core.machine_laws import FORWARD
from tests.core.machine_play import Effect, Player, define, shapes

DO_TROUBLES = ("failed", "permanent", "partial", "timed out", "lost", "released")
UNDO_TROUBLES = ("failed", "permanent", "timed out", "lost", "released")
WORDS = ("cancel", "pass_deadline")


def valid(size: int) -> list[SagaDefinition]:
    """Give every valid definition of ``size`` steps, up to renaming."""
    found = [tried(graph, **kinds) for graph, kinds in shapes(size)]
    return [definition for definition in found if not problems(definition)]


def tried(graph: str, **kinds: Any) -> SagaDefinition:
    return define(graph, **kinds, attempts=2, undo_attempts=2, delay=5)


def diamonds() -> list[SagaDefinition]:
    return [tried("a b<a c<a d<bc", bare=bare) for bare in ("", "a", "b", "bc", "d")]


@pytest.mark.parametrize(
    ("definitions", "expected"),
    [(valid(1), (2, 71)), (valid(2), (4, 280)), (valid(3), (28, 6433)), (diamonds(), (5, 2666))],
    ids=["one step", "two steps", "three steps", "a diamond"],
)
def test_every_short_history_comes_to_rest_with_its_effects_undone_in_order(definitions, expected):
    count = 0
    for definition in definitions:
        for player in histories(Player(definition)):
            count += 1
            check_order(player)
            if player.state.status is SagaStatus.STUCK:
                mend(player)
            check_end(player)
            assert player.folded() == player.state

    assert (len(definitions), count) == expected


def histories(player: Player, trouble: str = "") -> Iterator[Player]:
    """Play on in every way; ``trouble`` names the step that had it, "-" stands for a word from outside."""
    player.claim_all()
    if not player.state.status.is_live:
        yield player
        return
    for name, claim in player.claims.items():
        yield from _on(player, trouble, "end", name)
        if trouble in ("", name):
            again = trouble == name
            for how in UNDO_TROUBLES if claim.undo else DO_TROUBLES:
                yield from _on(player, "-" if again else name, "end", name, how)
    if not trouble and player.state.status in FORWARD:
        for word in WORDS:
            yield from _on(player, "-", word)
    if player.next_due() is not None:
        yield from _on(player, trouble, "advance")


def _on(player: Player, trouble: str, move: str, *details: str) -> Iterator[Player]:
    twin = player.copy()
    getattr(twin, move)(*details)
    return histories(twin, trouble)


def mend(player: Player) -> None:
    """Have an operator retry the dead compensation, which now succeeds."""
    (dead,) = (name for name, step in player.state.steps.items() if step.status is StepStatus.UNDO_FAILED)
    player.retry_undo(dead)
    player.end(dead)


def check_order(player: Player) -> None:
    """Check the order of effects, as recorded by the workers, against the graph alone."""
    effects = player.effects
    for at, (work, name, how) in enumerate(effects):
        if work == "undo" and not how:
            late = {
                other
                for other in player.laws.behind[name]
                if _running(effects[:at], other) or any(e[:2] == ("undo", other) for e in effects[at:])
            }
            assert not late, f"{name} was undone before {sorted(late)}: {effects}"


def check_end(player: Player) -> None:
    """Check that all that was done was undone, once, or nothing was."""
    names = player.laws.behind
    assert not any(_running(player.effects, name) for name in names)
    if player.state.status is SagaStatus.COMPLETED:
        assert all(effect.work == "do" for effect in player.effects)
    else:
        assert player.state.status is SagaStatus.COMPENSATED
        assert sorted(player.undone()) == sorted(name for name in names if _owed(player, name))


def _running(effects: list[Effect], name: str) -> bool:
    return sum(1 if not e.how else -1 for e in effects if e.step == name) > 0


def _owed(player: Player, name: str) -> bool:
    """True when the step had, or may have had, an effect, and has a compensation."""
    ends = [e.how for e in player.effects if e.work == "do" and e.step == name]
    doubt = {"succeeded", "partial", "timed out", "lost", "released"}
    return player.definition[name].undo is not None and not doubt.isdisjoint(ends)

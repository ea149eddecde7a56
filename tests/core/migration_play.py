"""Plays sagas that go on by another version: every law of the machine has to hold there too."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from django_saga.core.definition import SagaDefinition
from django_saga.core.events import Migrated
from django_saga.core.migration import migrate
from django_saga.core.state import StepState
from django_saga.core.states import SagaStatus, StepStatus
from django_saga.exceptions import MigrationRefused
from tests.core.machine_laws import FORWARD, Laws, Mark
from tests.core.machine_play import Effect, Player, define


def second(graph: str, **options) -> SagaDefinition:
    """Version 2."""
    return replace(define(graph, **options), version=2)


def played(old: SagaDefinition, *moves: str) -> Player:
    """Play ``moves`` on a new saga: the name of a step and how it ended, or a word for the player."""
    player = Player(old)
    for move in moves:
        step, _, how = move.partition(" ")
        if step == "cancel":
            player.cancel()
        elif how == "begins":
            player.claim(step)
        else:
            player.end(step, how or "succeeded")
    return player


class Moved(Player):
    """A saga that goes on by another version; ``left``: steps that version does not have."""

    left: dict[str, StepState]


def moved(player: Player, new: SagaDefinition, **renamed: str) -> Moved:
    """Give a player that goes on by ``new``, once all laws hold; the old one stays as it is."""
    old = player.definition
    told = Migrated(from_version=old.version, to_version=new.version, renamed=tuple(renamed.items()))
    after = migrate(old, new, player.state, told, now=player.now)
    names = {name: name for name in new.by_name} | renamed
    twin = object.__new__(Moved)
    twin.__dict__.update(player.copy().__dict__)
    twin.definition, twin.laws = new, Laws(new, player.crash_limit)
    twin.history.append((told, player.now))
    twin.effects = [Effect(e.work, names.get(e.step, e.step), e.how) for e in player.effects]
    marks = {names[name]: mark for name, mark in player.ledger.items() if name in names}
    twin.ledger = ledger = {name: marks.get(name, Mark()) for name in new.by_name}
    # What the new version does not have stays as it ended; nothing looks at it again.
    twin.left = {name: step for name, step in after.steps.items() if name not in new.by_name}
    known = {name: step for name, step in after.steps.items() if name in new.by_name}
    twin.state = after._replace(steps=MappingProxyType(known))
    were_open = {names.get(name) for name, step in player.state.steps.items() if step.undoing}
    opened = {name for name, step in known.items() if step.undoing and name not in were_open}
    for name in opened:
        ledger[name] = ledger[name]._replace(tries=0, crashes=0)
    if twin.state.status in FORWARD:
        twin.laws._forward(twin.ledger, twin.state)
    elif twin.state.status is SagaStatus.COMPLETED:
        twin.laws._completed(twin.ledger, twin.state)
    else:
        closed = {name: known[name]._replace(status=StepStatus(known[name].outcome)) for name in opened}
        before = twin.state._replace(status=SagaStatus.COMPENSATING, steps={**known, **closed})
        twin.laws._turned(twin.ledger, before, told, twin.state)
    return twin


def refused(player: Player, new: SagaDefinition, **renamed: str) -> list[str]:
    with pytest.raises(MigrationRefused) as caught:
        moved(player, new, **renamed)
    return list(caught.value.reasons)


def finish(player: Player) -> None:
    """Have all that is open succeed until the saga is at rest."""
    while player.state.status.is_live:
        if due := player.due():
            player.end(due[0])
        else:
            player.advance()

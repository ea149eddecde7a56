"""Sagas with hooks, which write what they are told into the ledger."""

from __future__ import annotations

import time
from typing import Any

from django_saga import Saga, Transition, step
from tests import ledger
from tests.worker.script import play


def told(word: str, transition: Transition) -> None:
    """Write a line: ``charge on_enter 1 running``."""
    words = (transition.step or "saga", word, transition.attempt or "", transition.status)
    ledger.external(f"{transition.saga.id}:hook", "hook", " ".join(str(each) for each in words if each))


class HookedSaga(Saga):
    """All hooks there are, on the saga and on one of its steps."""

    @step
    def reserve(self, ctx: Any) -> Any:
        return play(ctx)

    @reserve.compensation
    def release(self, ctx: Any) -> None:
        play(ctx, undo=True)

    @reserve.on_enter
    def reserve_enters(self, transition: Transition) -> None:
        told("on_enter", transition)

    @reserve.on_success
    def reserve_succeeds(self, transition: Transition) -> None:
        told("on_success", transition)

    @reserve.on_failure
    def reserve_fails(self, transition: Transition) -> None:
        told("on_failure", transition)

    @reserve.on_compensate
    async def reserve_is_undone(self, transition: Transition) -> None:
        told("on_compensate", transition)

    @reserve.on_stuck
    def reserve_is_stuck(self, transition: Transition) -> None:
        told("on_stuck", transition)

    @reserve.on_exit
    def reserve_exits(self, transition: Transition) -> None:
        told("on_exit", transition)

    @step(no_compensation=True)
    def ship(self, ctx: Any) -> Any:
        return play(ctx)

    def on_enter(self, transition: Transition) -> None:
        told("on_enter", transition)

    async def on_success(self, transition: Transition) -> None:
        told("on_success", transition)

    def on_failure(self, transition: Transition) -> None:
        told("on_failure", transition)

    def on_compensate(self, transition: Transition) -> None:
        told("on_compensate", transition)

    def on_stuck(self, transition: Transition) -> None:
        told("on_stuck", transition)

    def on_exit(self, transition: Transition) -> None:
        told("on_exit", transition)


class HookedSlowly(Saga):
    """A saga whose hook takes its time, until the test opens the gate ``hook``."""

    @step(no_compensation=True)
    def call(self, ctx: Any) -> Any:
        return play(ctx)

    @call.on_enter
    def wait(self, transition: Transition) -> None:
        while not ledger.is_open("hook"):
            time.sleep(0.01)
        ledger.external(str(transition.saga.id), "hook", "waited")


class HookedWrongly(Saga):
    """A saga whose hooks raise."""

    @step(no_compensation=True)
    def call(self, ctx: Any) -> Any:
        return play(ctx)

    @call.on_success
    def leave(self, transition: Transition) -> None:
        raise SystemExit(7)

    def on_enter(self, transition: Transition) -> None:
        raise RuntimeError("the pager is down")

    def on_exit(self, transition: Transition) -> None:
        told("on_exit", transition)

"""Fixtures of the tests of signals and hooks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pytest
from django.db import transaction

from django_saga import Transition, runtime, signals
from django_saga.engine import announcing, transitions


class Heard(NamedTuple):
    """One signal, as a receiver got it."""

    signal: str
    sender: Any
    facts: dict[str, Any]
    thread: str

    def __str__(self) -> str:
        """``step_retried charge 1 failed: scheduled``, ``saga_finished running: completed``."""
        facts = self.facts
        if "step" not in facts:
            words = [self.signal, facts["before"]]
        else:
            words = [
                self.signal,
                facts["step"],
                "undo" if facts["undo"] else "",
                str(facts["attempt"]),
                facts["outcome"],
            ]
        return f"{' '.join(word for word in words if word)}: {facts['status']}"


class Log(list[Heard]):
    """All signals that were sent, in their order."""

    def note(self, *, signal: signals.TransitionSignal, sender: Any, **facts: Any) -> None:
        self.append(Heard(signal.name, sender, facts, threading.current_thread().name))

    @property
    def words(self) -> list[str]:
        return [str(heard) for heard in self]

    def of(self, signal: str) -> list[dict[str, Any]]:
        return [heard.facts for heard in self if heard.signal == signal]


@pytest.fixture
def heard() -> Iterator[Log]:
    """Everything that is sent, from the test's thread and others."""
    log = Log()
    note = log.note
    for signal in signals.TRANSITIONS.values():
        signal.connect(note)
    yield log
    for signal in signals.TRANSITIONS.values():
        signal.disconnect(note)


def work() -> None:
    """Do what is due, as a worker in the test's own process."""
    runtime.build_worker(using="default", once=True).run()


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction that does not commit."""

    class Undone(Exception):
        pass

    with suppress(Undone), transaction.atomic():
        yield
        raise Undone


def count_transitions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The signals of all transitions that are made from now on to be told to somebody."""
    made: list[str] = []

    def make(**facts: Any) -> Transition:
        made.append(facts["signal"])
        return Transition(**facts)

    for module in (transitions, announcing):
        monkeypatch.setattr(module, "Transition", make)
    return made

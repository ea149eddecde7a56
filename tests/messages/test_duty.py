"""Duties: what they wait out, and what they leave to the next time."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.db import OperationalError

from django_saga.exceptions import BrokerUnavailable
from django_saga.messaging import duty as duty_module
from django_saga.messaging.duty import Duty
from django_saga.messaging.station import Station
from tests.processes import wait_until


def failing(error: Exception) -> Duty:
    def turn() -> bool:
        raise error

    return Duty("test", lambda: turn)


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [(OperationalError("away"), True), (BrokerUnavailable("away"), False), (TypeError("a mistake"), False)],
)
@pytest.mark.django_db(transaction=True)
def test_who_ends_when_nothing_is_due_waits_for_the_database_alone(monkeypatch, error, goes_on):
    monkeypatch.setattr(duty_module, "_PAUSE", 0.0)

    assert failing(error).once() is goes_on


class Looking:
    """Duties of one channel that note who looks, and that a test holds up."""

    def __init__(self, count):
        self.looks = []
        self.held = threading.Event()
        self.held.set()
        self.duties = [Duty(f"d{at}", partial(self._build, at), longest=None) for at in range(count)]
        self.station = Station("default", None, {"c": self.duties}, drain_timeout=timedelta(0))

    def _build(self, at):
        return partial(self._look, at)

    def _look(self, at):
        self.looks.append(at)
        assert self.held.wait(30)
        return False

    def has_looked(self, times):
        return len(self.looks) == times

    def at_rest(self):
        wait_until(lambda: all(duty.resting for duty in self.duties))


@pytest.fixture
def looking():
    made = Looking(3)
    for duty in made.duties:
        duty.start()
    made.at_rest()
    made.looks.clear()
    yield made
    made.held.set()
    for duty in made.duties:
        duty.stop()
        duty.join()


@pytest.mark.django_db(transaction=True)
def test_one_that_rests_is_woken_and_no_other(looking):
    looking.station._wake("c")
    wait_until(lambda: looking.looks)
    looking.at_rest()

    assert len(looking.looks) == 1


@pytest.mark.django_db(transaction=True)
def test_one_at_work_is_not_waited_for_and_when_all_are_each_looks_once_more(looking):
    looking.held.clear()
    for number in (1, 2, 3):
        looking.station._wake("c")
        wait_until(partial(looking.has_looked, number))
    assert sorted(looking.looks) == [0, 1, 2]

    looking.station._wake("c")
    looking.held.set()
    wait_until(partial(looking.has_looked, 6))
    looking.at_rest()

    assert sorted(looking.looks) == [0, 0, 1, 1, 2, 2]

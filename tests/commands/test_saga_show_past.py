"""``saga_show --at``: a saga as it stood at an instant."""

from __future__ import annotations

import pytest
from django.core.management import CommandError
from django.utils import timezone

from tests.commands.screen import document, written
from tests.commands.test_saga_show import run, show

pytestmark = pytest.mark.django_db


def test_a_saga_is_shown_as_it_stood_at_an_instant():
    saga = run(ship="the van is broken")
    events = list(saga.events.order_by("pk"))
    at = next(event.at for event in events if event.step == "charge")
    then = [event for event in events if event.at <= at]

    told = document("saga_show", str(saga.pk), "--at", at.isoformat(timespec="microseconds"))
    said = show(saga, "--at", at.isoformat(timespec="microseconds"))

    assert (told["status"], told["as_of"], told["finished_at"]) == ("running", at.isoformat(), None)
    assert sum(len(step["attempts"]) for step in told["steps"]) == len(then) - 1
    assert [step["status"] for step in told["steps"]][:2] == ["succeeded", "succeeded"]
    assert said.splitlines()[:2] == ["▶ running  viewed v1  <id>", "  as of     <time>"]
    assert "What to do" not in said


def test_a_time_to_the_second_is_its_last_instant():
    saga = run()
    last = timezone.localtime(saga.events.latest("pk").at)

    by_the_second = document("saga_show", str(saga.pk), "--at", f"{last:%Y-%m-%d %H:%M:%S}")

    assert by_the_second["status"] == "completed"


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("yesterday", "'yesterday' is no time"),
        ("2026-13-01T00:00:00", "is no time"),
        ("2001-01-01T00:00:00Z", "was not there yet"),
        ("2999-01-01T00:00:00Z", "is still to come"),
    ],
)
def test_an_instant_that_tells_nothing_is_answered_with_why(at, said):
    with pytest.raises(CommandError, match=said):
        written("saga_show", str(run().pk), "--at", at)

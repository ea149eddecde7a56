"""Flows: what came of one beginning, drawn."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_saga import publish
from django_saga.core import envelope
from django_saga.messaging import intake
from django_saga.models import InboxMessage, OutboxMessage
from django_saga.observability.flow import flow
from django_saga.testing.post import a_message
from tests.sagas.telling_sagas import TellingSaga

pytestmark = pytest.mark.django_db(transaction=True)


def command(*arguments):
    out = StringIO()
    call_command("saga_flow", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def first(deliver):
    """The id of a message that a handler passes on, beside one that has nothing to do with it."""
    given = publish("test.passed_on", {"n": 5}, key="a")
    publish("test.noted", {"n": 1}, key="apart")
    deliver()
    return str(given)


def test_a_flow_shows_who_handled_what_and_what_followed(first):
    follower = OutboxMessage.objects.get(topic="test.noted", key="a")

    assert command(first) == (
        f"test.passed_on for a  published  {first}\n"
        "  → chain  done\n"
        f"      test.noted for a  published  {follower.message_id}\n"
        "        → notes  done\n"
        "Handlers: 2 done.\n"
    )


def test_a_dead_end_shows_its_error(first):
    InboxMessage.objects.filter(consumer="notes", key="a").update(status="dead", error="no paper")

    assert "        → notes  dead: no paper" in command(first)
    assert command(first).endswith("Handlers: 1 dead, 1 done.\n")


def test_a_flow_is_drawn_for_mermaid(first):
    assert command(first, "--format", "mermaid").splitlines() == [
        f"%% {first}",
        "flowchart LR",
        '    m1>"test.passed_on"]',
        '    h2["chain - done"]',
        "    m1 --> h2",
        '    m3>"test.noted"]',
        "    h2 --> m3",
        '    h4["notes - done"]',
        "    m3 --> h4",
    ]


def test_what_a_saga_says_is_found_by_its_id(saga_lab):
    handle = TellingSaga.start("work")
    saga_lab.run()

    assert [(said.topic, said.by.partition(":")[2]) for said in flow("default", str(handle.id))] == [
        ("saga.told", "reserve:do"),
        ("saga.told", "charge:do"),
        ("saga.told", "charge:do"),
        ("saga.told", "ship:do"),
    ]


def test_what_came_from_elsewhere_is_shown_as_such():
    came = a_message("test.noted", data='{"n": 1}')
    intake.accept_bodies("default", "notes", [("test.noted", envelope.write(came))])

    assert command(came.id).splitlines()[0] == f"test.noted for k  came from elsewhere  {came.id}"


def test_an_id_of_nothing_is_told():
    with pytest.raises(CommandError, match="No message has the correlation id"):
        command("nothing")

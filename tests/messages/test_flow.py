"""Flows: what came of one beginning, drawn."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_saga import operations, publish
from django_saga.core import envelope
from django_saga.core.flows import FLOW_FAILED
from django_saga.exceptions import FlowNotFound
from django_saga.messaging import intake
from django_saga.models import InboxMessage, OutboxMessage, SagaOperation
from django_saga.observability.flow import Said, flow, tally, walk
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
        f"    test.noted for a  published  {follower.message_id}\n"
        "      → notes  done\n"
        "Handlers: 2 done.\n"
    )


def test_a_dead_end_shows_its_error(first):
    InboxMessage.objects.filter(consumer="notes", key="a").update(status="dead", error="no paper")

    assert "      → notes  dead: no paper" in command(first)
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


def test_a_flow_may_be_longer_than_the_stack():
    said: list[Said] = []
    for number in range(5_000):
        said = [Said(str(number), "test.noted", None, "published", "", then=said)]

    lines = walk(said)

    assert len(lines) == 5_000
    assert (lines[-1].depth, lines[-1].after) == (4_999, 4_998)
    assert tally(lines) == {}


def test_an_operator_has_a_flow_undone(first):
    said = command(first, "--fail", "--by", "ann", "--reason", "the supplier is gone")

    assert said.startswith("All consumers are told.")
    told = OutboxMessage.objects.get(topic=FLOW_FAILED)
    assert json.loads(told.payload)["error"] == "the supplier is gone"
    assert json.loads(told.headers)["sagacompleted"] == '["chain"]'
    audit = SagaOperation.objects.get()
    assert (audit.action, audit.actor, audit.why) == ("fail flow", "ann", "the supplier is gone")
    with pytest.raises(CommandError, match="all were told already that it failed"):
        command(first, "--fail", "--by", "bob", "--reason", "once more")
    assert OutboxMessage.objects.filter(topic=FLOW_FAILED).count() == 1
    assert list(SagaOperation.objects.order_by("id").values_list("result", flat=True)) == ["done", "refused"]


def test_a_flow_is_known_by_any_of_its_messages_however_their_id_is_written(first):
    follower = OutboxMessage.objects.get(topic="test.noted", key="a")
    drawn = command(first)

    for given in (follower.message_id, first.upper(), first.replace("-", "")):
        assert command(str(given)) == drawn
    operations.fail_flow(str(follower.message_id).upper(), by="ann", why="no")

    assert OutboxMessage.objects.get(topic=FLOW_FAILED).correlation_id == first


def test_a_failure_that_nobody_heard_can_be_said_again(first):
    operations.fail_flow(first, by="ann", why="no")
    OutboxMessage.objects.filter(topic=FLOW_FAILED).update(status="discarded")

    operations.fail_flow(first, by="ann", why="once more")

    assert OutboxMessage.objects.filter(topic=FLOW_FAILED).count() == 2


def test_what_came_from_elsewhere_gives_its_context_to_the_failure():
    came = a_message("test.noted", data="{}", headers={"sagacontext": '{"order":7}', "correlationid": "f"})
    intake.accept_bodies("default", "notes", [("test.noted", envelope.write(came))])

    operations.fail_flow("f", by="ann", why="no")

    told = OutboxMessage.objects.get(topic=FLOW_FAILED)
    assert json.loads(told.headers)["sagacontext"] == '{"order":7}'


def test_what_an_operator_does_to_messages_of_a_saga_is_in_its_audit(saga_lab):
    handle = TellingSaga.start("work")
    saga_lab.run()

    operations.fail_flow(str(handle.id), by="ann", why="no")

    assert SagaOperation.objects.get().saga_id == handle.id


def test_only_what_is_known_can_fail_and_only_with_a_name_and_a_reason(first):
    with pytest.raises(FlowNotFound):
        operations.fail_flow("nothing", by="ann", why="no")
    with pytest.raises(ValueError, match="say why"):
        operations.fail_flow(first, by="ann", why=" ")
    with pytest.raises(CommandError, match="--by NAME --reason TEXT"):
        command(first, "--fail")
    assert not SagaOperation.objects.exists()


def test_an_id_of_nothing_is_told():
    with pytest.raises(CommandError, match="No message has the correlation id"):
        command("nothing")

"""``saga_asyncapi``: what is registered, as a document that other programs read."""

from __future__ import annotations

import json

import pytest

from tests.commands.screen import written


def document():
    return json.loads(written("saga_asyncapi", "--title", "Shop", "--api-version", "7"))


def refs(value):
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "$ref":
                yield each
            else:
                yield from refs(each)
    elif isinstance(value, list):
        for each in value:
            yield from refs(each)


def found(document, ref):
    for name in ref.removeprefix("#/").split("/"):
        document = document[name]
    return document


def payload(document, topic):
    """Give the schema of a topic's data."""
    return document["components"]["messages"][topic]["payload"]["allOf"][1]["properties"]["data"]


def test_a_document_says_what_is_handled_and_of_which_type():
    made = document()

    assert (made["asyncapi"], made["info"]) == ("3.0.0", {"title": "Shop", "version": "7"})
    assert made["operations"]["bank.receive.bank.deposited"] == {
        "action": "receive",
        "channel": {"$ref": "#/channels/bank.deposited"},
        "summary": "Book money; the key is the account's name.",
    }
    # Another consumer takes the same topic as it comes: the type is what one of them says.
    assert payload(made, "bank.deposited") == {"$ref": "#/components/schemas/Deposit"}
    assert made["components"]["schemas"]["Deposit"] == {
        "type": "object",
        "properties": {"amount": {"type": "string", "format": "decimal"}},
        "required": ["amount"],
    }


def test_commands_are_sent_and_taken_with_the_way_back():
    made = document()
    operations = made["operations"]

    assert operations["tests.participants.reserve.receive.stock.reserve"]["reply"] == {
        "address": {"location": "$message.payload#/replyto"}
    }
    sent = operations["remote_goods.reserve.send.stock.reserve"]
    undone = operations["remote_goods.reserve.send.stock.release"]
    assert sent["reply"] == {"channel": {"$ref": "#/channels/urn.django-saga.tests.replies"}}
    assert undone["summary"] == "Step reserve of saga remote_goods is undone."
    # What a participant of this project says of it counts for who sends it, too.
    assert payload(made, "stock.reserve") == {"$ref": "#/components/schemas/Wanted"}
    assert payload(made, "depot.take") == {}
    assert payload(made, "urn.django-saga.tests.replies") == {"$ref": "#/components/schemas/Reply"}


def test_consumers_that_can_undo_hear_of_flows_that_failed():
    made = document()

    assert made["operations"]["sweep.seats.receive.saga.flow.failed"] == {
        "action": "receive",
        "channel": {"$ref": "#/channels/saga.flow.failed"},
        "summary": "Have sweep.seats undo what it did in a flow that failed.",
    }
    assert payload(made, "saga.flow.failed") == {"$ref": "#/components/schemas/FlowFailure"}
    assert "sweep.till.receive.saga.flow.failed" not in made["operations"]


@pytest.mark.parametrize(
    ("scheme", "form", "headers"),
    [
        ("kafka", "binary", ["ce_specversion", "ce_id", "ce_source", "ce_type"]),
        ("amqp", "binary", [f"cloudEvents_{each}" for each in ("specversion", "id", "source", "type")]),
        ("redis", "plain", ["id", "source"]),
    ],
)
def test_messages_look_as_their_brokers_format_says(settings, scheme, form, headers):
    settings.DJANGO_SAGA = {"BROKERS": {"default": f"{scheme}://there?format={form}"}}
    made = document()

    message = made["components"]["messages"]["bank.deposited"]
    assert (message["contentType"], message["headers"]["required"]) == ("application/json", headers)
    assert message["payload"] == {"$ref": "#/components/schemas/Deposit"}
    taken = made["operations"]["tests.participants.reserve.receive.stock.reserve"]
    place = headers[0].removesuffix("specversion").removesuffix("id")
    assert taken["reply"] == {"address": {"location": f"$message.header#/{place}replyto"}}


def test_every_reference_leads_somewhere():
    made = document()
    all_refs = set(refs(made))

    assert len(all_refs) > 20
    assert all(found(made, ref) is not None for ref in all_refs)


def test_servers_are_named_without_what_is_secret(settings):
    settings.DJANGO_SAGA = {
        "BROKERS": {
            "default": "memory:",
            "company": "rediss://user:hidden@redis.example:6380/1?prefix=secret:",
        },
        "TOPICS": {"bank.*": "company"},
    }

    made = document()

    assert made["servers"]["company"] == {"host": "redis.example:6380", "protocol": "rediss"}
    assert made["channels"]["bank.deposited"]["servers"] == [{"$ref": "#/servers/company"}]
    assert "hidden" not in json.dumps(made)
    assert "secret" not in json.dumps(made)

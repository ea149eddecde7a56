"""Flows that nobody directs: what travels along, and what is undone when one of them fails."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from django_saga import (
    FlowFailed,
    NothingToUndo,
    PermanentFailure,
    Saga,
    handler,
    participant,
    publish,
    step,
)
from django_saga.core import envelope
from django_saga.core.flows import FLOW_FAILED
from django_saga.dsl.handler import handlers
from django_saga.dsl.registry import registry
from django_saga.messaging import intake
from django_saga.messaging.handling import Handling
from django_saga.models import InboxMessage, OutboxMessage
from django_saga.testing import deliver_messages
from django_saga.testing.post import a_message
from tests import ledger
from tests.messages.conftest import LEASE
from tests.messages.trip import deliver_only_to_the_inbox, happened, states

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_was_given_along_comes_to_the_end_of_the_flow(trip):
    first = publish("trip.asked", {}, key="ann", context={"order": 42})

    assert deliver_messages() == 4
    assert happened() == ["seat", "room", "money", "ticket"]
    assert trip.seen == [({"order": 42, "seat": 17, "room": 18}, ("seats", "rooms"), str(first))]


def test_a_saga_gives_its_context_along_too(trip, saga_lab):
    with registry.isolated():

        class TripSaga(Saga):
            @step(no_compensation=True)
            def ask(self, ctx):
                ctx.publish("trip.asked", {}, key="ann", context={"order": 42})

        saga = TripSaga.start()
        saga_lab.run()
    deliver_messages()

    assert trip.seen == [({"order": 42, "seat": 17, "room": 18}, ("seats", "rooms"), str(saga.id))]


def test_a_trace_is_passed_on(trip):
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=1"}
    publish("trip.asked", {}, key="ann", headers=trace)
    deliver_messages()

    sent = [json.loads(row.headers) for row in OutboxMessage.objects.all()]
    assert [{name: each.get(name) for name in trace} for each in sent] == [trace] * 4


def test_a_flow_that_fails_is_undone_by_all_who_took_part_and_by_nobody_else(trip):
    publish("trip.asked", {}, key="bob")
    deliver_messages()
    trip.card = "bad"
    first = publish("trip.asked", {}, key="ann")

    deliver_messages()

    assert sorted(happened()) == [
        "no room {'number': 5}",
        "no seat {'number': 17}",
        "room",
        "seat",
        "seat 17 is free",
    ]
    assert happened("bob") == ["seat", "room", "money", "ticket"]
    told = OutboxMessage.objects.get(topic=FLOW_FAILED)
    assert (told.correlation_id, told.key) == (str(first), str(first))
    said = json.loads(told.payload)
    assert (said["consumer"], said["topic"], said["error"]) == ("payments", "room.taken", "the card is empty")
    assert said["error_class"].endswith("FlowFailed")
    ends = InboxMessage.objects.exclude(topic=FLOW_FAILED).filter(key="ann").order_by("id")
    assert [(row.consumer, row.status) for row in ends] == [
        ("seats", "undone"),
        ("rooms", "undone"),
        ("payments", "failed"),
        ("seats", "done"),
    ]


def test_who_ends_a_flow_undoes_also_what_it_did_before_in_it(trip):
    trip.card = "lost"
    publish("trip.asked", {}, key="ann")

    deliver_messages()

    assert happened()[:3] == ["seat", "room", "money"]
    assert "no money None" in happened()
    assert "ticket" not in happened()


def test_a_failure_on_the_way_back_is_a_dead_letter_and_no_new_failure():
    with handlers.isolated():
        handler("trip.asked", consumer="fails")(_fail)
        handler(FLOW_FAILED, consumer="orders")(lambda message: message.publish("trip.off"))
        handler("trip.off", consumer="mail")(_fail)
        publish("trip.asked", {}, key="ann")
        deliver_messages(failing=True)

    assert OutboxMessage.objects.filter(topic=FLOW_FAILED).count() == 1
    assert states()["mail trip.off"] == "dead"


def test_a_failure_without_room_for_what_was_given_along_is_told_without_it(settings):
    settings.DJANGO_SAGA = {"MAX_MESSAGE_BYTES": 1_000}
    with handlers.isolated():
        handler("trip.asked", consumer="fails")(_fail)
        publish("trip.asked", {}, context={"x": "y" * 850})
        deliver_messages()

    [told] = OutboxMessage.objects.filter(topic=FLOW_FAILED)
    assert "sagacontext" not in told.headers


def test_what_a_foreign_failure_says_of_its_type_means_nothing(trip):
    first = publish("trip.asked", {}, key="ann")
    deliver_messages()
    foreign = a_message("com.acme.failed", headers={"correlationid": str(first)})

    intake.accept_bodies("default", "seats", [(FLOW_FAILED, envelope.write(foreign))])
    deliver_messages()

    assert states()["seats trip.asked"] == "undone"


def test_commands_are_undone_by_whoever_sent_them_and_not_refused():
    acted = []
    flow = str(uuid4())
    with handlers.isolated():
        handler("trip.asked", consumer="seats", compensation=_take_back)(lambda message: None)

        @participant("seat.free", consumer="seats")
        def free(command):
            acted.append(command.step)

        headers = {
            "idempotencykey": f"{flow}:reserve:do",
            "replyto": "x.replies",
            "replytoken": "t",
            "correlationid": flow,
        }
        publish(FLOW_FAILED, {}, headers={"correlationid": flow})
        publish("seat.free", {}, headers=headers)
        deliver_messages()

    assert acted == ["reserve"]


def test_a_second_failure_of_one_flow_undoes_nothing_twice(trip):
    trip.card = "bad"
    publish("trip.asked", {}, key="ann")
    deliver_messages()
    before = happened()
    first = InboxMessage.objects.get(topic="trip.asked").message_id

    publish(FLOW_FAILED, {"error": "again"}, key=first, headers={"correlationid": first})
    deliver_messages()

    assert happened() == before


def test_a_message_that_comes_after_the_failure_has_no_effect(trip):
    first = publish("trip.asked", {}, key="ann")
    publish(FLOW_FAILED, "no object at all", headers={"correlationid": str(first)})
    OutboxMessage.objects.filter(topic="trip.asked").update(status="discarded")
    deliver_messages()
    assert happened() == []

    OutboxMessage.objects.filter(topic="trip.asked").update(status="pending")
    deliver_messages()

    assert happened() == []
    assert states()["seats trip.asked"] == "refused"


def test_a_dead_letter_of_a_flow_that_failed_needs_nobody_any_more(trip):
    def refuse(message):
        raise PermanentFailure("not today")

    with handlers.isolated():
        handler("trip.asked", consumer="seats", compensation=lambda message, result: None)(refuse)
        first = publish("trip.asked", {}, key="ann")
        deliver_messages(failing=True)
        assert states() == {"seats trip.asked": "dead"}
        publish(FLOW_FAILED, {}, headers={"correlationid": str(first)})
        deliver_messages()

    assert states()["seats trip.asked"] == "refused"


def test_a_compensation_that_fails_is_tried_again_and_undoes_the_others_with_it(trip):
    broken = [True]

    def undo(message, result):
        if broken:
            raise ConnectionError("away")

    trip.undo = undo
    trip.card = "bad"
    publish("trip.asked", {}, key="ann")
    deliver_messages(failing=True)
    assert happened() == ["seat", "room"]
    assert states()[f"rooms {FLOW_FAILED}"] == "waiting"

    broken.clear()
    InboxMessage.objects.update(due_at=None)
    deliver_messages()

    assert "no room {'number': 5}" in happened()
    assert states()["rooms seat.taken"] == "undone"


def test_a_compensation_that_says_the_flow_failed_does_not_begin_again(trip):
    def undo(message, result):
        raise FlowFailed("and this one too")

    trip.undo = undo
    trip.card = "bad"
    publish("trip.asked", {}, key="ann")

    for _ in range(6):
        deliver_only_to_the_inbox()
        Handling("default", lease=LEASE).turn()

    assert states()[f"rooms {FLOW_FAILED}"] == "dead"
    assert OutboxMessage.objects.filter(topic=FLOW_FAILED).count() == 1


def test_a_compensation_that_finds_nothing_has_undone_it(trip):
    def undo(message, result):
        raise NothingToUndo

    trip.undo = undo
    trip.card = "bad"
    publish("trip.asked", {}, key="ann")

    deliver_messages()

    assert states()["rooms seat.taken"] == "undone"


def test_a_compensation_that_is_not_in_the_code_any_more_is_asked_for(trip):
    first = publish("trip.asked", {}, key="ann")
    deliver_messages()

    with handlers.isolated():
        handler("room.renamed", consumer="rooms", compensation=trip.undoing("room"))(trip.take_room)
        publish(FLOW_FAILED, {}, headers={"correlationid": str(first)})
        deliver_messages(failing=True)

    row = InboxMessage.objects.get(topic=FLOW_FAILED)
    assert row.status == "waiting"
    assert "rooms has no compensation for seat.taken in this code" in row.error


def test_a_handler_of_ones_own_hears_of_failures_too():
    with handlers.isolated():
        handler(
            "trip.asked", consumer="orders", compensation=lambda message, result: ledger.effect("o", "undo")
        )(lambda message: None)
        handler(FLOW_FAILED, consumer="orders")(
            lambda message: ledger.effect("o", f"cancelled {message.context['order']}")
        )
        handler(FLOW_FAILED, consumer="others")(lambda message: ledger.effect("o", message.payload["error"]))
        handler("trip.asked", consumer="fails")(_fail)
        publish("trip.asked", {}, key="ann", context={"order": 7})
        deliver_messages()

    assert sorted(happened("o")) == ["cancelled 7", "no", "undo"]


def _fail(message):
    raise FlowFailed("no")


async def _take_back(message, result):
    await message.apublish("test.told", {"was": result})


def test_compensations_may_be_async():
    async def take(message):
        return message.payload["n"]

    with handlers.isolated():
        handler("trip.asked", consumer="seats", compensation=_take_back)(take)
        handler("trip.asked", consumer="fails")(_fail)
        publish("trip.asked", {"n": 3}, key="ann")
        deliver_messages()

    assert json.loads(OutboxMessage.objects.get(topic="test.told").payload) == {"was": 3}


def test_what_a_handler_returns_has_to_be_json():
    with handlers.isolated():
        handler("trip.asked", consumer="seats", compensation=_take_back)(lambda message: object())
        publish("trip.asked", {}, key="ann")
        deliver_messages(failing=True)

    row = InboxMessage.objects.get()
    assert row.status == "dead"
    assert "returned" in row.error


def test_without_a_compensation_what_a_handler_returns_is_nobodys_business():
    with handlers.isolated():
        handler("trip.asked", consumer="seats")(lambda message: object())
        publish("trip.asked", {}, key="ann")
        deliver_messages()

    assert InboxMessage.objects.get().body is None


@pytest.mark.parametrize("header", ["sagacontext", "sagacompleted"])
@pytest.mark.parametrize("text", ["{", "3", "[3]"])
def test_headers_that_nobody_can_read_are_told(header, text):
    with handlers.isolated():
        handler("trip.asked", consumer="seats")(lambda message: message.publish("seat.taken"))
        publish("trip.asked", {}, key="ann", headers={header: text})
        deliver_messages(failing=True)

    row = InboxMessage.objects.get()
    assert (row.status, header in row.error) == ("dead", True)


def test_a_compensation_takes_two_values():
    with pytest.raises(TypeError, match="compensation has to be a function of two values"):
        handler("trip.asked", compensation=len)  # type: ignore[arg-type]

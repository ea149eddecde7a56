"""Handlers: their effects happen once, failures are told and tried again, and nothing holds up the rest."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import transaction

from django_saga import PermanentFailure, Retry, Saga, handler, publish, step
from django_saga.dsl.handler import handlers
from django_saga.engine import wake
from django_saga.messaging import handling as handling_module
from django_saga.messaging import intake
from django_saga.messaging.handling import Handling
from django_saga.messaging.relay import Relay
from django_saga.models import InboxMessage, OutboxMessage
from django_saga.runtime import broker
from django_saga.store import clock
from django_saga.store.inbox import Wanted
from tests.messages.conftest import LEASE
from tests.models import Account, Effect

pytestmark = pytest.mark.django_db(transaction=True)


def effects():
    return list(Effect.objects.order_by("id").values_list("key", "kind"))


def inbox(**facts):
    return InboxMessage.objects.get(**facts)


def test_every_consumer_gets_a_message_and_its_type(deliver):
    publish("bank.deposited", {"amount": "3"}, key="ann")
    publish("bank.deposited", {"amount": "4"}, key="ann")

    deliver()

    assert Account.objects.get(name="ann").balance == 7
    assert effects() == [("ann", "3"), ("ann", "4")]
    rows = InboxMessage.objects.values_list("status", "body", "attempts", "crashes")
    assert list(rows) == [("done", None, 0, 0)] * 4


def test_a_message_that_comes_again_has_no_second_effect(deliver):
    publish("bank.deposited", {"amount": "3"}, key="ann")
    deliver()

    OutboxMessage.objects.update(status="pending")
    deliver()

    assert Account.objects.get(name="ann").balance == 3


def test_what_does_not_fit_the_handlers_input_is_dead_at_once_for_that_consumer(deliver):
    publish("bank.deposited", {"amount": [1]}, key="ann")

    deliver()

    dead = inbox(consumer="bank")
    assert (dead.status, dead.attempts, dead.error_class) == (
        "dead",
        1,
        "django_saga.dsl.scalars.SchemaError",
    )
    assert dead.error == "payload.amount: expected Decimal, got list"
    assert bytes(dead.body).startswith(b'{"specversion":"1.0"')
    assert inbox(consumer="audit").status == "done"


def test_a_handler_that_fails_undoes_its_writes_and_is_tried_again_by_its_policy(deliver, later):
    publish("test.retried", {"until": 3}, key="a")

    deliver()
    row = inbox()
    assert (row.status, row.attempts, row.error) == ("waiting", 1, "attempt 1 failed")
    assert "fail_at_first" in row.traceback
    assert effects() == []
    deliver()
    assert inbox().attempts == 1
    for _ in range(2):
        later(timedelta(minutes=3))
        deliver()

    assert effects() == [("a", "3")]
    assert (inbox().status, inbox().attempts) == ("done", 2)


def test_a_handler_that_keeps_failing_ends_in_the_dead_letters(deliver, later):
    publish("test.retried", {"until": 9}, key="a")

    for _ in range(5):
        deliver()
        later(timedelta(hours=1))

    row = inbox()
    assert (row.status, row.attempts, row.error) == ("dead", 3, "attempt 3 failed")


def test_a_failure_holds_up_its_own_stream_only(deliver, later):
    publish("test.noted", {"n": 1, "do": "later"}, key="a")
    publish("test.noted", {"n": 2}, key="a")
    publish("test.noted", {"n": 1}, key="b")

    deliver()

    assert effects() == [("b", "1")]
    assert [row.attempts for row in InboxMessage.objects.filter(key="a").order_by("id")] == [1, 0]


def test_a_permanent_failure_is_not_tried_again_and_its_stream_goes_on(deliver):
    publish("test.noted", {"n": 1, "do": "fail"}, key="a")
    publish("test.noted", {"n": 2}, key="a")

    deliver()

    assert effects() == [("a", "2")]
    assert inbox(status="dead").error == "never"


@pytest.mark.parametrize("do", ["commit", pytest.param("break", marks=pytest.mark.postgres)])
def test_a_handler_cannot_end_or_break_its_transaction(deliver, do):
    publish("test.noted", {"n": 1, "do": do}, key="a")

    deliver()

    row = inbox()
    assert row.error_class == "django_saga.exceptions.BrokenTransaction"
    assert row.error.startswith("the handler ")
    assert "step" not in row.error
    assert effects() == []


def test_what_fails_after_the_commit_of_a_handler_does_not_have_it_handled_again(deliver):
    calls = []

    def handle(message):
        calls.append(message.payload)
        transaction.on_commit(lambda: 1 / 0)

    with handlers.isolated():
        handler("test.hooked", consumer="hooked")(handle)
        for n in range(3):
            publish("test.hooked", n, key="a")
        deliver()

    assert calls == [0, 1, 2]
    assert set(InboxMessage.objects.values_list("status", "attempts")) == {("done", 0)}


def test_a_handler_passes_on_within_its_transaction_and_keeps_the_correlation(deliver):
    first = publish("test.passed_on", {"n": 5}, key="a")

    deliver()

    assert effects() == [("a", str(first)), ("a", "5")]
    row = OutboxMessage.objects.get(topic="test.noted")
    assert json.loads(row.headers) == {
        "correlationid": str(first),
        "causationid": str(first),
        "sagaconsumer": "chain",
        "sagacompleted": '["chain"]',
    }
    assert (row.correlation_id, row.causation_id) == (str(first), str(first))


def test_a_step_publishes_with_its_result_and_only_if_it_succeeds(deliver, saga_lab):
    for word in ("fail", "work"):
        LoudSaga.start(word)
        saga_lab.run()

    deliver()

    told = [row.payload for row in OutboxMessage.objects.order_by("id")]
    assert told == ['{"n":"work"}', '{"n":"undone"}', '{"n":"work"}', '{"n":"done"}']
    assert [row.number for row in OutboxMessage.objects.order_by("id")] == [1, 2, 1, 2]
    assert sorted(kind for _, kind in effects()) == ["done", "undone", "work", "work"]


def test_a_message_whose_process_was_lost_goes_alone_and_is_given_up_in_the_end(deliver, later, settings):
    publish("test.noted", {"n": 1}, key="a")
    deliver()
    InboxMessage.objects.update(status="waiting", crashes=4, body=b"{}")

    Handling("default", lease=LEASE).turn()

    row = inbox()
    assert (row.status, row.error) == (
        "dead",
        "crash loop: its worker was lost 4 times while it was handled",
    )


def test_a_long_handler_ends_the_transaction_that_it_shares(deliver, monkeypatch):
    monkeypatch.setattr(handling_module, "_LONG_ENOUGH", 0.0)
    for n in range(3):
        publish("test.noted", {"n": n}, key=f"{n}")

    deliver()

    assert len(effects()) == 3
    assert set(InboxMessage.objects.values_list("status", "crashes")) == {("done", 0)}


def test_what_is_no_message_goes_to_the_dead_letters_with_its_bytes():
    bodies = [b"\xff\xfe", b"[]", b'{"specversion":"0.3"}', b"x" * 600_000]

    assert intake.accept_bodies("default", "notes", [("test.noted", body) for body in bodies]) == 4
    assert intake.accept_bodies("default", "notes", [("test.noted", body) for body in bodies]) == 0

    rows = InboxMessage.objects.order_by("id")
    assert [bytes(row.body or b"") for row in rows] == [*bodies[:3], b"x" * 524_288]
    assert {row.status for row in rows} == {"dead"}
    assert [row.error.partition(":")[0] for row in rows][1:] == [
        "a JSON list, not an object",
        "specversion '0.3', not CloudEvents 1.0",
        "600,000 bytes; twice MAX_MESSAGE_BYTES is the limit. It was cut off there.",
    ]


def test_wrong_handlers_are_refused_with_a_reason():
    with pytest.raises(TypeError, match="cannot be a topic"):
        handler("no topic")
    with pytest.raises(TypeError, match="neither a dataclass"):
        handler("t", input=int)
    with pytest.raises(TypeError, match="decorate a function of one value"):
        handler("t")(lambda: None)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="the name of a consumer"):
        handler("t", consumer="a b")(lambda message: None)


class LoudSaga(Saga):
    """Tells what it does."""

    @step
    def work(self, ctx):
        ctx.publish("test.noted", {"n": "work"})

    @work.compensation
    def undo(self, ctx):
        ctx.publish("test.noted", {"n": "undone"})

    @step(no_compensation=True, retry=Retry(attempts=1))
    def fail(self, ctx):
        ctx.publish("test.noted", {"n": "done"})
        if ctx.input == "fail":
            raise PermanentFailure("no")


def test_a_worker_that_lost_its_lease_handles_nothing(later):
    publish("test.noted", {"n": 1}, key="a")
    Relay("default", ["default"], broker, lease=LEASE).turn()
    late, soon = Handling("default", lease=LEASE), Handling("default", lease=LEASE)
    held, rows = late._begin(Wanted("notes"), clock.now("default"))
    later(timedelta(minutes=1))
    theirs = soon._begin(Wanted("notes"), clock.now("default"))

    late._handle("notes", held, rows)
    assert (inbox().status, effects()) == ("waiting", [])
    soon._handle("notes", *theirs)

    assert effects() == [("a", "1")]
    assert (inbox().status, inbox().attempts) == ("done", 0)


def test_what_another_worker_has_begun_is_left_to_it():
    publish("test.noted", {"n": 1}, key="a")
    Relay("default", ["default"], broker, lease=LEASE).turn()
    first, second = Handling("default", lease=LEASE), Handling("default", lease=LEASE)
    held, rows = first._begin(Wanted("notes"), clock.now("default"))

    assert not second.turn()
    first._handle("notes", held, rows)

    assert effects() == [("a", "1")]


def test_whoever_finds_more_than_it_takes_tells_another_one_before_it_begins():
    told = []

    def hear(using):
        told.append(Effect.objects.count())

    wake.listen_here(wake.INBOX, hear)
    try:
        publish("test.noted", {"n": 1}, key="alone")
        Relay("default", ["default"], broker, lease=LEASE).turn()
        told.clear()
        Handling("default", lease=LEASE).turn()
        assert told == []

        for key in range(40):
            publish("test.noted", {"n": 1}, key=f"key {key}")
        Relay("default", ["default"], broker, lease=LEASE).turn()
        told.clear()
        Handling("default", lease=LEASE).turn()
    finally:
        wake.listen_no_more(wake.INBOX, hear)

    assert told == [1]
    assert 1 < Effect.objects.count() < 41

"""Dead letters: seen in one list, tried again or discarded, each with its audit row."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_saga import OperationRefused, PermanentFailure, Retry, Saga, operations, publish, step
from django_saga.exceptions import LetterNotFound
from django_saga.messaging import relay as relay_module
from django_saga.models import InboxMessage, OutboxMessage, SagaOperation
from django_saga.observability.letters import dead_letters
from tests.models import Effect

pytestmark = pytest.mark.django_db(transaction=True)


class DeadEndSaga(Saga):
    """Cannot be undone."""

    @step
    def begin(self, ctx):
        return None

    @begin.compensation(retry=Retry(attempts=1))
    def undo(self, ctx):
        raise RuntimeError("cannot undo 7")

    @step(no_compensation=True, retry=Retry(attempts=1))
    def fail(self, ctx):
        raise PermanentFailure("no")


@pytest.fixture
def letters(deliver, new_relay, shelf, later, settings, saga_lab, monkeypatch):
    """One dead letter of each kind; gives their names by kind."""
    monkeypatch.setattr(relay_module.Circuit, "is_open", False)
    settings.DJANGO_SAGA = {"MESSAGE_ATTEMPTS": 1}
    publish("test.noted", {"n": 1, "do": "fail"}, key="a")
    deliver()
    publish("test.noted", {"n": 2}, key="b")
    shelf.refuses = lambda message: True
    new_relay().turn()
    DeadEndSaga.start()
    saga_lab.run()
    return {letter.box: letter.name for letter in dead_letters("default")}


def command(*arguments):
    out = StringIO()
    call_command("saga_requeue", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_all_kinds_are_in_one_list_the_last_first(letters):
    found = dead_letters("default")

    # The lab holds the time at which it was entered, before the messages.
    assert [(letter.box, letter.error_class, letter.error, letter.attempts) for letter in found] == [
        ("outbox", "django_saga.exceptions.MessageRefused", "message 1 is not to my taste", 1),
        ("inbox", "django_saga.exceptions.PermanentFailure", "never", 1),
        ("compensation", "RuntimeError", "cannot undo 7", 1),
    ]
    assert [letter.name for letter in dead_letters("default", box="inbox")] == [letters["inbox"]]
    assert [letter.name for letter in dead_letters("default", mark=found[0].fingerprint)] == [
        letters["outbox"]
    ]


def test_a_requeued_letter_is_tried_again_and_its_audit_says_who(letters, deliver):
    row = InboxMessage.objects.get(status="dead")
    body = json.loads(bytes(row.body or b""))
    body["data"] = {"n": 9}
    InboxMessage.objects.filter(pk=row.pk).update(body=json.dumps(body).encode())

    operations.requeue(letters["inbox"], by="ann", why="mended")
    operations.requeue(letters["outbox"], by="ann")
    deliver()

    assert sorted(Effect.objects.values_list("key", "kind")) == [("a", "9"), ("b", "2")]
    audit = SagaOperation.objects.order_by("pk").values_list("action", "actor", "why", "before", "after")
    assert list(audit) == [
        ("requeue message", "ann", "mended", "dead", "waiting"),
        ("requeue message", "ann", "", "dead", "pending"),
    ]


def test_a_discarded_letter_is_left_alone(letters, deliver):
    for name in letters.values():
        operations.discard(name, by="ann", why="not needed")
    deliver()

    assert dead_letters("default") == []
    assert not Effect.objects.exists()
    assert OutboxMessage.objects.get(key="b").status == "discarded"


def test_what_is_not_dead_is_refused_and_the_refusal_recorded(letters):
    operations.requeue(letters["inbox"], by="ann")

    with pytest.raises(OperationRefused, match="it is waiting, not dead"):
        operations.requeue(letters["inbox"], by="bob")
    assert SagaOperation.objects.latest("pk").result == "refused"
    with pytest.raises(ValueError, match="say why"):
        operations.discard(letters["outbox"], by="ann", why=" ")


@pytest.mark.parametrize("name", ["inbox:999", "inbox:x", "outbox", "os:1", "compensation:7", "inbox:²"])
def test_a_name_of_no_letter_is_told(name):
    with pytest.raises(LetterNotFound, match="no"):
        operations.requeue(name, by="ann")


def test_the_command_shows_them_and_acts_on_one_or_many(letters):
    shown = command()
    assert "3 dead letters" in shown
    assert f"{letters['inbox']}  test.noted for notes" in shown
    assert [each["letter"] for each in json.loads(command("--json"))["letters"]] == [*letters.values()]

    assert command("--all", "--dry-run") == "".join(f"Would requeue {name}.\n" for name in letters.values())
    with pytest.raises(CommandError, match="--by NAME"):
        command("--all")
    with pytest.raises(CommandError, match="--reason"):
        command(letters["inbox"], "--discard", "--by", "ann")
    mark = dead_letters("default", box="outbox")[0].fingerprint
    assert command("--fingerprint", mark, "--by", "ann") == f"Requeued {letters['outbox']}.\n"
    assert (
        command(letters["inbox"], "--discard", "--by", "ann", "--reason", "x")
        == f"Discarded {letters['inbox']}.\n"
    )
    with pytest.raises(CommandError, match="1 of 1 were refused"):
        command(letters["inbox"], "--by", "ann")
    assert command("--all", "--by", "ann") == f"Requeued {letters['compensation']}.\n"


def test_there_may_be_none():
    assert command() == "There are no dead letters.\n"
    assert command("--all", "--by", "ann", "--limit", str(timedelta(days=1).days)) == ""

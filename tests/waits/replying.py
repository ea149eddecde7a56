"""What tests of remote steps do in place of other services and of time, and what they look at."""

from __future__ import annotations

import json
from typing import Any

from django_saga import publish
from django_saga.models import InboxMessage, OutboxMessage
from django_saga.testing import SagaLab, deliver_messages, saga_story
from tests.models import Account

HERE = {"item": "shoe", "address": "here"}


def left() -> int:
    """Say how many there are on the other side."""
    return Account.objects.get(name="shoe").balance


def go_on(lab: SagaLab) -> None:
    """Carry sagas and deliver messages until nothing is left to do now."""
    lab.advance()
    while deliver_messages(failing=True):
        lab.advance()


def sent(topic: str) -> OutboxMessage:
    """Give the last message of a topic that was sent."""
    message = OutboxMessage.objects.filter(topic=topic).order_by("id").last()
    assert message is not None
    return message


def headers_of(topic: str) -> dict[str, str]:
    """Give its headers."""
    return dict(json.loads(sent(topic).headers))


def reply(command: str, payload: Any, **headers: str) -> None:
    """Answer the last ``command`` that was sent, as a service of another kind would."""
    given = headers_of(command)
    publish(given["replyto"], payload, headers={"replytoken": given["replytoken"], **headers})
    deliver_messages(failing=True)


def why(saga: Any) -> str:
    """Give the story of a saga, without how its lines are indented."""
    return " ".join(saga_story(saga).split())


def dead() -> list[str]:
    """Say why messages that came are dead letters."""
    return [row.error for row in InboxMessage.objects.filter(status="dead")]

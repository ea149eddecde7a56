"""What other services ask the depot for."""

from __future__ import annotations

from typing import Any

from django_saga import Command, PermanentFailure, Received, handler, participant
from tests.depot.models import Movement


@participant("depot.take")
def take(command: Command) -> Any:
    """Take something out, unless it is too much."""
    number = command.payload["number"]
    Movement.objects.create(order=str(command.saga_id), number=-number)
    if number > 10:
        raise PermanentFailure("that is too much")
    return {"taken": number}


@participant("depot.put_back")
def put_back(command: Command) -> None:
    """Put it back."""
    Movement.objects.create(order=str(command.saga_id), number=command.result["taken"])


def take_back(message: Received, result: Any) -> None:
    """Have what was sent come back."""
    Movement.objects.create(order=message.context["order"], number=result["sent"])


@handler("depot.wanted", consumer="depot", compensation=take_back)
def send(message: Received) -> Any:
    """Send something to a shelf; nobody asked the depot in particular."""
    number = message.payload["number"]
    Movement.objects.create(order=message.context["order"], number=-number)
    message.publish("depot.sent", message.payload, key=message.key)
    return {"sent": number}

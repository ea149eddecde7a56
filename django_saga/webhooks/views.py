"""Takes signed callbacks: each is a message, and goes the way of messages, into the inbox.

A callback is a CloudEvent, signed as Standard Webhooks has it. The inbox is the store against replays: a
callback is known there by its sender and id, for longer than its time is believed.
"""

from __future__ import annotations

from typing import NamedTuple

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from django_saga.conf import get_settings
from django_saga.core import envelope
from django_saga.core.commands import reply_topic
from django_saga.core.flows import FLOW_FAILED
from django_saga.core.webhooks import ID_HEADER, SIGNATURE_HEADER, TIME_HEADER, key_of, problem
from django_saga.dsl.handler import handlers
from django_saga.exceptions import MalformedMessage
from django_saga.messaging import intake
from django_saga.store import clock


class Refusal(NamedTuple):
    """Why a callback is not taken, as a status of HTTP and in words."""

    status: int
    why: str


@csrf_exempt  # no cookie counts here, the signature does
@require_POST
def receive(request: HttpRequest, sender: str) -> HttpResponse:
    """Take a callback of ``sender``, a key of the setting ``WEBHOOKS``: 204 once it is stored, also again."""
    if refusal := _take(request, sender):
        return JsonResponse({"error": refusal.why}, status=refusal.status)
    return HttpResponse(status=204)


def _take(request: HttpRequest, sender: str) -> Refusal | None:
    settings, limit = get_settings(), intake.max_body_bytes()
    body, message_id = request.body, request.headers.get(ID_HEADER, "")
    if len(body) > limit:
        return Refusal(413, f"a callback has at most {limit:,} bytes (twice MAX_MESSAGE_BYTES)")
    wrong = problem(
        [key_of(secret) for secret in settings.webhooks.get(sender, "").split()],
        message_id=message_id,
        timestamp=request.headers.get(TIME_HEADER, ""),
        signatures=request.headers.get(SIGNATURE_HEADER, ""),
        body=body,
        now=lambda: clock.now(settings.database),
    )
    if wrong:
        return Refusal(401, wrong)
    try:
        message = envelope.read(body)
    except MalformedMessage as error:
        return Refusal(400, f"this is no CloudEvent: {error}")
    if message.id != message_id:
        return Refusal(400, f"the CloudEvent's id is not that of the header {ID_HEADER}")
    theirs = message.topic.startswith(f"{sender}.") and message.topic != FLOW_FAILED
    if message.topic != reply_topic(settings.sender) and not theirs:
        return Refusal(403, f"{sender} sends replies, and what is of a type that begins with '{sender}.'")
    if not (consumers := intake.consumers_of(settings.database, [message.topic])[message.topic]):
        return Refusal(404, f"nobody here takes {message.topic}")
    if theirs and any(
        handler.answers for name in consumers if (handler := handlers.get(name, message.topic))
    ):
        return Refusal(403, f"{message.topic} is a command, and callbacks are replies and events")
    intake.accept_callback(settings.database, sender, message, body)
    return None
